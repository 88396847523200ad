// The loops over what hands out memory, whether as an address or as a value that frees it itself (ValueLoops.swift).
// They are generic over that, not inlined, and specialised for each. Where there are several blocks, they lie in slots
// of memory that the sink claims to change.

import BenchSupport
import CBenchSupport
import Glibc
import Mallow

typealias Slot<Block> = UnsafeMutablePointer<Block>

protocol BlockSource {
    associatedtype Block
    /// Puts a block into an empty slot, and writes its first byte.
    func fill(_ slot: Slot<Block>, _ byteCount: Int, _ value: Int)
    /// Frees the block in a slot.
    func empty(_ slot: Slot<Block>)
}

/// One that hands out addresses. Not `Allocator`, so that malloc can be called as a program calls it.
protocol AddressSource: BlockSource where Block == UnsafeMutableRawPointer {
    func take(_ byteCount: Int) -> UnsafeMutableRawPointer
    func give(_ block: UnsafeMutableRawPointer)
}

extension AddressSource {
    @inline(__always)
    func fill(_ slot: Slot<Block>, _ byteCount: Int, _ value: Int) {
        let block = take(byteCount)
        use(block, value)
        slot.initialize(to: block)
    }

    @inline(__always)
    func empty(_ slot: Slot<Block>) { give(slot.pointee) }
}

struct Malloc: AddressSource {
    @inline(__always)
    func take(_ byteCount: Int) -> UnsafeMutableRawPointer { malloc(byteCount).unsafelyUnwrapped }

    @inline(__always)
    func give(_ block: UnsafeMutableRawPointer) { free(block) }
}

extension AddressSource where Self: Allocator {
    @inline(__always)
    func take(_ byteCount: Int) -> UnsafeMutableRawPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: 16) else { fatalError("out of memory") }
        return block.baseAddress.unsafelyUnwrapped
    }

    @inline(__always)
    func give(_ block: UnsafeMutableRawPointer) { deallocate(block) }
}

extension ScalableAllocator: AddressSource {}
extension SharedScalableAllocator: AddressSource {}

/// Writes the first byte.
@inline(__always)
func use(_ block: UnsafeMutableRawPointer, _ value: Int) {
    block.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    bench_sink(block)
}

// MARK: - One block

@inline(never)
func one<S: AddressSource>(_ source: S, _ input: Input) -> UInt64 {
    one(source, input, byteCount: Int(input.sizes.unsafelyUnwrapped[0]))
}

@inline(never)
func one<S: AddressSource>(_ source: S, _ input: Input, byteCount size: Int) -> UInt64 {
    let start = bench_now()
    for step in 0..<input.count {
        let block = source.take(size)
        use(block, step)
        source.give(block)
    }
    return bench_now() - start
}

// MARK: - Many blocks

/// What is done with many blocks: `run` measures it over one source.
protocol BlockLoop {
    static func run<S: BlockSource>(_ source: S, _ input: Input) -> UInt64
}

/// The sizes of the requests, over and over.
private struct Sizes {
    private let sizes: UnsafePointer<UInt32>
    private let count: Int
    private var place = 0

    @inline(__always)
    init(_ input: Input) {
        sizes = input.sizes.unsafelyUnwrapped
        count = input.size_count
    }

    @inline(__always)
    mutating func next() -> Int {
        let size = sizes[place]
        place = place &+ 1 == count ? 0 : place &+ 1
        return Int(size)
    }
}

/// Calls the closure with so many slots, which are empty before and after.
@inline(__always)
func withSlots<Block>(_ count: Int, _ body: (Slot<Block>) -> UInt64) -> UInt64 {
    let slots = Slot<Block>.allocate(capacity: count)
    defer { slots.deallocate() }
    return body(slots)
}

/// Calls the closure, which is what counts, with `block_count` blocks, which are freed afterwards.
@inline(__always)
private func withBlocks<S: BlockSource>(
    _ source: S, _ input: Input, _ sizes: inout Sizes, _ body: (Slot<S.Block>, inout Sizes) -> Void
) -> UInt64 {
    withSlots(input.block_count) { live in
        for index in 0..<input.block_count { source.fill(live + index, sizes.next(), index) }
        let start = bench_now()
        body(live, &sizes)
        let elapsed = bench_now() - start
        for index in 0..<input.block_count { source.empty(live + index) }
        return elapsed
    }
}

/// So many blocks, then all of them freed in order.
enum InOrder: BlockLoop {
    @inline(never)
    static func run<S: BlockSource>(_ source: S, _ input: Input) -> UInt64 {
        withSlots(input.block_count) { live in
            let start = bench_now()
            for _ in 0..<input.count {
                var sizes = Sizes(input)
                for index in 0..<input.block_count { source.fill(live + index, sizes.next(), index) }
                for index in 0..<input.block_count { source.empty(live + index) }
            }
            return bench_now() - start
        }
    }
}

/// Of `block_count` live blocks a random one is freed, and one allocated in its place.
enum Replacing: BlockLoop {
    @inline(never)
    static func run<S: BlockSource>(_ source: S, _ input: Input) -> UInt64 {
        let order = input.order.unsafelyUnwrapped
        var sizes = Sizes(input)
        return withBlocks(source, input, &sizes) { live, sizes in
            for step in 0..<input.count {
                let slot = live + Int(order[step])
                source.empty(slot)
                source.fill(slot, sizes.next(), step)
            }
        }
    }
}

/// The last `block_count` blocks are live, the oldest is freed for each that is allocated.
enum Queue: BlockLoop {
    @inline(never)
    static func run<S: BlockSource>(_ source: S, _ input: Input) -> UInt64 {
        var sizes = Sizes(input)
        return withBlocks(source, input, &sizes) { live, sizes in
            var slot = 0
            for step in 0..<input.count {
                source.empty(live + slot)
                source.fill(live + slot, sizes.next(), step)
                slot = slot &+ 1 == input.block_count ? 0 : slot &+ 1
            }
        }
    }
}

/// The live blocks grow to `block_count`, with holes among them: behind each third that is allocated, a random one is
/// freed. Then all are, in the order that they are in.
enum Growing: BlockLoop {
    static func allocations(upTo liveCount: Int) -> Int { liveCount / 2 * 3 }

    @inline(never)
    static func run<S: BlockSource>(_ source: S, _ input: Input) -> UInt64 {
        let order = input.order.unsafelyUnwrapped
        return withSlots(input.block_count + 1) { live in
            let start = bench_now()
            for _ in 0..<input.count {
                var sizes = Sizes(input)
                var liveCount = 0
                for step in 0..<input.block_count / 2 {
                    for _ in 0..<3 {
                        source.fill(live + liveCount, sizes.next(), step)
                        liveCount += 1
                    }
                    let slot = Int(order[step]) % liveCount
                    source.empty(live + slot)
                    liveCount -= 1
                    if slot < liveCount { (live + slot).moveInitialize(from: live + liveCount, count: 1) }
                }
                for index in 0..<liveCount { source.empty(live + index) }
            }
            return bench_now() - start
        }
    }
}

// MARK: - Threads

/// A loop in several threads at once, each with blocks of its own. By the clock on the wall.
@inline(never)
func inThreads<L: BlockLoop, S: BlockSource>(_: L.Type, _ source: S, _ input: Input) -> UInt64 {
    let body = ThreadBody {
        var part = input
        part.count /= threadCount
        _ = L.run(source, part)
    }
    let context = Unmanaged.passRetained(body)
    defer { context.release() }
    return bench_in_threads(
        threadCount,
        { context, _ in
            Unmanaged<ThreadBody>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue().run()
        }, context.toOpaque())
}

private final class ThreadBody {
    let run: () -> Void

    init(_ run: @escaping () -> Void) { self.run = run }
}

let threadCount = 4
