// Reminding a thread of what others freed. Its hit paths never look at its messages, and a thread that has allocated
// its fill and lives on what it frees itself comes to no slow path: all that another thread frees of its blocks would
// stay.
//
// So whoever sends each 64th message since the owner took the last ones (4 MiB of pages) has the owner's calls watched:
// see Housekeeping.swift. The tables of a heap are the owner's alone; the other parks the heap for that moment, as the
// background purger does (Parking.swift).
//
// Cost: a call of the kernel (membarrier) for 64 messages at most, and at most one in `watchPeriod`, and what watched
// calls cost the owner. Messages that are fewer wait until the owner comes to a slow path.
//
// Thread-safety: any thread, with or without a heap, that is not at work on its own.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// Has the owner, another thread, take its messages with one of its next calls of `malloc`. Nothing happens where
    /// it is on a slow path, where it will see them, or where somebody holds the registry's lock: then a later message
    /// does it. Preserves `errno`.
    @inline(never)
    func remindOwner() {
        let now = SystemMemory.milliseconds()
        guard now &- pointee.reminded.load(ordering: .relaxed) >= Self.watchPeriod,
            Process.registryLock.tryAcquire()
        else { return }
        defer { Process.registryLock.release() }
        // Heaps that no thread owns are looked after by all: see HeapRegistry.swift.
        guard pointee.state == .owned, pointee.thread != Malloc.thisThread else { return }
        let savedErrno = mallow_errno()
        if park() {
            pointee.reminded.store(now, ordering: .relaxed)
            watchCalls(from: now)
            unpark()
        }
        mallow_set_errno(savedErrno)
    }
}
