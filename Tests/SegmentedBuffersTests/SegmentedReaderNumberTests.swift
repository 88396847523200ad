// LEB128, bits and Exp-Golomb codes: every length, the extremes, what is malformed.

import AllocatorTestKit
import Mallow
import Testing

/// LEB128 by dividing, of numbers of 128 bits, so that what the reader does with masks is done another way.
private func encoded(_ value: Int128, signed: Bool) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = value
    while true {
        var digit = rest % 128
        if digit < 0 { digit += 128 }
        rest = (rest - digit) / 128
        let isLast = signed ? (rest == 0 && digit < 64) || (rest == -1 && digit >= 64) : rest == 0
        bytes.append(UInt8(digit) + (isLast ? 0 : 128))
        if isLast { return bytes }
    }
}

@Suite struct SegmentedReaderNumberTests {
    private func check<Value: FixedWidthInteger & BitwiseCopyable>(_ values: [Value], in size: Int) throws {
        let bytes = values.flatMap { encoded(Int128($0), signed: Value.isSigned) }
        var reader = SegmentedReader(segmented(bytes, by: size))
        for value in values {
            let (read, byteCount) = try reader.readLEB128(as: Value.self)
            #expect(read == value)
            #expect(byteCount == encoded(Int128(value), signed: Value.isSigned).count)
        }
        #expect(reader.isAtEnd)
    }

    private func extremes<Value: FixedWidthInteger>(_ random: inout SeededGenerator) -> [Value] {
        var values: [Value] = [.min, .max, 0, 1]
        for shift in 0..<Value.bitWidth {
            let power = Value(truncatingIfNeeded: UInt64(1) << UInt64(shift))
            values += [power, power &- 1, 0 &- power, 0 &- power &- 1, ~power]
        }
        for _ in 0..<50 {
            values.append(
                Value(truncatingIfNeeded: random.next()) >> Value.random(in: 0..<Value(Value.bitWidth), using: &random))
        }
        return values
    }

    @Test(arguments: [1, 2, 3, 7, 64, 100_000])
    func leb128IsWhatAnEncoderWrote(size: Int) throws {
        var random = SeededGenerator(seed: UInt64(size))
        try check(extremes(&random) as [UInt8], in: size)
        try check(extremes(&random) as [Int8], in: size)
        try check(extremes(&random) as [UInt16], in: size)
        try check(extremes(&random) as [Int16], in: size)
        try check(extremes(&random) as [UInt32], in: size)
        try check(extremes(&random) as [Int32], in: size)
        try check(extremes(&random) as [UInt64], in: size)
        try check(extremes(&random) as [Int64], in: size)
    }

    /// A number that is just too large, too small, or too long, for each width; and the longest that is not.
    @Test(arguments: [1, 4, 100])
    func malformedLEB128IsAnError(size: Int) throws {
        func expect<Value: FixedWidthInteger & BitwiseCopyable>(_ bytes: [UInt8], _ expected: Value?) {
            var reader = SegmentedReader(segmented(bytes, by: size))
            if let expected {
                #expect(throws: Never.self) {
                    let (value, byteCount) = try reader.readLEB128(as: Value.self)
                    #expect(value == expected)
                    #expect(byteCount == bytes.count)
                }
            } else {
                #expect(throws: SegmentedReadError.malformedLEB128, "\(bytes) as \(Value.self)") {
                    try reader.readLEB128(as: Value.self)
                }
                #expect(throws: SegmentedReadError.malformedLEB128) { try reader.peekLEB128(as: Value.self) }
                #expect(reader.position == 0)
            }
        }
        func beyond<Value: FixedWidthInteger & BitwiseCopyable>(_: Value.Type) {
            let longest = (Value.bitWidth + 6) / 7
            expect(encoded(Int128(Value.max) + 1, signed: Value.isSigned), nil as Value?)
            expect(encoded(Int128(Value.max) * 128, signed: Value.isSigned), nil as Value?)
            if Value.isSigned {
                expect(encoded(Int128(Value.min) - 1, signed: true), nil as Value?)
                expect(Array(repeating: 0xFF, count: longest - 1) + [0x7F], -1 as Value?)
            }
            // Zeros in front, as many as there may be, and one more; and bytes without an end.
            expect(Array(repeating: 0x80, count: longest - 1) + [0], 0 as Value?)
            expect(Array(repeating: 0x80, count: longest) + [0], nil as Value?)
            expect(Array(repeating: 0x80, count: longest), nil as Value?)
            expect(Array(repeating: 0xFF, count: 40), nil as Value?)
        }
        beyond(UInt8.self)
        beyond(Int8.self)
        beyond(UInt16.self)
        beyond(Int16.self)
        beyond(UInt32.self)
        beyond(Int32.self)
        beyond(UInt64.self)
        beyond(Int64.self)
        for count in 0..<9 {
            var reader = SegmentedReader(segmented(Array(repeating: 0x80, count: count), by: size))
            #expect(throws: SegmentedReadError.endOfData(needed: count + 1, available: count)) {
                try reader.readLEB128(as: Int64.self)
            }
            #expect(reader.position == 0)
        }
    }

    @Test func integersOfEachSize() throws {
        let bytes: [UInt8] = [0x81, 0x02, 0x83, 0x04, 0x85, 0x06, 0x87, 0x88, 0x7F]
        let big: [UInt64] = [
            0x81, 0x8102, 0x81_0283, 0x8102_8304, 0x81_0283_0485, 0x8102_8304_8506, 0x81_0283_0485_0687,
            0x8102_8304_8506_8788,
        ]
        let little: [UInt64] = [
            0x81, 0x0281, 0x83_0281, 0x0483_0281, 0x85_0483_0281, 0x0685_0483_0281, 0x87_0685_0483_0281,
            0x8887_0685_0483_0281,
        ]
        for size in [1, 3, 8, 9] {
            let reader = SegmentedReader(segmented(bytes, by: size))
            for count in 1...8 {
                #expect(try reader.peekUInt64(byteCount: count) == big[count - 1])
                #expect(try reader.peekUInt64(byteCount: count, byteOrder: .little) == little[count - 1])
                let range = count == 8 ? 0 : Int128(1) << Int128(8 * count)
                let value = Int128(big[count - 1])
                #expect(
                    try Int128(reader.peekInt64(byteCount: count)) == (count == 8 ? value - 1 << 64 : value - range))
            }
            #expect(try reader.peekInt64(byteCount: 2, byteOrder: .little) == 0x0281)
            #expect(try reader.peekInt64(byteCount: 1, at: 8) == 127)
            #expect(try reader.peekInteger(as: Int16.self, at: 6) == -0x7878)
            #expect(try reader.peekInteger(as: Int16.self, at: 6, byteOrder: .little) == -0x7779)
            #expect(try reader.peekBytes(2, at: 7) == [0x88, 0x7F])
            #expect(try reader.peekByte(at: 8) == 127)
            #expect(try reader.peekByte(mask: 0xF0) == (0x81, 8))
            #expect(try reader.peekByte(mask: 0) == (0x81, 0))
        }
    }

    // MARK: - Bits

    /// ITU-T H.264, tables 9-2 and 9-3, and the longest codes.
    @Test func expGolombCodes() throws {
        let table: [(code: String, unsigned: UInt64, signed: Int64)] = [
            ("1", 0, 0), ("010", 1, 1), ("011", 2, -1), ("00100", 3, 2), ("00101", 4, -2), ("00110", 5, 3),
            ("00111", 6, -3), ("0001000", 7, 4), ("0001001", 8, -4), ("0001010", 9, 5), ("0001111", 14, -7),
            ("000010000", 15, 8),
            (zeros(31) + "1" + zeros(31), (1 << 31) - 1, 1 << 30),
            (zeros(32) + "1" + zeros(31) + "1", 1 << 32, -(1 << 31)),
            (zeros(63) + "1" + zeros(63), (1 << 63) - 1, 1 << 62),
            (zeros(63) + String(repeating: "1", count: 64), .max - 1, .min + 1),
        ]
        for size in [1, 5, 1000] {
            for offset in 0..<8 {
                let bits = zeros(offset) + table.map { $0.code + $0.code }.joined()
                var reader = SegmentedReader(segmented(packed(bits), by: size))
                try reader.skipBits(offset)
                for (code, unsigned, signed) in table {
                    #expect(try reader.readUnsignedExpGolomb() == unsigned, "\(code)")
                    #expect(try reader.readSignedExpGolomb() == signed, "\(code)")
                }
                #expect(reader.remainingBits < 8)
            }
            for code in [zeros(64) + "1" + zeros(64), zeros(200)] {
                var reader = SegmentedReader(segmented(packed(code), by: size))
                #expect(throws: SegmentedReadError.malformedExpGolomb) { try reader.readUnsignedExpGolomb() }
                #expect(reader.remainingBits == packed(code).count * 8)
            }
            for code in ["", zeros(8), zeros(56), zeros(40) + "1" + zeros(39), zeros(7) + "1"] {
                let bytes = packed(code)
                var reader = SegmentedReader(segmented(bytes, by: size))
                #expect(throws: SegmentedReadError.self) { try reader.readSignedExpGolomb() }
                #expect(reader.remainingBits == bytes.count * 8)
            }
        }
    }

    private func zeros(_ count: Int) -> String { String(repeating: "0", count: count) }

    /// Bits in bytes, the last of which is filled with zeros.
    private func packed(_ bits: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for (index, bit) in bits.enumerated() {
            if index % 8 == 0 { bytes.append(0) }
            if bit == "1" { bytes[index / 8] += 128 >> UInt8(index % 8) }
        }
        return bytes
    }

    /// Whatever reads bytes goes on at the next byte; what reads none leaves the bits.
    @Test func bytesAreReadFromTheNextByteOn() throws {
        var reader = SegmentedReader(segmented([0b1010_0101, 0b1100_0011, 0xFF, 0x01, 0x7E], by: 2))
        #expect(try reader.readBits(3) == 0b101)
        #expect(reader.position == 1)
        #expect(reader.bitsLeftInByte == 5)
        #expect(try reader.readBytes(0) == [])
        #expect(try reader.peekByte() == 0b1100_0011)
        #expect(try reader.peekBits(7) == 0b00_1011_1)
        #expect(reader.bitsLeftInByte == 5)
        #expect(try reader.readByte() == 0b1100_0011)
        #expect(reader.bitsLeftInByte == 0)
        // One byte back from the middle of a byte is its first bit.
        try reader.unread(1)
        #expect(try reader.readBit())
        try reader.unread(1)
        #expect(try reader.readBits(8) == 0b1100_0011)
        // A position that is come to again has no bits left over.
        _ = try reader.readBits(4)
        try reader.seek(to: 0)
        try reader.skip(3)
        #expect(reader.bitsLeftInByte == 0)
        #expect(try reader.readBits(16) == 0x017E)
        try reader.unread(1)
        _ = try reader.readBits(1)
        #expect(reader.remainingBits == 7)
        reader.alignToByte()
        #expect(reader.remainingBits == 0)
        try reader.unread(1)
        _ = try reader.readBits(1)
        reader.moveToEnd()
        #expect(reader.remainingBits == 0)
        try reader.seek(to: 1)
        _ = try reader.readBits(5)
        reader.moveToEnd()
        #expect(reader.remainingBits == 0)
    }
}
