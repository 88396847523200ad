// The background purger: a thread that does what is due when the program makes no calls that would. Off unless it is
// wanted (`MALLOW_BACKGROUND`), since a process with a hidden thread cannot do all that one without can:
// `unshare(CLONE_NEWUSER)` fails.
//
// It starts before `main`, and in a child of `fork` at once: never inside a call of `malloc` or `free`, which libc makes
// with locks held that starting a thread takes. It passes over the heaps and the pool once every purge delay while there
// is something to do, and sleeps without a timeout when there is not. Who leaves something to do wakes it. Nobody waits
// for it: the process ends as it would without.
//
//   off    wanted   starting, awake   asleep
//   0      1        2                 3          the word that it sleeps on
//
// Thread-safety: all of it may be called by any thread; where a lock is held, that is said.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

enum Purger {
    private static let off: UInt32 = 0
    private static let wanted: UInt32 = 1
    private static let awake: UInt32 = 2
    private static let asleep: UInt32 = 3

    /// Less than this between two passes would be more than the kernel's clock tells apart, in milliseconds.
    private static let shortestPause: UInt = 10
    private static let stackByteCount = 256 << 10

    @inline(__always)
    private static var word: UnsafeMutablePointer<ProcessState> { Process.state }

    /// Turns it on. Once it runs it cannot be turned off.
    static func setWanted(_ isWanted: Bool) {
        _ = word.pointee.purger.compareExchange(
            expected: isWanted ? off : wanted, desired: isWanted ? wanted : off, ordering: .relaxed)
    }

    // MARK: - What the heap calls

    /// Something was left to do. Any lock may be held.
    @inline(__always)
    static func wake() {
        if word.pointee.purger.load(ordering: .relaxed) == asleep { wakeSleeping() }
    }

    @inline(never)
    private static func wakeSleeping() {
        guard word.pointee.purger.compareExchange(expected: asleep, desired: awake, ordering: .relaxed).exchanged
        else { return }
        #if os(Linux)
            let savedErrno = mallow_errno()
            mallow_futex_wake(futex)
            mallow_set_errno(savedErrno)
        #endif
    }

    /// No lock is held, of libc's neither: starting a thread takes some, and allocates.
    static func startIfWanted() {
        if word.pointee.purger.load(ordering: .relaxed) == wanted { start() }
    }

    /// In the child, which has no thread but its own. The registry's lock is held.
    static func childAfterFork() {
        if word.pointee.purger.load(ordering: .relaxed) > wanted {
            word.pointee.purger.store(wanted, ordering: .relaxed)
        }
    }

    // MARK: - The thread

    private static var futex: UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(mutating: withUnsafePointer(to: word.pointee.purger) { UnsafeRawPointer($0) })
    }

    @inline(never)
    private static func start() {
        guard word.pointee.purger.compareExchange(expected: wanted, desired: awake, ordering: .relaxed).exchanged
        else { return }
        let savedErrno = mallow_errno()
        if mallow_start_thread({ _ in Purger.run() }, stackByteCount) != 0 {
            word.pointee.purger.store(off, ordering: .relaxed)
        }
        mallow_set_errno(savedErrno)
    }

    private static func run() -> UnsafeMutableRawPointer? {
        mallow_name_thread("mallow purger")
        while true {
            pause(milliseconds: max(Process.purgeDelay, shortestPause))
            if pass() { continue }
            word.pointee.purger.store(asleep, ordering: .sequentiallyConsistent)
            // Who left something to do before it could see that we sleep has done so where we see it.
            if SystemMemory.fenceAllThreads(), !hasWork() { sleep() }
            word.pointee.purger.store(awake, ordering: .relaxed)
        }
    }

    private static func sleep() {
        #if os(Linux)
            while word.pointee.purger.load(ordering: .relaxed) == asleep { mallow_futex_wait(futex, asleep) }
        #endif
    }

    private static func pause(milliseconds: UInt) {
        var time = timespec(
            tv_sec: Int(bitPattern: milliseconds / 1000), tv_nsec: Int(bitPattern: milliseconds % 1000 &* 1_000_000))
        // A profiler's signal, the only one that comes to this thread, makes it shorter, which does not matter.
        nanosleep(&time, nil)
    }

    // MARK: - A pass

    /// Does what is due. Whether something is left that will be.
    private static func pass() -> Bool {
        let now = SystemMemory.milliseconds()
        let reachedAll = HeapRegistry.withOtherHeaps(where: hasWork) { heap in
            let activity = heap.pointee.activity.load(ordering: .relaxed)
            heap.tickParked(at: now)
            // What a message told may be due at a later pass only, while the owner does nothing.
            heap.pointee.settledActivity = heap.isSettled ? activity : activity &- 1
        }
        let othersAreClean = FirstClassHeaps.lookAfterAll(at: now)
        let orphansAreClean = HeapRegistry.lookAfterOrphans(at: now)
        SlicePool.tickNow()
        return !reachedAll || !othersAreClean || !orphansAreClean || hasWork()
    }

    private static func hasWork() -> Bool {
        if SlicePool.holdsFreeMemory { return true }
        Process.registryLock.acquire()
        defer { Process.registryLock.release() }
        var candidate = word.pointee.heaps
        while let heap = candidate {
            candidate = heap.pointee.nextInRegistry
            switch heap.pointee.state {
            case .owned: if hasWork(heap) { return true }
            case .orphaned, .shared, .firstClass: if hasMessages(heap) { return true }
            case .unused, .frozen: break
            }
        }
        return false
    }

    private static func hasWork(_ heap: Heap) -> Bool {
        heap.pointee.activity.load(ordering: .relaxed) != heap.pointee.settledActivity || hasMessages(heap)
    }

    /// A message that was left because of where the owner is waits for the owner, or for the next message: there is one
    /// page of that kind in a heap.
    private static func hasMessages(_ heap: Heap) -> Bool {
        let first = heap.pointee.messages.load(ordering: .relaxed) & ~MessageWord.countMask
        return first != 0 && first != heap.pointee.heldMessage.load(ordering: .relaxed)
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// The owner came to a slow path.
    @inline(__always)
    func noteActivity() {
        let activity = pointee.activity.load(ordering: .relaxed)
        pointee.activity.store(activity &+ 1, ordering: .relaxed)
        Purger.wake()
    }
}

extension Malloc {
    /// Whether a thread is to give back what is free while the program makes no calls. Once it runs, `false` changes
    /// nothing.
    public static func setBackgroundPurging(_ isOn: Bool) {
        Process.initializeIfNeeded()
        Purger.setWanted(isOn)
    }

    /// Starts that thread, if it is wanted. Not to be called where a lock of libc's may be held: before `main`, say.
    public static func startBackgroundPurging() {
        Process.initializeIfNeeded()
        Purger.startIfWanted()
    }
}
