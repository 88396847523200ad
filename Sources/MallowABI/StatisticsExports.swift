// The figures of the heap for C: our own structure, and glibc's three ways to ask.

import CMallowShims

#if hasFeature(Embedded)
    import MallocHeapEmbedded
#else
    import MallocHeap
#endif

/// Fills the structure of `mallow.h`, which has the same fields in the same order as `mallow_statistics_fields`.
@c(mallow_impl_statistics)
public func mallowStatistics(_ result: UnsafeMutablePointer<mallow_statistics_fields>) {
    let figures = Malloc.statistics()
    result.pointee = mallow_statistics_fields(
        requested_bytes: UInt64(figures.requestedBytes), granted_bytes: UInt64(figures.grantedBytes),
        allocations: UInt64(figures.allocations), frees: UInt64(figures.frees),
        remote_frees: UInt64(figures.remoteFrees), live_blocks: UInt64(figures.liveBlocks),
        live_bytes: UInt64(figures.liveBytes), peak_live_bytes: UInt64(figures.peakLiveBytes),
        mapped_bytes: UInt64(figures.mappedBytes), committed_bytes: UInt64(figures.committedBytes),
        peak_committed_bytes: UInt64(figures.peakCommittedBytes), purged_bytes: UInt64(figures.purgedBytes),
        retained_bytes: UInt64(figures.retainedBytes), threads: UInt64(figures.threads),
        peak_threads: UInt64(figures.peakThreads), heaps: UInt64(figures.heaps))
}

/// `malloc_stats`: the report, to standard error.
@c(mallow_impl_print_statistics)
public func mallowPrintStatistics() {
    Report.write(to: 2, asJSON: false)
}

@c(mallow_impl_mallinfo2)
public func mallowMallinfo2() -> mallinfo2 {
    let figures = Malloc.statistics()
    let held = max(figures.committedBytes, figures.liveBytes)
    // All members: `mallinfo2()` would be the C function, which is this one.
    return mallinfo2(
        arena: Int(bitPattern: held &- figures.largeBytes), ordblks: Int(bitPattern: figures.freeBlocks), smblks: 0,
        hblks: Int(bitPattern: figures.largeBlocks), hblkhd: Int(bitPattern: figures.largeBytes), usmblks: 0,
        fsmblks: 0, uordblks: Int(bitPattern: figures.liveBytes), fordblks: Int(bitPattern: held &- figures.liveBytes),
        keepcost: Int(bitPattern: figures.retainedBytes))
}

/// The old form, whose fields are too small: what does not fit is the largest number that does.
@c(mallow_impl_mallinfo)
public func mallowMallinfo() -> mallinfo {
    let wide = mallowMallinfo2()
    return mallinfo(
        arena: CInt(clamping: wide.arena), ordblks: CInt(clamping: wide.ordblks), smblks: 0,
        hblks: CInt(clamping: wide.hblks),
        hblkhd: CInt(clamping: wide.hblkhd), usmblks: 0, fsmblks: 0, uordblks: CInt(clamping: wide.uordblks),
        fordblks: CInt(clamping: wide.fordblks), keepcost: CInt(clamping: wide.keepcost))
}

/// `malloc_info`: glibc's XML, with one heap: ours.
@c(mallow_impl_malloc_info)
public func mallowMallocInfo(_ options: CInt, _ stream: UnsafeMutableRawPointer?) -> CInt {
    guard options == 0 else { return EINVAL }
    guard let stream else { return EINVAL }
    Report.writeXML(to: stream)
    return 0
}
