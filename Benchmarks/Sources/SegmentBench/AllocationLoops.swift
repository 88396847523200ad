// The loops over allocators, whose blocks are addresses: Mallow's, and malloc. They are generic over the allocator, not
// inlined, and specialised for each. ValueLoops.swift holds the same over ByteBuffer and [UInt8].

import BenchSupport
import CBenchSupport
import Glibc
import Mallow

/// Something that hands out addresses. Not `Allocator`, so that malloc can be called as a program calls it.
protocol BlockSource {
    func take(_ byteCount: Int) -> UnsafeMutableRawPointer
    func give(_ block: UnsafeMutableRawPointer)
}

struct Malloc: BlockSource {
    @inline(__always)
    func take(_ byteCount: Int) -> UnsafeMutableRawPointer { malloc(byteCount).unsafelyUnwrapped }

    @inline(__always)
    func give(_ block: UnsafeMutableRawPointer) { free(block) }
}

extension BlockSource where Self: Allocator {
    @inline(__always)
    func take(_ byteCount: Int) -> UnsafeMutableRawPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: 16) else { fatalError("out of memory") }
        return block.baseAddress.unsafelyUnwrapped
    }

    @inline(__always)
    func give(_ block: UnsafeMutableRawPointer) { deallocate(block) }
}

extension ScalableAllocator: BlockSource {}
extension SharedScalableAllocator: BlockSource {}

/// Writes the first byte.
@inline(__always)
func use(_ block: UnsafeMutableRawPointer, _ value: Int) {
    block.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    bench_sink(block)
}

@inline(never)
func one<S: BlockSource>(_ source: S, _ input: Input) -> UInt64 {
    one(source, input, byteCount: Int(input.sizes.unsafelyUnwrapped[0]))
}

@inline(never)
func one<S: BlockSource>(_ source: S, _ input: Input, byteCount size: Int) -> UInt64 {
    let start = bench_now()
    for step in 0..<input.count {
        let block = source.take(size)
        use(block, step)
        source.give(block)
    }
    return bench_now() - start
}

@inline(never)
func sequence<S: BlockSource>(_ source: S, _ input: Input) -> UInt64 {
    let live = input.blocks.unsafelyUnwrapped
    let sizes = input.sizes.unsafelyUnwrapped
    let start = bench_now()
    for _ in 0..<input.count {
        var next = 0
        for index in 0..<input.block_count {
            let block = source.take(Int(sizes[next]))
            next = next &+ 1 == input.size_count ? 0 : next &+ 1
            use(block, index)
            live[index] = block
        }
        for index in 0..<input.block_count { source.give(live[index].unsafelyUnwrapped) }
    }
    return bench_now() - start
}

/// Of `block_count` live blocks a random one is freed, and one allocated in its place.
@inline(never)
func replace<S: BlockSource>(_ source: S, _ input: Input) -> UInt64 {
    let live = input.blocks.unsafelyUnwrapped
    let sizes = input.sizes.unsafelyUnwrapped
    let order = input.order.unsafelyUnwrapped
    var next = 0
    for index in 0..<input.block_count {
        live[index] = source.take(Int(sizes[next]))
        next = next &+ 1 == input.size_count ? 0 : next &+ 1
    }
    let start = bench_now()
    for step in 0..<input.count {
        let slot = Int(order[step])
        source.give(live[slot].unsafelyUnwrapped)
        let block = source.take(Int(sizes[next]))
        next = next &+ 1 == input.size_count ? 0 : next &+ 1
        use(block, step)
        live[slot] = block
    }
    let elapsed = bench_now() - start
    for index in 0..<input.block_count { source.give(live[index].unsafelyUnwrapped) }
    return elapsed
}

/// The last `block_count` blocks are live, the oldest is freed for each that is allocated.
@inline(never)
func queue<S: BlockSource>(_ source: S, _ input: Input) -> UInt64 {
    let live = input.blocks.unsafelyUnwrapped
    let sizes = input.sizes.unsafelyUnwrapped
    var (next, slot) = (0, 0)
    for index in 0..<input.block_count { live[index] = source.take(Int(sizes[0])) }
    let start = bench_now()
    for step in 0..<input.count {
        source.give(live[slot].unsafelyUnwrapped)
        let block = source.take(Int(sizes[next]))
        next = next &+ 1 == input.size_count ? 0 : next &+ 1
        use(block, step)
        live[slot] = block
        slot = slot &+ 1 == input.block_count ? 0 : slot &+ 1
    }
    let elapsed = bench_now() - start
    for index in 0..<input.block_count { source.give(live[index].unsafelyUnwrapped) }
    return elapsed
}

/// The same in several threads at once, each with a queue of its own. By the clock on the wall.
@inline(never)
func queueInThreads<S: BlockSource>(_ source: S, _ input: Input) -> UInt64 {
    inThreads(input) { _ = queue(source, $0) }
}

private final class ThreadBody {
    let run: (Int) -> Void

    init(_ run: @escaping (Int) -> Void) { self.run = run }
}

let threadCount = 4

/// Calls the closure in several threads, each with a part of the input's blocks and steps.
func inThreads(_ input: Input, _ body: @escaping (Input) -> Void) -> UInt64 {
    let context = Unmanaged.passRetained(
        ThreadBody { number in
            var part = input
            part.count /= threadCount
            part.blocks = input.blocks.unsafelyUnwrapped + number * input.block_count
            body(part)
        })
    defer { context.release() }
    return bench_in_threads(
        threadCount,
        { context, number in
            Unmanaged<ThreadBody>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue().run(number)
        }, context.toOpaque())
}
