// What a heap does beside allocating: it gives back what has been free for the purge delay. No thread runs for it, so
// all of it happens inside calls of the program, a bounded part in each.
//
// Frees and most allocations stay on hit paths, which do nothing of the kind. Ticks come from slow paths: each 16th
// refill of a list, and some of the frees that make a page sparse. A program that has become idle may have none of
// these. So while something waits to be given back, calls are *watched*: the direct table leads nowhere, and each
// `malloc` of up to 1 KiB takes the slow path, which looks at the clock. After `watchedCallLimit` of them within
// `watchPeriod` the program is a busy one, in which slow paths are common, and the table is restored: it costs such a
// program that many slow calls in 10 ms.
//
// A burst of frees ends anywhere in that period, and may be the last slow path for long: so calls are also watched from
// the fourth page on that becomes sparse with no refill between.
//
// What is left out: a program that does nothing but hit paths, more than 256 times in 10 ms, or no call at all. The
// background purger, where it is on, sees to these.
//
// Thread-safety: the owner of a heap only, but for what is said of orphaned heaps.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// How many pages one call sweeps at most.
    private static var sweepLimit: Int { 64 }
    private static var watchedCallLimit: UInt16 { 256 }
    /// In milliseconds.
    private static var watchPeriod: UInt { 10 }

    /// What is due: the sparse pages that have been so for the purge delay, and once in that time a look at what other
    /// threads freed, at current pages that nobody uses, at an orphaned heap and at the pool. `isBusy` is set.
    /// Preserves `errno`.
    @inline(never)
    func tick() {
        let savedErrno = mallow_errno()
        let now = SystemMemory.milliseconds()
        pointee.clock = now
        if now >= pointee.nextTick {
            // Without a delay, too, once for each step of the clock: a tick looks at every class.
            pointee.nextTick = now &+ max(Process.purgeDelay, 1)
            if pointee.messages.load(ordering: .relaxed) != 0 { drainMessages() }
            sweepIdleCurrentPages()
            HeapRegistry.lookAfterOneOrphan()
            SlicePool.tickIfIdle()
        }
        sweepSparsePages(at: now, limit: Self.sweepLimit)
        if pointee.watchedCalls == 0, now >= pointee.nextWatch, isWaiting { watchCalls(from: now) }
        mallow_set_errno(savedErrno)
    }

    /// What `tick` does of this heap's own, by another thread while the heap is parked.
    func tickParked(at now: UInt) {
        pointee.clock = now
        if now >= pointee.nextTick {
            // Without a delay, too, once for each step of the clock: a tick looks at every class.
            pointee.nextTick = now &+ max(Process.purgeDelay, 1)
            if pointee.messages.load(ordering: .relaxed) != 0 { drainMessages() }
            sweepIdleCurrentPages()
        }
        sweepSparsePages(at: now, limit: .max)
    }

    /// Nothing is left to be given back, as far as can be told, until the owner comes to a slow path again.
    var isSettled: Bool { pointee.firstSparse == nil && pointee.quietTicks >= 3 }

    /// Something of this heap's, or the pool's, is to be given back later.
    private var isWaiting: Bool {
        pointee.firstSparse != nil || pointee.quietTicks < 3 || SlicePool.holdsFreeMemory
    }

    // MARK: - Watched calls

    private func watchCalls(from now: UInt) {
        pointee.nextWatch = now &+ Self.watchPeriod
        pointee.watchedCalls = Self.watchedCallLimit
        for index in 0..<HeapTables.directCount { directEntry(index).pointee = Page.none.address }
        for sizeClass in 0..<classEnd { setBucketEntry(sizeClass, to: Page.none) }
    }

    /// A page became sparse: each eighth time that is a tick.
    func noteSparsePage() {
        pointee.sparseInARow &+= 1
        if pointee.sparseInARow & 7 == 0 { tick() }
        if pointee.sparseInARow == 4, pointee.watchedCalls == 0 { watchCalls(from: pointee.clock) }
    }

    private func endWatch() {
        pointee.watchedCalls = 0
        for sizeClass in 0..<classEnd {
            setDirectEntries(sizeClass, to: pages(sizeClass).pointee.current)
        }
    }

    /// A call of `malloc` while calls are watched.
    @inline(never)
    func noteWatchedCall() {
        pointee.isBusy = true
        defer { pointee.isBusy = false }
        tick()
        let now = SystemMemory.milliseconds()
        if now >= pointee.nextWatch {
            if isWaiting { watchCalls(from: now) } else { endWatch() }
        } else if pointee.watchedCalls > 1 {
            pointee.watchedCalls &-= 1
        } else {
            endWatch()
        }
    }

    // MARK: - Current pages

    /// Current pages are no sparse ones. Those that are as they were a tick ago are swept where they are; what holds no
    /// block is given back.
    func sweepIdleCurrentPages() {
        var isQuiet = true
        for sizeClass in 0..<classEnd where !isAvoided(sizeClass) {
            let page = pages(sizeClass).pointee.current
            guard page != Page.none else { continue }
            let state = page.pointee.free ^ UInt(page.pointee.used)
            if page.pointee.mark != state {
                page.pointee.mark = state
                isQuiet = false
                continue
            }
            if page.pointee.used == 1 { giveBackCurrent(page) } else { _ = sweep(page) }
        }
        pointee.quietTicks = isQuiet ? min(pointee.quietTicks &+ 1, 3) : 0
    }
}
