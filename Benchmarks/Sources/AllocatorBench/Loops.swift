// The workloads' loops over Mallow's allocators, the same line by line as those of AllocatorRivals/workloads.hpp, and the
// same in what they do for a block: write it once, and pour it into the sink. Each returns the nanoseconds of its loop.
//
// They are generic and not inlined: specialised for an allocator they are what a program gets that names its allocator,
// and for `ThroughAny` what one gets that has an `any Allocator`.

import AllocatorRivals
import Mallow

typealias Input = bench_input

/// Where an allocator is known at run time only: every call goes through the witness table.
struct ThroughAny: Allocator {
    let base: any Allocator

    @inline(__always)
    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try base.allocate(byteCount: byteCount, alignment: alignment)
    }

    @inline(__always)
    func deallocate(_ pointer: UnsafeMutableRawPointer) { base.deallocate(pointer) }
}

@inline(__always)
func use(_ block: UnsafeMutableRawBufferPointer, _ value: Int) -> UnsafeMutableRawPointer {
    let pointer = block.baseAddress.unsafelyUnwrapped
    pointer.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
    bench_sink(pointer)
    return pointer
}

@inline(never)
func temporary<A: Allocator>(_ allocator: A, _ input: Input) throws -> UInt64 {
    let start = bench_now()
    for step in 0..<input.count {
        let block = use(try allocator.allocate(byteCount: 64, alignment: 16), step)
        allocator.deallocate(block)
    }
    return bench_now() - start
}

/// Blocks of 8 bytes, then freed in the order in which they were allocated.
@inline(never)
func growShrink<A: Allocator>(_ allocator: A, _ input: Input) throws -> UInt64 {
    let blocks = input.blocks.unsafelyUnwrapped
    let start = bench_now()
    for step in 0..<input.count {
        blocks[step] = use(try allocator.allocate(byteCount: 8, alignment: 8), step)
    }
    for step in 0..<input.count { allocator.deallocate(blocks[step].unsafelyUnwrapped) }
    return bench_now() - start
}

@inline(never)
func ladder<A: Allocator>(_ allocator: A, _ input: Input) throws -> UInt64 {
    let sizes = input.sizes.unsafelyUnwrapped
    var next = 0
    let start = bench_now()
    for step in 0..<input.count {
        let size = Int(sizes[next])
        next = next &+ 1 == input.size_count ? 0 : next &+ 1
        let block = use(try allocator.allocate(byteCount: size, alignment: 4), step)
        allocator.deallocate(block)
    }
    return bench_now() - start
}

@inline(never)
func ladderGrow<A: Allocator>(_ allocator: A, _ input: Input) throws -> UInt64 {
    let blocks = input.blocks.unsafelyUnwrapped
    let sizes = input.sizes.unsafelyUnwrapped
    var next = 0
    let start = bench_now()
    for step in 0..<input.count {
        let size = Int(sizes[next])
        next = next &+ 1 == input.size_count ? 0 : next &+ 1
        blocks[step] = use(try allocator.allocate(byteCount: size, alignment: 4), step)
    }
    for step in 0..<input.count { allocator.deallocate(blocks[step].unsafelyUnwrapped) }
    return bench_now() - start
}

/// Blocks of 64 bytes, freed in a random order.
@inline(never)
func randomOrder<A: Allocator>(_ allocator: A, _ input: Input) throws -> UInt64 {
    let blocks = input.blocks.unsafelyUnwrapped
    let order = input.order.unsafelyUnwrapped
    let start = bench_now()
    for step in 0..<input.count {
        blocks[step] = use(try allocator.allocate(byteCount: 64, alignment: 16), step)
    }
    for step in 0..<input.count { allocator.deallocate(blocks[Int(order[step])].unsafelyUnwrapped) }
    return bench_now() - start
}

/// As many live blocks of 64 bytes as `block_count`; each step replaces a random one.
@inline(never)
func randomReplace<A: Allocator>(_ allocator: A, _ input: Input) throws -> UInt64 {
    let blocks = input.blocks.unsafelyUnwrapped
    let order = input.order.unsafelyUnwrapped
    for slot in 0..<input.block_count {
        blocks[slot] = try allocator.allocate(byteCount: 64, alignment: 16).baseAddress
    }
    let start = bench_now()
    for step in 0..<input.count {
        let slot = blocks + Int(order[step])
        allocator.deallocate(slot.pointee.unsafelyUnwrapped)
        slot.pointee = use(try allocator.allocate(byteCount: 64, alignment: 16), step)
    }
    let elapsed = bench_now() - start
    for slot in 0..<input.block_count { allocator.deallocate(blocks[slot].unsafelyUnwrapped) }
    return elapsed
}

/// What a million blocks of 64 bytes take of malloc, when all are live.
func bytesWhenFull<A: Allocator>(_ allocator: A, _ input: Input) throws -> UInt64 {
    let blocks = input.blocks.unsafelyUnwrapped
    let before = bench_malloc_bytes()
    for step in 0..<input.count {
        blocks[step] = use(try allocator.allocate(byteCount: 64, alignment: 16), step)
    }
    let full = bench_malloc_bytes()
    for step in 0..<input.count { allocator.deallocate(blocks[step].unsafelyUnwrapped) }
    return full - before
}
