// The loops that read 1,024 bytes, by SegmentedReader, by ByteBuffer's methods and out of [UInt8]. Each value that is
// read passes through the sink; the memory may have changed before each pass.

import BenchSupport
import CBenchSupport
import Mallow
import NIOCore

/// Calls the closure, which reads everything, `count` times.
@inline(__always)
private func passes(_ input: Input, _ pass: () throws -> Void) rethrows -> UInt64 {
    let start = bench_now()
    for _ in 0..<input.count {
        bench_sink(nil)
        try pass()
    }
    return bench_now() - start
}

/// What a rival's optional holds; a test that SegmentedReader does by throwing.
@inline(__always)
private func present<Value>(_ value: Value?) -> Value {
    guard let value else { fatalError("the bytes have ended") }
    return value
}

// MARK: - Into memory of the program's, 100 bytes at a time

private let readSize = 100

@inline(never)
func readInto(_ buffer: SegmentedBuffer, _ input: Input) -> UInt64 {
    withUnsafeTemporaryAllocation(byteCount: readSize, alignment: 16) { destination in
        passes(input) {
            var reader = SegmentedReader(buffer)
            while !reader.isAtEnd {
                _ = reader.read(into: destination)
                bench_sink(destination.baseAddress)
            }
        }
    }
}

@inline(never)
func readInto(_ buffer: ByteBuffer, _ input: Input) -> UInt64 {
    withUnsafeTemporaryAllocation(byteCount: readSize, alignment: 16) { destination in
        passes(input) {
            var reader = buffer
            while reader.readableBytes > 0 {
                reader.readWithUnsafeReadableBytes { bytes in
                    let part = UnsafeRawBufferPointer(rebasing: bytes.prefix(readSize))
                    destination.copyMemory(from: part)
                    return part.count
                }
                bench_sink(destination.baseAddress)
            }
        }
    }
}

@inline(never)
func readInto(_ array: [UInt8], _ input: Input) -> UInt64 {
    withUnsafeTemporaryAllocation(byteCount: readSize, alignment: 16) { destination in
        passes(input) {
            var position = 0
            while position < array.count {
                let end = min(position + readSize, array.count)
                array.withUnsafeBytes {
                    destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[position..<end]))
                }
                position = end
                bench_sink(destination.baseAddress)
            }
        }
    }
}

// MARK: - Byte by byte

@inline(never)
func readByteByByte(_ buffer: SegmentedBuffer, _ input: Input) -> UInt64 {
    passes(input) {
        var reader = SegmentedReader(buffer)
        while let byte = reader.nextByte() { bench_keep(UInt64(byte)) }
    }
}

@inline(never)
func readByteByByte(_ buffer: ByteBuffer, _ input: Input) -> UInt64 {
    passes(input) {
        var reader = buffer
        while let byte = reader.readInteger(as: UInt8.self) { bench_keep(UInt64(byte)) }
    }
}

@inline(never)
func readByteByByte(_ array: [UInt8], _ input: Input) -> UInt64 {
    passes(input) {
        var position = 0
        while position < array.count {
            bench_keep(UInt64(array[position]))
            position += 1
        }
    }
}

// MARK: - Bytes as an array

let arraySize = 32

@inline(never)
func readArrays(_ buffer: SegmentedBuffer, _ input: Input) throws -> UInt64 {
    try passes(input) {
        var reader = SegmentedReader(buffer)
        for _ in 0..<Parts.byteCount / arraySize {
            try reader.readBytes(arraySize).withUnsafeBytes { bench_sink($0.baseAddress) }
        }
    }
}

@inline(never)
func readArrays(_ buffer: ByteBuffer, _ input: Input) -> UInt64 {
    passes(input) {
        var reader = buffer
        for _ in 0..<Parts.byteCount / arraySize {
            present(reader.readBytes(length: arraySize)).withUnsafeBytes { bench_sink($0.baseAddress) }
        }
    }
}

@inline(never)
func readArrays(_ array: [UInt8], _ input: Input) -> UInt64 {
    passes(input) {
        for position in stride(from: 0, to: array.count, by: arraySize) {
            [UInt8](array[position..<position + arraySize]).withUnsafeBytes { bench_sink($0.baseAddress) }
        }
    }
}

// MARK: - Big-endian integers of 32 bits

let integerCount = Parts.byteCount / 4

@inline(never)
func readIntegers(_ buffer: SegmentedBuffer, _ input: Input) throws -> UInt64 {
    try passes(input) {
        var reader = SegmentedReader(buffer)
        for _ in 0..<integerCount { bench_keep(UInt64(try reader.readInteger(as: UInt32.self))) }
    }
}

@inline(never)
func readIntegers(_ buffer: ByteBuffer, _ input: Input) -> UInt64 {
    passes(input) {
        var reader = buffer
        for _ in 0..<integerCount { bench_keep(UInt64(present(reader.readInteger(as: UInt32.self)))) }
    }
}

@inline(never)
func readIntegers(_ array: [UInt8], _ input: Input) -> UInt64 {
    passes(input) {
        for position in stride(from: 0, to: array.count, by: 4) {
            let value = array.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: position, as: UInt32.self) }
            bench_keep(UInt64(UInt32(bigEndian: value)))
        }
    }
}

// MARK: - Nine bytes skipped, one read

let skipCount = Parts.byteCount / 10

@inline(never)
func skipAndRead(_ buffer: SegmentedBuffer, _ input: Input) throws -> UInt64 {
    try passes(input) {
        var reader = SegmentedReader(buffer)
        for _ in 0..<skipCount {
            try reader.skip(9)
            bench_keep(UInt64(try reader.readByte()))
        }
    }
}

@inline(never)
func skipAndRead(_ buffer: ByteBuffer, _ input: Input) -> UInt64 {
    passes(input) {
        var reader = buffer
        for _ in 0..<skipCount {
            reader.moveReaderIndex(forwardBy: 9)
            bench_keep(UInt64(present(reader.readInteger(as: UInt8.self))))
        }
    }
}

@inline(never)
func skipAndRead(_ array: [UInt8], _ input: Input) -> UInt64 {
    passes(input) {
        var position = 0
        for _ in 0..<skipCount {
            position += 9
            bench_keep(UInt64(array[position]))
            position += 1
        }
    }
}

// MARK: - Where the bytes lie

@inline(__always)
private func keep(_ range: UnsafeRawBufferPointer) {
    bench_keep(UInt64(UInt(bitPattern: range.baseAddress)))
    bench_keep(UInt64(range.count))
}

@inline(never)
func readRanges(_ buffer: SegmentedBuffer, _ input: Input) -> UInt64 {
    let reader = SegmentedReader(buffer)
    return passes(input) {
        for range in reader.ranges { keep(range) }
    }
}

/// The same by a closure that gets spans.
@inline(never)
func withRanges(_ buffer: SegmentedBuffer, _ input: Input) -> UInt64 {
    let reader = SegmentedReader(buffer)
    return passes(input) {
        reader.withRanges { span in span.withUnsafeBytes(keep) }
    }
}

@inline(never)
func readRanges<Value: ByteValue>(_ parts: [Value], _ input: Input) -> UInt64 {
    passes(input) {
        for part in parts { part.withBytes(keep) }
    }
}

@inline(never)
func readRanges<Value: ByteValue>(_ value: Value, _ input: Input) -> UInt64 {
    passes(input) { value.withBytes(keep) }
}

// MARK: - Where the next 64 bytes lie

@inline(never)
func readNextRanges(_ buffer: SegmentedBuffer, _ input: Input) throws -> UInt64 {
    try passes(input) {
        var reader = SegmentedReader(buffer)
        for _ in 0..<Parts.partCount {
            try reader.withRanges(Parts.partSize) { span in span.withUnsafeBytes(keep) }
            try reader.skip(Parts.partSize)
        }
    }
}

@inline(never)
func readNextRanges(_ buffer: ByteBuffer, _ input: Input) -> UInt64 {
    passes(input) {
        var reader = buffer
        for _ in 0..<Parts.partCount {
            reader.readWithUnsafeReadableBytes { bytes in
                keep(UnsafeRawBufferPointer(rebasing: bytes[..<Parts.partSize]))
                return Parts.partSize
            }
        }
    }
}

@inline(never)
func readNextRanges(_ array: [UInt8], _ input: Input) -> UInt64 {
    passes(input) {
        for position in stride(from: 0, to: array.count, by: Parts.partSize) {
            array.withUnsafeBytes { keep(UnsafeRawBufferPointer(rebasing: $0[position..<position + Parts.partSize])) }
        }
    }
}

// MARK: - LEB128

/// LEB128 numbers of 1, 2 and 3 bytes.
struct Numbers {
    let parts: Parts
    let count: Int

    /// - Parameter length: how many bytes the next number has, if there are as many left.
    private init(byteCount: Int, length: (Int, inout SplitMix64) -> Int) {
        var generator = SplitMix64(state: 128)
        var bytes: [UInt8] = []
        var count = 0
        while bytes.count < byteCount {
            let length = min(length(count, &generator), byteCount - bytes.count)
            for place in 1...length {
                bytes.append(.random(in: 1...127, using: &generator) | (place == length ? 0 : 0x80))
            }
            count += 1
        }
        parts = Parts(bytes)
        self.count = count
    }

    static let inTurn = Numbers(byteCount: Parts.byteCount) { count, _ in count % 3 + 1 }
    /// So many that no processor learns by heart which length follows which.
    static let atRandom = Numbers(byteCount: 128 << 10) { _, generator in .random(in: 1...3, using: &generator) }
}

@inline(never)
func readNumbers(_ buffer: SegmentedBuffer, _ count: Int, _ input: Input) throws -> UInt64 {
    try passes(input) {
        var reader = SegmentedReader(buffer)
        for _ in 0..<count { bench_keep(try reader.readLEB128(as: UInt64.self).value) }
    }
}

/// As a program has it that must write it itself: nil where the bytes end or there are too many.
@inline(__always)
private func decoded(_ next: () -> UInt8?) -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
        guard let byte = next() else { return nil }
        value |= UInt64(byte & 0x7f) &<< shift
        if byte < 0x80 { return shift == 63 && byte > 1 ? nil : value }
    }
    return nil
}

@inline(never)
func readNumbers(_ buffer: ByteBuffer, _ count: Int, _ input: Input) -> UInt64 {
    passes(input) {
        var reader = buffer
        for _ in 0..<count { bench_keep(present(decoded { reader.readInteger(as: UInt8.self) })) }
    }
}

@inline(never)
func readNumbers(_ array: [UInt8], _ count: Int, _ input: Input) -> UInt64 {
    passes(input) {
        var position = 0
        for _ in 0..<count {
            let value = decoded {
                guard position < array.count else { return nil }
                defer { position += 1 }
                return array[position]
            }
            bench_keep(present(value))
        }
    }
}
