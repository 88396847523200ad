// A reader that owns a stream: what was read goes back, what comes is appended.

import Mallow
import Testing

@Suite struct SegmentedReaderStreamingTests {
    /// Clipping hands out each segment that is all read, once; its memory goes back when the closure lets it.
    @Test func whatWasReadGoesBackOnce() throws {
        let ledger = ReleaseLedger()
        var reader = SegmentedReader(SegmentedBuffer())
        for first in [UInt8(0), 4, 8, 12] { reader.append(ledger.segment([first, first + 1, first + 2, first + 3])) }
        try reader.skip(3)
        var dropped: [[UInt8]] = []
        func take(_ segment: inout Segment) { dropped.append(segment.withUnsafeBytes { Array($0) }) }
        #expect(reader.clipFront(take) == 3)
        #expect(dropped.isEmpty)
        #expect(reader.position == 0)
        #expect(reader.count == 13)
        #expect(throws: SegmentedReadError.outOfRange(1)) { try reader.unread(1) }
        #expect(try reader.readBytes(5) == [3, 4, 5, 6, 7])
        #expect(reader.clipFront { take(&$0) } == 5)
        #expect(dropped == [[3], [4, 5, 6, 7]])
        #expect(ledger.released == 2)
        #expect(reader.clipFront(take) == 0)
        // One that the closure keeps is not given back by the reader.
        var kept: Segment?
        try reader.skip(4)
        #expect(reader.clipFront { kept = $0 } == 4)
        #expect(kept?.isUniquelyOwned() == true)
        #expect(ledger.released == 2)
        kept = nil
        #expect(ledger.released == 3)
        #expect(try reader.readByte() == 12)
        #expect(reader.position == 1)
        reader.moveToEnd()
        #expect(reader.clipFront() == 4)
        #expect(reader.count == 0)
        #expect(ledger.isSettled)
        reader.append(ledger.segment([99]))
        #expect(try reader.readByte() == 99)
        #expect(ledger.doubled == 0)
    }

    /// A long stream: the list does not grow, and a reader that is behind keeps what it has not read.
    @Test func streamsKeepOnlyWhatIsNotRead() throws {
        let ledger = ReleaseLedger()
        var buffer = SegmentedBuffer()
        var reader = SegmentedReader(buffer)
        var behind: SegmentedReader?
        for round in 0..<300 {
            buffer.push(ledger.segment([UInt8(round % 256), UInt8(round / 256), 0xAA]))
            reader.clipFront(of: &buffer)
            #expect(try reader.readInteger(as: UInt16.self, byteOrder: .little) == UInt16(round))
            #expect(reader.position == 2)
            if round == 100 { behind = reader }
            #expect(try reader.readByte() == 0xAA)
            // The one that is behind shares the segments that there were.
            func check(_ segment: inout Segment) {
                let isUniquelyOwned = segment.isUniquelyOwned()
                #expect(isUniquelyOwned == (round != 100))
            }
            #expect(reader.clipFront(of: &buffer, check) == 3)
            #expect(buffer.isEmpty)
            #expect(ledger.made - ledger.released == (behind == nil ? 0 : 1))
        }
        #expect(try behind?.readByte() == 0xAA)
        #expect(behind?.isAtEnd == true)
        behind = nil
        #expect(ledger.isSettled)
        #expect(ledger.doubled == 0)
    }

    @Test func whatIsAppendedIsReadNext() throws {
        var reader = SegmentedReader(SegmentedBuffer())
        Array("ab".utf8).withUnsafeBytes { reader.append(copying: $0) }
        #expect(try reader.readByte() == 97)
        // Into the room of the segment that the reader is in, while it is in its midst, and at its end.
        Array("cd".utf8).withUnsafeBytes { reader.append(copying: $0) }
        #expect(try reader.readString(3) == "bcd")
        Array("ef".utf8).withUnsafeBytes { reader.append(copying: $0) }
        #expect(reader.remaining == 2)
        let other = reader
        Array("gh".utf8).withUnsafeBytes { reader.append(copying: $0) }
        #expect(other.remaining == 2)
        reader.append(segmented(Array("ijk".utf8), by: 1))
        #expect(try reader.readString(5) == "efghi")
        reader.clipFront()
        #expect(try reader.readString(2) == "jk")
        reader.clipFront()
        reader.append(segmented(Array("lm".utf8), by: 1))
        #expect(try reader.readString(2) == "lm")
        #expect(reader.position == 2)
    }

    /// Bits that are left of a byte outlast its memory.
    @Test func clippingKeepsBits() throws {
        for own in [true, false] {
            let ledger = ReleaseLedger()
            var buffer = SegmentedBuffer([ledger.segment([0b1110_0101]), ledger.segment([0xF0])])
            var reader = SegmentedReader(buffer)
            #expect(try reader.readBits(4) == 0b1110)
            if own {
                buffer = SegmentedBuffer()
                #expect(reader.clipFront() == 1)
            } else {
                #expect(reader.clipFront(of: &buffer) == 1)
            }
            #expect(ledger.released == 1)
            #expect(reader.bitsLeftInByte == 4)
            #expect(try reader.readBits(8) == 0b0101_1111)
            #expect(reader.position == 1)
        }
    }

    /// What a closure that throws appended, clipped and read is undone.
    @Test func attemptsAreAllOrNothing() throws {
        var reader = SegmentedReader(segmented([1, 2, 3, 4], by: 1))
        #expect(throws: SegmentedReadError.endOfData(needed: 2, available: 1)) {
            try reader.attempt { (reader) throws(SegmentedReadError) in
                try reader.skip(3)
                reader.clipFront()
                _ = try reader.readInteger(as: UInt16.self)
            }
        }
        #expect(reader.position == 0)
        let sum = try reader.attempt { (reader) throws(SegmentedReadError) in
            try reader.readByte() + reader.readByte()
        }
        #expect(sum == 3)
        #expect(try reader.peek { (reader) throws(SegmentedReadError) in try reader.readBytes(2) } == [3, 4])
        #expect(reader.position == 2)
    }

    @Test func clippingAnotherBufferTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var buffer = SegmentedBuffer(copying: [1, 2, 3])
            var reader = SegmentedReader(buffer)
            try reader.skip(3)
            buffer.removeFirst(1)
            reader.clipFront(of: &buffer)
        }
        expectTrap(result, "SegmentedReader: 3 bytes that were read are clipped from a buffer of 2")
    }
}
