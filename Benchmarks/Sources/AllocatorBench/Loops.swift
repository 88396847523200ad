// The workloads' loops over Mallow's allocators, the same line by line as those of AllocatorRivals/workloads.hpp, and
// the same in what they do for a block: write it once, and pour it into the sink. Each returns the nanoseconds of its
// loop.
//
// They are generic and not inlined: specialised for an allocator they are what a program gets that names its allocator,
// and for `ThroughAny` what one gets that has an `any Allocator`.

import AllocatorRivals
import BenchSupport
import CBenchSupport
import Mallow

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

/// The same for what can free all of its blocks at once.
struct ResettableThroughAny: ResettableAllocator {
    let base: any ResettableAllocator

    @inline(__always)
    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try base.allocate(byteCount: byteCount, alignment: alignment)
    }

    @inline(__always)
    func deallocate(_ pointer: UnsafeMutableRawPointer) { base.deallocate(pointer) }

    @inline(__always)
    func freeAll() { base.freeAll() }
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

/// The same where an `any Allocator` is opened once, for the whole loop, by a call of this function: not specialised,
/// so that it does not know the allocator either.
@inline(never) @_semantics("optimize.sil.specialize.generic.never")
func temporaryOpened<A: Allocator>(_ allocator: A, _ input: Input) throws -> UInt64 {
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

/// Two blocks of 64 bytes, then all freed at once.
@inline(never)
func twoBlocks<A: ResettableAllocator>(_ arena: A, _ input: Input) throws -> UInt64 {
    let start = bench_now()
    for step in 0..<input.count {
        _ = use(try arena.allocate(byteCount: 64, alignment: 8), step)
        _ = use(try arena.allocate(byteCount: 64, alignment: 8), step)
        arena.freeAll()
    }
    return bench_now() - start
}

/// The same, in an arena that is made anew each time.
@inline(never)
func twoBlocksInNew<Upstream: Allocator>(_ upstream: Upstream, _ input: Input) throws -> UInt64 {
    let start = bench_now()
    for step in 0..<input.count {
        let arena = ArenaAllocator(upstream: upstream)
        _ = use(try arena.allocate(byteCount: 64, alignment: 8), step)
        _ = use(try arena.allocate(byteCount: 64, alignment: 8), step)
        arena.freeAll()
    }
    return bench_now() - start
}

/// The same through `any Allocator`: the arena, and the pool below it.
@inline(never)
func twoBlocksInNewThroughAny(_ upstream: any Allocator, _ input: Input) throws -> UInt64 {
    let start = bench_now()
    for step in 0..<input.count {
        let arena = makeArena(upstream)
        _ = use(try arena.allocate(byteCount: 64, alignment: 8), step)
        _ = use(try arena.allocate(byteCount: 64, alignment: 8), step)
        arena.freeAll()
    }
    return bench_now() - start
}

@inline(never)
private func makeArena(_ upstream: any Allocator) -> any ResettableAllocator {
    func make<Upstream: Allocator>(_ upstream: Upstream) -> any ResettableAllocator {
        ArenaAllocator(upstream: upstream)
    }
    return make(upstream)
}

typealias Node = UnsafeMutablePointer<bench_node>

/// A step builds a tree of `block_count` nodes and frees them at once.
@inline(never)
func tree<A: ResettableAllocator>(_ arena: A, _ input: Input) throws -> UInt64 {
    let start = bench_now()
    for _ in 0..<input.count {
        for index in 0..<input.block_count {
            enter(try arena.allocate(initializingTo: node(index)), index, input)
        }
        arena.freeAll()
    }
    return bench_now() - start
}

/// The same in a `Region`, which is no `Allocator` and is reset.
@inline(never)
func treeInRegion(_ region: inout Region, _ input: Input) throws -> UInt64 {
    let start = bench_now()
    for _ in 0..<input.count {
        for index in 0..<input.block_count {
            enter(try region.allocate(node(index)).unsafePointer, index, input)
        }
        region.reset()
    }
    return bench_now() - start
}

@inline(__always)
private func node(_ index: Int) -> bench_node {
    bench_node(left: nil, right: nil, key: UInt64(truncatingIfNeeded: index))
}

/// Level by level: a node becomes a child of one that is there.
@inline(__always)
private func enter(_ node: Node, _ index: Int, _ input: Input) {
    let nodes = input.blocks.unsafelyUnwrapped
    bench_sink(node)
    nodes[index] = UnsafeMutableRawPointer(node)
    if index == 0 { return }
    let parent = nodes[(index &- 1) / 2].unsafelyUnwrapped.assumingMemoryBound(to: bench_node.self)
    if index % 2 == 1 { parent.pointee.left = node } else { parent.pointee.right = node }
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
