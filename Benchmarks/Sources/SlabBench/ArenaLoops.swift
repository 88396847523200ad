// The workloads' loops over Mallow's slab arenas, the same line by line as those of SlabRivals/workloads.hpp.
//
// They are generic over the arena, not inlined, and specialised for each: what a program gets that names its arena.

import BenchSupport
import CBenchSupport
import Mallow
import SlabRivals

/// What both arenas have.
protocol CountingAllocator: Allocator {
    func addReference(_ pointer: UnsafeRawPointer)
    @discardableResult func release(_ pointer: UnsafeRawPointer) -> Bool
}

extension SlabArena: CountingAllocator {}
extension SharedSlabArena: CountingAllocator {}

/// Writes the first byte.
@inline(__always)
func use(_ block: UnsafeMutableRawBufferPointer, _ value: Int) -> UnsafeMutableRawPointer {
    let pointer = block.baseAddress.unsafelyUnwrapped
    pointer.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    bench_sink(pointer)
    return pointer
}

/// Makes `block_count` live chunks, for the closure.
@inline(__always)
func withLiveChunks<A: CountingAllocator>(
    _ arena: A, _ input: Input, _ body: (UnsafeMutablePointer<UnsafeMutableRawPointer?>) throws -> UInt64
) throws -> UInt64 {
    let live = input.blocks.unsafelyUnwrapped
    for index in 0..<input.block_count {
        live[index] = use(try arena.allocate(byteCount: Int(SLAB_BLOCK_SIZE), alignment: 8), index)
    }
    let elapsed = try body(live)
    for index in 0..<input.block_count { arena.release(live[index].unsafelyUnwrapped) }
    return elapsed
}

@inline(never)
func reference<A: CountingAllocator>(_ arena: A, _ input: Input) throws -> UInt64 {
    let chunk = use(try arena.allocate(byteCount: Int(SLAB_BLOCK_SIZE), alignment: 8), 0)
    let start = bench_now()
    for _ in 0..<input.count {
        arena.addReference(chunk)
        bench_sink(chunk)
        arena.release(chunk)
    }
    let elapsed = bench_now() - start
    arena.release(chunk)
    return elapsed
}

@inline(never)
func referenceRandom<A: CountingAllocator>(_ arena: A, _ input: Input) throws -> UInt64 {
    let order = input.order.unsafelyUnwrapped
    return try withLiveChunks(arena, input) { live in
        let start = bench_now()
        for step in 0..<input.count {
            let chunk = live[Int(order[step])].unsafelyUnwrapped
            arena.addReference(chunk)
            bench_sink(chunk)
            arena.release(chunk)
        }
        return bench_now() - start
    }
}

@inline(never)
func allocate<A: CountingAllocator>(_ arena: A, _ input: Input) throws -> UInt64 {
    let size = Int(input.sizes.unsafelyUnwrapped[0])
    let start = bench_now()
    for step in 0..<input.count {
        let chunk = use(try arena.allocate(byteCount: size, alignment: 8), step)
        arena.release(chunk)
    }
    return bench_now() - start
}

/// The same where it is known at run time only that there is an allocator.
@inline(never)
func allocateThroughAny(_ allocator: any Allocator, _ input: Input) throws -> UInt64 {
    let size = Int(input.sizes.unsafelyUnwrapped[0])
    let start = bench_now()
    for step in 0..<input.count {
        let chunk = use(try allocator.allocate(byteCount: size, alignment: 8), step)
        allocator.deallocate(chunk)
    }
    return bench_now() - start
}

@inline(never)
func allocateLive<A: CountingAllocator>(_ arena: A, _ input: Input) throws -> UInt64 {
    let live = input.blocks.unsafelyUnwrapped
    let size = Int(input.sizes.unsafelyUnwrapped[0])
    let start = bench_now()
    for _ in 0..<input.count {
        for index in 0..<input.block_count {
            live[index] = use(try arena.allocate(byteCount: size, alignment: 8), index)
        }
        for index in 0..<input.block_count { arena.release(live[index].unsafelyUnwrapped) }
    }
    return bench_now() - start
}

@inline(never)
func sizes<A: CountingAllocator>(_ arena: A, _ input: Input) throws -> UInt64 {
    let sizes = input.sizes.unsafelyUnwrapped
    var next = 0
    let start = bench_now()
    for step in 0..<input.count {
        let size = Int(sizes[next])
        next = next &+ 1 == input.size_count ? 0 : next &+ 1
        let chunk = use(try arena.allocate(byteCount: size, alignment: 8), step)
        arena.release(chunk)
    }
    return bench_now() - start
}
