// All heaps of the process, and how threads come by one. A thread takes a heap at its first allocation: one that an
// ended thread left, with all its pages and live blocks, or else a new one. So heaps are as many as threads ever ran at
// once, and nothing moves when a thread ends.
//
// A heap that nobody owns is an orphan. Blocks on its pages are freed by message like any other thread's; the messages
// are taken by the thread that inherits it, or that looks after it (one orphan each time housekeeping is due), or that
// takes a page with free blocks from it because it needs one of that class.
//
// Thread-safety: the registry's lock; held for the time of a list operation, and while a page is taken from an orphan.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

enum HeapRegistry {
    @inline(__always)
    static var state: UnsafeMutablePointer<ProcessState> { Process.state }

    enum Phase {
        /// And down to `-Layout.nurseryBlocks`: less the blocks that the thread has from the nursery.
        static let fresh: CInt = 0
        static let running: CInt = 1
        static let ended: CInt = 2
        /// The destructor of our key ran, and will once more.
        static let ending: CInt = 3
    }

    /// Runs `body`, which allocates, with the thread's heap, which it gets if it has none. Nil when there is no memory.
    ///
    /// A thread that is ending, and gave its heap back, borrows one for the one operation, so that it leaves nothing
    /// behind.
    @inline(never)
    static func withHeap(_ body: (Heap) -> UInt) -> UnsafeMutableRawPointer? {
        let savedErrno = mallow_errno()
        Process.initializeIfNeeded()
        if mallow_thread_phase() != Phase.running, mallow_thread_phase() != Phase.ending {
            guard let heap = acquire() else { return Malloc.outOfMemory() }
            if mallow_thread_phase() <= Phase.fresh {
                mallow_set_thread_phase(Phase.running)
                // May call calloc, which finds the heap in its slot.
                let isKnown =
                    state.pointee.hasThreadKey
                    && pthread_setspecific(state.pointee.threadKey, UnsafeMutableRawPointer(heap)) == 0
                // Nobody would tell us of the thread's end.
                if !isKnown { mallow_set_thread_phase(Phase.ended) }
            }
        }
        mallow_set_errno(savedErrno)
        let result = body(enterHeap())
        Malloc.leave()
        if mallow_thread_phase() == Phase.ended { abandon() }
        return result == 0 ? Malloc.outOfMemory() : rawPointer(result)
    }

    /// `Malloc.enter()` for a thread that has a heap, which may be parked: then it waits until it is not. Preserves
    /// `errno`.
    static func enterHeap() -> Heap {
        while true {
            let heap = Malloc.enter()
            if heap.isHeap { return heap }
            Malloc.leave()
            state.pointee.isAwaited.store(true, ordering: .relaxed)
            Process.registryLock.acquire()
            Process.registryLock.release()
        }
    }

    /// The destructor of our thread key. Destructors of other keys may run later, and free and allocate as much as any
    /// code: so the first time the thread keeps its heap, and asks for another round of destructors, of which there are
    /// four at least. What is allocated after the second is borrowed.
    static func threadEnds() {
        // It has a heap then, which may be parked.
        let phase = mallow_thread_phase()
        guard phase == Phase.running || phase == Phase.ending else { return }
        if phase == Phase.running, pthread_setspecific(state.pointee.threadKey, mallow_process()) == 0 {
            mallow_set_thread_phase(Phase.ending)
            return
        }
        mallow_set_thread_phase(Phase.ended)
        abandon()
    }

    /// Has the calling thread be without a heap, as it was before its first block.
    static func leaveHeap() {
        guard mallow_thread_phase() == Phase.running else { return }
        abandon()
        // What still needs a heap borrows one, as at a thread's end.
        mallow_set_thread_phase(Phase.ended)
    }

    // MARK: - Coming and going

    private static func acquire() -> Heap? {
        Process.registryLock.acquire()
        defer { Process.registryLock.release() }
        var heap = popOrphan()
        if heap == nil { heap = makeHeap() }
        guard let heap else { return nil }
        if state.pointee.guardRate != 0, heap.pointee.sampler == nil { heap.startSampling() }
        heap.pointee.state = .owned
        heap.pointee.thread = Malloc.thisThread
        // With the lock held: only what is in its thread's slot may be parked.
        Malloc.thisThread.pointee.heap.store(heap.address, ordering: .relaxed)
        state.pointee.ownedHeapCount &+= 1
        noteCrowd()
        if state.pointee.ownedHeapCount > state.pointee.peakOwnedHeapCount {
            state.pointee.peakOwnedHeapCount = state.pointee.ownedHeapCount
        }
        return heap
    }

    private static func noteCrowd() {
        state.pointee.isCrowded.store(
            state.pointee.ownedHeapCount >= Layout.earlyHeapCount, ordering: .relaxed)
    }

    static func makeHeap() -> Heap? {
        Process.poolLock.acquire()
        let address = Process.metadata(byteCount: HeapTables.byteCount)
        let counters =
            state.pointee.isCounting
            ? Process.metadata(byteCount: HeapCounters.byteCount) : 0
        Process.poolLock.release()
        guard let heap = Heap(bitPattern: address) else { return nil }
        heap.pointee.linkKey = state.pointee.linkKey
        heap.pointee.counters = UnsafeMutablePointer(bitPattern: counters)
        heap.pointee.observesCalls = counters == 0 ? 0 : 1
        for index in 0..<HeapTables.directCount { heap.directEntry(index).pointee = Page.none.address }
        for sizeClass in 0..<SizeClasses.count { heap.fixedPages(sizeClass).pointee.current = Page.none }
        heap.bucketTable = UInt(bitPattern: mallow_no_buckets())
        heap.pointee.nextInRegistry = state.pointee.heaps
        state.pointee.heaps = heap
        state.pointee.heapCount &+= 1
        return heap
    }

    /// Leaves the thread's heap to whoever comes next.
    private static func abandon() {
        let savedErrno = mallow_errno()
        let heap = enterHeap()
        heap.pointee.isBusy = true
        heap.returnRations()
        heap.giveBackEmptyPages()
        heap.pointee.isBusy = false
        // Nobody parks it meanwhile: the thread is in its heap until that is no longer in its slot.
        Process.registryLock.acquire()
        Malloc.thisThread.pointee.heap.store(Malloc.noHeapAddress, ordering: .relaxed)
        heap.pointee.thread = nil
        state.pointee.ownedHeapCount &-= 1
        noteCrowd()
        pushOrphan(heap)
        Process.registryLock.release()
        Malloc.leave()
        mallow_set_errno(savedErrno)
    }

    /// Leaves a heap that no thread owns to whoever comes next.
    static func leave(_ heap: Heap) {
        Process.registryLock.acquire()
        pushOrphan(heap)
        Process.registryLock.release()
    }

    private static func pushOrphan(_ heap: Heap) {
        heap.pointee.state = .orphaned
        heap.pointee.nextOrphan = state.pointee.firstOrphan
        state.pointee.firstOrphan = heap
        if state.pointee.lastOrphan == nil { state.pointee.lastOrphan = heap }
        state.pointee.orphanCount.wrappingAdd(1, ordering: .relaxed)
    }

    private static func popOrphan() -> Heap? {
        guard let heap = state.pointee.firstOrphan else { return nil }
        state.pointee.firstOrphan = heap.pointee.nextOrphan
        if state.pointee.firstOrphan == nil { state.pointee.lastOrphan = nil }
        heap.pointee.nextOrphan = nil
        state.pointee.orphanCount.wrappingSubtract(1, ordering: .relaxed)
        return heap
    }

    /// Moves the first orphan to the end of the list and returns it.
    private static func rotateOrphans() -> Heap? {
        guard let heap = popOrphan() else { return nil }
        if let last = state.pointee.lastOrphan {
            last.pointee.nextOrphan = heap
            state.pointee.lastOrphan = heap
            state.pointee.orphanCount.wrappingAdd(1, ordering: .relaxed)
            heap.pointee.state = .orphaned
        } else {
            pushOrphan(heap)
        }
        return heap
    }

    // MARK: - Orphans

    /// A page of a class with a free block, out of an orphaned heap: it belongs to `heap` from now on.
    static func takePageFromOrphan(_ sizeClass: Int, for heap: Heap) -> Page? {
        guard state.pointee.orphanCount.load(ordering: .relaxed) > 0 else { return nil }
        Process.registryLock.acquire()
        defer { Process.registryLock.release() }
        guard let orphan = rotateOrphans() else { return nil }
        if orphan.pointee.messages.load(ordering: .relaxed) != 0 { orphan.drainMessages() }
        guard let page = orphan.takePage(sizeClass) else { return nil }
        // Frees by other threads go on meanwhile: they read either owner, and a message to the old one is sent on.
        page.pointee.owner.store(heap.ownerWord(of: page), ordering: .releasing)
        return page
    }

    static func lookAfterOneOrphan() {
        if FirstClassHeaps.exist { FirstClassHeaps.lookAfterOne(at: SystemMemory.milliseconds()) }
        let hasOrphan = state.pointee.orphanCount.load(ordering: .relaxed) > 0
        guard hasOrphan || state.pointee.hasNursery.load(ordering: .relaxed) else { return }
        Process.registryLock.acquire()
        if let nursery = state.pointee.nursery {
            nursery.pointee.clock = SystemMemory.milliseconds()
            nursery.giveBackEmptyPages()
            nursery.sweepSparsePages(at: nursery.pointee.clock, limit: 64)
        }
        if let orphan = rotateOrphans() {
            orphan.pointee.clock = SystemMemory.milliseconds()
            orphan.giveBackEmptyPages()
            orphan.sweepSparsePages(at: orphan.pointee.clock, limit: 64)
        }
        Process.registryLock.release()
    }

    /// What is due in all heaps that no thread owns. False if something is left that will be.
    static func lookAfterOrphans(at now: UInt) -> Bool {
        Process.registryLock.acquire()
        defer { Process.registryLock.release() }
        var isClean = true
        var candidate = state.pointee.firstOrphan
        while let heap = candidate {
            candidate = heap.pointee.nextOrphan
            if !lookAfter(heap, at: now) { isClean = false }
        }
        if let nursery = state.pointee.nursery, !lookAfter(nursery, at: now) { isClean = false }
        return isClean
    }

    private static func lookAfter(_ heap: Heap, at now: UInt) -> Bool {
        heap.pointee.clock = now
        if heap.pointee.messages.load(ordering: .relaxed) != 0 { heap.giveBackEmptyPages() }
        heap.sweepSparsePages(at: now, limit: .max)
        return heap.pointee.firstSparse == nil
    }

    /// Gives back what is free in all orphaned heaps. Whether memory went from inside their pages.
    static func trimOrphans() -> Bool {
        var released = false
        Process.registryLock.acquire()
        var orphan = state.pointee.firstOrphan
        while let heap = orphan {
            if heap.giveBackAll() { released = true }
            orphan = heap.pointee.nextOrphan
        }
        if let nursery = state.pointee.nursery, nursery.giveBackAll() { released = true }
        Process.registryLock.release()
        return released
    }

    // MARK: - fork

    /// Before a fork: nobody else changes the process's lists until it is over. This thread may: handlers of others,
    /// which allocate, run between ours and the fork.
    static func prepareFork() {
        FirstClassHeaps.acquireAllAndRegistry()
        Hardened.acquireLocks()
        Process.poolLock.acquire()
        Process.guardedLock.acquire()
        state.pointee.forkingThread.store(UInt(mallow_thread_identity()), ordering: .relaxed)
    }

    static func parentAfterFork() {
        state.pointee.forkingThread.store(0, ordering: .relaxed)
        Process.guardedLock.release()
        Process.poolLock.release()
        Hardened.releaseLocks()
        Process.registryLock.release()
        FirstClassHeaps.releaseAll()
    }

    /// In the child: the other threads are gone. Their heaps become orphans, but for those in the middle of a change.
    static func childAfterFork() {
        state.pointee.forkingThread.store(0, ordering: .relaxed)
        Purger.childAfterFork()
        Process.guardedLock.reset()
        Process.poolLock.reset()
        Hardened.resetLocks()
        Process.registryLock.reset()
        FirstClassHeaps.resetLocks()
        var candidate = state.pointee.heaps
        while let heap = candidate {
            candidate = heap.pointee.nextInRegistry
            // The nursery is whole: whoever forks holds its lock.
            if heap.pointee.state != .owned || heap.address == Malloc.currentHeap.address { continue }
            state.pointee.ownedHeapCount &-= 1
            heap.pointee.thread = nil
            noteCrowd()
            if heap.pointee.isBusy { heap.pointee.state = .frozen } else { pushOrphan(heap) }
        }
    }
}

/// The C function that the thread key calls.
func threadWillEnd(_ value: UnsafeMutableRawPointer?) {
    HeapRegistry.threadEnds()
}
