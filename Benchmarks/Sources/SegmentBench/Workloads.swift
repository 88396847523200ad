// The workloads, and who takes part in each.

import BenchSupport
import CBenchSupport
import Mallow
import NIOCore

let workloads = allocationWorkloads + lifeWorkloads + bufferWorkloads + readerWorkloads

// MARK: - Allocating

private let randomSizes: [UInt32] = {
    var generator = SplitMix64(state: 8015)
    return (0..<4096).map { _ in .random(in: 16...8015, using: &generator) }
}()

/// Of ten requests six are of 64 bytes, three of 1 KiB, one of 8 KiB.
private let mixedSizes: [UInt32] = [64, 1024, 64, 64, 8192, 64, 1024, 64, 1024, 64]

private let allocationWorkloads: [Workload] =
    [64, 256, 8192].map { size in
        Workload(
            name: "allocate-\(size)", title: "a block of \(size) bytes, allocated and freed", count: 500_000,
            sizes: [size],
            contestants: {
                [
                    .rival("malloc") { one(Malloc(), $0) },
                    .rival("ByteBuffer") { one(Values<ByteBuffer>(), $0) },
                    .rival("[UInt8]") { one(Values<[UInt8]>(), $0) },
                    .scalable(one),
                    .shared(one),
                    .withoutRecycling(one),
                ]
            })
    } + [
        Workload(
            name: "sequence-256", title: "100 blocks of 256 bytes, then all freed in order", count: 3000,
            blocksPerStep: 100, blockCount: 100, order: RandomOrder.none, sizes: [256],
            contestants: { blockContestants(InOrder.self) }),
        Workload(
            name: "random-sizes", title: "a random one of 1,000 live blocks of 16-8015 bytes is replaced",
            count: 200_000, blockCount: 1000, sizes: randomSizes,
            contestants: { blockContestants(Replacing.self) }),
        Workload(
            name: "mixed", title: "a queue of 64 blocks: of ten 6 of 64 bytes, 3 of 1 KiB, one of 8 KiB",
            count: 200_000, blockCount: 64, order: RandomOrder.none, sizes: mixedSizes,
            contestants: { blockContestants(Queue.self) }),
        Workload(
            name: "threads-\(threadCount)",
            title: "the same in \(threadCount) threads at once; elapsed time, by all threads' blocks",
            count: 400_000, blockCount: 64, order: RandomOrder.none, runsPerRound: 3, sizes: mixedSizes,
            contestants: {
                [
                    .rival("malloc") { inThreads(Queue.self, Malloc(), $0) },
                    .rival("ByteBuffer") { inThreads(Queue.self, Values<ByteBuffer>(), $0) },
                    .rival("[UInt8]") { inThreads(Queue.self, Values<[UInt8]>(), $0) },
                    .shared { inThreads(Queue.self, $0, $1) },
                ]
            }),
        Workload(
            name: "borrow", title: "256 bytes for a moment", count: 500_000, sizes: [256],
            contestants: {
                [
                    .rival("malloc") { one(Malloc(), $0) },
                    .rival("ByteBuffer") { one(Values<ByteBuffer>(), $0) },
                    .rival("[UInt8]") { one(Values<[UInt8]>(), $0) },
                    .scalable(borrow),
                ]
            }),
        Workload(
            name: "partial-free", title: "4,096 bytes allocated, all but the first 1,000 freed, then those",
            count: 200_000,
            contestants: { [.rival("malloc, realloc") { partialFree(Malloc(), $0) }, .scalable(partialFree)] }),
        Workload(
            name: "recycle-10", title: "a batch: ten buffers of 256 bytes, given back at once", count: 50_000,
            blockCount: batchCount, order: RandomOrder.none, sizes: [256],
            contestants: {
                rivals(InOrder.self) + [
                    .recyclable("RecyclableMemory", { ScalableAllocator() }, recycleBatches),
                    .recyclable("…, marks", { ScalableAllocator() }, recycleMarkedBatches),
                    .recyclable("…, malloc", { SystemAllocator() }, recycleBatches),
                    .recyclable(
                        "…, no recycling", { try ScalableAllocator(source: .withoutRecycling) }, recycleBatches),
                ]
            }),
    ]

/// The loop over each kind of block.
private func blockContestants<L: BlockLoop>(_ loop: L.Type) -> [Contestant] {
    rivals(loop) + [
        .scalable { L.run($0, $1) },
        .shared { L.run($0, $1) },
        .withoutRecycling { L.run($0, $1) },
    ]
}

private func rivals<L: BlockLoop>(_: L.Type) -> [Contestant] {
    [
        .rival("malloc") { L.run(Malloc(), $0) },
        .rival("ByteBuffer") { L.run(Values<ByteBuffer>(), $0) },
        .rival("[UInt8]") { L.run(Values<[UInt8]>(), $0) },
    ]
}

// MARK: - Whole allocators, and their memory

private let lifeWorkloads: [Workload] = [
    Workload(
        name: "make-drop", title: "an allocator is made, gives 64 bytes, and is dropped", count: 5000, sizes: [64],
        contestants: {
            [
                .rival("malloc of 64 KiB") { one(Malloc(), $0, byteCount: 64 << 10) },
                .rival("ByteBuffer of 64 KiB") { one(Values<ByteBuffer>(), $0, byteCount: 64 << 10) },
                .rival("[UInt8] of 64 KiB") { one(Values<[UInt8]>(), $0, byteCount: 64 << 10) },
            ] + sourceContestants(makeAndDrop)
        }),
    Workload(
        name: "growing",
        title: "a new allocator's live blocks grow to 4,096 of 16-8015 bytes; a random one is freed behind each third",
        count: 3, blocksPerStep: Growing.allocations(upTo: 4096), blockCount: 4096, runsPerRound: 3,
        sizes: randomSizes, contestants: { rivals(Growing.self) + sourceContestants(grow) }),
    Workload(
        name: "first-touch", title: "new memory of 256 KiB, its 64 pages written once, for a page", count: 200,
        blocksPerStep: 64, sizes: [256 << 10],
        contestants: {
            [.rival("malloc") { firstTouch({ Malloc() }, $0) }] + sourceContestants { try firstTouch($0, $1) }
        }),
    Workload(
        name: "read", title: "64 KiB summed up, for a KiB", count: 2000, blocksPerStep: 64, sizes: [64 << 10],
        contestants: { Contestant.memories { readMemory($0, $1) } }),
    Workload(
        name: "copy", title: "64 KiB copied within a block, for a KiB", count: 2000, blocksPerStep: 64,
        sizes: [64 << 10], contestants: { Contestant.memories { copyMemory($0, $1) } }),
]

private func sourceContestants(_ run: @escaping (Making, Input) throws -> UInt64) -> [Contestant] {
    sources.map { source in .ours("ScalableAllocator, \(source.name)") { try run(source.make, $0) } }
}

// MARK: - Segmented buffers

private let bufferWorkloads: [Workload] = [
    Workload(
        name: "push-16", title: "16 parts pushed to an empty buffer, for a part", count: 20_000, blocksPerStep: 16,
        contestants: {
            let parts = Parts()
            let (segments, buffers, arrays) = (parts.segments, parts.byteBuffers, parts.arrays)
            return [
                .rival("[ByteBuffer]") { push(buffers, $0) },
                .rival("[[UInt8]]") { push(arrays, $0) },
                .ours("SegmentedBuffer") { push(segments, $0) },
            ]
        }),
    Workload(
        name: "append", title: "a buffer of 1,024 bytes in 16 parts appended to another", count: 50_000,
        contestants: {
            let parts = Parts()
            let (segmented, segment) = (parts.segmented, parts.oneSegment)
            let (buffers, buffer, arrays, array) = (parts.byteBuffers, parts.byteBuffer, parts.arrays, parts.bytes)
            return [
                .rival("[ByteBuffer]") { append(buffers, $0) },
                .rival("ByteBuffer") { append(buffer, $0) },
                .rival("[[UInt8]]") { append(arrays, $0) },
                .rival("[UInt8]") { append(array, $0) },
                .ours("SegmentedBuffer") { append(segmented, $0) },
                .ours("SegmentedBuffer, one segment") { append(segment, $0) },
            ]
        }),
    Workload(
        name: "contiguous", title: "1,024 bytes in 16 parts copied into one", count: 20_000,
        contestants: {
            let parts = Parts()
            let (segmented, buffers, arrays) = (parts.segmented, parts.byteBuffers, parts.arrays)
            return [
                .rival("[ByteBuffer]") { contiguous(buffers, $0) },
                .rival("[[UInt8]]") { contiguous(arrays, $0) },
                .ours("SegmentedBuffer") { contiguous(segmented, $0) },
            ]
        }),
    Workload(
        name: "copy-out", title: "1,024 bytes in 16 parts, or in one, copied to memory of the program's", count: 50_000,
        contestants: {
            let parts = Parts()
            let (segmented, segment) = (parts.segmented, parts.oneSegment)
            let (buffers, buffer, arrays, array) = (parts.byteBuffers, parts.byteBuffer, parts.arrays, parts.bytes)
            return [
                .rival("[ByteBuffer]") { copyOut(buffers, $0) },
                .rival("ByteBuffer") { copyOut(buffer, $0) },
                .rival("[[UInt8]]") { copyOut(arrays, $0) },
                .rival("[UInt8]") { copyOut(array, $0) },
                .ours("SegmentedBuffer") { copyOut(segmented, $0) },
                .ours("SegmentedBuffer, one segment") { copyOut(segment, $0) },
            ]
        }),
    Workload(
        name: "iterate", title: "1,024 bytes as a collection, for a byte", count: 2000, blocksPerStep: Parts.byteCount,
        contestants: {
            let parts = Parts()
            let (segmented, segment, buffer, array) = (
                parts.segmented, parts.oneSegment, parts.byteBuffer, parts.bytes
            )
            return [
                .rival("ByteBuffer") { iterate(buffer, $0) },
                .rival("[UInt8]") { iterate(array, $0) },
                .ours("SegmentedBuffer") { iterate(segmented, $0) },
                .ours("SegmentedBuffer, one segment") { iterate(segment, $0) },
            ]
        }),
]

// MARK: - The reader

private let readerWorkloads: [Workload] = [
    reading(
        "read-into", "1,024 bytes into memory of the program's, 100 at a time, for a call", 11, readInto, readInto,
        readInto),
    reading(
        "read-bytes-1", "1,024 bytes one by one, for a byte", Parts.byteCount, readByteByByte, readByteByByte,
        readByteByByte),
    reading(
        "read-bytes-32", "1,024 bytes as arrays of 32, for an array", Parts.byteCount / arraySize, readArrays,
        readArrays,
        readArrays),
    reading(
        "big-endian", "256 big-endian integers of 32 bits, for one", integerCount, readIntegers, readIntegers,
        readIntegers),
    reading(
        "skip", "nine bytes skipped and one read, 102 times, for one", skipCount, skipAndRead, skipAndRead, skipAndRead),
    Workload(
        name: "range", title: "where 1,024 bytes lie, part by part, all together", count: 100_000,
        contestants: {
            let parts = Parts()
            let (segmented, segment) = (parts.segmented, parts.oneSegment)
            let (buffers, buffer, arrays, array) = (parts.byteBuffers, parts.byteBuffer, parts.arrays, parts.bytes)
            return [
                .rival("16 ByteBuffers") { readRanges(buffers, $0) },
                .rival("one ByteBuffer") { readRanges(buffer, $0) },
                .rival("16 [UInt8]") { readRanges(arrays, $0) },
                .rival("one [UInt8]") { readRanges(array, $0) },
                .ours("SegmentedReader") { readRanges(segmented, $0) },
                .ours("SegmentedReader.withRanges") { withRanges(segmented, $0) },
                .ours("SegmentedReader, one segment") { readRanges(segment, $0) },
                .ours("withRanges, one segment") { withRanges(segment, $0) },
            ]
        }),
    reading(
        "range-64", "where the next 64 of 1,024 bytes lie, 16 times, for one", Parts.partCount, readNextRanges,
        readNextRanges, readNextRanges),
    numbers("leb128", "1,024 bytes of LEB128 numbers of 1, 2 and 3 bytes in turn, for a byte", .inTurn),
    numbers("leb128-random", "128 KiB of such numbers with lengths at random, for a byte", .atRandom),
]

private func reading(
    _ name: String, _ title: String, _ units: Int, of parts: Parts = Parts(),
    _ ours: @escaping @Sendable (SegmentedBuffer, Input) throws -> UInt64,
    _ byteBuffer: @escaping @Sendable (ByteBuffer, Input) -> UInt64,
    _ array: @escaping @Sendable ([UInt8], Input) -> UInt64
) -> Workload {
    Workload(
        name: name, title: title, count: 4_000_000 / (units + 1000), blocksPerStep: units,
        contestants: {
            let (segmented, segment) = (parts.segmented, parts.oneSegment)
            let (buffer, bytes) = (parts.byteBuffer, parts.bytes)
            return [
                .rival("ByteBuffer") { byteBuffer(buffer, $0) },
                .rival("[UInt8]") { array(bytes, $0) },
                .ours("SegmentedReader") { try ours(segmented, $0) },
                .ours("SegmentedReader, one segment") { try ours(segment, $0) },
            ]
        })
}

private func numbers(_ name: String, _ title: String, _ numbers: Numbers) -> Workload {
    let count = numbers.count
    return reading(
        name, title, numbers.parts.bytes.count, of: numbers.parts, { try readNumbers($0, count, $1) },
        { readNumbers($0, count, $1) }, { readNumbers($0, count, $1) })
}
