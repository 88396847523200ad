// The loops of AllocationLoops.swift over values that have their memory from malloc and free it themselves: SwiftNIO's
// ByteBuffer and [UInt8]. A value lies in a slot of memory that the sink claims to change, so that the compiler cannot
// drop the allocation.

import BenchSupport
import CBenchSupport
import NIOCore

protocol ByteValue {
    /// Without writing more than what keeps it consistent.
    static func make(byteCount: Int) -> Self
    mutating func writeFirst(_ value: Int)
}

extension ByteBuffer: ByteValue {
    @inline(__always)
    static func make(byteCount: Int) -> ByteBuffer { ByteBufferAllocator().buffer(capacity: byteCount) }

    @inline(__always)
    mutating func writeFirst(_ value: Int) { setInteger(UInt8(truncatingIfNeeded: value), at: 0) }
}

extension [UInt8]: ByteValue {
    @inline(__always)
    static func make(byteCount: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: byteCount) { _, count in count = byteCount }
    }

    @inline(__always)
    mutating func writeFirst(_ value: Int) { self[0] = UInt8(truncatingIfNeeded: value) }
}

typealias Slot<Value> = UnsafeMutablePointer<Value>

@inline(__always)
private func fill<Value: ByteValue>(_ slot: Slot<Value>, _ byteCount: Int, _ value: Int) {
    slot.initialize(to: .make(byteCount: byteCount))
    slot.pointee.writeFirst(value)
    bench_sink(slot)
}

/// Calls the closure with so many slots, which are empty before and after.
@inline(__always)
private func withSlots<Value>(_ count: Int, _ body: (Slot<Value>) -> UInt64) -> UInt64 {
    let slots = Slot<Value>.allocate(capacity: count)
    defer { slots.deallocate() }
    return body(slots)
}

@inline(never)
func oneValue<Value: ByteValue>(_ type: Value.Type, _ input: Input) -> UInt64 {
    oneValue(type, input, byteCount: Int(input.sizes.unsafelyUnwrapped[0]))
}

@inline(never)
func oneValue<Value: ByteValue>(_: Value.Type, _ input: Input, byteCount size: Int) -> UInt64 {
    withSlots(1) { (slot: Slot<Value>) in
        let start = bench_now()
        for step in 0..<input.count {
            fill(slot, size, step)
            slot.deinitialize(count: 1)
        }
        return bench_now() - start
    }
}

@inline(never)
func valueSequence<Value: ByteValue>(_: Value.Type, _ input: Input) -> UInt64 {
    let sizes = input.sizes.unsafelyUnwrapped
    return withSlots(input.block_count) { (live: Slot<Value>) in
        let start = bench_now()
        for _ in 0..<input.count {
            var next = 0
            for index in 0..<input.block_count {
                fill(live + index, Int(sizes[next]), index)
                next = next &+ 1 == input.size_count ? 0 : next &+ 1
            }
            for index in 0..<input.block_count { (live + index).deinitialize(count: 1) }
        }
        return bench_now() - start
    }
}

@inline(never)
func replaceValue<Value: ByteValue>(_: Value.Type, _ input: Input) -> UInt64 {
    let sizes = input.sizes.unsafelyUnwrapped
    let order = input.order.unsafelyUnwrapped
    return withSlots(input.block_count) { (live: Slot<Value>) in
        var next = 0
        for index in 0..<input.block_count {
            fill(live + index, Int(sizes[next]), index)
            next = next &+ 1 == input.size_count ? 0 : next &+ 1
        }
        let start = bench_now()
        for step in 0..<input.count {
            let slot = live + Int(order[step])
            slot.deinitialize(count: 1)
            fill(slot, Int(sizes[next]), step)
            next = next &+ 1 == input.size_count ? 0 : next &+ 1
        }
        let elapsed = bench_now() - start
        live.deinitialize(count: input.block_count)
        return elapsed
    }
}

@inline(never)
func valueQueue<Value: ByteValue>(_: Value.Type, _ input: Input) -> UInt64 {
    let sizes = input.sizes.unsafelyUnwrapped
    return withSlots(input.block_count) { (live: Slot<Value>) in
        var (next, slot) = (0, 0)
        for index in 0..<input.block_count { fill(live + index, Int(sizes[0]), index) }
        let start = bench_now()
        for step in 0..<input.count {
            (live + slot).deinitialize(count: 1)
            fill(live + slot, Int(sizes[next]), step)
            next = next &+ 1 == input.size_count ? 0 : next &+ 1
            slot = slot &+ 1 == input.block_count ? 0 : slot &+ 1
        }
        let elapsed = bench_now() - start
        live.deinitialize(count: input.block_count)
        return elapsed
    }
}

@inline(never)
func valueQueueInThreads<Value: ByteValue>(_ type: Value.Type, _ input: Input) -> UInt64 {
    inThreads(input) { _ = valueQueue(type, $0) }
}
