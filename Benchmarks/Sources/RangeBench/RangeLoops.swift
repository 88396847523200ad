// The workloads' loops over Mallow's range allocators and buddies, the same line by line as those of
// RangeRivals/workloads.hpp.
//
// They are generic, not inlined, and specialised for each strategy: what a program gets that names its strategy.

import BenchSupport
import CBenchSupport
import Mallow
import RangeRivals

/// What stands for a range in the table of the live ones, never 0: 40 bits of the offset, 24 of the count.
@inline(__always)
private func hold(_ range: Range<Int>) -> UInt {
    UInt(bitPattern: range.lowerBound &<< 24 | (range.upperBound &- range.lowerBound))
}

@inline(__always)
private func range(_ held: UInt) -> Range<Int> {
    let lower = Int(bitPattern: held &>> 24)
    return Range(uncheckedBounds: (lower, lower &+ Int(bitPattern: held & 0xff_ffff)))
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
func one<Ranges: RangeSource>(_ ranges: Ranges, _ input: Input) -> UInt64 {
    var requests = Requests(input)
    let start = bench_now()
    for _ in 0..<input.count {
        guard let range = ranges.take(requests.size()) else { fatalError("no range in an empty space") }
        sink(hold(range))
        ranges.give(range)
    }
    return bench_now() - start
}

@inline(never)
func fill<Ranges: RangeSource>(_ ranges: Ranges, _ input: Input) -> UInt64 {
    var requests = Requests(input)
    return withTable(input) { live in
        let start = bench_now()
        for _ in 0..<input.count {
            for index in 0..<input.block_count {
                live[index] = ranges.take(requests.size()).map(hold) ?? 0
                sink(live[index])
            }
            for index in 0..<input.block_count { ranges.give(range(live[index])) }
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
final class FilledSpace<Ranges: RangeSource> {
    let ranges: Ranges
    private var nextSize = 0
    private var nextSlot = 0
    /// How often the answer was "none", and how often that was false.
    private var nones = 0
    private var falseNones = 0

    init(_ input: Input) {
        ranges = Ranges(space: Int(input.space))
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
        guard let range = ranges.take(size) else {
            nones += 1
            if let index = ranges as? any RangeIndex, index.largestFree >= size { falseNones += 1 }
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
                if live[slot] != 0 { ranges.give(range(live[slot])) }
                live[slot] = allocate(requests.size())
                sink(live[slot])
            }
            return bench_now() - start
        }
    }

}

extension FilledSpace where Ranges: RangeIndex {
    @inline(never)
    func find(_ input: Input) -> UInt64 {
        var requests = Requests(input, nextSize: nextSize, nextSlot: nextSlot)
        defer { keepPlace(requests) }
        let start = bench_now()
        for _ in 0..<input.count {
            sink(UInt(bitPattern: ranges.find(requests.size(), alignment: 1)?.lowerBound ?? -1))
        }
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
