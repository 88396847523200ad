// Segments, and the runs of slices in them. One pool for the process, under one lock, which is taken once for a page of
// small blocks or for a larger block.
//
// Invariants of a segment (checked by `brokenInvariant()`):
//   S1  free ⊇ recentlyFreed ∪ aged, and recentlyFreed ∩ aged = ∅
//   S2  a free slice in neither of them holds no memory: it reads as zero
//   S3  freeCount = |free|; the segment is in the list of available ones exactly while freeCount > 0
//   S4  no run of free slices is longer than longestRun
//
// Cost: taking and giving a run is O(1) in blocks and slices; finding a run of more than one slice looks at the
// segments that have room, newest first, and skips by `longestRun` those whose free runs are known to be too short.

import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// A run that the pool handed out.
struct Run {
    let page: Page
    /// No slice of it has been written since the kernel gave it.
    let isZero: Bool
}

enum SlicePool {
    @inline(__always)
    static var state: UnsafeMutablePointer<PoolState> { Process.poolPointer }

    /// Free memory waits to be given back, or somebody is in the pool, who may leave some. Takes the lock, if it is open.
    static var holdsFreeMemory: Bool {
        guard Process.poolLock.tryAcquire() else { return true }
        defer { Process.poolLock.release() }
        return isAnythingIdle || state.pointee.tailCount > 0
    }

    /// Whether so much memory waits to be given back, and the limit leaves room for it. Takes the lock.
    static func holdsIdle(_ byteCount: UInt) -> Bool {
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        let idle = state.pointee.dirtySlices &<< Layout.sliceShift &+ state.pointee.cachedMappingBytes
        let used = state.pointee.usedSlices &<< Layout.sliceShift &+ state.pointee.mappingBytes
        let limit = Process.state.pointee.limit
        return idle >= byteCount && used <= limit && byteCount <= limit &- used
    }

    /// Takes a run. Nil when the kernel has no more memory. Takes the lock.
    ///
    /// - Parameter byteCount: what its block will hold, where it is to be one block of the program's.
    static func take(sliceCount: Int, alignmentInSlices: Int = 1, byteCount: UInt = 0) -> Run? {
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        tickLocked()
        let run = takeLocked(sliceCount: sliceCount, alignmentInSlices: alignmentInSlices)
        if let run, byteCount > 0 { setByteCount(run.page, byteCount, holdsMemory: !run.isZero) }
        return run
    }

    private static func takeLocked(sliceCount: Int, alignmentInSlices: Int) -> Run? {
        guard hasRoom(for: UInt(bitPattern: sliceCount) &<< Layout.sliceShift) else { return nil }
        if let run = takeAvailable(sliceCount: sliceCount, alignmentInSlices: alignmentInSlices) { return run }
        var made = makeSegment(for: sliceCount &+ alignmentInSlices)
        if made == nil {
            // Address space may lie idle where it is of no use for this.
            reclaimLocked()
            made = makeSegment(for: sliceCount &+ alignmentInSlices)
        }
        guard let segment = made else { return nil }
        return take(sliceCount: sliceCount, alignmentInSlices: alignmentInSlices, in: segment)
    }

    private static func takeAvailable(sliceCount: Int, alignmentInSlices: Int) -> Run? {
        var candidate = state.pointee.firstAvailable
        while let segment = candidate {
            candidate = segment.pointee.nextAvailable
            if Int(segment.pointee.longestRun) < sliceCount { continue }
            if let run = take(sliceCount: sliceCount, alignmentInSlices: alignmentInSlices, in: segment) { return run }
        }
        return nil
    }

    private static func take(sliceCount: Int, alignmentInSlices: Int, in segment: Segment) -> Run? {
        let first = find(sliceCount: sliceCount, alignmentInSlices: alignmentInSlices, in: segment)
        guard first < SliceSet.capacity else { return nil }
        let dirty =
            segment.pointee.recentlyFreed.memberCount(first, count: sliceCount)
            &+ segment.pointee.aged.memberCount(first, count: sliceCount)
        segment.pointee.free.set(first, count: sliceCount, to: false)
        if dirty > 0 {
            segment.pointee.recentlyFreed.set(first, count: sliceCount, to: false)
            segment.pointee.aged.set(first, count: sliceCount, to: false)
        }
        state.pointee.dirtySlices &-= UInt(bitPattern: dirty)
        state.pointee.usedSlices &+= UInt(bitPattern: sliceCount)
        notePeak()
        segment.pointee.freeCount &-= UInt32(truncatingIfNeeded: sliceCount)
        if segment.pointee.freeCount == 0 { removeFromAvailable(segment) }
        let page = Page(at: segment.address &+ UInt(bitPattern: first) &* Layout.recordByteCount)
        page.pointee.wasDirty = dirty > 0
        page.pointee.sliceCount = UInt32(truncatingIfNeeded: sliceCount)
        return Run(page: page, isZero: dirty == 0)
    }

    /// The best slice for a run to begin at, or 512. One slice: a dirty one first, since its memory is there; longer:
    /// the shortest run that holds it. The lowest address of these.
    private static func find(sliceCount: Int, alignmentInSlices: Int, in segment: Segment) -> Int {
        if sliceCount == 1, alignmentInSlices == 1 {
            let recent = segment.pointee.recentlyFreed.firstMember(from: 0)
            if recent < SliceSet.capacity { return recent }
            let aged = segment.pointee.aged.firstMember(from: 0)
            return aged < SliceSet.capacity ? aged : segment.pointee.free.firstMember(from: 0)
        }
        let (best, longest) = segment.pointee.free.shortestRun(holding: sliceCount, alignment: alignmentInSlices)
        if let longest { segment.pointee.longestRun = UInt32(truncatingIfNeeded: longest) }
        return best
    }

    /// Gives a page or run back, or its last slices. The memory stays for a while: see Purging.swift. Takes the lock.
    static func give(page: Page, from firstSlice: Int = 0) {
        Process.poolLock.acquire()
        tickLocked()
        let segment = Segment(at: page.address & ~(Layout.segmentByteCount &- 1))
        let count = Int(page.pointee.sliceCount) &- firstSlice
        let first = Int(bitPattern: (page.address &- segment.address) / Layout.recordByteCount) &+ firstSlice
        if firstSlice == 0 {
            if page.pointee.kind == PageKind.run { FirstClassHeap.forget(large: page) }
            page.pointee.kind = PageKind.none
            page.pointee.owner.store(0, ordering: .relaxed)
        } else {
            page.pointee.sliceCount = UInt32(truncatingIfNeeded: firstSlice)
        }
        markFree(segment, first, count: count, isDirty: true)
        tickIfOverLimit()
        Process.poolLock.release()
    }

    static func markFree(_ segment: Segment, _ first: Int, count: Int, isDirty: Bool) {
        forgetTail(segment, first)
        segment.pointee.free.set(first, count: count, to: true)
        segment.pointee.freeCount &+= UInt32(truncatingIfNeeded: count)
        let run = UInt32(truncatingIfNeeded: segment.pointee.free.runLength(around: first))
        if run > segment.pointee.longestRun { segment.pointee.longestRun = run }
        if isDirty {
            noteIdle()
            segment.pointee.recentlyFreed.set(first, count: count, to: true)
            state.pointee.dirtySlices &+= UInt(bitPattern: count)
        }
        state.pointee.usedSlices &-= UInt(bitPattern: count)
        if !segment.pointee.isAvailable { addToAvailable(segment) }
    }

    /// Makes a run longer where it lies, for a block of `byteCount`. False where the slices behind it are taken. Takes
    /// the lock.
    static func extend(page: Page, to sliceCount: Int, byteCount: UInt) -> Bool {
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        let segment = Segment(at: page.address & ~(Layout.segmentByteCount &- 1))
        let count = Int(page.pointee.sliceCount)
        let end = Int(bitPattern: (page.address &- segment.address) / Layout.recordByteCount) &+ count
        let extra = sliceCount &- count
        guard end &+ extra <= SliceSet.capacity, hasRoom(for: UInt(bitPattern: extra) &<< Layout.sliceShift),
            segment.pointee.free.memberCount(end, count: extra) == extra
        else { return false }
        let dirty =
            segment.pointee.recentlyFreed.memberCount(end, count: extra)
            &+ segment.pointee.aged.memberCount(end, count: extra)
        segment.pointee.free.set(end, count: extra, to: false)
        segment.pointee.recentlyFreed.set(end, count: extra, to: false)
        segment.pointee.aged.set(end, count: extra, to: false)
        state.pointee.dirtySlices &-= UInt(bitPattern: dirty)
        state.pointee.usedSlices &+= UInt(bitPattern: extra)
        notePeak()
        segment.pointee.freeCount &-= UInt32(truncatingIfNeeded: extra)
        if segment.pointee.freeCount == 0 { removeFromAvailable(segment) }
        if dirty > 0 { page.pointee.wasDirty = true }
        page.pointee.sliceCount = UInt32(truncatingIfNeeded: sliceCount)
        setByteCount(page, byteCount, holdsMemory: dirty > 0)
        return true
    }

    static func notePeak() {
        let committed =
            (state.pointee.usedSlices &+ state.pointee.dirtySlices) &<< Layout.sliceShift &+ state.pointee.mappingBytes
            &+ state.pointee.cachedMappingBytes
        if committed > state.pointee.peakCommittedBytes { state.pointee.peakCommittedBytes = committed }
    }

    // MARK: - Lists of segments

    static func addToAvailable(_ segment: Segment) {
        let first = state.pointee.firstAvailable
        segment.pointee.previousAvailable = nil
        segment.pointee.nextAvailable = first
        if let first { first.pointee.previousAvailable = segment }
        state.pointee.firstAvailable = segment
        segment.pointee.isAvailable = true
    }

    static func removeFromAvailable(_ segment: Segment) {
        let next = segment.pointee.nextAvailable
        let previous = segment.pointee.previousAvailable
        if let next { next.pointee.previousAvailable = previous }
        if let previous {
            previous.pointee.nextAvailable = next
        } else {
            state.pointee.firstAvailable = next
        }
        segment.pointee.isAvailable = false
    }

    // MARK: - Making and unmaking segments

    /// Maps a new segment: a whole one, or where the address space is limited as large a part of one as is to be had
    /// and holds `sliceCount` slices. The lock is held.
    private static func makeSegment(for sliceCount: Int) -> Segment? {
        var byteCount = Layout.segmentByteCount
        let least = (UInt(bitPattern: sliceCount) &+ Layout.reservedSlices) &<< Layout.sliceShift
        while byteCount >= least, byteCount >= 16 &<< Layout.sliceShift {
            let address = Address.map(byteCount: byteCount)
            if address != 0 { return register(Segment(at: address), byteCount: byteCount) }
            byteCount &>>= 1
        }
        guard least < Layout.segmentByteCount else { return nil }
        let address = Address.map(byteCount: least)
        return address == 0 ? nil : register(Segment(at: address), byteCount: least)
    }

    private static func register(_ segment: Segment, byteCount: UInt) -> Segment {
        // See Limits.swift.
        SystemMemory.adviseHugePages(false, address: segment.address, byteCount: byteCount)
        Address.name(segment.address, byteCount: byteCount, "mallow: blocks")
        let usable = byteCount &>> Layout.sliceShift &- Layout.reservedSlices
        segment.pointee.free.set(Int(Layout.reservedSlices), count: Int(bitPattern: usable), to: true)
        segment.pointee.freeCount = UInt32(truncatingIfNeeded: usable)
        segment.pointee.longestRun = UInt32(truncatingIfNeeded: usable)
        segment.pointee.usableSliceCount = UInt32(truncatingIfNeeded: usable)
        segment.pointee.mappedByteCount = byteCount
        segment.pointee.next = state.pointee.segments
        state.pointee.segments = segment
        state.pointee.segmentCount &+= 1
        state.pointee.mappedBytes &+= byteCount
        addToAvailable(segment)
        Address.setMapEntry(segment.address, to: segment.address)
        return segment
    }

    /// Unmaps segments that hold nothing, all but `kept` of them. The lock is held; their memory is purged already.
    static func unmapEmptySegments(keeping kept: Int) {
        var left = kept
        var link: Segment?
        var candidate = state.pointee.segments
        while let segment = candidate {
            let next = segment.pointee.next
            candidate = next
            let isEmpty = segment.pointee.freeCount == segment.pointee.usableSliceCount
            if !isEmpty || left > 0 || !segment.pointee.recentlyFreed.isEmpty || !segment.pointee.aged.isEmpty {
                if isEmpty { left &-= 1 }
                link = segment
                continue
            }
            let byteCount = segment.pointee.mappedByteCount
            removeFromAvailable(segment)
            Address.setMapEntry(segment.address, to: 0)
            guard SystemMemory.unmap(address: segment.address, byteCount: byteCount) else {
                // The kernel refused (too many mappings): the segment stays.
                Address.setMapEntry(segment.address, to: segment.address)
                addToAvailable(segment)
                link = segment
                continue
            }
            if let link { link.pointee.next = next } else { state.pointee.segments = next }
            state.pointee.segmentCount &-= 1
            state.pointee.mappedBytes &-= byteCount
            // Its slices' memory went before; its own record is the rest.
            state.pointee.purgedBytes &+= 4096
        }
    }
}
