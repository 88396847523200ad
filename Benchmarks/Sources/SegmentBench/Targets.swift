// What scalable memory, segmented buffers and their reader want to reach.

import BenchSupport

private let times: [TimeTarget] =
    [64, 256, 8192].map {
        TimeTarget("malloc and free of \($0) bytes", "allocate-\($0)", "ScalableAllocator", nanoseconds: 10)
    }
    + [
        TimeTarget("borrow", "borrow", "ScalableAllocator", nanoseconds: 3),
        TimeTarget("a batch of ten, recycled", "recycle-10", "RecyclableMemory", nanoseconds: 120),
        TimeTarget("a byte", "read-bytes-1", "SegmentedReader", nanoseconds: 1),
        TimeTarget("a big-endian integer of 32 bits", "big-endian", "SegmentedReader", nanoseconds: 2),
        TimeTarget("a byte of LEB128", "leb128", "SegmentedReader", nanoseconds: 2),
        TimeTarget("range over 16 segments", "range", "SegmentedReader.withRanges", nanoseconds: 20),
    ]

/// Never slower than ByteBuffer on one segment.
private let ratios: [Target] =
    [
        "read-into", "read-bytes-1", "read-bytes-32", "big-endian", "skip", "range-64", "leb128", "leb128-random",
    ].map {
        Target("\($0), one segment", $0, "SegmentedReader, one segment", to: "ByteBuffer", atMost: 1)
    }
    + [Target("range, one segment", "range", "withRanges, one segment", to: "one ByteBuffer", atMost: 1)]
    + ["append", "copy-out", "iterate"].map {
        Target("\($0), one segment", $0, "SegmentedBuffer, one segment", to: "ByteBuffer", atMost: 1)
    }

func printTargets(_ results: [WorkloadResult]) {
    printTargets(ratios, results)
    printTargets(times, results)
}
