// Exact counts of what the program asks for, when statistics are on. Then no call takes a hit path: the direct tables
// lead nowhere, and every page's owner bears the `counted` mark; so the hit paths pay nothing for it when they are off.

import Synchronization

enum Counting {
    @inline(__always)
    private static var state: UnsafeMutablePointer<ProcessState> { Process.state }

    /// Turns counting on. To be called while the process has one thread; blocks that live already count as allocated.
    public static func enable() {
        Process.initializeIfNeeded()
        guard !state.pointee.isCounting else { return }
        state.pointee.isCounting = true
        var candidate = state.pointee.heaps
        while let heap = candidate {
            candidate = heap.pointee.nextInRegistry
            Process.poolLock.acquire()
            let counters = Process.metadata(byteCount: HeapCounters.byteCount)
            Process.poolLock.release()
            heap.returnRations()
            heap.pointee.counters = UnsafeMutablePointer(bitPattern: counters)
            heap.pointee.observesCalls = 1
            for sizeClass in 0..<heap.classEnd { heap.setDirectEntries(sizeClass, to: Page.none) }
        }
        Process.forEachPage { page in
            guard page.pointee.kind == PageKind.small else {
                allocatedLarge(requested: page.pointee.blockByteCount, granted: page.pointee.blockByteCount)
                return
            }
            let live = page.liveBlocks
            page.pointee.owner.store(
                page.pointee.owner.load(ordering: .relaxed) | Ownership.slow, ordering: .relaxed)
            if let counters = page.heap?.pointee.counters {
                counters[Int(page.pointee.sizeClass)].allocations &+= live
                counters[Int(page.pointee.sizeClass)].requestedBytes &+= live &* page.pointee.blockByteCount
            }
            allocated(live &* page.pointee.blockByteCount)
        }
    }

    static func allocated(_ byteCount: UInt) {
        let live = state.pointee.liveBytes.wrappingAdd(byteCount, ordering: .relaxed).newValue
        if live > state.pointee.peakLiveBytes.load(ordering: .relaxed) {
            state.pointee.peakLiveBytes.max(live, ordering: .relaxed)
        }
        reportIfPending()
    }

    /// What a signal asked for and could not have.
    static func reportIfPending() {
        if state.pointee.pendingReport != nil { Malloc.reportIfPending() }
    }

    static func freed(_ byteCount: UInt) {
        state.pointee.liveBytes.wrappingSubtract(byteCount, ordering: .relaxed)
    }

    static func allocatedLarge(requested: UInt, granted: UInt) {
        state.pointee.largeRequestedBytes.wrappingAdd(requested, ordering: .relaxed)
        state.pointee.largeGrantedBytes.wrappingAdd(granted, ordering: .relaxed)
        state.pointee.largeAllocations.wrappingAdd(1, ordering: .relaxed)
        allocated(granted)
    }

    static func resizedLarge(from old: UInt, to new: UInt, requested: UInt) {
        if new > old {
            state.pointee.largeRequestedBytes.wrappingAdd(requested &- old, ordering: .relaxed)
            state.pointee.largeGrantedBytes.wrappingAdd(new &- old, ordering: .relaxed)
            allocated(new &- old)
        } else {
            freed(old &- new)
        }
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    func count(allocationOf byteCount: UInt, _ sizeClass: Int) {
        if let counters = pointee.counters {
            counters[sizeClass].requestedBytes &+= byteCount
            counters[sizeClass].allocations &+= 1
        }
        Counting.allocated(BucketClasses.byteCount(of: sizeClass))
    }
}

extension UnsafeMutablePointer where Pointee == PageRecord {
    /// Blocks that the program holds. Exact while their owner and those who free them are still.
    var liveBlocks: UInt {
        guard pointee.kind == PageKind.small else {
            return pointee.kind >= PageKind.hardened ? hardenedLiveBlocks : pointee.kind == PageKind.none ? 0 : 1
        }
        let counted = UInt(pointee.used) &+ UInt(pointee.reserve) &- (pointee.isCurrent ? 1 : 0)
        let freed = RemoteWord.count(pointee.remote.load(ordering: .relaxed))
        return counted > freed ? counted &- freed : 0
    }

    /// Bytes of memory behind the page, at most: what of it was ever touched, in OS pages; all of it if it was touched
    /// before the page was taken.
    var committedBytes: UInt {
        let osPage = Process.state.pointee.osPageByteCount
        if pointee.kind == PageKind.small {
            let touched = Layout.roundedUp(UInt(pointee.carved) &* pointee.blockByteCount, toMultipleOf: osPage)
            let hollow = UInt(truncatingIfNeeded: pointee.hollow.nonzeroBitCount) &* osPage
            return (pointee.wasDirty ? Layout.sliceByteCount : touched) &- hollow
        }
        if pointee.kind >= PageKind.hardened { return hardenedCommittedBytes }
        if pointee.wasDirty, pointee.kind != PageKind.mapping { return UInt(pointee.sliceCount) &<< Layout.sliceShift }
        return pointee.kind == PageKind.mapping ? pointee.mappingByteCount : pointee.blockByteCount
    }
}

extension Process {
    /// Calls `body` with every page, run and mapping that is in use. Takes the pool's lock: `body` must not allocate.
    static func forEachPage(_ body: (Page) -> Void) {
        poolLock.acquire()
        defer { poolLock.release() }
        var candidate = poolPointer.pointee.segments
        while let segment = candidate {
            candidate = segment.pointee.next
            var slice = Layout.reservedSlices
            let end = slice &+ UInt(segment.pointee.usableSliceCount)
            while slice < end {
                let page = Page(at: segment.address &+ slice &* Layout.recordByteCount)
                if page.pointee.kind != PageKind.none { body(page) }
                slice &+= page.pointee.kind == PageKind.none ? 1 : UInt(page.pointee.sliceCount)
            }
        }
        var mapping = poolPointer.pointee.liveMappings
        while let page = mapping {
            mapping = page.pointee.next
            body(page)
        }
    }
}
