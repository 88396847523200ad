// What a writer writes, against bytes that are put together by hand, and read back by a reader.

import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

@Suite struct SegmentedWriterTests {
    /// Known bytes.
    @Test func bytes() throws {
        var writer = SegmentedWriter()
        writer.writeInteger(UInt32(0x0102_0304))
        writer.writeInteger(Int16(-2), byteOrder: .little)
        writer.writeIntegers(UInt8(5), UInt16(0x0607), byteOrder: .little)
        writer.writeUInt64(0x0a0b0c, byteCount: 3)
        writer.writeUInt64(0x0a0b0c, byteCount: 3, byteOrder: .little)
        writer.writeInt64(-2, byteCount: 5)
        var sizes = [writer.writeLEB128(UInt32(624_485)), writer.writeLEB128(-123_456)]
        sizes.append(writer.writeLEB128(UInt8(0)))
        #expect(sizes == [3, 3, 1])
        writer.writeString("hé")
        try writer.writeString("ab", lengthPrefix: .twoBytes, byteOrder: .little)
        try writer.writeString("ab", lengthPrefix: .leb128)
        try writer.writeString("abc", byteCount: 5, padding: 0x20)
        writer.writeRepeating(9, count: 2)
        try writer.writeBytes([7], lengthPrefix: .oneByte)
        let count = writer.count
        let expected: [UInt8] =
            [1, 2, 3, 4, 0xfe, 0xff, 5, 7, 6, 0x0a, 0x0b, 0x0c, 0x0c, 0x0b, 0x0a, 0xff, 0xff, 0xff, 0xff, 0xfe]
            + [0xe5, 0x8e, 0x26, 0xc0, 0xbb, 0x78, 0, 0x68, 0xc3, 0xa9, 2, 0, 0x61, 0x62, 2, 0x61, 0x62]
            + [0x61, 0x62, 0x63, 0x20, 0x20, 9, 9, 1, 7]
        let buffer = try writer.finish()
        #expect([UInt8](buffer) == expected && count == expected.count)
    }

    @Test func bits() throws {
        var writer = SegmentedWriter()
        writer.writeBits(0b101, count: 3)
        let (left, bytes) = (writer.bitsLeftInByte, writer.count)
        #expect(left == 5 && bytes == 1)
        writer.writeBits(0xff_01, count: 5)
        writer.writeBits(0x1234_5678_9abc_def0, count: 64)
        writer.writeBit(true)
        writer.writeBits(0, count: 0)
        // Whole bytes begin anew.
        writer.writeByte(0xee)
        writer.writeBit(true)
        writer.alignToByte()
        writer.writeBits(.max, count: 4)
        writer.writeSegment(Segment(sharing: [0x11]))
        // The byte before is another's.
        writer.writeBits(3, count: 2)
        for value in 0..<UInt64(4) { writer.writeUnsignedExpGolomb(value) }
        writer.alignToByte()
        for value in [0, 1, -1, 2, -2] as [Int64] { writer.writeSignedExpGolomb(value) }
        let expected: [UInt8] =
            [0b1010_0001, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x80, 0xee, 0x80, 0xf0, 0x11]
            // 11, 1 010 011 00100; 1 010 011 00100 00101
            + [0b1110_1001, 0b1001_0000, 0b1010_0110, 0b0100_0010, 0b1000_0000]
        let buffer = try writer.finish()
        #expect([UInt8](buffer) == expected)
    }

    /// One thing of every kind that is written, and how it is read.
    enum Item: Equatable {
        case integer(UInt64, byteCount: Int, ByteOrder)
        case signed(Int64, byteCount: Int, ByteOrder)
        case fixed(UInt32, ByteOrder)
        case unsignedLEB(UInt64)
        case signedLEB(Int64)
        case bits(UInt64, count: Int)
        case unsignedGolomb(UInt64)
        case signedGolomb(Int64)
        case string(String, LengthPrefix)
        case bytes([UInt8])
        case segments([UInt8])
        /// Bytes with a length of their own, beside others' segments, and the length of both in front.
        case nested([UInt8], LengthPrefix, foreign: [UInt8], isFirst: Bool)

        static func random(_ random: inout SeededGenerator) -> Item {
            let order: ByteOrder = random.flip(50) ? .big : .little
            let prefix = [LengthPrefix.oneByte, .twoBytes, .fourBytes, .eightBytes, .leb128][random.pick(5)]
            // As often small as large.
            let value = random.next() >> UInt64(random.pick(64))
            let signed = Int64(bitPattern: random.next()) >> Int64(random.pick(64))
            let byteCount = 1 + random.pick(8)
            let unused = 64 - 8 * byteCount
            switch random.pick(12) {
            case 0: return .integer((value << UInt64(unused)) >> UInt64(unused), byteCount: byteCount, order)
            case 1: return .signed((signed << Int64(unused)) >> Int64(unused), byteCount: byteCount, order)
            case 2: return .fixed(UInt32(truncatingIfNeeded: value), order)
            case 3: return .unsignedLEB(value)
            case 4: return .signedLEB(signed)
            case 5:
                let count = random.pick(65)
                return .bits(count == 64 ? value : value & ((1 << UInt64(count)) - 1), count: count)
            case 6: return .unsignedGolomb(value == .max ? 0 : value)
            case 7: return .signedGolomb(signed == .min ? 0 : signed)
            case 8: return .string(String(repeating: "añ🙂", count: random.pick(12)), prefix)
            case 9: return .bytes(random.bytes(random.pick(70)))
            case 10: return .segments(random.bytes(random.pick(70)))
            default:
                return .nested(
                    random.bytes(random.pick(60)), prefix, foreign: random.bytes(random.pick(30)),
                    isFirst: random.flip(50))
            }
        }

        func write(_ writer: inout SegmentedWriter, _ random: inout SeededGenerator, _ ledger: Ledger) throws {
            switch self {
            case .integer(let value, let count, let order):
                writer.writeUInt64(value, byteCount: count, byteOrder: order)
            case .signed(let value, let count, let order):
                writer.writeInt64(value, byteCount: count, byteOrder: order)
            case .fixed(let value, let order): writer.writeInteger(value, byteOrder: order)
            case .unsignedLEB(let value): writer.writeLEB128(value)
            case .signedLEB(let value): writer.writeLEB128(value)
            case .bits(let value, let count): writer.writeBits(value, count: count)
            case .unsignedGolomb(let value): writer.writeUnsignedExpGolomb(value)
            case .signedGolomb(let value): writer.writeSignedExpGolomb(value)
            case .string(let text, let prefix): try writer.writeString(text, lengthPrefix: prefix)
            case .bytes(let bytes): writer.writeBytes(bytes)
            case .segments(let bytes): writer.writeSegments(try random.cut(bytes, ledger, largest: 30))
            case .nested(let bytes, let prefix, let others, let isFirst):
                let foreign = try random.cut(others, ledger)
                try writer.writeLengthPrefixed(prefix) { writer in
                    if isFirst { writer.writeSegments(foreign) }
                    do {
                        try writer.writeLengthPrefixed(.leb128) { $0.writeBytes(bytes) }
                    } catch {
                        Issue.record(error)
                    }
                    if !isFirst { writer.writeSegments(foreign) }
                }
            }
        }

        /// Reads what should be there.
        func check(_ reader: inout SegmentedReader) throws {
            switch self {
            case .integer(let value, let count, let order):
                #expect(try reader.readUInt64(byteCount: count, byteOrder: order) == value)
            case .signed(let value, let count, let order):
                #expect(try reader.readInt64(byteCount: count, byteOrder: order) == value)
            case .fixed(let value, let order):
                #expect(try reader.readInteger(as: UInt32.self, byteOrder: order) == value)
            case .unsignedLEB(let value): #expect(try reader.readLEB128(as: UInt64.self).value == value)
            case .signedLEB(let value): #expect(try reader.readLEB128(as: Int64.self).value == value)
            case .bits(let value, let count): #expect(try reader.readBits(count) == value)
            case .unsignedGolomb(let value): #expect(try reader.readUnsignedExpGolomb() == value)
            case .signedGolomb(let value): #expect(try reader.readSignedExpGolomb() == value)
            case .string(let text, let prefix): #expect(try reader.readString(lengthPrefix: prefix) == text)
            case .bytes(let bytes), .segments(let bytes): #expect(try reader.readBytes(bytes.count) == bytes)
            case .nested(let bytes, let prefix, let foreign, let isFirst):
                var reader = SegmentedReader(try reader.readSegments(lengthPrefix: prefix))
                if isFirst { #expect(try reader.readBytes(foreign.count) == foreign) }
                #expect(try reader.readBytes(lengthPrefix: .leb128) == bytes)
                if !isFirst { #expect(try reader.readBytes(foreign.count) == foreign) }
                #expect(reader.isAtEnd)
            }
        }
    }

    /// Random items in segments of several sizes, read back from them, and from the same bytes in one.
    @Test(arguments: [16, 17, 64, 992, 20_000]) func readBack(segmentSize: Int) throws {
        let ledger = Ledger()
        var random = SeededGenerator(seed: UInt64(segmentSize))
        for round in 0..<25 {
            var writer =
                round % 2 == 0
                ? SegmentedWriter(segmentSize: segmentSize)
                : SegmentedWriter(segmentSize: segmentSize, allocator: ledger.allocator)
            var items: [Item] = []
            for _ in 0..<40 {
                let item = Item.random(&random)
                try item.write(&writer, &random, ledger)
                items.append(item)
            }
            let count = writer.count
            let buffer = try writer.finish()
            #expect(buffer.count == count && buffer.brokenInvariant() == nil)
            for buffer in [buffer, buffer.contiguous()] {
                var reader = SegmentedReader(buffer)
                for item in items { try item.check(&reader) }
                #expect(reader.isAtEnd)
            }
        }
        #expect(ledger.isSettled)
    }

    @Test func extremes() throws {
        var writer = SegmentedWriter(segmentSize: 16)
        let unsigned: [UInt64] = [0, 1, 0x7f, 0x80, 1 << 32, (1 << 32) - 2, .max - 1]
        let signed: [Int64] = [0, -1, 63, 64, -64, -65, .max, .min + 1]
        for value in unsigned {
            writer.writeLEB128(value)
            writer.writeUnsignedExpGolomb(value)
            writer.writeInteger(value)
        }
        for value in signed {
            writer.writeLEB128(value)
            writer.writeSignedExpGolomb(value)
            writer.writeInt64(value, byteCount: 8)
        }
        writer.writeLEB128(UInt64.max)
        writer.writeLEB128(Int64.min)
        writer.writeLEB128(Int8.min)
        var reader = SegmentedReader(try writer.finish())
        for value in unsigned {
            #expect(try reader.readLEB128(as: UInt64.self).value == value)
            #expect(try reader.readUnsignedExpGolomb() == value)
            #expect(try reader.readInteger(as: UInt64.self) == value)
        }
        for value in signed {
            #expect(try reader.readLEB128(as: Int64.self).value == value)
            #expect(try reader.readSignedExpGolomb() == value)
            #expect(try reader.readInt64(byteCount: 8) == value)
        }
        #expect(try reader.readLEB128(as: UInt64.self).value == .max)
        #expect(try reader.readLEB128(as: Int64.self).value == .min)
        #expect(try reader.readLEB128(as: Int8.self).value == .min)
        #expect(reader.isAtEnd)
    }

    /// What was given out does not change, and the writer goes on in the same memory.
    @Test func givenOutInParts() throws {
        var writer = SegmentedWriter(segmentSize: 64)
        writer.writeRepeating(1, count: 10)
        writer.writeBits(1, count: 1)
        var first = try writer.takeBuffer()
        // The room behind belongs to the writer.
        first.append(copying: [9])
        writer.writeBits(1, count: 1)
        writer.writeRepeating(2, count: 10)
        let second = try writer.takeBuffer()
        #expect(first == [UInt8](repeating: 1, count: 10) + [0x80, 9])
        #expect(second == [0x80] + [UInt8](repeating: 2, count: 10))
        #expect(second[segment: 0].sharesMemory(with: first[segment: 0]))
        let rest = try writer.finish()
        #expect(rest.isEmpty)
    }

    @Test func lengthsThatAreTooLarge() throws {
        var writer = SegmentedWriter(segmentSize: 64)
        writer.writeByte(1)
        let long = String(repeating: "x", count: 256)
        var found = tooLong(&writer) { writer throws(SegmentedWriteError) in
            try writer.writeString(long, lengthPrefix: .oneByte)
        }
        #expect(found == 256)
        found = tooLong(&writer) { writer throws(SegmentedWriteError) in
            try writer.writeString("abc", byteCount: 2)
        }
        #expect(found == 3)
        found = tooLong(&writer) { writer throws(SegmentedWriteError) in
            try writer.writeLengthPrefixed(.oneByte) { $0.writeRepeating(7, count: 300) }
        }
        #expect(found == 300)
        found = tooLong(&writer) { writer throws(SegmentedWriteError) in
            try writer.writeLengthPrefixed(.oneByte) { $0.writeRepeating(7, count: 255) }
        }
        #expect(found == nil)
        let buffer = try writer.finish()
        #expect([UInt8](buffer) == [1, 255] + [UInt8](repeating: 7, count: 255))
    }

    private func tooLong(
        _ writer: inout SegmentedWriter, _ body: (inout SegmentedWriter) throws(SegmentedWriteError) -> Void
    ) -> Int? {
        do throws(SegmentedWriteError) {
            try body(&writer)
            return nil
        } catch {
            guard case .tooLong(let count, _) = error else { return nil }
            return count
        }
    }

    /// Bits that there is no memory for are written nowhere: not into what was given out before.
    @Test(arguments: [0, 1]) func refusedBits(segments: Int) throws {
        let ledger = Ledger()
        ledger.allocator.plan = .request(segments + 1)
        var writer = SegmentedWriter(segmentSize: 16, allocator: ledger.allocator)
        var taken = SegmentedBuffer()
        if segments > 0 {
            writer.writeRepeating(0x80, count: 16)
            taken = try writer.takeBuffer()
        }
        writer.writeBits(0, count: 3)
        writer.writeBits(31, count: 5)
        #expect(taken == [UInt8](repeating: 0x80, count: 16 * segments))
        #expect(writer.error != nil)
    }

    /// A segment that is refused ends the writing, at every n-th, and all memory goes back.
    @Test func refusedMemory() throws {
        for number in 1...12 {
            let ledger = Ledger()
            ledger.allocator.plan = .request(number)
            do {
                var writer = SegmentedWriter(segmentSize: 16, allocator: ledger.allocator)
                for value in 0..<UInt64(20) {
                    writer.writeInteger(value)
                    writer.writeLEB128(value)
                    writer.writeBits(value, count: 7)
                    let place = writer.reserve(2)
                    writer.patch(place, withLength: 5)
                    try writer.writeLengthPrefixed(.leb128) { $0.writeString("abc") }
                }
                let reason = writer.error?.reason
                #expect(reason == .outOfMemory)
                do throws(AllocationError) {
                    _ = try writer.takeBuffer()
                    Issue.record("a buffer with a hole")
                } catch {
                    #expect(error.reason == .outOfMemory)
                }
                // It can be used again.
                writer.writeInteger(UInt16(3))
                let buffer = try writer.finish()
                #expect([UInt8](buffer) == [0, 3])
            }
            #expect(ledger.isSettled)
        }
    }
}
