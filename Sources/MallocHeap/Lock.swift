// A lock of four bytes that needs no set-up, sleeps in the kernel when it must wait, and allocates nothing. Taken once
// for a page of blocks or a large block, never on a hit path. All zeros is an open lock.

import CMallowShims
import Synchronization

/// The state of a mutual-exclusion lock: 0 open, 1 held, 2 held and somebody sleeps.
struct Lock: ~Copyable {
    let state: Atomic<UInt32>
}

/// Not recursive. O(1); a wait spins a little, then sleeps.
extension UnsafeMutablePointer where Pointee == Lock {
    @inline(__always)
    func acquire() {
        if !pointee.state.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { acquireSlow() }
    }

    /// Takes the lock if it is open.
    func tryAcquire() -> Bool {
        pointee.state.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged
    }

    @inline(__always)
    func release() {
        if Process.isForkingThread { return }
        if pointee.state.exchange(0, ordering: .releasing) == 2 {
            #if os(Linux)
                mallow_futex_wake(UnsafeMutableRawPointer(self))
            #endif
        }
    }

    /// For a child of `fork`, where no other thread is left.
    func reset() {
        pointee.state.store(0, ordering: .relaxed)
    }

    @inline(never)
    private func acquireSlow() {
        // Held by this thread, for a fork: what other handlers of the fork allocate must not wait for it.
        if Process.isForkingThread { return }
        for _ in 0..<100 {
            if pointee.state.load(ordering: .relaxed) == 0,
                pointee.state.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged
            {
                return
            }
            mallow_spin_hint()
        }
        while pointee.state.exchange(2, ordering: .acquiring) != 0 {
            #if os(Linux)
                mallow_futex_wait(UnsafeMutableRawPointer(self), 2)
            #else
                sched_yield()
            #endif
        }
    }
}
