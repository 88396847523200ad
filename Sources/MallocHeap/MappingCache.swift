// Freed mappings, kept for reuse within `mappingCacheByteLimit` and `mappingCacheCount`, until a tick finds them older
// than the purge delay.
//
// What a large block costs is the faults of its memory: a request of another size than what was freed takes that memory
// all the same. A mapping that is too large is cut, and its rest stays in the cache. Where all are too small, fresh
// address space is mapped, and what is cached is moved there by the kernel, piece after piece, until the block is full;
// nothing is copied. So a program whose blocks of 5 to 25 MiB replace each other faults in what it grows by.
//
//   cached:   | 12 MiB |   | 7 MiB |             a request of 16 MiB:   | 12 MiB | 4 MiB |     cached:  | 3 MiB |
//
// A block of pieces is one mapping for the kernel's `munmap` and `madvise`, and several for `mremap`, which moves them
// together from Linux 6.17 on: where it does not, such a block is not cut up again (`cannotMovePieces`).
//
// A cached mapping that was cut begins anywhere; one that begins at a segment's address can be a block as it is.
//
// Cost: a look at the cached mappings, and two calls of the kernel for each piece. Thread-safety: under the pool's lock.

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

extension UnsafeMutablePointer where Pointee == PageRecord {
    /// Of a mapping, live or cached: it may be several for `mremap`. In a word that only pages of small blocks use.
    var isPieced: Bool {
        get { pointee.hollow != 0 }
        nonmutating set { pointee.hollow = newValue ? 1 : 0 }
    }
}

extension Mappings {
    // MARK: - Keeping

    /// Keeps a freed mapping, in place of the oldest ones where there are too many.
    static func keep(_ page: Page) {
        let byteCount = page.pointee.mappingByteCount
        while state.pointee.cachedMappingCount >= Layout.mappingCacheCount
            || state.pointee.cachedMappingBytes &+ byteCount > Layout.mappingCacheByteLimit,
            dropOldest()
        {}
        SlicePool.noteIdle()
        page.pointee.mark = state.pointee.lastFreed
        addCached(page)
        if byteCount > Layout.mappingCacheByteLimit { drop(page) }
    }

    private static func addCached(_ page: Page) {
        page.pointee.next = state.pointee.cachedMappings
        state.pointee.cachedMappings = page
        state.pointee.cachedMappingCount &+= 1
        state.pointee.cachedMappingBytes &+= page.pointee.mappingByteCount
    }

    private static func removeCached(_ page: Page) {
        if state.pointee.cachedMappings == page {
            state.pointee.cachedMappings = page.pointee.next
        } else {
            var previous = state.pointee.cachedMappings
            while let link = previous, link.pointee.next != page { previous = link.pointee.next }
            if let link = previous { link.pointee.next = page.pointee.next }
        }
        state.pointee.cachedMappingCount &-= 1
        state.pointee.cachedMappingBytes &-= page.pointee.mappingByteCount
    }

    // MARK: - Taking

    /// A mapping of `byteCount` bytes, whole OS pages, or up to a quarter more, out of what is cached; nil if that is
    /// not to be had. It is off the list, and of no kind yet.
    static func takeCached(byteCount: UInt) -> Page? {
        if state.pointee.cachedMappingCount == 0 { return nil }
        guard let page = smallestCached(holding: byteCount) else { return assemble(byteCount: byteCount) }
        // Up to a quarter more than needed: more would be memory held for nothing.
        if page.pointee.mappingByteCount &- byteCount > byteCount / 4 {
            guard let rest = makeRecord() else { return nil }
            cut(page, at: byteCount, rest)
            // What is left of its stretch of 2 MiB apart from those that are whole.
            let whole = Layout.roundedUp(rest.pointee.mappingAddress, toMultipleOf: stretch)
            let odd = whole &- rest.pointee.mappingAddress
            if odd > 0, odd < rest.pointee.mappingByteCount, let others = makeRecord() { cut(rest, at: odd, others) }
        }
        removeCached(page)
        return page
    }

    /// Of those that can be a block where they are.
    private static func smallestCached(holding byteCount: UInt) -> Page? {
        var best: Page?
        var candidate = state.pointee.cachedMappings
        while let page = candidate {
            candidate = page.pointee.next
            let held = page.pointee.mappingByteCount
            guard held >= byteCount, page.pointee.mappingAddress & (Layout.segmentByteCount &- 1) == 0 else { continue }
            if let known = best, known.pointee.mappingByteCount <= held { continue }
            best = page
        }
        return best
    }

    /// Leaves the first bytes of a cached mapping to it, and the others to a record that is cached as well.
    private static func cut(_ page: Page, at byteCount: UInt, _ rest: Page) {
        rest.pointee.kind = PageKind.none
        rest.pointee.mappingAddress = page.pointee.mappingAddress &+ byteCount
        rest.pointee.mappingByteCount = page.pointee.mappingByteCount &- byteCount
        rest.pointee.mark = page.pointee.mark
        rest.isPieced = page.isPieced
        removeCached(page)
        page.pointee.mappingByteCount = byteCount
        addCached(rest)
        addCached(page)
    }

    /// A mapping that begins with what is cached, the largest first, and ends with fresh memory. Nil where the kernel
    /// refuses, or there is too little to be worth it.
    private static func assemble(byteCount: UInt) -> Page? {
        guard state.pointee.cachedMappingBytes >= byteCount / 8, let page = makeRecord() else { return nil }
        let target = Address.map(byteCount: byteCount)
        guard target != 0 else {
            recycle(record: page)
            return nil
        }
        Address.name(target, byteCount: byteCount, blocksName)
        var filled: UInt = 0
        while filled < byteCount, let (piece, offset, moved) = nextPiece(byteCount &- filled) {
            guard
                SystemMemory.move(
                    address: piece.pointee.mappingAddress &+ offset, from: moved, to: moved, target: target &+ filled)
            else {
                if piece.isPieced { state.pointee.cannotMovePieces = true } else { drop(piece) }
                abandon(target, filled: filled, moved, byteCount: byteCount, page)
                return nil
            }
            filled &+= moved
            take(from: piece, offset, moved)
        }
        page.pointee.mappingAddress = target
        page.pointee.mappingByteCount = byteCount
        page.isPieced = true
        state.pointee.mappedBytes &+= byteCount &- filled
        adviseHugePages(address: target, byteCount: byteCount)
        return page
    }

    /// What to move next where so much is left to fill: from which cached mapping, from where in it, how much.
    ///
    /// Whole stretches of 2 MiB that begin at multiples of it, from the largest, while there are any: the kernel moves
    /// these by one entry of its tables. In the end the rest: the smallest that holds it, or the end of a larger one.
    private static func nextPiece(_ left: UInt) -> (piece: Page, offset: UInt, byteCount: UInt)? {
        var largest: Page?
        var fitting: Page?
        var aligned: Page?
        var candidate = state.pointee.cachedMappings
        while let page = candidate {
            candidate = page.pointee.next
            if page.isPieced, state.pointee.cannotMovePieces { continue }
            let held = page.pointee.mappingByteCount
            if held > largest?.pointee.mappingByteCount ?? 0 { largest = page }
            if held >= left, held < fitting?.pointee.mappingByteCount ?? .max { fitting = page }
            if isAligned(page.pointee.mappingAddress), held > aligned?.pointee.mappingByteCount ?? 0 { aligned = page }
        }
        if left >= stretch, let aligned, aligned.pointee.mappingByteCount >= stretch {
            return (aligned, 0, min(left, aligned.pointee.mappingByteCount) & ~(stretch &- 1))
        }
        if let fitting { return (fitting, fitting.pointee.mappingByteCount &- left, left) }
        guard let largest else { return nil }
        return (largest, 0, largest.pointee.mappingByteCount)
    }

    /// What an entry of the kernel's tables of page tables is for.
    private static var stretch: UInt { 2 << 20 }

    private static func isAligned(_ address: UInt) -> Bool { address & (stretch &- 1) == 0 }

    /// The first or last bytes of a cached mapping are elsewhere now.
    private static func take(from piece: Page, _ offset: UInt, _ byteCount: UInt) {
        removeCached(piece)
        if offset == 0 { piece.pointee.mappingAddress &+= byteCount }
        piece.pointee.mappingByteCount &-= byteCount
        if piece.pointee.mappingByteCount == 0 { recycle(record: piece) } else { addCached(piece) }
    }

    /// A piece could not be moved: what is filled is kept for others. What is mapped behind the place of that piece is
    /// given back; the place itself is left alone, since some kernels unmap it first, and by now it may be another's.
    private static func abandon(_ target: UInt, filled: UInt, _ moved: UInt, byteCount: UInt, _ page: Page) {
        let end = filled &+ moved
        if end < byteCount { SystemMemory.unmap(address: target &+ end, byteCount: byteCount &- end) }
        guard filled > 0 else { return recycle(record: page) }
        page.pointee.kind = PageKind.none
        page.pointee.mappingAddress = target
        page.pointee.mappingByteCount = filled
        page.pointee.mark = SystemMemory.milliseconds()
        page.isPieced = true
        addCached(page)
    }

    // MARK: - Giving back

    /// False if there is none, or the kernel does not take it.
    private static func dropOldest() -> Bool {
        var last = state.pointee.cachedMappings
        while let page = last, let next = page.pointee.next { last = next }
        guard let page = last else { return false }
        return drop(page)
    }

    static func dropCached(toMakeRoomFor byteCount: UInt) {
        var dropped: UInt = 0
        while dropped < byteCount {
            let before = state.pointee.cachedMappingBytes
            guard dropOldest() else { return }
            dropped &+= before &- state.pointee.cachedMappingBytes
        }
    }

    /// Gives back the cached mappings that were freed before a moment.
    static func dropCached(freedBefore moment: UInt) {
        var candidate = state.pointee.cachedMappings
        while let page = candidate {
            candidate = page.pointee.next
            if page.pointee.mark < moment { drop(page) }
        }
    }

    /// Gives a cached mapping back. If the kernel refuses (too many mappings to split one), its memory goes at least,
    /// and it stays in the cache.
    @discardableResult
    private static func drop(_ page: Page) -> Bool {
        let byteCount = page.pointee.mappingByteCount
        guard SystemMemory.unmap(address: page.pointee.mappingAddress, byteCount: byteCount) else {
            SystemMemory.discard(address: page.pointee.mappingAddress, byteCount: byteCount)
            page.pointee.mark = SystemMemory.milliseconds()
            return false
        }
        removeCached(page)
        state.pointee.mappedBytes &-= byteCount
        state.pointee.purgedBytes &+= byteCount
        recycle(record: page)
        return true
    }
}
