// The workloads' loops over Mallow's range allocators, the same line by line as those of RangeRivals/workloads.hpp.
//
// They are generic over the strategy, not inlined, and specialised for each: what a program gets that names its strategy.

import BenchSupport
import CBenchSupport
import Mallow
import RangeRivals

/// What stands for a range in the table of the live ones, never 0: 48 bits of the offset, 16 of the count.
@inline(__always)
private func hold(_ range: Range<Int>) -> UInt {
    UInt(bitPattern: range.lowerBound &<< 16 | (range.upperBound &- range.lowerBound))
}

@inline(__always)
private func range(_ held: UInt) -> Range<Int> {
    let lower = Int(bitPattern: held &>> 16)
    return Range(uncheckedBounds: (lower, lower &+ Int(bitPattern: held & 0xffff)))
}

@inline(__always)
private func sink(_ held: UInt) { bench_sink(UnsafeRawPointer(bitPattern: held)) }

/// Sizes and slots one after the other, from where the last run ended.
private struct Requests {
    static let slotCount = 1_000_000

    let sizes: UnsafePointer<UInt32>
    let sizeCount: Int
    let slots: UnsafePointer<UInt32>
    private(set) var nextSize: Int
    private(set) var nextSlot: Int

    init(_ input: Input, nextSize: Int = 0, nextSlot: Int = 0) {
        sizes = input.sizes.unsafelyUnwrapped
        sizeCount = input.size_count
        slots = input.order.unsafelyUnwrapped
        self.nextSize = nextSize
        self.nextSlot = nextSlot
    }

    @inline(__always)
    mutating func size() -> Int {
        let size = Int(sizes[nextSize])
        nextSize = nextSize &+ 1 == sizeCount ? 0 : nextSize &+ 1
        return size
    }

    @inline(__always)
    mutating func slot() -> Int {
        let slot = Int(slots[nextSlot])
        nextSlot = nextSlot &+ 1 == Self.slotCount ? 0 : nextSlot &+ 1
        return slot
    }
}

@inline(never)
func one<S: RangeStrategy & ~Copyable>(_ ranges: RangeAllocator<S>, _ input: Input) -> UInt64 {
    var requests = Requests(input)
    let start = bench_now()
    for _ in 0..<input.count {
        guard let range = ranges.allocate(requests.size()) else { fatalError("no range in an empty space") }
        sink(hold(range))
        ranges.deallocate(range)
    }
    return bench_now() - start
}

@inline(never)
func fill<S: RangeStrategy & ~Copyable>(_ ranges: RangeAllocator<S>, _ input: Input) -> UInt64 {
    var requests = Requests(input)
    return withTable(input) { live in
        let start = bench_now()
        for _ in 0..<input.count {
            for index in 0..<input.block_count {
                live[index] = ranges.allocate(requests.size()).map(hold) ?? 0
                sink(live[index])
            }
            for index in 0..<input.block_count { ranges.deallocate(range(live[index])) }
        }
        return bench_now() - start
    }
}

/// The input's table of blocks, as one of ranges.
@inline(__always)
private func withTable<Result>(_ input: Input, _ body: (UnsafeMutablePointer<UInt>) -> Result) -> Result {
    input.blocks.unsafelyUnwrapped.withMemoryRebound(to: UInt.self, capacity: input.block_count, body)
}

/// A space with `block_count` live ranges (0 where the answer was "none"), which a run leaves for the next.
final class FilledSpace<S: RangeStrategy & ~Copyable> {
    let ranges: RangeAllocator<S>
    private var nextSize = 0
    private var nextSlot = 0
    private(set) var nones = 0
    private(set) var falseNones = 0

    init(_ input: Input) {
        ranges = RangeAllocator(size: Int(input.space))
        var requests = Requests(input)
        withTable(input) { live in
            for index in 0..<input.block_count { live[index] = allocate(requests.size()) }
        }
        keepPlace(requests)
        _ = replace(input, Int(RANGE_RUNS_BEFORE) * input.count)
    }

    private func keepPlace(_ requests: Requests) {
        nextSize = requests.nextSize
        nextSlot = requests.nextSlot
    }

    @inline(__always)
    private func allocate(_ size: Int) -> UInt {
        guard let range = ranges.allocate(size) else {
            nones += 1
            if ranges.largestFree >= size { falseNones += 1 }
            return 0
        }
        return hold(range)
    }

    @inline(never)
    func replace(_ input: Input, _ count: Int) -> UInt64 {
        var requests = Requests(input, nextSize: nextSize, nextSlot: nextSlot)
        defer { keepPlace(requests) }
        return withTable(input) { live in
            let start = bench_now()
            for _ in 0..<count {
                let slot = requests.slot()
                if live[slot] != 0 { ranges.deallocate(range(live[slot])) }
                live[slot] = allocate(requests.size())
                sink(live[slot])
            }
            return bench_now() - start
        }
    }

    @inline(never)
    func find(_ input: Input) -> UInt64 {
        var requests = Requests(input, nextSize: nextSize, nextSlot: nextSlot)
        defer { keepPlace(requests) }
        let start = bench_now()
        for _ in 0..<input.count { sink(UInt(bitPattern: ranges.find(requests.size())?.lowerBound ?? -1)) }
        return bench_now() - start
    }

    @inline(never)
    func freeSize(_ input: Input) -> UInt64 {
        let start = bench_now()
        for _ in 0..<input.count { sink(UInt(bitPattern: ranges.freeCount &+ ranges.largestFree)) }
        return bench_now() - start
    }

    /// Answers of "none", those that were false, bytes for a free range, and for any range.
    func extras(_ input: Input) -> [Double] {
        let bytes = Double(ranges.metadataByteCount)
        let freeRanges = ranges.freeRangeCount
        let live = withTable(input) { live in (0..<input.block_count).count { live[$0] != 0 } }
        return [Double(nones), Double(falseNones), bytes / Double(freeRanges), bytes / Double(freeRanges + live)]
    }
}
