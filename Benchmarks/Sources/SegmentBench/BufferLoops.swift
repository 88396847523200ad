// The loops over segmented buffers, and over what a program uses in their place: an array of ByteBuffers or of arrays,
// where the parts stay parts, and one ByteBuffer or array into which all is copied.
//
// What is made lies in a slot of memory that the sink claims to change.

import BenchSupport
import CBenchSupport
import Mallow
import NIOCore

/// 1,024 bytes in 16 parts.
struct Parts {
    static let byteCount = 1024
    static let partCount = 16
    static let partSize = byteCount / partCount

    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Random ones.
    init() {
        var generator = SplitMix64(state: 64)
        bytes = (0..<Self.byteCount).map { _ in .random(in: 0...255, using: &generator) }
    }

    var arrays: [[UInt8]] {
        stride(from: 0, to: bytes.count, by: Self.partSize).map { Array(bytes[$0..<$0 + Self.partSize]) }
    }

    var byteBuffers: [ByteBuffer] { arrays.map { ByteBuffer(bytes: $0) } }
    var byteBuffer: ByteBuffer { ByteBuffer(bytes: bytes) }
    var segments: [Segment] { arrays.map { $0.withUnsafeBytes { Segment(copying: $0) } } }
    var segmented: SegmentedBuffer { SegmentedBuffer(segments) }
    var oneSegment: SegmentedBuffer { bytes.withUnsafeBytes { SegmentedBuffer(copying: $0) } }
}

/// Calls the closure, which makes a value, `count` times.
@inline(__always)
func making<Value>(_ input: Input, _ make: () -> Value) -> UInt64 {
    let slot = UnsafeMutablePointer<Value>.allocate(capacity: 1)
    defer { slot.deallocate() }
    let start = bench_now()
    for _ in 0..<input.count {
        slot.initialize(to: make())
        bench_sink(slot)
        slot.deinitialize(count: 1)
    }
    return bench_now() - start
}

/// Calls the closure, which changes a copy of a value, `count` times.
@inline(__always)
func changing<Value>(_ value: Value, _ input: Input, _ change: (inout Value) -> Void) -> UInt64 {
    let slot = UnsafeMutablePointer<Value>.allocate(capacity: 1)
    defer { slot.deallocate() }
    let start = bench_now()
    for _ in 0..<input.count {
        slot.initialize(to: value)
        bench_sink(slot)
        change(&slot.pointee)
        bench_sink(slot)
        slot.deinitialize(count: 1)
    }
    return bench_now() - start
}

// MARK: - Pushing

@inline(never)
func push(_ segments: [Segment], _ input: Input) -> UInt64 {
    changing(SegmentedBuffer(), input) { buffer in
        for segment in segments { buffer.push(segment) }
    }
}

@inline(never)
func push<Part>(_ parts: [Part], _ input: Input) -> UInt64 {
    changing([Part](), input) { buffer in
        for part in parts { buffer.append(part) }
    }
}

// MARK: - Appending

@inline(never)
func append(_ buffer: SegmentedBuffer, _ input: Input) -> UInt64 {
    changing(buffer, input) { $0.append(buffer) }
}

@inline(never)
func append<Part>(_ parts: [Part], _ input: Input) -> UInt64 {
    changing(parts, input) { $0.append(contentsOf: parts) }
}

@inline(never)
func append(_ buffer: ByteBuffer, _ input: Input) -> UInt64 {
    changing(buffer, input) { $0.writeImmutableBuffer(buffer) }
}

// MARK: - One after the other in one place

@inline(never)
func contiguous(_ buffer: SegmentedBuffer, _ input: Input) -> UInt64 {
    making(input) { buffer.contiguous() }
}

@inline(never)
func contiguous(_ parts: [ByteBuffer], _ input: Input) -> UInt64 {
    making(input) {
        var whole = ByteBufferAllocator().buffer(capacity: Parts.byteCount)
        for part in parts { whole.writeImmutableBuffer(part) }
        return whole
    }
}

@inline(never)
func contiguous(_ parts: [[UInt8]], _ input: Input) -> UInt64 {
    making(input) {
        var whole: [UInt8] = []
        whole.reserveCapacity(Parts.byteCount)
        for part in parts { whole.append(contentsOf: part) }
        return whole
    }
}

// MARK: - Copying out

/// Calls the closure, which copies to memory of the program's, `count` times.
@inline(__always)
private func copying(_ input: Input, _ copy: (UnsafeMutableRawBufferPointer) -> Void) -> UInt64 {
    let destination = UnsafeMutableRawBufferPointer.allocate(byteCount: Parts.byteCount, alignment: 16)
    defer { destination.deallocate() }
    let start = bench_now()
    for _ in 0..<input.count {
        copy(destination)
        bench_sink(destination.baseAddress)
    }
    return bench_now() - start
}

@inline(never)
func copyOut(_ buffer: SegmentedBuffer, _ input: Input) -> UInt64 {
    copying(input) { buffer.copyBytes(to: $0) }
}

@inline(never)
func copyOut<Value: ByteValue>(_ parts: [Value], _ input: Input) -> UInt64 {
    copying(input) { destination in
        var offset = 0
        for part in parts {
            part.withBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: destination[offset...]).copyMemory(from: bytes)
                offset += bytes.count
            }
        }
    }
}

@inline(never)
func copyOut<Value: ByteValue>(_ value: Value, _ input: Input) -> UInt64 {
    copying(input) { destination in value.withBytes { destination.copyMemory(from: $0) } }
}

// MARK: - Iterating

/// Goes over the bytes that the closure gives, `count` times.
@inline(__always)
private func iterating(_ input: Input, _ bytes: () -> some Sequence<UInt8>) -> UInt64 {
    let start = bench_now()
    for _ in 0..<input.count {
        bench_sink(nil)
        for byte in bytes() { bench_keep(UInt64(byte)) }
    }
    return bench_now() - start
}

@inline(never)
func iterate(_ buffer: SegmentedBuffer, _ input: Input) -> UInt64 { iterating(input) { buffer.bytes } }

@inline(never)
func iterate(_ buffer: ByteBuffer, _ input: Input) -> UInt64 { iterating(input) { buffer.readableBytesView } }

@inline(never)
func iterate(_ array: [UInt8], _ input: Input) -> UInt64 { iterating(input) { array } }
