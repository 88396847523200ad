// Values that have their memory from malloc and free it themselves, SwiftNIO's ByteBuffer and [UInt8], as sources of
// blocks for the loops of AllocationLoops.swift.

import BenchSupport
import CBenchSupport
import NIOCore

protocol ByteValue {
    /// Without writing more than what keeps it consistent.
    static func make(byteCount: Int) -> Self
    mutating func writeFirst(_ value: Int)
    func withBytes(_ body: (UnsafeRawBufferPointer) -> Void)
}

extension ByteBuffer: ByteValue {
    @inline(__always)
    static func make(byteCount: Int) -> ByteBuffer { ByteBufferAllocator().buffer(capacity: byteCount) }

    @inline(__always)
    mutating func writeFirst(_ value: Int) { setInteger(UInt8(truncatingIfNeeded: value), at: 0) }

    @inline(__always)
    func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) { withUnsafeReadableBytes(body) }
}

extension [UInt8]: ByteValue {
    @inline(__always)
    static func make(byteCount: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: byteCount) { _, count in count = byteCount }
    }

    @inline(__always)
    mutating func writeFirst(_ value: Int) { self[0] = UInt8(truncatingIfNeeded: value) }

    @inline(__always)
    func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) { withUnsafeBytes(body) }
}

struct Values<Value: ByteValue>: BlockSource {
    @inline(__always)
    func fill(_ slot: Slot<Value>, _ byteCount: Int, _ value: Int) {
        slot.initialize(to: .make(byteCount: byteCount))
        slot.pointee.writeFirst(value)
        bench_sink(slot)
    }

    @inline(__always)
    func empty(_ slot: Slot<Value>) { slot.deinitialize(count: 1) }
}

@inline(never)
func one<Value: ByteValue>(_ source: Values<Value>, _ input: Input) -> UInt64 {
    one(source, input, byteCount: Int(input.sizes.unsafelyUnwrapped[0]))
}

@inline(never)
func one<Value: ByteValue>(_ source: Values<Value>, _ input: Input, byteCount size: Int) -> UInt64 {
    withSlots(1) { slot in
        let start = bench_now()
        for step in 0..<input.count {
            source.fill(slot, size, step)
            source.empty(slot)
        }
        return bench_now() - start
    }
}
