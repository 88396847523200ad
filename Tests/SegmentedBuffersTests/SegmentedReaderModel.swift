// What the reader's tests share: the same bytes in random segments, and a reader of a plain array, written for being
// plainly right, bit by bit and byte by byte.

import AllocatorTestKit
import Mallow

extension SeededGenerator {
    /// Text, numbers that go on, zeros and anything else, in turns: so that all kinds of values are found in it.
    mutating func mixedBytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let run = Int.random(in: 1...12, using: &self)
            switch Int.random(in: 0..<5, using: &self) {
            case 0: bytes += (0..<run).map { _ in UInt8.random(in: 0x20...0x7E, using: &self) }
            case 1: bytes += (0..<run).map { _ in UInt8.random(in: 0x80...0xFF, using: &self) }
            case 2: bytes += repeatElement(0, count: run)
            case 3: bytes += Array("äöü€😀\r\n".utf8)
            default: bytes += (0..<run).map { _ in UInt8.random(in: 0...0xFF, using: &self) }
            }
        }
        return Array(bytes.prefix(count))
    }

    /// Sizes of segments that make up a number of bytes, mostly small ones.
    mutating func sizes(_ count: Int) -> [Int] {
        let largest = [1, 3, 9, 64, 1000].randomElement(using: &self)!
        var sizes: [Int] = []
        var left = count
        while left > 0 {
            let size = min(left, Int.random(in: 1...largest, using: &self))
            sizes.append(size)
            left -= size
        }
        return sizes
    }
}

/// A segment in a block of its own of just its size, so that the address sanitizer sees what goes beyond it.
func segment(_ bytes: some Collection<UInt8>, released: @escaping () -> Void = {}) -> Segment {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    memory.copyBytes(from: bytes)
    return Segment(
        memory,
        releasedBy: {
            released()
            $0.deallocate()
        })
}

/// The same bytes in segments of the sizes given.
func segmented(_ bytes: [UInt8], sizes: [Int]) -> SegmentedBuffer {
    var buffer = SegmentedBuffer()
    var start = 0
    for size in sizes {
        buffer.push(segment(bytes[start..<start + size]))
        start += size
    }
    return buffer
}

/// The same bytes in segments of one size.
func segmented(_ bytes: [UInt8], by size: Int) -> SegmentedBuffer {
    let whole = Array(repeating: size, count: bytes.count / size)
    return segmented(bytes, sizes: bytes.count % size == 0 ? whole : whole + [bytes.count % size])
}

/// What a call gave.
enum ReadOutcome: Equatable {
    case nothing
    case count(Int?)
    case unsigned(UInt64)
    case signed(Int64)
    case number(Int64, byteCount: Int)
    case bytes([UInt8])
    case text(String)
    case error(SegmentedReadError)
}

/// A reader of an array.
struct ModelReader {
    var bytes: [UInt8]
    var position = 0
    /// Bits that are left of the byte before the position.
    var bitsLeft = 0
    private var byte: UInt8 = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// Drops what was read. The bits that are left of a byte stay.
    mutating func clip() {
        bytes.removeFirst(position)
        position = 0
    }

    var remaining: Int { bytes.count - position }

    mutating func take(_ count: Int) throws(SegmentedReadError) -> [UInt8] {
        if count < 0 { throw .outOfRange(count) }
        if count > remaining { throw .endOfData(needed: count, available: remaining) }
        if count > 0 { bitsLeft = 0 }
        position += count
        return Array(bytes[position - count..<position])
    }

    mutating func unsigned(_ byteCount: Int, _ order: ByteOrder) throws(SegmentedReadError) -> UInt64 {
        if byteCount < 1 || byteCount > 8 { throw .outOfRange(byteCount) }
        let taken = try take(byteCount)
        return (order == .big ? taken : taken.reversed()).reduce(0) { $0 * 256 + UInt64($1) }
    }

    mutating func signed(_ byteCount: Int, _ order: ByteOrder) throws(SegmentedReadError) -> Int64 {
        let value = try unsigned(byteCount, order)
        if byteCount == 8 { return Int64(bitPattern: value) }
        let range = Int64(1) << (8 * byteCount)
        return Int64(value) >= range / 2 ? Int64(value) - range : Int64(value)
    }

    mutating func bit() -> UInt64? {
        if bitsLeft == 0 {
            if position == bytes.count { return nil }
            byte = bytes[position]
            position += 1
            bitsLeft = 8
        }
        bitsLeft -= 1
        return UInt64(byte >> bitsLeft & 1)
    }

    mutating func bits(_ count: Int) throws(SegmentedReadError) -> UInt64 {
        if count < 0 || count > 64 { throw .outOfRange(count) }
        let start = self
        var value: UInt64 = 0
        for _ in 0..<count {
            guard let bit = bit() else {
                self = start
                throw .endOfData(needed: (count - bitsLeft + 7) / 8, available: remaining)
            }
            value = value << 1 | bit
        }
        return value
    }

    mutating func expGolomb() throws(SegmentedReadError) -> UInt64 {
        let start = self
        var zeros = 0
        while true {
            guard let bit = bit() else {
                self = start
                throw .endOfData(needed: remaining + 1, available: remaining)
            }
            if bit == 1 { break }
            zeros += 1
            if zeros == 64 {
                self = start
                throw .malformedExpGolomb
            }
        }
        guard let rest = try? bits(zeros) else {
            self = start
            throw .endOfData(needed: (2 * zeros + 1 - bitsLeft + 7) / 8, available: remaining)
        }
        // 2^zeros - 1 + rest, which for 63 zeros is at most 2^64 - 2.
        return (1 << UInt64(zeros)) - 1 + rest
    }

    /// By bits of a number in two's complement, 128 of them: nothing can overflow.
    mutating func leb128(bits width: Int, signed: Bool) throws(SegmentedReadError) -> (Int128, Int) {
        var value: Int128 = 0
        let limit = (width + 6) / 7
        for index in 0..<limit {
            if index >= remaining { throw .endOfData(needed: remaining + 1, available: remaining) }
            let byte = bytes[position + index]
            value += Int128(byte % 128) << (7 * index)
            if byte < 128 {
                if signed, byte >= 64 { value -= Int128(1) << (7 * (index + 1)) }
                let smallest = signed ? -(Int128(1) << (width - 1)) : 0
                let largest = (Int128(1) << (signed ? width - 1 : width)) - 1
                if value < smallest || value > largest { throw .malformedLEB128 }
                _ = try take(index + 1)
                return (value, index + 1)
            }
        }
        throw .malformedLEB128
    }

    mutating func text(_ count: Int) throws(SegmentedReadError) -> String {
        let start = self
        let taken = try take(count)
        guard let text = String(validating: taken, as: UTF8.self) else {
            self = start
            throw .malformedUTF8
        }
        return text
    }

    func find(_ delimiter: [UInt8], from offset: Int) -> Int? {
        if offset < 0 || offset > remaining { return nil }
        return (offset...remaining).first { bytes[(position + $0)...].starts(with: delimiter) }
    }

    mutating func seek(_ target: Int) throws(SegmentedReadError) {
        if target < 0 { throw .outOfRange(target) }
        if target > bytes.count { throw .endOfData(needed: target - position, available: remaining) }
        position = target
        bitsLeft = 0
    }

    /// A length and what is behind it.
    mutating func afterLength<Value>(
        _ prefix: LengthPrefix, _ order: ByteOrder, limit: Int,
        _ body: (inout ModelReader, Int) throws(SegmentedReadError) -> Value
    ) throws(SegmentedReadError) -> Value {
        let start = self
        do throws(SegmentedReadError) {
            let length: UInt64 =
                if let byteCount = prefix.byteCount {
                    try unsigned(byteCount, order)
                } else {
                    UInt64(try leb128(bits: 64, signed: false).0)
                }
            if length > UInt64(limit) { throw .lengthOverLimit(length: length, limit: limit) }
            if length > UInt64(remaining) {
                let (needed, overflow) = Int(length).addingReportingOverflow(position - start.position)
                throw .endOfData(needed: overflow ? .max : needed, available: start.remaining)
            }
            return try body(&self, Int(length))
        } catch {
            self = start
            throw error
        }
    }
}
