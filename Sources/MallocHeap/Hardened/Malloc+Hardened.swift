// Where the slow paths come into hardened mode: the family of functions, for blocks of either size. A pointer that no
// hardened block has anything to do with is left to the ordinary paths, which know blocks from before the mode was
// chosen, and report what is nobody's.

import CMallowShims

extension Hardened {
    /// The record of the hardened page, run or mapping that an address lies in; nil if it lies in none. O(1), but for
    /// an address behind the first slice of a run.
    static func page(of address: UInt) -> Page? {
        guard address &>> UInt(MALLOW_ADDRESS_BITS) == 0 else { return nil }
        let entry = segmentMapEntry(address)
        guard entry != noRecordsAddress else { return nil }
        if entry != address & ~(Layout.segmentByteCount &- 1) {
            let page = Page(at: entry)
            return page.pointee.kind >= PageKind.hardened ? page : nil
        }
        var slice = (address &>> Layout.sliceShift) & (Layout.slicesPerSegment &- 1)
        guard slice >= Layout.reservedSlices else { return nil }
        var page = Page(at: recordAddress(entry: entry, of: address))
        if page.pointee.kind >= PageKind.hardened { return page }
        guard page.pointee.kind == PageKind.none else { return nil }
        var distance: UInt = 0
        while slice > Layout.reservedSlices {
            slice &-= 1
            distance &+= 1
            page = Page(at: page.address &- Layout.recordByteCount)
            if page.pointee.kind == PageKind.none { continue }
            let covers = page.pointee.kind > PageKind.hardened && UInt(page.pointee.sliceCount) > distance
            return covers ? page : nil
        }
        return nil
    }

    /// False if the pointer has nothing to do with a hardened block.
    static func deallocate(_ address: UInt) -> Bool {
        guard let page = page(of: address) else {
            if isFreedLarge(address) { Misuse.doubleFree("free", address) }
            return false
        }
        let occasion = Occasion(caller: "free", pointer: address)
        if page.pointee.kind == PageKind.hardened {
            deallocateSmall(page, occasion)
        } else {
            deallocateLarge(page, occasion)
        }
        return true
    }

    /// Whether the last large block in a slice that is free now began at an address.
    private static func isFreedLarge(_ address: UInt) -> Bool {
        guard address &>> UInt(MALLOW_ADDRESS_BITS) == 0, segmentMapEntry(address) != noRecordsAddress else {
            return false
        }
        let page = Page(at: recordAddress(entry: segmentMapEntry(address), of: address))
        return page.pointee.kind == PageKind.none && page.largeBlock == address
    }

    /// As `Malloc.reallocate`, of a hardened block.
    static func reallocate(_ page: Page, _ address: UInt, _ byteCount: UInt) -> UnsafeMutableRawPointer? {
        let occasion = Occasion(caller: "realloc", pointer: address)
        let isSmall = page.pointee.kind == PageKind.hardened
        // Of 0 bytes none fits: so the block is checked, and then freed.
        let (fits, old) =
            isSmall
            ? resizeSmallInPlace(page, to: byteCount == 0 ? .max / 2 : byteCount, occasion)
            : resizeLargeInPlace(page, to: byteCount, occasion)
        if fits { return rawPointer(address) }
        if byteCount == 0 {
            _ = deallocate(address)
            return nil
        }
        // A large block that had to move because it grew is likely to grow on.
        let isGrowing = byteCount > old && byteCount > Layout.smallLimit && byteCount <= UInt(Int.max)
        guard let target = allocate(byteCount, reserve: isGrowing ? byteCount / 8 : 0) else { return nil }
        let savedErrno = mallow_errno()
        memcpy(target, rawPointer(address), Int(bitPattern: min(old, byteCount)))
        _ = deallocate(address)
        mallow_set_errno(savedErrno)
        return target
    }

    /// What was asked for. Nil if the pointer has nothing to do with a hardened block.
    static func usableSize(_ address: UInt) -> UInt? {
        guard let page = page(of: address) else { return nil }
        let occasion = Occasion(caller: "malloc_usable_size", pointer: address)
        return page.pointee.kind == PageKind.hardened
            ? smallEntry(page, occasion).byteCount : largeEntry(page, occasion).byteCount
    }

    /// Frees a block of which the caller says with what size and alignment it was asked for, and reports one that was
    /// not. An alignment of 16 and less is every block's, whoever asks for it. False if the pointer has nothing to do
    /// with a hardened block.
    static func deallocate(_ address: UInt, _ caller: StaticString, byteCount: UInt, alignment: UInt) -> Bool {
        guard address != 0, let page = page(of: address) else { return false }
        let occasion = Occasion(caller: caller, pointer: address)
        let known: (byteCount: UInt, alignment: UInt)
        if page.pointee.kind == PageKind.hardened {
            let entry = smallEntry(page, occasion)
            known = (entry.byteCount, entry.alignment)
        } else {
            known = largeEntry(page, occasion)
        }
        if byteCount != known.byteCount { HardenedFinding.wrongSize(occasion, said: byteCount, size: known.byteCount) }
        let said = alignment <= naturalAlignment ? 1 : alignment
        if said != known.alignment {
            HardenedFinding.wrongAlignment(occasion, said: alignment, size: byteCount, alignment: known.alignment)
        }
        return deallocate(address)
    }

    /// As `Malloc.resizeInPlace`, of a hardened block.
    static func resizeInPlace(_ page: Page, _ address: UInt, _ byteCount: UInt) -> Bool {
        let occasion = Occasion(caller: "realloc", pointer: address)
        return page.pointee.kind == PageKind.hardened
            ? resizeSmallInPlace(page, to: byteCount, occasion).fits
            : resizeLargeInPlace(page, to: byteCount, occasion).fits
    }

    /// Gives back what is free, and what is quarantined with it.
    static func trim() {
        for index in 0..<shardCount {
            let shard = Shard.at(index)
            shard.lock.acquire()
            shard.emptyQuarantine()
            shard.giveBackEmptyPages()
            shard.lock.release()
        }
        emptyLargeQuarantine()
    }
}
