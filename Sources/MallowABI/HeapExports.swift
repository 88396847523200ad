// First-class heaps for C. `mallow_heap *` is the address of a heap's record; NULL stands for the default heap, the one
// of malloc.

import CMallowShims

#if hasFeature(Embedded)
    import MallocHeapEmbedded
#else
    import MallocHeap
#endif

@inline(__always)
private func word(_ pointer: UnsafeMutableRawPointer?) -> UInt { UInt(bitPattern: pointer) }

@inline(__always)
private func named(_ heap: UnsafeMutableRawPointer?) -> FirstClassHeap? { FirstClassHeap(address: word(heap)) }

@c(mallow_impl_heap_new)
public func mallowHeapNew() -> UInt {
    FirstClassHeap.make()?.address ?? 0
}

@c(mallow_impl_heap_malloc)
public func mallowHeapMalloc(_ heap: UnsafeMutableRawPointer?, _ byteCount: UInt) -> UInt {
    guard let heap = named(heap) else { return word(Malloc.allocate(byteCount)) }
    return word(heap.allocate(byteCount))
}

@c(mallow_impl_heap_calloc)
public func mallowHeapCalloc(_ heap: UnsafeMutableRawPointer?, _ count: UInt, _ byteCount: UInt) -> UInt {
    guard let heap = named(heap) else { return word(Malloc.allocateZeroed(count: count, byteCount: byteCount)) }
    return word(heap.allocateZeroed(count: count, byteCount: byteCount))
}

@c(mallow_impl_heap_realloc)
public func mallowHeapRealloc(
    _ heap: UnsafeMutableRawPointer?, _ block: UnsafeMutableRawPointer?, _ byteCount: UInt
) -> UInt {
    guard let heap = named(heap) else { return word(Malloc.reallocate(block, byteCount)) }
    return word(heap.reallocate(block, byteCount))
}

@c(mallow_impl_heap_aligned)
public func mallowHeapAligned(_ heap: UnsafeMutableRawPointer?, _ alignment: UInt, _ byteCount: UInt) -> UInt {
    guard let heap = named(heap) else { return word(Malloc.allocate(byteCount, alignment: alignment)) }
    return word(heap.allocate(byteCount, alignment: alignment))
}

@c(mallow_impl_heap_free)
public func mallowHeapFree(_ heap: UnsafeMutableRawPointer?, _ block: UnsafeMutableRawPointer?) {
    guard let heap = named(heap) else { return Malloc.deallocate(block) }
    heap.deallocate(block)
}

@c(mallow_impl_heap_destroy)
public func mallowHeapDestroy(_ heap: UnsafeMutableRawPointer?) {
    named(heap)?.destroy()
}

@c(mallow_impl_heap_delete)
public func mallowHeapDelete(_ heap: UnsafeMutableRawPointer?) {
    named(heap)?.delete()
}

@c(mallow_impl_heap_visit)
public func mallowHeapVisit(
    _ heap: UnsafeMutableRawPointer?,
    _ visitor: @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UInt) -> CInt,
    _ context: UnsafeMutableRawPointer?
) -> CInt {
    guard let heap = named(heap) else {
        mallow_set_errno(EINVAL)
        return -1
    }
    return heap.visit(context: context, visitor)
}

@c(mallow_impl_heap_statistics)
public func mallowHeapStatistics(
    _ heap: UnsafeMutableRawPointer?, _ result: UnsafeMutablePointer<mallow_heap_statistics_fields>
) {
    let figures: FirstClassHeapStatistics
    if let heap = named(heap) {
        figures = heap.statistics()
    } else {
        figures = Malloc.defaultHeapStatistics()
    }
    result.pointee = mallow_heap_statistics_fields(
        live_blocks: UInt64(figures.liveBlocks), live_bytes: UInt64(figures.liveBytes),
        committed_bytes: UInt64(figures.committedBytes), pages: UInt64(figures.pages),
        large_blocks: UInt64(figures.largeBlocks), large_bytes: UInt64(figures.largeBytes))
}

@c(mallow_impl_heap_of)
public func mallowHeapOf(_ block: UnsafeMutableRawPointer?) -> UInt {
    FirstClassHeap.heap(at: word(block))?.address ?? 0
}

@c(mallow_impl_heap_owns)
public func mallowHeapOwns(_ heap: UnsafeMutableRawPointer?, _ block: UnsafeMutableRawPointer?) -> CInt {
    guard FirstClassHeap.isInMalloc(word(block)) else { return 0 }
    return (FirstClassHeap.heap(at: word(block))?.address ?? 0) == word(heap) ? 1 : 0
}

@c(mallow_impl_thread_idle)
public func mallowThreadIdle() {
    Malloc.threadIsIdle()
}
