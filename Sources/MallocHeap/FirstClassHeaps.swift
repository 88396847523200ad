// All first-class heaps of the process: how they are made and made again, whose a block is, and what is done for each
// of them: looking after, trimming, forking.
//
// The records are in a list that only grows, at its front: anybody walks it without a lock. A process has as many as it
// had such heaps at once.

import CMallowShims
import Synchronization

enum FirstClassHeaps {
    @inline(__always)
    private static var state: UnsafeMutablePointer<ProcessState> { Process.state }

    /// Whether there was ever one: read without a lock.
    @inline(__always)
    static var exist: Bool { state.pointee.firstClassHeaps.load(ordering: .relaxed) != 0 }

    static func make() -> FirstClassHeap? {
        Process.registryLock.acquire()
        defer { Process.registryLock.release() }
        if let heap = FirstClassHeap(address: state.pointee.freeFirstClassHeap) {
            state.pointee.freeFirstClassHeap = heap.record.pointee.nextFree
            heap.record.pointee.isLive.store(true, ordering: .relaxed)
            return heap
        }
        Process.poolLock.acquire()
        let address = Process.metadata(byteCount: FirstClassHeapRecord.byteCount)
        Process.poolLock.release()
        guard let heap = FirstClassHeap(address: address) else { return nil }
        assert(MemoryLayout<FirstClassHeapRecord>.size <= Int(FirstClassHeapRecord.byteCount))
        heap.record.pointee.isLive.store(true, ordering: .relaxed)
        heap.record.pointee.next = state.pointee.firstClassHeaps.load(ordering: .relaxed)
        state.pointee.firstClassHeaps.store(address, ordering: .releasing)
        return heap
    }

    /// The heap has ended.
    static func recycle(_ heap: FirstClassHeap) {
        Process.registryLock.acquire()
        heap.record.pointee.nextFree = state.pointee.freeFirstClassHeap
        state.pointee.freeFirstClassHeap = heap.address
        Process.registryLock.release()
    }

    private static var first: FirstClassHeap? {
        FirstClassHeap(address: state.pointee.firstClassHeaps.load(ordering: .acquiring))
    }

    // MARK: - Giving back

    /// Gives back what has been free for long in one of the heaps, each in turn, unless somebody is in it.
    static func lookAfterOne(at now: UInt) {
        guard exist else { return }
        let last = FirstClassHeap(address: state.pointee.firstClassCursor.load(ordering: .relaxed))
        guard let heap = last?.next ?? first else { return }
        state.pointee.firstClassCursor.store(heap.address, ordering: .relaxed)
        guard heap.tryAcquire() else { return }
        if let pages = heap.record.pointee.pages {
            pages.pointee.clock = now
            pages.giveBackEmptyPages()
            pages.sweepSparsePages(at: now, limit: 64)
        }
        heap.leave()
    }

    /// Gives back what has been free for long in all of them. False if something is left that will go.
    static func lookAfterAll(at now: UInt) -> Bool {
        var isClean = true
        var candidate = first
        while let heap = candidate {
            candidate = heap.next
            guard heap.tryAcquire() else {
                isClean = false
                continue
            }
            if let pages = heap.record.pointee.pages {
                pages.pointee.clock = now
                if pages.pointee.messages.load(ordering: .relaxed) != 0 { pages.giveBackEmptyPages() }
                pages.sweepSparsePages(at: now, limit: .max)
                if pages.pointee.firstSparse != nil { isClean = false }
            }
            heap.leave()
        }
        return isClean
    }

    /// Gives back what is free in all of them. Whether memory went from inside their pages.
    static func trim() -> Bool {
        var released = false
        var candidate = first
        while let heap = candidate {
            candidate = heap.next
            // A visitor that trims: its own heap is as it is until the visit ends.
            if heap.isVisitedByThisThread { continue }
            heap.acquire()
            if heap.trimUnderLock() { released = true }
            heap.leave()
        }
        return released
    }

    // MARK: - fork

    /// Takes every heap's lock, then the registry's: so all of them are whole in the child.
    static func acquireAllAndRegistry() {
        var end: UInt = 0
        while true {
            let head = state.pointee.firstClassHeaps.load(ordering: .acquiring)
            var candidate = FirstClassHeap(address: head)
            while let heap = candidate, heap.address != end {
                candidate = heap.next
                if heap.isVisitedByThisThread { Misuse.heapInVisit("fork", heap.address) }
                heap.acquire()
            }
            Process.registryLock.acquire()
            if head == state.pointee.firstClassHeaps.load(ordering: .relaxed) { return }
            // More were made meanwhile.
            Process.registryLock.release()
            end = head
        }
    }

    /// Opens the heaps' locks: after a fork, in the parent.
    static func releaseAll() {
        var candidate = first
        while let heap = candidate {
            candidate = heap.next
            heap.leave()
        }
    }

    /// In the child.
    static func resetLocks() {
        var candidate = first
        while let heap = candidate {
            candidate = heap.next
            heap.resetLock()
        }
    }
}

extension FirstClassHeap {
    /// Makes a heap, which takes its memory with its first blocks. Nil without memory for its record.
    public static func make() -> FirstClassHeap? {
        let savedErrno = mallow_errno()
        Process.initializeIfNeeded()
        guard let heap = FirstClassHeaps.make() else {
            mallow_set_errno(ENOMEM)
            return nil
        }
        mallow_set_errno(savedErrno)
        return heap
    }

    fileprivate var next: FirstClassHeap? { FirstClassHeap(address: record.pointee.next) }

    // MARK: - Whose a block is

    /// The first-class heap of a live block; nil for one that is of none. Ends the program where no block begins at
    /// `address`.
    static func owner(of address: UInt) -> FirstClassHeap? {
        // Guarded and hardened blocks are the default heap's.
        if GuardedPool.contains(address) { return nil }
        if Hardened.isOn, Hardened.page(of: address) != nil { return nil }
        return owner(of: Malloc.checkedPage(of: address, caller: "mallow_heap_of"))
    }

    /// The first-class heap that a page, run or mapping is of.
    static func owner(of page: Page) -> FirstClassHeap? {
        if page.pointee.kind == PageKind.small {
            guard let heap = page.heap else { return nil }
            return FirstClassHeap(address: heap.pointee.handle.load(ordering: .acquiring))
        }
        guard page.pointee.kind == PageKind.run || page.pointee.kind == PageKind.mapping else { return nil }
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        return FirstClassHeap(address: page.pointee.mark)
    }

    /// The first-class heap in whose memory any address lies; nil where it lies in none. Of a mapping the first 32 MiB
    /// are told. Never ends the program.
    public static func heap(at address: UInt) -> FirstClassHeap? {
        guard let page = livePage(at: address) else { return nil }
        return owner(of: page)
    }

    /// Whether any address lies in memory of the malloc that blocks have: its first-class heaps' or not.
    public static func isInMalloc(_ address: UInt) -> Bool {
        GuardedPool.contains(address) || livePage(at: address) != nil
    }

    /// The page, run or mapping in use that an address lies in. Under the pool's lock, since the address may be any: a
    /// segment with no live block in it can be unmapped meanwhile.
    private static func livePage(at address: UInt) -> Page? {
        guard address &>> UInt(MALLOW_ADDRESS_BITS) == 0, segmentMapEntry(address) != noRecordsAddress else {
            return nil
        }
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        let entry = segmentMapEntry(address)
        let segment = address & ~(Layout.segmentByteCount &- 1)
        if entry == noRecordsAddress { return nil }
        if entry != segment {
            let page = Page(at: entry)
            if page.pointee.kind == PageKind.quarantinedMapping { return nil }
            return address &- page.pointee.mappingAddress < page.pointee.mappingByteCount ? page : nil
        }
        var slice = (address &>> Layout.sliceShift) & (Layout.slicesPerSegment &- 1)
        var distance: UInt = 0
        while slice >= Layout.reservedSlices {
            let page = Page(at: segment &+ slice &* Layout.recordByteCount)
            switch page.pointee.kind {
            case PageKind.small, PageKind.hardened: return distance == 0 ? page : nil
            case PageKind.run, PageKind.hardenedRun: return distance < UInt(page.pointee.sliceCount) ? page : nil
            default: break
            }
            slice &-= 1
            distance &+= 1
        }
        return nil
    }
}

extension Malloc {
    /// Gives back what the calling thread holds and does not use, while it is idle: its heap's free pages, the OS pages
    /// inside the others that hold no live block, and what the pool keeps for a while. The thread goes on as before;
    /// its next allocations cost as much as its first. Call it before a wait that is expected to be long. O(the
    /// thread's pages) and what is given back.
    public static func threadIsIdle() {
        let savedErrno = mallow_errno()
        Process.initializeIfNeeded()
        giveBackOwn()
        SlicePool.trim()
        mallow_set_errno(savedErrno)
    }
}
