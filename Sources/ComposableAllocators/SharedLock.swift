// A lock of four bytes, for allocators that several threads share: held for a few instructions, taken millions of
// times.
//
// Its word lives in a line of memory of its own, at an address that never changes, as sleeping in the kernel needs: 0
// open, 1 held, 2 held and somebody sleeps. Cost: an atomic exchange to take it and one to let it go. A wait spins a
// little and then sleeps; nobody is handed the lock, so a thread that is running takes it before one that must wake up
// first. Not recursive.

import CMallowShims
public import Synchronization

/// A mutual-exclusion lock. A plain pointer, freed by its owner's deinit through `destroy`.
@frozen @usableFromInline
package struct SharedLock: @unchecked Sendable {
    @usableFromInline let state: UnsafeMutablePointer<Atomic<UInt32>>

    @usableFromInline
    package init() {
        // As far apart as two neighbouring lines, which some processors fetch together.
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 128)
        state = memory.bindMemory(to: Atomic<UInt32>.self, capacity: 1)
        state.initialize(to: Atomic(0))
    }

    @usableFromInline
    package func destroy() {
        state.deinitialize(count: 1)
        UnsafeMutableRawPointer(state).deallocate()
    }

    @inlinable @inline(__always)
    package func acquire() {
        if !state.pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { acquireSlow() }
    }

    @inlinable @inline(__always)
    package func release() {
        if state.pointee.exchange(0, ordering: .releasing) == 2 { wake() }
    }

    @usableFromInline @inline(never)
    func acquireSlow() {
        for _ in 0..<100 {
            if state.pointee.load(ordering: .relaxed) == 0,
                state.pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged
            {
                return
            }
            mallow_spin_hint()
        }
        while state.pointee.exchange(2, ordering: .acquiring) != 0 {
            #if os(Linux)
                mallow_futex_wait(UnsafeMutableRawPointer(state), 2)
            #else
                sched_yield()
            #endif
        }
    }

    @usableFromInline @inline(never)
    func wake() {
        #if os(Linux)
            mallow_futex_wake(UnsafeMutableRawPointer(state))
        #endif
    }
}
