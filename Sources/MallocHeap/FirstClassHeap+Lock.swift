// Who may be in a first-class heap. Most are used by one thread for long, and for that one a lock would cost more than all
// else that a `malloc` does. So the lock leans to a thread that took it time after time: it comes in by two stores of its
// own, and whoever else comes sees to it that the lock is upright first.
//
//   the thread it leans to                      another, which holds the lock
//   its `inside` = 1                            leaning = 0
//   leaning == me ?  then it is in              a fence in all threads (one call of the kernel)
//   …                                           wait until that `inside` == 0
//   its `inside` = 0
//
// If the first store of the one came before the fence, the other sees it and waits. If not, the one's look at `leaning`
// comes after the fence, too: it finds the lock upright, and takes it as others do. (The same as in ThisThread.swift.)
//
//   L1  `leaning` is set by a thread that holds the lock, to itself, and is reset by one that holds it
//   L2  who is in by the lock finds `leaning` 0; who is in by leaning is alone
//   L3  each `inside` is one thread's, as long as the heap lives: a thread that is held up between its first look at
//       `leaning` and its store would otherwise reset what has become another's. There are four; to a fifth thread, the
//       lock never leans
//
// Each time that another comes, the lock leans later the next time: a heap that threads share ends up with a plain lock.
// Where the kernel gives no fence it never leans.
//
// Cost: by leaning no atomic read-modify-write; by the lock two; setting it upright some microseconds, and the time that
// the thread inside takes, which may be that of a call of the kernel.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// Guarded by the lock, but for what is atomic.
struct LeaningState: ~Copyable {
    /// The thread sanitizer takes a change of any field for one of the first word: so nothing lies there.
    private var unused: UInt
    /// The thread that the lock leans to, and the number of its `inside` in the lowest bits; or 0.
    let thread: Atomic<UInt>
    /// Whose each `inside` is; 0 for nobody's yet.
    var threads: InlineArray<4, UInt>
    /// The lock leans to a thread that takes it so often in a row; 0 stands for `first`.
    var limit: UInt32
    var lastThread: UInt
    var timesInARow: UInt32

    static let first: UInt32 = 16
    static let last: UInt32 = 1 << 20
    static let places: UInt = 4
}

extension FirstClassHeap {
    @inline(__always)
    private var lock: UnsafeMutablePointer<Lock> {
        UnsafeMutablePointer(at: address &+ FirstClassHeapRecord.lockOffset)
    }

    @inline(__always)
    private func inside(_ place: UInt) -> UnsafeMutablePointer<Atomic<UInt8>> {
        UnsafeMutablePointer(at: address &+ FirstClassHeapRecord.insideOffset &+ place)
    }

    var isVisitedByThisThread: Bool {
        record.pointee.visitor.load(ordering: .relaxed) == UInt(mallow_thread_identity())
    }

    // MARK: - For a short time

    /// Comes in, by leaning if the lock leans to this thread: what it gives is for `leave(_:)`. Ends the program where the
    /// heap has ended, or its own visitor calls.
    @inline(__always)
    func enterQuickly(_ caller: StaticString) -> LeaningEntry {
        let thread = UInt(mallow_thread_identity())
        let leaning = record.pointee.leaning.thread.load(ordering: .relaxed)
        let place = leaning ^ thread
        if place < LeaningState.places {
            inside(place).pointee.store(1, ordering: .relaxed)
            mallow_compiler_fence()
            if record.pointee.leaning.thread.load(ordering: .acquiring) == leaning { return LeaningEntry(place: place) }
            inside(place).pointee.store(0, ordering: .releasing)
        }
        enterByLock(caller, thread)
        return LeaningEntry(place: LeaningState.places)
    }

    @inline(__always)
    func leave(_ entry: LeaningEntry) {
        if entry.place < LeaningState.places {
            inside(entry.place).pointee.store(0, ordering: .releasing)
        } else {
            leave()
        }
    }

    @inline(never)
    private func enterByLock(_ caller: StaticString, _ thread: UInt) {
        enter(caller)
        guard record.pointee.leaning.lastThread == thread else {
            record.pointee.leaning.lastThread = thread
            record.pointee.leaning.timesInARow = 0
            return
        }
        record.pointee.leaning.timesInARow &+= 1
        if record.pointee.leaning.timesInARow >= max(record.pointee.leaning.limit, LeaningState.first) {
            lean(to: thread)
        }
    }

    private func lean(to thread: UInt) {
        record.pointee.leaning.timesInARow = 0
        guard thread & (LeaningState.places &- 1) == 0 else { return }
        var place = 0
        while place < Int(LeaningState.places), record.pointee.leaning.threads[place] != thread {
            if record.pointee.leaning.threads[place] == 0 {
                record.pointee.leaning.threads[place] = thread
            } else {
                place &+= 1
            }
        }
        if place == Int(LeaningState.places) { return }
        #if !MALLOW_THREAD_SANITIZER
            // Asked once, whether it can be set upright again.
            let savedErrno = mallow_errno()
            if SystemMemory.fenceAllThreads() {
                record.pointee.leaning.thread.store(thread | UInt(bitPattern: place), ordering: .relaxed)
            }
            mallow_set_errno(savedErrno)
        #endif
    }

    // MARK: - By the lock

    /// Takes the lock, upright. Ends the program as `enterQuickly` does.
    @inline(never)
    func enter(_ caller: StaticString) {
        if !lock.tryAcquire() { wait(caller) }
        setUpright()
        if !record.pointee.isLive.load(ordering: .relaxed) { Misuse.deadHeap(caller, address) }
    }

    @inline(never)
    func wait(_ caller: StaticString) {
        if isVisitedByThisThread { Misuse.heapInVisit(caller, address) }
        lock.acquire()
    }

    @inline(never)
    func leave() { lock.release() }

    var isHeld: Bool {
        if lock.pointee.state.load(ordering: .relaxed) != 0 { return true }
        for place in 0..<LeaningState.places where inside(place).pointee.load(ordering: .relaxed) != 0 { return true }
        return false
    }

    /// For those who come to every heap, ended ones too.
    func acquire() {
        lock.acquire()
        setUpright()
    }

    /// False where somebody is in the heap. The registry's lock may be held (F3).
    func tryAcquire() -> Bool {
        guard lock.tryAcquire() else { return false }
        if setUpright(waiting: false) { return true }
        lock.release()
        return false
    }

    /// For a child of `fork`, where no other thread is left. Whoever forked held the lock.
    func resetLock() {
        record.pointee.leaning.thread.store(0, ordering: .relaxed)
        // One was perhaps held up where it finds the lock upright.
        for place in 0..<LeaningState.places { inside(place).pointee.store(0, ordering: .releasing) }
        lock.reset()
    }

    @inline(__always)
    private func setUpright() {
        if record.pointee.leaning.thread.load(ordering: .relaxed) != 0 { setUpright(waiting: true) }
    }

    /// False where another thread is inside, and is not waited for: the lock leans to it still.
    @discardableResult
    @inline(never)
    private func setUpright(waiting: Bool) -> Bool {
        let leaning = record.pointee.leaning.thread.load(ordering: .relaxed)
        if leaning == 0 { return true }
        let place = leaning ^ UInt(mallow_thread_identity())
        record.pointee.leaning.thread.store(0, ordering: .relaxed)
        if place < LeaningState.places { return true }
        let savedErrno = mallow_errno()
        if !SystemMemory.fenceAllThreads() {
            // The program has forbidden it meanwhile: for longer than any processor keeps a store to itself.
            var time = timespec(tv_sec: 0, tv_nsec: 20_000_000)
            nanosleep(&time, nil)
        }
        mallow_set_errno(savedErrno)
        var looks = 0
        while inside(leaning & (LeaningState.places &- 1)).pointee.load(ordering: .acquiring) != 0 {
            if !waiting {
                record.pointee.leaning.thread.store(leaning, ordering: .relaxed)
                return false
            }
            looks &+= 1
            if looks < 100 { mallow_spin_hint() } else { sched_yield() }
        }
        record.pointee.leaning.limit = min(
            max(record.pointee.leaning.limit, LeaningState.first) &* 2, LeaningState.last)
        return true
    }

    /// The heap has ended: whoever has it next begins anew. The lock is held.
    func forgetThreads() {
        record.pointee.leaning.threads = [0, 0, 0, 0]
        record.pointee.leaning.limit = 0
        record.pointee.leaning.lastThread = 0
        record.pointee.leaning.timesInARow = 0
    }
}

/// How a thread came in: by leaning, with the number of its `inside`, or by the lock.
struct LeaningEntry {
    let place: UInt
}
