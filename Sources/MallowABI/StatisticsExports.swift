// The figures of the heap for C: our own structure, and glibc's three ways to ask.

import CMallowShims
import MallocHeapEmbedded

/// Fills the structure of `mallow.h`, which has the same fields in the same order as `mallow_statistics_fields`.
@c(mallow_statistics)
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
@c(mallow_print_statistics)
public func mallowPrintStatistics() {
    Report.write(to: 2, asJSON: false)
}

@c(mallow_mallinfo2)
public func mallowMallinfo2() -> mallinfo2 {
    let figures = Malloc.statistics()
    var result = mallinfo2()
    let held = max(figures.committedBytes, figures.liveBytes)
    result.arena = Int(bitPattern: held &- figures.largeBytes)
    result.hblks = Int(bitPattern: figures.largeBlocks)
    result.hblkhd = Int(bitPattern: figures.largeBytes)
    result.uordblks = Int(bitPattern: figures.liveBytes)
    result.fordblks = Int(bitPattern: held &- figures.liveBytes)
    result.keepcost = Int(bitPattern: figures.retainedBytes)
    return result
}

/// The old form, whose fields are too small: what does not fit is the largest number that does.
@c(mallow_mallinfo)
public func mallowMallinfo() -> mallinfo {
    let wide = mallowMallinfo2()
    var result = mallinfo()
    result.arena = CInt(clamping: wide.arena)
    result.hblks = CInt(clamping: wide.hblks)
    result.hblkhd = CInt(clamping: wide.hblkhd)
    result.uordblks = CInt(clamping: wide.uordblks)
    result.fordblks = CInt(clamping: wide.fordblks)
    result.keepcost = CInt(clamping: wide.keepcost)
    return result
}

/// `malloc_info`: glibc's XML, with one heap: ours.
@c(mallow_malloc_info)
public func mallowMallocInfo(_ options: CInt, _ stream: UnsafeMutableRawPointer?) -> CInt {
    guard options == 0 else { return EINVAL }
    guard let stream else { return EINVAL }
    Report.writeXML(to: stream)
    return 0
}
