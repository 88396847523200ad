// The workloads' loops over what Swift's own retain and release count: SwiftNIO's ByteBuffer, and ManagedBuffer, with
// which the standard library lets a program have a count and its data in one block.
//
// What holds a reference lies in memory that the sink claims to change (`slot`), as a std::shared_ptr does in the loops
// of SlabRivals: the compiler could drop a retain and its release otherwise.

import BenchSupport
import CBenchSupport
import NIOCore
import SlabRivals

protocol CountedBlock {
    static func make(byteCount: Int) -> Self
    /// Writes the first byte.
    mutating func write(_ value: Int)
}

extension ByteBuffer: CountedBlock {
    @inline(__always)
    static func make(byteCount: Int) -> ByteBuffer { ByteBufferAllocator().buffer(capacity: byteCount) }

    @inline(__always)
    mutating func write(_ value: Int) { setInteger(UInt8(truncatingIfNeeded: value), at: 0) }
}

struct ManagedBlock: CountedBlock {
    final class Storage: ManagedBuffer<Int, UInt8> {}

    let storage: Storage

    @inline(__always)
    static func make(byteCount: Int) -> ManagedBlock {
        let made = Storage.create(minimumCapacity: byteCount) { _ in byteCount }
        return ManagedBlock(storage: unsafeDowncast(made, to: Storage.self))
    }

    @inline(__always)
    func write(_ value: Int) {
        storage.withUnsafeMutablePointerToElements { $0[0] = UInt8(truncatingIfNeeded: value) }
    }
}

typealias Slot<Block> = UnsafeMutablePointer<Block>

/// Makes a block in a slot, and writes it.
@inline(__always)
private func fill<Block: CountedBlock>(_ slot: Slot<Block>, _ byteCount: Int, _ value: Int) {
    slot.initialize(to: .make(byteCount: byteCount))
    slot.pointee.write(value)
    bench_sink(slot)
}

/// Calls the closure with so many slots, which are empty before and after.
@inline(__always)
private func withSlots<Block>(_ count: Int, _ body: (Slot<Block>) -> UInt64) -> UInt64 {
    let slots = Slot<Block>.allocate(capacity: count)
    defer { slots.deallocate() }
    return body(slots)
}

/// The same with live blocks.
@inline(__always)
private func withLive<Block: CountedBlock>(_ count: Int, _ body: (Slot<Block>) -> UInt64) -> UInt64 {
    withSlots(count) { (live: Slot<Block>) in
        for index in 0..<count { fill(live + index, Int(SLAB_BLOCK_SIZE), index) }
        defer { live.deinitialize(count: count) }
        return body(live)
    }
}

@inline(never)
func countedReference<Block: CountedBlock>(_: Block.Type, _ input: Input) -> UInt64 {
    withLive(1) { (live: Slot<Block>) in
        withSlots(1) { copy in
            let start = bench_now()
            for _ in 0..<input.count {
                copy.initialize(to: live.pointee)
                bench_sink(copy)
                copy.deinitialize(count: 1)
            }
            return bench_now() - start
        }
    }
}

@inline(never)
func countedReferenceRandom<Block: CountedBlock>(_: Block.Type, _ input: Input) -> UInt64 {
    let order = input.order.unsafelyUnwrapped
    return withLive(input.block_count) { (live: Slot<Block>) in
        withSlots(1) { copy in
            let start = bench_now()
            for step in 0..<input.count {
                copy.initialize(to: live[Int(order[step])])
                bench_sink(copy)
                copy.deinitialize(count: 1)
            }
            return bench_now() - start
        }
    }
}

@inline(never)
func countedAllocate<Block: CountedBlock>(_: Block.Type, _ input: Input) -> UInt64 {
    let size = Int(input.sizes.unsafelyUnwrapped[0])
    return withSlots(1) { (slot: Slot<Block>) in
        let start = bench_now()
        for step in 0..<input.count {
            fill(slot, size, step)
            slot.deinitialize(count: 1)
        }
        return bench_now() - start
    }
}

@inline(never)
func countedSizes<Block: CountedBlock>(_: Block.Type, _ input: Input) -> UInt64 {
    let sizes = input.sizes.unsafelyUnwrapped
    return withSlots(1) { (slot: Slot<Block>) in
        var next = 0
        let start = bench_now()
        for step in 0..<input.count {
            let size = Int(sizes[next])
            next = next &+ 1 == input.size_count ? 0 : next &+ 1
            fill(slot, size, step)
            slot.deinitialize(count: 1)
        }
        return bench_now() - start
    }
}

@inline(never)
func countedAllocateLive<Block: CountedBlock>(_: Block.Type, _ input: Input) -> UInt64 {
    let size = Int(input.sizes.unsafelyUnwrapped[0])
    return withSlots(input.block_count) { (live: Slot<Block>) in
        let start = bench_now()
        for _ in 0..<input.count {
            for index in 0..<input.block_count { fill(live + index, size, index) }
            for index in 0..<input.block_count { (live + index).deinitialize(count: 1) }
        }
        return bench_now() - start
    }
}

/// What live blocks take of malloc beyond their data.
func countedMetadataBytes<Block: CountedBlock>(_: Block.Type, _ input: Input) -> UInt64 {
    withSlots(input.block_count) { (live: Slot<Block>) in
        let before = bench_malloc_bytes()
        for index in 0..<input.block_count { fill(live + index, Int(SLAB_BLOCK_SIZE), index) }
        let full = bench_malloc_bytes()
        live.deinitialize(count: input.block_count)
        return full - before - UInt64(input.block_count * Int(SLAB_BLOCK_SIZE))
    }
}
