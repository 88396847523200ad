// What a heap does beside allocating: it gives back what has been free for the purge delay. No thread runs for it, so
// all of it happens inside calls of the program, a bounded part in each.
//
// Frees and most allocations stay on hit paths, which do nothing of the kind. Ticks come from slow paths: each 16th
// refill of a list, and some of the frees that make a page sparse. A program that has become idle may have none of
// these. So while something waits to be given back, calls are *watched*: the direct table leads nowhere, and each
// `malloc` of up to 1 KiB takes the slow path, which looks at the clock. After `watchedCallLimit` of them within
// `watchPeriod` the program is a busy one, in which slow paths are common, and calls are watched no more: it costs such
// a program that many slow calls in 10 ms. Then each size gets its entry of the table back at its next call, so that
// sizes that come seldom still tell when the program has become idle. Calls for 1 to 32 KiB, which are off the hit path
// anyway, are a tick each 256th time.
//
// A burst of frees ends anywhere in that period, and may be the last slow path for long: so calls are also watched from
// the fourth page on that becomes sparse with no refill between, and after a large block was freed.
//
// What other threads free tells the owner nothing, until it looks: they have its calls watched (Reminding.swift).
//
// What is left out: a program that made more than 256 calls in the 10 ms after a burst, and from then on calls for the
// same few sizes of up to 1 KiB alone, without ever using up a page's list; or no call at all. The background purger,
// where it is on, sees to these.
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
    static var watchPeriod: UInt { 10 }

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

    /// Nothing is left to be given back, as far as can be told, until the owner comes to a slow path again. Of a parked
    /// heap the page that the owner may be at is left alone until then: that one page does not count.
    var isSettled: Bool { hasNoSparsePage && pointee.quietTicks >= 3 }

    private var hasNoSparsePage: Bool {
        guard let first = pointee.firstSparse else { return true }
        return first == pointee.avoided && first.pointee.nextSparse == nil
    }

    /// Something of this heap's, or the pool's, is to be given back later.
    private var isWaiting: Bool {
        pointee.firstSparse != nil || pointee.quietTicks < 3 || pointee.messages.load(ordering: .relaxed) != 0
            || SlicePool.holdsFreeMemory
    }

    // MARK: - Watched calls

    func watchCalls(from now: UInt) {
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

    /// A large block was freed, and nothing else of the heap may come to a slow path for long: the next calls see to it.
    /// Once each watch period.
    func watchAfterLargeFree() {
        guard pointee.watchedCalls == 0 else { return }
        let now = SystemMemory.milliseconds()
        if now >= pointee.nextWatch { watchCalls(from: now) }
    }

    /// A call for 1 to 32 KiB, which is off the hit path of smaller ones anyway. Says whether it is time for a tick.
    @inline(__always)
    func countMediumCall() -> Bool {
        pointee.mediumCalls &+= 1
        return pointee.mediumCalls == 0
    }

    @inline(never)
    private func tickBetweenCalls() {
        pointee.isBusy = true
        tick()
        pointee.isBusy = false
    }

    /// Sizes of up to 1 KiB get their entries of the direct table back at their next call, which is a tick: those that
    /// come seldom tell that the program has become idle after all.
    private func endWatch() {
        pointee.watchedCalls = 0
        guard hasBucketTable else { return }
        for sizeClass in 0..<classEnd { setDirectEntries(sizeClass, to: pages(sizeClass).pointee.current) }
    }

    /// A call of `malloc` off the hit path. Ticks where it is watched, was until now, or is each 256th medium one.
    @inline(__always)
    func look(at sizeClass: Int) {
        if pointee.watchedCalls > 0 { return noteWatchedCall() }
        if pointee.mediumCalls == 0 {
            pointee.mediumCalls = 1
            return tickBetweenCalls()
        }
        if lacksDirectEntry(sizeClass) {
            tickBetweenCalls()
            setDirectEntries(sizeClass, to: fixedPages(sizeClass).pointee.current)
        }
    }

    /// The entry of the class leads nowhere, though calls are not watched any more.
    @inline(__always)
    private func lacksDirectEntry(_ sizeClass: Int) -> Bool {
        guard sizeClass < SizeClasses.count, SizeClasses.byteCount(of: sizeClass) <= Layout.directLimit else {
            return false
        }
        return directEntry(SizeClasses.byteCount(of: sizeClass) / 8).pointee == Page.none.address
            && fixedPages(sizeClass).pointee.current != Page.none && pointee.counters == nil
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
