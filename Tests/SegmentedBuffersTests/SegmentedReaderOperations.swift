// Calls of a reader as values, which the model and readers over any segmentation carry out alike.

import AllocatorTestKit
import Mallow

enum ReadOperation {
    case byte, nextByte
    case maskedByte(UInt8)
    case integer(Int, ByteOrder)
    case unsigned(Int, ByteOrder)
    case signed(Int, ByteOrder)
    case several(ByteOrder)
    case leb128(Int, signed: Bool)
    case bits(Int)
    case skipBits(Int)
    case align, expGolomb, signedExpGolomb
    case bytes(Int)
    case into(Int)
    case scatter([Int])
    case wholeScatter([Int])
    case segments(Int)
    case segment
    case ranges(Int)
    case span(Int)
    case string(Int)
    case prefixedString(LengthPrefix, ByteOrder, Int)
    case prefixedBytes(LengthPrefix, ByteOrder)
    case prefixedSegments(LengthPrefix)
    case line
    case skip(Int)
    case unread(Int)
    case seek(Int)
    case end
    case find([UInt8], Int)
    case findByte(UInt8, Int)
    indirect case peek(ReadOperation)

    static func random(_ random: inout SeededGenerator, count: Int) -> ReadOperation {
        func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
        let order: ByteOrder = Bool.random(using: &random) ? .big : .little
        let size = number(0...3) == 0 ? number(-2...count + 2) : number(0...[4, 20, 200][number(0...2)])
        let prefix = [LengthPrefix.oneByte, .twoBytes, .fourBytes, .eightBytes, .leb128].randomElement(using: &random)!
        switch number(0...41) {
        case 0: return .byte
        case 1: return .nextByte
        case 2: return .maskedByte(UInt8.random(in: 0...255, using: &random))
        case 3, 4, 5: return .integer([1, 2, 4, 8, 16].randomElement(using: &random)!, order)
        case 6, 7: return .unsigned(number(-1...9), order)
        case 8, 9: return .signed(number(-1...9), order)
        case 10: return .several(order)
        case 11, 12, 13: return .leb128(8 << number(0...3), signed: Bool.random(using: &random))
        case 14, 15, 16: return .bits(number(-1...65))
        case 17: return .skipBits(number(-1...8 * max(size, 0)))
        case 18: return .align
        case 19, 20: return .expGolomb
        case 21: return .signedExpGolomb
        case 22: return .bytes(size)
        case 23: return .into(max(size, 0))
        case 24: return .scatter((0..<number(0...4)).map { _ in number(0...20) })
        case 25: return .wholeScatter((0..<number(0...4)).map { _ in number(0...20) })
        case 26: return .segments(size)
        case 27: return .segment
        case 28: return .ranges(size)
        case 29: return .span(size)
        case 30: return .string(size)
        case 31: return .prefixedString(prefix, order, [Int.max, 40].randomElement(using: &random)!)
        case 32: return .prefixedBytes(prefix, order)
        case 33: return .prefixedSegments(prefix)
        case 34: return .line
        case 35: return .skip(size)
        case 36, 37: return .unread(size)
        case 38: return .seek(number(-1...count + 1))
        case 39: return number(0...9) == 0 ? .end : .seek(number(0...count / 2))
        case 40: return .findByte(UInt8.random(in: 0...255, using: &random), number(-1...20))
        default:
            let delimiters: [[UInt8]] = [[], [13, 10], [0, 0, 1], [0, 0, 0, 0], Array("€😀".utf8)]
            return .find(delimiters.randomElement(using: &random)!, number(-1...20))
        }
    }
}

extension ModelReader {
    mutating func outcome(of operation: ReadOperation) -> ReadOutcome {
        do throws(SegmentedReadError) { return try result(of: operation) } catch { return .error(error) }
    }

    private mutating func result(of operation: ReadOperation) throws(SegmentedReadError) -> ReadOutcome {
        switch operation {
        case .byte: return .bytes(try take(1))
        case .nextByte: return remaining == 0 ? .count(nil) : .count(Int(try take(1)[0]))
        case .maskedByte(let mask):
            let byte = try take(1)[0]
            // Bit by bit.
            var bits: UInt8 = 0
            for bit in (0..<8).reversed() where mask >> bit & 1 == 1 {
                bits = bits << 1 | byte >> bit & 1
                if bit > 0, mask & (1 << bit - 1) != 0 {
                    // Zeros of the mask between its ones stay in place.
                    var lower = bit - 1
                    while mask >> lower & 1 == 0 {
                        bits <<= 1
                        lower -= 1
                    }
                }
            }
            return .bytes([byte, bits])
        case .integer(let size, let order):
            if size < 16 { return .unsigned(try unsigned(size, order)) }
            let taken = try take(16)
            return .bytes(order == .big ? taken : taken.reversed())
        case .unsigned(let size, let order): return .unsigned(try unsigned(size, order))
        case .signed(let size, let order): return .signed(try signed(size, order))
        case .several(let order):
            if remaining < 7 { throw .endOfData(needed: 7, available: remaining) }
            let values = [try unsigned(1, order), try unsigned(2, order), try unsigned(4, order)]
            return .text("\(values)")
        case .leb128(let width, let signed):
            let (value, byteCount) = try leb128(bits: width, signed: signed)
            return .number(Int64(truncatingIfNeeded: value), byteCount: byteCount)
        case .bits(let count): return .unsigned(try bits(count))
        case .skipBits(let count):
            if count < 0 { throw .outOfRange(count) }
            let start = self
            for _ in 0..<count where bit() == nil {
                self = start
                throw .endOfData(needed: (count - bitsLeft + 7) / 8, available: remaining)
            }
            return .nothing
        case .align:
            bitsLeft = 0
            return .nothing
        case .expGolomb: return .unsigned(try expGolomb())
        case .signedExpGolomb:
            let code = Int128(try expGolomb())
            return .signed(Int64(code % 2 == 1 ? (code + 1) / 2 : -(code / 2)))
        case .bytes(let count), .segments(let count), .ranges(let count), .span(let count):
            return .bytes(try take(count))
        case .into(let count): return .bytes(try take(min(count, remaining)))
        case .scatter(let sizes): return .bytes(try take(min(sizes.reduce(0, +), remaining)))
        case .wholeScatter(let sizes): return .bytes(try take(sizes.reduce(0, +)))
        // What a segment is, only the reader knows.
        case .segment: return .nothing
        case .string(let count): return .text(try text(count))
        case .prefixedString(let prefix, let order, let limit):
            return .text(
                try afterLength(prefix, order, limit: limit) { (reader, count) throws(SegmentedReadError) in
                    try reader.text(count)
                })
        case .prefixedBytes(let prefix, let order):
            return .bytes(
                try afterLength(prefix, order, limit: .max) { (reader, count) throws(SegmentedReadError) in
                    try reader.take(count)
                })
        case .prefixedSegments(let prefix):
            return .bytes(
                try afterLength(prefix, .big, limit: .max) { (reader, count) throws(SegmentedReadError) in
                    try reader.take(count)
                })
        case .line:
            guard let count = find([13, 10], from: 0) else {
                throw .endOfData(needed: max(remaining + 1, 2), available: remaining)
            }
            let line = try text(count)
            _ = try take(2)
            return .text(line)
        case .skip(let count):
            _ = try take(count)
            return .nothing
        case .unread(let count):
            if count < 0 || count > position { throw .outOfRange(count) }
            try seek(position - count)
            return .nothing
        case .seek(let target):
            try seek(target)
            return .nothing
        case .end:
            try seek(bytes.count)
            return .nothing
        case .find(let delimiter, let offset): return .count(find(delimiter, from: offset))
        case .findByte(let byte, let offset): return .count(find([byte], from: offset))
        case .peek(let operation):
            var copy = self
            return try copy.result(of: operation)
        }
    }
}

extension SegmentedReader {
    mutating func outcome(of operation: ReadOperation) -> ReadOutcome {
        do throws(SegmentedReadError) { return try result(of: operation) } catch { return .error(error) }
    }

    private mutating func result(of operation: ReadOperation) throws(SegmentedReadError) -> ReadOutcome {
        switch operation {
        case .byte: return .bytes([try readByte()])
        case .nextByte: return .count(nextByte().map(Int.init))
        case .maskedByte(let mask):
            let (byte, bits) = try readByte(mask: mask)
            return .bytes([byte, bits])
        case .integer(1, let order): return .unsigned(UInt64(try readInteger(as: UInt8.self, byteOrder: order)))
        case .integer(2, let order): return .unsigned(UInt64(try readInteger(as: UInt16.self, byteOrder: order)))
        case .integer(4, let order): return .unsigned(UInt64(try readInteger(as: UInt32.self, byteOrder: order)))
        case .integer(8, let order):
            return .unsigned(UInt64(bitPattern: try readInteger(as: Int64.self, byteOrder: order)))
        case .integer(_, let order):
            let value = try readInteger(as: UInt128.self, byteOrder: order)
            return .bytes((0..<16).map { UInt8(truncatingIfNeeded: value >> (120 - 8 * $0)) })
        case .unsigned(let size, let order): return .unsigned(try readUInt64(byteCount: size, byteOrder: order))
        case .signed(let size, let order): return .signed(try readInt64(byteCount: size, byteOrder: order))
        case .several(let order):
            let values = try readIntegers(as: UInt8.self, UInt16.self, UInt32.self, byteOrder: order)
            return .text("\([UInt64(values.0), UInt64(values.1), UInt64(values.2)])")
        case .leb128(let width, let signed): return try number(width, signed)
        case .bits(let count): return .unsigned(try readBits(count))
        case .skipBits(let count):
            try skipBits(count)
            return .nothing
        case .align:
            alignToByte()
            return .nothing
        case .expGolomb: return .unsigned(try readUnsignedExpGolomb())
        case .signedExpGolomb: return .signed(try readSignedExpGolomb())
        case .bytes(let count): return .bytes(try readBytes(count))
        case .segments(let count): return .bytes(collected(try readSegments(count)))
        case .ranges(let count): return .bytes(try readRanges(count).flatMap { Array($0) })
        case .span(let count):
            var scratch: [UInt8] = [9]
            let span = try readSpan(count, scratch: &scratch)
            return .bytes(span.withUnsafeBytes { Array($0) })
        case .into(let count): return .bytes(filled([count]) { $0.read(into: $1[0]) })
        case .scatter(let sizes): return .bytes(filled(sizes) { $0.read(into: $1) })
        case .wholeScatter(let sizes):
            return .bytes(
                try filled(sizes) { (reader, places) throws(SegmentedReadError) in
                    try reader.readWhole(into: places)
                    return sizes.reduce(0, +)
                })
        case .segment: return .nothing
        case .string(let count): return .text(try readString(count))
        case .prefixedString(let prefix, let order, let limit):
            return .text(try readString(lengthPrefix: prefix, byteOrder: order, limit: limit))
        case .prefixedBytes(let prefix, let order):
            return .bytes(try readBytes(lengthPrefix: prefix, byteOrder: order))
        case .prefixedSegments(let prefix): return .bytes(collected(try readSegments(lengthPrefix: prefix)))
        case .line: return .text(try readString(upTo: "\r\n"))
        case .skip(let count):
            try skip(count)
            return .nothing
        case .unread(let count):
            try unread(count)
            return .nothing
        case .seek(let target):
            try seek(to: target)
            return .nothing
        case .end:
            moveToEnd()
            return .nothing
        case .find(let delimiter, let offset): return .count(find(delimiter, from: offset))
        case .findByte(let byte, let offset): return .count(find(byte, from: offset))
        case .peek(let operation): return try peeked(operation)
        }
    }

    private mutating func number(_ width: Int, _ signed: Bool) throws(SegmentedReadError) -> ReadOutcome {
        func outcome<Value: FixedWidthInteger>(_ result: (value: Value, byteCount: Int)) -> ReadOutcome {
            .number(Int64(truncatingIfNeeded: result.value), byteCount: result.byteCount)
        }
        switch (width, signed) {
        case (8, false): return outcome(try readLEB128(as: UInt8.self))
        case (8, true): return outcome(try readLEB128(as: Int8.self))
        case (16, false): return outcome(try readLEB128(as: UInt16.self))
        case (16, true): return outcome(try readLEB128(as: Int16.self))
        case (32, false): return outcome(try readLEB128(as: UInt32.self))
        case (32, true): return outcome(try readLEB128(as: Int32.self))
        case (_, false): return outcome(try readLEB128(as: UInt64.self))
        default: return outcome(try readLEB128(as: Int64.self))
        }
    }

    /// By the call that peeks, where there is one.
    private func peeked(_ operation: ReadOperation) throws(SegmentedReadError) -> ReadOutcome {
        switch operation {
        case .byte: return .bytes([try peekByte()])
        case .maskedByte(let mask):
            let (byte, bits) = try peekByte(mask: mask)
            return .bytes([byte, bits])
        case .integer(4, let order): return .unsigned(UInt64(try peekInteger(as: UInt32.self, byteOrder: order)))
        case .unsigned(let size, let order): return .unsigned(try peekUInt64(byteCount: size, byteOrder: order))
        case .signed(let size, let order): return .signed(try peekInt64(byteCount: size, byteOrder: order))
        case .leb128(64, true):
            let (value, byteCount) = try peekLEB128(as: Int64.self)
            return .number(value, byteCount: byteCount)
        case .bits(let count): return .unsigned(try peekBits(count))
        case .bytes(let count): return .bytes(try peekBytes(count))
        case .segments(let count): return .bytes(collected(try peekSegments(count)))
        case .ranges(let count): return .bytes(try ranges(count).flatMap { Array($0) })
        case .span(let count):
            var scratch: [UInt8] = []
            let span = try peekSpan(count, scratch: &scratch)
            return .bytes(span.withUnsafeBytes { Array($0) })
        case .into(let count):
            var copy = self
            return .bytes(copy.filled([count]) { $0.peek(into: $1[0]) })
        case .string(let count): return .text(try peekString(count))
        default:
            return try peek { (reader) throws(SegmentedReadError) in try reader.result(of: operation) }
        }
    }

    /// What a closure puts into places of some sizes, of which it says how many bytes it filled.
    private mutating func filled(
        _ sizes: [Int],
        _ body: (inout SegmentedReader, [UnsafeMutableRawBufferPointer]) throws(SegmentedReadError) -> Int
    ) throws(SegmentedReadError) -> [UInt8] {
        let places = sizes.map { UnsafeMutableRawBufferPointer.allocate(byteCount: $0, alignment: 1) }
        defer { for place in places { place.deallocate() } }
        let count = try body(&self, places)
        return Array(places.flatMap { Array($0) }.prefix(count))
    }

    private mutating func filled(
        _ sizes: [Int], _ body: (inout SegmentedReader, [UnsafeMutableRawBufferPointer]) -> Int
    ) -> [UInt8] {
        let places = sizes.map { UnsafeMutableRawBufferPointer.allocate(byteCount: $0, alignment: 1) }
        defer { for place in places { place.deallocate() } }
        let count = body(&self, places)
        return Array(places.flatMap { Array($0) }.prefix(count))
    }
}

/// The bytes of a buffer, read by its segments.
func collected(_ buffer: SegmentedBuffer) -> [UInt8] {
    SegmentedReader(buffer).ranges.flatMap { Array($0) }
}
