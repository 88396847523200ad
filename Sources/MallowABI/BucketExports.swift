// Buckets for C: what the functions that `MALLOW_BUCKET` of mallow.h defines call.

import CMallowShims

#if hasFeature(Embedded)
    import MallocHeapEmbedded
#else
    import MallocHeap
#endif

/// `struct mallow_bucket` has the same three words as `BucketRecord`.
@c(mallow_impl_bucket_allocate)
public func mallowBucketAllocate(_ bucket: UnsafeMutableRawPointer) -> UInt {
    UInt(bitPattern: Malloc.allocate(from: bucket.assumingMemoryBound(to: BucketRecord.self)))
}

@c(mallow_impl_bucket_allocate_zeroed)
public func mallowBucketAllocateZeroed(_ bucket: UnsafeMutableRawPointer) -> UInt {
    UInt(bitPattern: Malloc.allocateZeroed(from: bucket.assumingMemoryBound(to: BucketRecord.self)))
}
