// Giving memory back. A slice that becomes free keeps its memory for one to two ticks, since programs that free often
// allocate again at once; then the kernel gets it. A tick happens inside a call that takes the pool's lock anyway, when
// its time has come, or in one of a heap's (Housekeeping.swift); so nothing is purged in a program that makes no call,
// but by the background purger where that is on. After a pause of a tick's length the first call gives back all that
// was freed before it.
//
// What lies idle is bounded as well: beyond 256 MiB and half of what is in use, it goes at once, the oldest first.
//
// No storm: what is freed between two ticks is purged once, in runs as long as they come, and at most
// `purgeByteLimit` bytes in one call; the rest goes with the following calls.

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

extension SlicePool {
    /// What one call into the heap may spend on giving back, in bytes: about a millisecond of the kernel's time.
    private static let purgeByteLimit: UInt = 32 << 20

    /// More lies idle than `dirtyByteLimit` and half of what is in use: then a tick is due at once.
    private static var isOverLimit: Bool {
        state.pointee.dirtySlices > Layout.dirtyByteLimit >> Layout.sliceShift &+ state.pointee.usedSlices / 2
    }

    /// Gives back what has been free long enough, or too much. The lock is held. O(1) until a tick is due.
    static func tickLocked() {
        guard isAnythingIdle || state.pointee.tailCount > 0 else { return }
        let now = SystemMemory.milliseconds()
        guard now >= state.pointee.nextTick || isOverLimit else { return }
        var budget = purgeByteLimit
        // Without a delay, too, not before the clock's next step.
        if now &- state.pointee.lastFreed >= max(Process.purgeDelay, 1) { ageAll() }
        var candidate = state.pointee.segments
        while let segment = candidate {
            candidate = segment.pointee.next
            purge(segment, budget: &budget)
            if budget > 0 { discardTails(segment, budget: &budget) }
            if budget == 0 { return }
        }
        candidate = state.pointee.segments
        while let segment = candidate {
            candidate = segment.pointee.next
            segment.pointee.aged = segment.pointee.recentlyFreed
            segment.pointee.recentlyFreed = SliceSet()
            ageTails(segment)
        }
        Mappings.dropCached(freedBefore: now &- Process.purgeDelay)
        state.pointee.nextTick = now &+ Process.purgeDelay
        if state.pointee.segmentCount > 1 { unmapEmptySegments(keeping: 1) }
    }

    /// Nothing was freed for the purge delay: all that is free is due.
    private static func ageAll() {
        var candidate = state.pointee.segments
        while let segment = candidate {
            candidate = segment.pointee.next
            segment.pointee.aged = .union(segment.pointee.aged, segment.pointee.recentlyFreed)
            segment.pointee.recentlyFreed = SliceSet()
            ageTails(segment)
        }
    }

    static var isAnythingIdle: Bool { state.pointee.dirtySlices > 0 || state.pointee.cachedMappingCount > 0 }

    /// Something becomes idle: the next tick is due a delay from now, or when it was due for what is idle already.
    static func noteIdle() {
        let now = SystemMemory.milliseconds()
        if !isAnythingIdle {
            state.pointee.nextTick = max(state.pointee.nextTick, now &+ Process.purgeDelay)
            Purger.wake()
        }
        state.pointee.lastFreed = now
    }

    /// More became idle than may be: some goes at once. The lock is held.
    static func tickIfOverLimit() {
        if isOverLimit { tickLocked() }
    }

    /// Gives back the aged slices of a segment, until the budget is spent. The lock is held.
    ///
    /// The slices cannot be taken meanwhile, since the lock is: one call of the kernel for each run of them.
    private static func purge(_ segment: Segment, budget: inout UInt) {
        guard !segment.pointee.aged.isEmpty else { return }
        var first = segment.pointee.aged.firstMember(from: 0)
        while first < SliceSet.capacity, budget > 0 {
            let end = segment.pointee.aged.firstNonMember(from: first)
            let byteCount = UInt(bitPattern: end &- first) &<< Layout.sliceShift
            let start = segment.address &+ UInt(bitPattern: first) &<< Layout.sliceShift
            segment.pointee.aged.set(first, count: end &- first, to: false)
            if SystemMemory.discard(address: start, byteCount: byteCount) {
                state.pointee.dirtySlices &-= UInt(bitPattern: end &- first)
                state.pointee.purgedBytes &+= byteCount
                state.pointee.purgeCalls &+= 1
            } else {
                // Refused: the slices are still dirty. They are tried again at a later tick.
                segment.pointee.recentlyFreed.set(first, count: end &- first, to: true)
            }
            budget = budget > byteCount ? budget &- byteCount : 0
            first = segment.pointee.aged.firstMember(from: end)
        }
    }

    /// Gives back all that is free, now: every free slice, every cached mapping, and whole segments. Takes the lock.
    static func trim() {
        Process.poolLock.acquire()
        reclaimLocked()
        Process.poolLock.release()
    }

    /// What the pool has given back since the start: of two moments, whether anything went in between. Takes the lock.
    static var purgedBytes: UInt {
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        return state.pointee.purgedBytes
    }

    /// `trim`, with the lock held.
    static func reclaimLocked() {
        var candidate = state.pointee.segments
        while let segment = candidate {
            candidate = segment.pointee.next
            segment.pointee.aged = .union(segment.pointee.aged, segment.pointee.recentlyFreed)
            segment.pointee.recentlyFreed = SliceSet()
            ageTails(segment)
            var budget = UInt.max
            purge(segment, budget: &budget)
            discardTails(segment, budget: &budget)
        }
        Mappings.dropCached(freedBefore: .max)
        unmapEmptySegments(keeping: 0)
    }

    /// A tick, if one is due. Takes the lock.
    static func tickNow() {
        Process.poolLock.acquire()
        tickLocked()
        Process.poolLock.release()
    }

    /// For slow paths that do not come into the pool: a tick, if one is due and nobody else is in the pool.
    static func tickIfIdle() {
        guard Process.poolLock.tryAcquire() else { return }
        tickLocked()
        Process.poolLock.release()
    }
}
