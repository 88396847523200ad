// What the C names of the malloc do. The linker gives each its exported names (exports.txt), `malloc` and
// `mallow_malloc`: a Swift declaration of `malloc` itself would be refused one day, and has the wrong visibility today.
//
// Each function is what the C and POSIX standards say of it; where they leave a choice, it is glibc's. Pointers are
// returned as `UInt`s: the same register, but with a pointer type the compiler cannot make the slow path a tail call.

import CMallowShims

#if hasFeature(Embedded)
    import MallocHeapEmbedded
#else
    import MallocHeap
#endif

@inline(__always)
private func word(_ pointer: UnsafeMutableRawPointer?) -> UInt { UInt(bitPattern: pointer) }

@c(mallow_impl_malloc)
public func mallowMalloc(_ byteCount: UInt) -> UInt {
    word(Malloc.allocate(byteCount))
}

@c(mallow_impl_free)
public func mallowFree(_ block: UnsafeMutableRawPointer?) {
    Malloc.deallocate(block)
}

@c(mallow_impl_calloc)
public func mallowCalloc(_ count: UInt, _ byteCount: UInt) -> UInt {
    word(Malloc.allocateZeroed(count: count, byteCount: byteCount))
}

@c(mallow_impl_realloc)
public func mallowRealloc(_ block: UnsafeMutableRawPointer?, _ byteCount: UInt) -> UInt {
    word(Malloc.reallocate(block, byteCount))
}

@c(mallow_impl_reallocarray)
public func mallowReallocarray(_ block: UnsafeMutableRawPointer?, _ count: UInt, _ byteCount: UInt) -> UInt {
    let (total, overflow) = count.multipliedReportingOverflow(by: byteCount)
    if overflow {
        mallow_set_errno(ENOMEM)
        return 0
    }
    return word(Malloc.reallocate(block, total))
}

/// `free` for callers that know the size. The size is not needed; one that the block cannot have ends the program.
@c(mallow_impl_free_sized)
public func mallowFreeSized(_ block: UnsafeMutableRawPointer?, _ byteCount: UInt) {
    Malloc.deallocate(block, byteCount: byteCount)
}

@c(mallow_impl_free_aligned_sized)
public func mallowFreeAlignedSized(_ block: UnsafeMutableRawPointer?, _ alignment: UInt, _ byteCount: UInt) {
    Malloc.deallocate(block, alignment: alignment, byteCount: byteCount)
}

// MARK: - Aligned

/// Gives its error as a value, and leaves `errno` and the result alone when it fails.
@c(mallow_impl_posix_memalign)
public func mallowPosixMemalign(
    _ result: UnsafeMutablePointer<UnsafeMutableRawPointer?>, _ alignment: UInt, _ byteCount: UInt
) -> CInt {
    guard alignment >= 8, alignment & (alignment &- 1) == 0 else { return EINVAL }
    if let block = Malloc.allocateAtHand(byteCount, alignment: alignment) {
        result.pointee = block
        return 0
    }
    // The last thing, so that whoever called is found from there.
    return Malloc.allocateSlow(byteCount, alignment: alignment, into: result)
}

@c(mallow_impl_aligned_alloc)
public func mallowAlignedAlloc(_ alignment: UInt, _ byteCount: UInt) -> UInt {
    word(Malloc.allocate(byteCount, alignment: alignment))
}

/// As glibc's: an alignment that is no power of two is rounded up to one.
@c(mallow_impl_memalign)
public func mallowMemalign(_ alignment: UInt, _ byteCount: UInt) -> UInt {
    if alignment > 1 << 62 {
        mallow_set_errno(EINVAL)
        return 0
    }
    var power: UInt = 1
    while power < alignment { power &<<= 1 }
    return word(Malloc.allocate(byteCount, alignment: power))
}

@c(mallow_impl_valloc)
public func mallowValloc(_ byteCount: UInt) -> UInt {
    word(Malloc.allocate(byteCount, alignment: Malloc.osPageByteCount))
}

@c(mallow_impl_pvalloc)
public func mallowPvalloc(_ byteCount: UInt) -> UInt {
    let page = Malloc.osPageByteCount
    let (sum, overflow) = byteCount.addingReportingOverflow(page &- 1)
    if overflow {
        mallow_set_errno(ENOMEM)
        return 0
    }
    return word(Malloc.allocate(max(page, sum & ~(page &- 1)), alignment: page))
}

// MARK: - Questions and requests

@c(mallow_impl_usable_size)
public func mallowUsableSize(_ block: UnsafeMutableRawPointer?) -> UInt {
    Malloc.usableSize(block)
}

@c(mallow_impl_good_size)
public func mallowGoodSize(_ byteCount: UInt) -> UInt {
    Malloc.goodSize(byteCount)
}

/// Gives back all that is free; the padding that glibc keeps at the top of its heap has no meaning here.
@c(mallow_impl_trim)
public func mallowTrim(_ padding: UInt) -> CInt {
    Malloc.trim() ? 1 : 0
}

/// glibc's tuning parameters. Those that glibc knows are accepted, and change nothing: there are no arenas, no fast
/// bins and no thresholds to tune.
@c(mallow_impl_mallopt)
public func mallowMallopt(_ parameter: CInt, _ value: CInt) -> CInt {
    switch parameter {
    case M_MXFAST, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_CHECK_ACTION, M_PERTURB, M_ARENA_TEST,
        M_ARENA_MAX:
        return 1
    default:
        return 0
    }
}
