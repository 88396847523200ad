// What a reader promises, call by call: values, positions, errors after which it has not moved.

import Mallow
import Testing

@Suite struct SegmentedReaderTests {
    private let digits = Array("0123456789".utf8)

    /// Everything that throws, with the reader over segments of each size: it stays where it is, to the bit.
    @Test(arguments: [1, 3, 10])
    func errorsLeaveTheReaderWhereItWas(size: Int) throws {
        var reader = SegmentedReader(segmented(digits, by: size))
        try reader.skip(7)
        _ = try reader.readBits(3)
        let short = SegmentedReadError.endOfData(needed: 4, available: 2)
        func expect(_ error: SegmentedReadError, _ body: (inout SegmentedReader) throws -> Void) {
            #expect(throws: error) { try body(&reader) }
            #expect(reader.position == 8)
            #expect(reader.bitsLeftInByte == 5)
        }
        expect(short) { _ = try $0.readInteger(as: UInt32.self) }
        expect(short) { _ = try $0.readUInt64(byteCount: 4) }
        expect(short) { _ = try $0.readIntegers(as: UInt8.self, UInt16.self, UInt8.self) }
        expect(short) { _ = try $0.readBytes(4) }
        expect(short) { _ = try $0.readSegments(4) }
        expect(short) { _ = try $0.readString(4) }
        expect(short) { _ = try $0.ranges(4) }
        expect(short) { _ = try $0.readRanges(4) }
        expect(short) { try $0.skip(4) }
        expect(short) { _ = try $0.peekBytes(4) }
        expect(short) { _ = try $0.peekInteger(as: UInt16.self, at: 2) }
        expect(short) { try $0.seek(to: 12) }
        expect(.endOfData(needed: 3, available: 2)) { _ = try $0.readBits(22) }
        expect(.endOfData(needed: 3, available: 2)) { try $0.skipBits(22) }
        expect(.endOfData(needed: 3, available: 2)) { _ = try $0.readString(upTo: "\n") }
        expect(.endOfData(needed: 1 + 56, available: 2)) { _ = try $0.readString(lengthPrefix: .oneByte) }
        expect(.lengthOverLimit(length: 56, limit: 55)) { _ = try $0.readBytes(lengthPrefix: .leb128, limit: 55) }
        expect(.lengthOverLimit(length: 56, limit: -1)) { _ = try $0.readBytes(lengthPrefix: .leb128, limit: -1) }
        for count in [-1, .min] {
            expect(.outOfRange(count)) { try $0.skip(count) }
            expect(.outOfRange(count)) { try $0.unread(count) }
            expect(.outOfRange(count)) { try $0.seek(to: count) }
            expect(.outOfRange(count)) { _ = try $0.readBytes(count) }
            expect(.outOfRange(count)) { _ = try $0.readString(count) }
            expect(.outOfRange(count)) { _ = try $0.readSegments(count) }
            expect(.outOfRange(count)) { _ = try $0.readBits(count) }
            expect(.outOfRange(count)) { try $0.skipBits(count) }
            expect(.outOfRange(count)) { _ = try $0.readUInt64(byteCount: count) }
            expect(.outOfRange(count)) { _ = try $0.peekByte(at: count) }
            #expect(reader.find(48, from: count) == nil)
            expect(.outOfRange(count)) { try $0.withRanges(count) { _ in Issue.record("called") } }
        }
        let all = Int.max
        expect(.endOfData(needed: all, available: 2)) { try $0.skip(all) }
        expect(.endOfData(needed: all, available: 2)) { _ = try $0.readBytes(all) }
        expect(.endOfData(needed: all, available: 2)) { _ = try $0.peekByte(at: all) }
        expect(.endOfData(needed: all / 8 + 1, available: 2)) { try $0.skipBits(all) }
        expect(.outOfRange(all)) { try $0.unread(all) }
        expect(.endOfData(needed: 2 + 10, available: 2)) {
            try $0.attempt { reader in
                try reader.skip(2)
                throw SegmentedReadError.endOfData(needed: 12, available: 2)
            }
        }
        // What can be read still can.
        #expect(try reader.readBits(5) == 0b10111)
        #expect(try reader.readBytes(2) == Array("89".utf8))
        #expect(reader.isAtEnd)
        #expect(reader.nextByte() == nil)
    }

    /// Strings that are none: cut codes, codes that are too long, surrogates, and bytes that begin nothing.
    @Test(arguments: [1, 2, 100])
    func stringsAreChecked(size: Int) throws {
        let wrong: [[UInt8]] = [
            [0x80], [0xC3], [0xC0, 0x80], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFF],
            [0x61, 0xF0, 0x9F, 0x98],
        ]
        for bytes in wrong {
            var reader = SegmentedReader(segmented([UInt8(bytes.count)] + bytes + [10], by: size))
            #expect(throws: SegmentedReadError.malformedUTF8) { try reader.readString(lengthPrefix: .oneByte) }
            #expect(reader.position == 0)
            try reader.skip(1)
            #expect(throws: SegmentedReadError.malformedUTF8) { try reader.readString(upTo: "\n") }
            #expect(reader.position == 1)
        }
        var reader = SegmentedReader(segmented([4] + Array("\u{1F600}z\0".utf8), by: size))
        #expect(try reader.readString(lengthPrefix: .leb128) == "\u{1F600}")
        #expect(try reader.readString(upTo: "\0") == "z")
        #expect(try reader.readString(0).isEmpty)
    }

    @Test(arguments: [1, 3, 100])
    func fieldsOfAFixedSize(size: Int) throws {
        var reader = SegmentedReader(segmented(Array("a b  \0\0\0\0é\0x\0".utf8) + [0xC3, 0], by: size))
        #expect(throws: SegmentedReadError.endOfData(needed: 17, available: 16)) {
            try reader.readString(byteCount: 17)
        }
        #expect(try reader.readString(byteCount: 5, padding: 32) == "a b")
        #expect(try reader.readString(byteCount: 4).isEmpty)
        #expect(try reader.readString(byteCount: 5) == "é\0x")
        #expect(throws: SegmentedReadError.malformedUTF8) { try reader.readString(byteCount: 2) }
        #expect(reader.remaining == 2)
        #expect(try reader.readString(byteCount: 0).isEmpty)
        #expect(throws: SegmentedReadError.outOfRange(-3)) { try reader.readString(byteCount: -3) }
    }

    @Test func readersDoNotDependOnEachOtherNorOnTheBuffer() throws {
        var buffer = segmented(digits, by: 4)
        var first = SegmentedReader(buffer)
        var second = try SegmentedReader(buffer, at: 5)
        _ = try first.readBytes(3)
        let copy = first
        buffer.push(segment([33]))
        buffer.replaceSegment(0, with: segment([1, 2]))
        buffer.removeFirst(5)
        buffer = SegmentedBuffer()
        #expect(try first.readBytes(7) == Array("3456789".utf8))
        #expect(try second.readBytes(5) == Array("56789".utf8))
        #expect(copy.position == 3)
        first = copy
        #expect(try first.readByte() == UInt8(ascii: "3"))
        // Bytes that are put into a buffer later are not the reader's, in whatever room.
        var grown = digits.withUnsafeBytes { SegmentedBuffer(copying: $0, capacity: 100) }
        let reader = SegmentedReader(grown)
        grown.append(copying: digits)
        #expect(reader.count == 10)
        #expect(grown.count == 20)
        #expect(throws: SegmentedReadError.endOfData(needed: 31, available: 20)) { try SegmentedReader(grown, at: 31) }
        #expect(throws: SegmentedReadError.outOfRange(-1)) { try SegmentedReader(grown, at: -1) }
        #expect(try SegmentedReader(grown, at: 20).isAtEnd)
    }

    /// What isn't copied lies where the segments do.
    @Test func bytesInOneSegmentAreNotCopied() throws {
        let buffer = segmented(digits, sizes: [6, 4])
        let places = SegmentedReader(buffer).ranges.map { $0.baseAddress }
        #expect(places.count == 2)
        var reader = SegmentedReader(buffer)
        var scratch: [UInt8] = []
        func place(of span: RawSpan) -> UnsafeRawPointer? { span.withUnsafeBytes { $0.baseAddress } }
        func bytes(of span: RawSpan) -> [UInt8] { span.withUnsafeBytes { Array($0) } }
        let read = place(of: try reader.readSpan(2, scratch: &scratch))
        #expect(read == places[0])
        let peeked = place(of: try reader.peekSpan(4, scratch: &scratch))
        #expect(peeked == places[0]! + 2)
        let current = place(of: reader.currentSpan)
        #expect(current == places[0]! + 2)
        #expect(scratch.isEmpty)
        let crossing = bytes(of: try reader.readSpan(5, scratch: &scratch))
        #expect(crossing == Array("23456".utf8))
        #expect(scratch.count == 5)
        // A closure that throws takes the reading back, to the bit.
        try reader.seek(to: 3)
        _ = try reader.readBits(2)
        #expect(throws: SegmentedReadError.malformedUTF8) {
            try reader.readSpan(5, scratch: &scratch) { _ throws(SegmentedReadError) in throw .malformedUTF8 }
        }
        #expect(reader.position == 4)
        #expect(reader.bitsLeftInByte == 6)
        let sum = try reader.readSpan(5, scratch: &scratch) { span in bytes(of: span).reduce(0) { $0 + Int($1) } }
        #expect(sum == 4 + 5 + 6 + 7 + 8 + 5 * 48)
        #expect(reader.position == 9)
        // At the end of a segment the next one is the current one.
        try reader.seek(to: 6)
        let next = place(of: reader.currentSpan)
        #expect(next == places[1])
        let all = place(of: try reader.readSpan(4, scratch: &scratch))
        #expect(all == places[1])
        let end = reader.currentSpan.byteCount
        #expect(end == 0)
        #expect(reader.currentSegment == nil)
        #expect(reader.readSegment() == nil)

        try reader.seek(to: 1)
        let shared = try reader.readSegments(7)
        #expect(shared.withEachSegmentPlace() == [places[0]! + 1, places[1]])
        #expect(reader.currentSegment?.unsafeBytes.baseAddress == places[1]! + 2)
        #expect(reader.readSegment()?.count == 2)
        #expect(reader.isAtEnd)
        try reader.seek(to: 2)
        #expect(reader.readSegment()?.unsafeBytes.baseAddress == places[0]! + 2)
        #expect(reader.position == 6)
        #expect(reader.readSegment()?.count == 4)
    }

    /// What was read keeps its memory, when the reader and the buffer are gone.
    @Test func segmentsThatWereReadKeepTheirMemory() throws {
        let ledger = ReleaseLedger()
        var kept: SegmentedBuffer?
        do {
            var reader = SegmentedReader(SegmentedBuffer([ledger.segment(digits), ledger.segment(digits)]))
            try reader.skip(12)
            kept = try reader.readSegments(3)
        }
        #expect(ledger.released == 1)
        #expect(kept.map(collected) == Array("234".utf8))
        kept = nil
        #expect(ledger.isSettled)
    }

    @Test func rangesAreTheSegmentsThatTheBytesLieIn() throws {
        var reader = SegmentedReader(segmented(digits, sizes: [1, 2, 3, 4]))
        func counts(_ ranges: some Sequence<UnsafeRawBufferPointer>) -> [Int] { ranges.map { $0.count } }
        #expect(counts(reader.ranges) == [1, 2, 3, 4])
        #expect(counts(try reader.ranges(0)) == [])
        #expect(counts(try reader.ranges(6)) == [1, 2, 3])
        try reader.skip(2)
        #expect(counts(try reader.ranges(6)) == [1, 3, 2])
        #expect(reader.position == 2)
        #expect(counts(try reader.readRanges(4)) == [1, 3])
        #expect(counts(reader.ranges) == [4])
        try reader.seek(to: 1)
        var spans: [[UInt8]] = []
        reader.withRanges { span in spans.append(span.withUnsafeBytes { Array($0) }) }
        #expect(spans == [Array("12".utf8), Array("345".utf8), Array("6789".utf8)])
        spans = []
        try reader.withRanges(3) { span in spans.append(span.withUnsafeBytes { Array($0) }) }
        #expect(spans == [Array("12".utf8), Array("3".utf8)])
        #expect(throws: SegmentedReadError.endOfData(needed: 10, available: 9)) {
            try reader.withRanges(10) { _ in spans = [] }
        }
        #expect(throws: SegmentedReadError.malformedUTF8) {
            try reader.withRanges(3) { _ throws(SegmentedReadError) in throw .malformedUTF8 }
        }
        #expect(spans.count == 2 && reader.position == 1)
        // From everywhere, also from the end of a segment, to everywhere.
        for position in 0...digits.count {
            var reader = reader
            try reader.seek(to: position)
            for count in 0...digits.count - position {
                spans = []
                try reader.withRanges(count) { span in spans.append(span.withUnsafeBytes { Array($0) }) }
                #expect(spans == (try reader.ranges(count).map { Array($0) }))
                #expect(spans.flatMap { $0 } == Array(digits[position..<position + count]))
                #expect(spans.allSatisfy { !$0.isEmpty })
            }
        }
        // They keep the memory, whoever made them.
        let kept = SegmentedReader(segmented(digits, by: 3)).ranges
        #expect(kept.flatMap { Array($0) } == digits)
        // A closure may stop.
        struct Enough: Error {}
        var seen = 0
        #expect(throws: Enough.self) {
            try reader.withRanges { _ in
                seen += 1
                if seen == 2 { throw Enough() }
            }
        }
        #expect(seen == 2)
    }

    @Test func placesAreFilledInTurn() throws {
        var reader = SegmentedReader(segmented(digits, by: 3))
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 12, alignment: 1)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 35)
        let places = [0..<2, 2..<2, 4..<8].map { UnsafeMutableRawBufferPointer(rebasing: memory[$0]) }
        #expect(reader.read(into: places) == 6)
        #expect(Array(memory) == Array("01##2345####".utf8))
        #expect(throws: SegmentedReadError.endOfData(needed: 6, available: 4)) { try reader.readWhole(into: places) }
        #expect(throws: SegmentedReadError.endOfData(needed: 12, available: 4)) { try reader.readWhole(into: memory) }
        #expect(Array(memory) == Array("01##2345####".utf8))
        #expect(reader.read(into: places) == 4)
        #expect(Array(memory) == Array("67##8945####".utf8))
        #expect(reader.read(into: memory) == 0)
        try reader.unread(5)
        var bytes: [UInt8] = [1, 1, 1, 1, 1, 1]
        var elements = bytes.mutableSpan
        var span = elements.mutableBytes
        let count = reader.read(into: &span)
        #expect(count == 5)
        #expect(bytes == Array("56789".utf8) + [1])
    }

    @Test func anEmptyBufferHasNothingToRead() throws {
        var reader = SegmentedReader(SegmentedBuffer())
        #expect(reader.isAtEnd)
        #expect(reader.nextByte() == nil)
        #expect(reader.currentSegment == nil)
        let current = reader.currentSpan.byteCount
        #expect(current == 0)
        #expect(try reader.readBytes(0) == [])
        #expect(try reader.readString(0) == "")
        #expect(try reader.readSegments(0).isEmpty)
        #expect(try reader.readBits(0) == 0)
        #expect(Array(reader.ranges).isEmpty)
        #expect(reader.find("") == 0)
        #expect(reader.find(1) == nil)
        try reader.skip(0)
        try reader.unread(0)
        try reader.seek(to: 0)
        reader.moveToEnd()
        #expect(reader.clipFront() == 0)
        for byte in UInt8(0)...3 { reader.append(segment([byte])) }
        #expect(try reader.readInteger(as: UInt32.self) == 0x0001_0203)
    }
}

extension SegmentedBuffer {
    func withEachSegmentPlace() -> [UnsafeRawPointer?] {
        var places: [UnsafeRawPointer?] = []
        withEachSegment { places.append($0.baseAddress) }
        return places
    }
}
