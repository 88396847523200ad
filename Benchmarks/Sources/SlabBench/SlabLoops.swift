// The loops over what a slab arena alone has: chains, locations, and SlabBuffer, the safe face.

import BenchSupport
import CBenchSupport
import Mallow
import SlabRivals

// MARK: - Chains

/// A chain that is built at its end, each chunk linked and its first reference released: the next chunk's is the
/// link's.
@inline(never)
func chain(_ arena: SlabArena, _ input: Input) throws -> UInt64 {
    let size = Int(SLAB_BLOCK_SIZE)
    let start = bench_now()
    for _ in 0..<input.count {
        let head = use(try arena.allocate(byteCount: size, alignment: 8), 0)
        var last = head
        for index in 1..<input.block_count {
            let block = try arena.allocate(byteCount: size, alignment: 8)
            let chunk = use(block, index)
            arena.setNext(UnsafeRawBufferPointer(block), of: last)
            arena.release(chunk)
            last = chunk
        }
        arena.release(head)
    }
    return bench_now() - start
}

/// The same in one call, and each chunk written.
@inline(never)
func itemAsChain(_ arena: SlabArena, _ input: Input) throws -> UInt64 {
    let size = Int(SLAB_BLOCK_SIZE)
    let start = bench_now()
    for _ in 0..<input.count {
        let head = try arena.allocateChain(byteCount: input.block_count * size, chunkSize: size)
        var index = 0
        for segment in arena.chain(head).segments {
            _ = use(segment, index)
            index &+= 1
        }
        arena.release(head.baseAddress.unsafelyUnwrapped)
    }
    return bench_now() - start
}

// MARK: - Locations

@inline(never)
func bufferAtLocation(_ arena: SlabArena, _ input: Input) throws -> UInt64 {
    let order = input.order.unsafelyUnwrapped
    return try withLiveChunks(arena, input) { live in
        let locations = UnsafeMutablePointer<SlabLocation>.allocate(capacity: input.block_count)
        defer { locations.deallocate() }
        for index in 0..<input.block_count {
            let chunk = UnsafeRawBufferPointer(start: live[index], count: Int(SLAB_BLOCK_SIZE))
            (locations + index).initialize(to: arena.location(of: chunk))
        }
        let start = bench_now()
        for step in 0..<input.count {
            if let found = arena.buffer(at: locations[Int(order[step])]) { bench_sink(found.baseAddress) }
        }
        return bench_now() - start
    }
}

@inline(never)
func locationOfBuffer(_ arena: SlabArena, _ input: Input) throws -> UInt64 {
    let order = input.order.unsafelyUnwrapped
    let made = UnsafeMutablePointer<SlabLocation>.allocate(capacity: 1)
    defer { made.deallocate() }
    return try withLiveChunks(arena, input) { live in
        let start = bench_now()
        for step in 0..<input.count {
            let chunk = UnsafeRawBufferPointer(start: live[Int(order[step])], count: Int(SLAB_BLOCK_SIZE))
            made.pointee = arena.location(of: chunk)
            bench_sink(made)
        }
        return bench_now() - start
    }
}

// MARK: - SlabBuffer

@inline(never)
func duplicateBuffer(_ arena: SlabArena, _ input: Input) throws -> UInt64 {
    let buffer = try arena.makeBuffer(byteCount: Int(SLAB_BLOCK_SIZE))
    let copy = UnsafeMutablePointer<SlabBuffer>.allocate(capacity: 1)
    defer { copy.deallocate() }
    let start = bench_now()
    for _ in 0..<input.count {
        copy.initialize(to: buffer.duplicate())
        bench_sink(copy)
        copy.deinitialize(count: 1)
    }
    return bench_now() - start
}

@inline(never)
func makeBuffer(_ arena: SlabArena, _ input: Input) throws -> UInt64 {
    let size = Int(input.sizes.unsafelyUnwrapped[0])
    let start = bench_now()
    for step in 0..<input.count {
        var buffer = try arena.makeBuffer(byteCount: size)
        var span = buffer.mutableSpan
        span.storeBytes(of: UInt8(truncatingIfNeeded: step), as: UInt8.self)
        span.withUnsafeBytes { bench_sink($0.baseAddress) }
    }
    return bench_now() - start
}

// MARK: - Metadata

/// What the arena holds beside its chunks, by its own account, for `block_count` of the chunks that its slabs have.
@inline(never)
func metadataBytes(_ arena: SlabArena, _ input: Input) throws -> UInt64 {
    var overhead = 0
    _ = try withLiveChunks(arena, input) { _ in
        let statistics = arena.slabStatistics
        let chunks = statistics.classes.reduce(0) { $0 + $1.chunks }
        overhead = statistics.bytesOverhead * input.block_count / chunks
        return 0
    }
    return UInt64(overhead)
}
