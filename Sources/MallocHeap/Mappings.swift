// Blocks with a mapping of their own: above 8 MiB, aligned to more than a run can be, or grown by `realloc`. A mapping
// begins at a multiple of 32 MiB, so that the segment map leads to its record; only what it needs is mapped there.
//
// Freed mappings are kept for reuse: MappingCache.swift. Growing and shrinking ask the kernel to change or to move the
// mapping: nothing is copied here.
//
// All of it runs under the pool's lock. Cost: system calls, or a look through the cached mappings.

import CMallowShims

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

enum Mappings {
    @inline(__always)
    static var state: UnsafeMutablePointer<PoolState> { Process.poolPointer }

    /// Takes a block of `byteCount` bytes (below `PTRDIFF_MAX`). Takes the lock.
    static func take(byteCount: UInt, alignment: UInt) -> Run? {
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        SlicePool.tickLocked()
        let needed = Layout.roundedUp(byteCount, toMultipleOf: Process.state.pointee.osPageByteCount)
        guard SlicePool.hasRoom(for: needed) else { return nil }
        if alignment <= Layout.segmentByteCount, let page = takeCached(byteCount: needed) {
            page.pointee.kind = PageKind.mapping
            Address.setMapEntry(page.pointee.mappingAddress, to: page.address)
            page.pointee.blockByteCount = needed
            link(page)
            return Run(page: page, isZero: false)
        }
        guard let page = makeRecord() else { return nil }
        let address = mapDroppingCache(byteCount: needed, alignment: max(alignment, Layout.segmentByteCount))
        guard address != 0 else {
            recycle(record: page)
            return nil
        }
        adviseHugePages(address: address, byteCount: needed)
        Address.name(address, byteCount: needed, blocksName)
        describe(page, address: address, mappedByteCount: needed, byteCount: needed)
        state.pointee.mappedBytes &+= needed
        link(page)
        return Run(page: page, isZero: true)
    }

    /// Gives a block back: to the cache, or to the kernel. Takes the lock.
    static func give(_ page: Page) {
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        SlicePool.tickLocked()
        unlink(page)
        FirstClassHeap.forget(large: page)
        page.pointee.kind = PageKind.none
        Address.setMapEntry(page.pointee.mappingAddress, to: 0)
        keep(page)
    }

    /// Changes the size of a block, in place or by moving its pages. Nil (and the block as it was) when the kernel
    /// refuses. Takes the lock.
    static func resize(_ page: Page, to byteCount: UInt) -> UInt? {
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        return resizeLocked(page, to: byteCount)
    }

    /// Changes the size of a block where it is; false, and the block as it was, where its neighbours leave no room.
    /// Takes the lock.
    static func resizeInPlace(_ page: Page, to byteCount: UInt) -> Bool {
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        let needed = Layout.roundedUp(byteCount, toMultipleOf: Process.state.pointee.osPageByteCount)
        let address = page.pointee.mappingAddress
        let mapped = page.pointee.mappingByteCount
        if needed <= mapped { return resizeLocked(page, to: byteCount) != nil }
        guard growInPlace(page, to: needed) else { return false }
        setMapped(page, address: address, byteCount: needed)
        page.pointee.blockByteCount = needed
        return true
    }

    private static func growInPlace(_ page: Page, to byteCount: UInt) -> Bool {
        let address = page.pointee.mappingAddress
        let mapped = page.pointee.mappingByteCount
        // Of pieces, the last OS page is that which grows: it is of one piece for certain.
        let osPage = Process.state.pointee.osPageByteCount
        let kept = page.isPieced ? mapped &- osPage : 0
        return SystemMemory.resizeInPlace(address: address &+ kept, from: mapped &- kept, to: byteCount &- kept)
    }

    private static func resizeLocked(_ page: Page, to byteCount: UInt) -> UInt? {
        let osPage = Process.state.pointee.osPageByteCount
        let needed = Layout.roundedUp(byteCount, toMultipleOf: osPage)
        let address = page.pointee.mappingAddress
        let mapped = page.pointee.mappingByteCount
        if needed <= mapped {
            // What is cut off goes back, but for a little that saves the next growth a call.
            if mapped &- needed > needed / 8,
                SystemMemory.unmap(address: address &+ needed, byteCount: mapped &- needed)
            {
                setMapped(page, address: address, byteCount: needed)
            }
            page.pointee.blockByteCount = needed
            return address
        }
        // Growth is likely to go on: some address space in reserve makes it cost a call for each eighth, not each page.
        for wanted in SmallPair(needed &+ Layout.roundedUp(needed / 8, toMultipleOf: osPage), needed) {
            guard SlicePool.hasRoom(for: wanted &- mapped) else { continue }
            dropCached(toMakeRoomFor: wanted &- mapped)
            if growInPlace(page, to: wanted) {
                setMapped(page, address: address, byteCount: wanted)
                page.pointee.blockByteCount = needed
                return address
            }
            // The kernel moves pieces together, but does not make them longer on the way; it is copied.
            if page.isPieced { continue }
            let target = mapDroppingCache(byteCount: wanted, alignment: Layout.segmentByteCount, access: .none)
            guard target != 0 else { continue }
            // If it fails the reserved addresses are left alone: they may be another's by now, and hold no memory if
            // not.
            guard SystemMemory.move(address: address, from: mapped, to: wanted, target: target) else { return nil }
            adviseHugePages(address: target, byteCount: wanted)
            Address.setMapEntry(address, to: 0)
            Address.setMapEntry(target, to: page.address)
            setMapped(page, address: target, byteCount: wanted)
            page.pointee.blockByteCount = needed
            return target
        }
        return nil
    }

    /// Moves the pages of a run out of its segment into a mapping that can grow, and grows it. The run's slices become
    /// free and empty. Nil (and the block as it was) when the kernel refuses. Takes the lock.
    static func adopt(run page: Page, growingTo byteCount: UInt) -> UInt? {
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        guard SlicePool.hasRoom(for: byteCount), let record = makeRecord() else { return nil }
        // All of the address space that the growth needs is taken first, and the rest of it handed back just before the
        // mapping grows into it: so growth seldom fails once the pages have moved.
        let osPage = Process.state.pointee.osPageByteCount
        let held = UInt(page.pointee.sliceCount) &<< Layout.sliceShift
        let wanted = Layout.roundedUp(byteCount &+ byteCount / 8, toMultipleOf: osPage)
        let target = mapDroppingCache(byteCount: wanted, alignment: Layout.segmentByteCount, access: .none)
        guard target != 0, SystemMemory.movePages(address: page.start, byteCount: held, target: target) else {
            recycle(record: record)
            return nil
        }
        SystemMemory.unmap(address: target &+ held, byteCount: wanted &- held)
        describe(record, address: target, mappedByteCount: held, byteCount: page.pointee.blockByteCount)
        state.pointee.mappedBytes &+= held
        link(record)
        guard let grown = resizeLocked(record, to: byteCount) else {
            // The run's slices are still its own, and empty: the contents go back there.
            memcpy(rawPointer(page.start), rawPointer(target), Int(bitPattern: page.pointee.blockByteCount))
            unlink(record)
            Address.setMapEntry(target, to: 0)
            if SystemMemory.unmap(address: target, byteCount: held) { state.pointee.mappedBytes &-= held }
            recycle(record: record)
            return nil
        }
        let segment = Segment(at: page.address & ~(Layout.segmentByteCount &- 1))
        let first = Int(bitPattern: (page.address &- segment.address) / Layout.recordByteCount)
        FirstClassHeap.moved(large: page, to: record)
        page.pointee.kind = PageKind.none
        SlicePool.markFree(segment, first, count: Int(page.pointee.sliceCount), isDirty: false)
        // The pages brought their segment's advice along.
        adviseHugePages(address: grown, byteCount: record.pointee.mappingByteCount)
        return grown
    }

    /// Maps; when the kernel refuses, gives back all that lies idle and tries once more. What is cached and did not fit
    /// goes first, up to as much as is mapped: new memory does not come on top of memory that lies idle.
    static func mapDroppingCache(
        byteCount: UInt, alignment: UInt, access: SystemMemory.Access = .readWrite
    ) -> UInt {
        dropCached(toMakeRoomFor: byteCount)
        let address = Address.map(byteCount: byteCount, alignment: alignment, access: access)
        if address != 0 { return address }
        SlicePool.reclaimLocked()
        return Address.map(byteCount: byteCount, alignment: alignment, access: access)
    }

    // MARK: - Records

    static var blocksName: StaticString { "mallow: large blocks" }
    private static let recordChunkByteCount: UInt = 64 << 10

    static func describe(_ page: Page, address: UInt, mappedByteCount: UInt, byteCount: UInt) {
        page.pointee.kind = PageKind.mapping
        page.pointee.mappingAddress = address
        page.pointee.mappingByteCount = mappedByteCount
        page.pointee.blockByteCount = byteCount
        page.isPieced = false
        Address.setMapEntry(address, to: page.address)
    }

    private static func setMapped(_ page: Page, address: UInt, byteCount: UInt) {
        state.pointee.mappedBytes = state.pointee.mappedBytes &- page.pointee.mappingByteCount &+ byteCount
        state.pointee.mappingBytes = state.pointee.mappingBytes &- page.pointee.mappingByteCount &+ byteCount
        page.pointee.mappingAddress = address
        page.pointee.mappingByteCount = byteCount
        SlicePool.notePeak()
    }

    static func link(_ page: Page) {
        page.pointee.mark = 0
        page.pointee.previous = nil
        page.pointee.next = state.pointee.liveMappings
        if let first = state.pointee.liveMappings { first.pointee.previous = page }
        state.pointee.liveMappings = page
        state.pointee.mappingBytes &+= page.pointee.mappingByteCount
        SlicePool.notePeak()
    }

    private static func unlink(_ page: Page) {
        if let next = page.pointee.next { next.pointee.previous = page.pointee.previous }
        if let previous = page.pointee.previous {
            previous.pointee.next = page.pointee.next
        } else {
            state.pointee.liveMappings = page.pointee.next
        }
        state.pointee.mappingBytes &-= page.pointee.mappingByteCount
    }

    static func makeRecord() -> Page? {
        if let page = state.pointee.freeRecords {
            state.pointee.freeRecords = page.pointee.next
            return page
        }
        if state.pointee.recordsNext == state.pointee.recordsEnd {
            // As much again behind the records stays zero: a wild pointer into a mapping leads at most there.
            let address = SystemMemory.map(byteCount: 2 * recordChunkByteCount)
            guard address != 0 else { return nil }
            Address.name(address, byteCount: 2 * recordChunkByteCount, "mallow: records")
            state.pointee.recordsNext = address
            state.pointee.recordsEnd = address &+ recordChunkByteCount
            state.pointee.metadataBytes &+= recordChunkByteCount
            state.pointee.mappedBytes &+= 2 * recordChunkByteCount
        }
        defer { state.pointee.recordsNext &+= Layout.recordByteCount }
        return Page(at: state.pointee.recordsNext)
    }

    static func recycle(record page: Page) {
        page.pointee.kind = PageKind.none
        page.pointee.next = state.pointee.freeRecords
        state.pointee.freeRecords = page
    }
}

/// Two sizes to try in turn, without an array.
private struct SmallPair: Sequence, IteratorProtocol {
    private var first: UInt?
    private var second: UInt?

    init(_ first: UInt, _ second: UInt) {
        self.first = first
        self.second = second
    }

    mutating func next() -> UInt? {
        defer {
            first = second
            second = nil
        }
        return first
    }
}
