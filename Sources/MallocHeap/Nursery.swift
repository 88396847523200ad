// The first blocks of a thread, where threads are many. A heap and a page for each thread that holds a block or two
// would be 6 KiB a thread: 60 MB for ten thousand. So beyond `earlyHeapCount` threads at once, a thread's first blocks
// come from one heap that all of them share, the nursery; at its ninth it gets a heap of its own.
//
// Blocks of the nursery are whole cache lines, since neighbours are different threads'. They are freed by message, as
// blocks of any heap that is not the thread's.
//
// Cost: a lock an allocation, for eight of them. Thread-safety: the registry's lock.

import CMallowShims
import Synchronization

extension HeapRegistry {
    private static var cacheLine: UInt { 64 }

    /// A block for a thread without a heap, as large and aligned as those of a class. Nil where it is to have one: it
    /// is among the first, or has had its blocks from here, or an ended thread left a heap; or there is no memory.
    static func allocateFromNursery(_ byteCount: UInt, _ wanted: Int) -> UnsafeMutableRawPointer? {
        let phase = mallow_thread_phase()
        guard phase <= Phase.fresh, phase > -Layout.nurseryBlocks,
            state.pointee.isCrowded.load(ordering: .relaxed),
            state.pointee.orphanCount.load(ordering: .relaxed) == 0
        else { return nil }
        // As large as the class's blocks, and not as the request: those of a larger alignment are multiples of it.
        let rounded = Layout.roundedUp(BucketClasses.byteCount(of: wanted), toMultipleOf: cacheLine)
        let sizeClass = SizeClasses.sizeClass(for: rounded)
        guard SizeClasses.byteCount(of: sizeClass) & (cacheLine &- 1) == 0 else { return nil }
        mallow_set_thread_phase(phase &- 1)
        let savedErrno = mallow_errno()
        Process.registryLock.acquire()
        var block: UInt = 0
        if let nursery = state.pointee.nursery ?? makeNursery() {
            block = nursery.allocateShared(sizeClass)
            if block != 0, nursery.pointee.counters != nil { nursery.count(allocationOf: byteCount, sizeClass) }
        }
        Process.registryLock.release()
        mallow_set_errno(savedErrno)
        return UnsafeMutableRawPointer(bitPattern: block)
    }

    private static func makeNursery() -> Heap? {
        guard let heap = makeHeap() else { return nil }
        heap.pointee.state = .shared
        state.pointee.nursery = heap
        state.pointee.hasNursery.store(true, ordering: .relaxed)
        return heap
    }
}
