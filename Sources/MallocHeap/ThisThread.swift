// What a thread knows of itself, in thread-local memory, and how it keeps others out of its heap.
//
// The owner of a heap works on it without a lock. Now and then another thread has to: `malloc_trim` and the background
// purger give back what a sleeping thread's heap holds. So the owner says what it is at, by a store that no instruction
// waits for:
//
//   owner                                       the other, which holds the registry's lock (Parking.swift)
//   hit = its argument, or inside = 1           heap = no heap
//   load `heap`, work on it                     a fence in all threads (one call of the kernel)
//   inside = 0                                  inside == 0 ?  the heap is parked: work on it, then put it back
//
// If the owner's first store came before the fence, the other sees it. If not, the owner's load of `heap` comes after
// the fence as well: it finds no heap, takes the slow path and waits for the lock there. What it frees meanwhile goes
// by message, as any other thread's block.
//
// Slow paths touch all of the heap: they set `inside`, and reset it. Hit paths touch one page alone, which `hit` tells:
// the size asked for stands for the current page of that size, the address freed for the page it is in. Nothing resets
// it: the other leaves that one page alone, whether the owner is still at it or has long been done. That is one store a
// call in place of two.
//
// Source of the idea: asymmetric fences, as in Dice, Huang, Yang: Asymmetric Dekker Synchronization, 2001, and
// membarrier(2).

import CMallowShims
import Synchronization

/// The words of `struct mallow_thread`.
struct ThreadRecord: ~Copyable {
    /// The thread's heap, or the one that stands for none. Its own to change, but while the heap is parked.
    let heap: Atomic<UInt>
    /// The argument of the last hit path: a size up to `Layout.smallLimit`, that and the entry of a bucket, or the
    /// address of a block; or `noHit`.
    let hit: Atomic<UInt>
    /// Not 0 while the thread is on a slow path that works on its heap.
    let inside: Atomic<UInt>
    /// See `HeapRegistry.Phase`.
    private var phase: CInt
}

typealias ThisThread = UnsafeMutablePointer<ThreadRecord>

extension Malloc {
    @inline(__always)
    static var thisThread: ThisThread { ThisThread(at: UInt(bitPattern: mallow_this_thread())) }

    @inline(__always)
    static var noHeapAddress: UInt { UInt(bitPattern: mallow_no_heap()) }

    /// No size, and no address.
    @inline(__always)
    static var noHit: UInt { .max }

    /// The thread's heap, or the one that stands for none, to look at and not to change.
    @inline(__always)
    static var currentHeap: Heap { Heap(at: thisThread.pointee.heap.load(ordering: .acquiring)) }

    /// Not true while the thread's heap is parked, either.
    @inline(__always)
    static var hasHeap: Bool { thisThread.pointee.heap.load(ordering: .relaxed) != noHeapAddress }

    /// The thread's heap, or the one that stands for none, for a hit path: to work on the page alone that `argument`
    /// tells.
    @inline(__always)
    static func enterHitPath(_ argument: UInt) -> Heap {
        thisThread.pointee.hit.store(argument, ordering: .relaxed)
        mallow_compiler_fence()
        return currentHeap
    }

    /// For the thread sanitizer, which does not know of fences in other threads: what the hit path did comes before
    /// what others do to the page.
    @inline(__always)
    static func leaveHitPath() {
        #if MALLOW_THREAD_SANITIZER
            thisThread.pointee.hit.store(noHit, ordering: .releasing)
        #endif
    }

    /// The thread's heap, or the one that stands for none, to work on until `leave()`.
    @inline(__always)
    static func enter() -> Heap {
        thisThread.pointee.inside.store(1, ordering: .relaxed)
        mallow_compiler_fence()
        return currentHeap
    }

    @inline(__always)
    static func leave() {
        thisThread.pointee.hit.store(noHit, ordering: .releasing)
        thisThread.pointee.inside.store(0, ordering: .releasing)
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// There is one behind it.
    @inline(__always)
    var isHeap: Bool { address != Malloc.noHeapAddress }
}
