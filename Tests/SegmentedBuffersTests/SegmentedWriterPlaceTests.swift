// Places for what is known later, whose they are, and what ends the program.

import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

@Suite struct SegmentedWriterPlaceTests {
    /// Lengths that are known later, near and far, in segments with and without room.
    @Test func places() throws {
        for before in 0..<20 {
            var writer = SegmentedWriter(segmentSize: 16)
            writer.writeRepeating(1, count: before)
            let length = writer.reserve(4)
            let near = writer.reserve(2)
            let start = writer.count
            writer.writeRepeating(2, count: 100)
            writer.writeSegment(Segment(sharing: [3, 3]))
            writer.patch(length, withLength: writer.count - start)
            writer.patch(near, with: UInt16(0x0506), byteOrder: .little)
            let late = writer.reserve(3)
            writer.patch(late, withLength: 0x070809, byteOrder: .little)
            let buffer = try writer.finish()
            #expect(
                [UInt8](buffer) == [UInt8](repeating: 1, count: before) + [0, 0, 0, 102, 6, 5]
                    + [UInt8](repeating: 2, count: 100) + [3, 3, 9, 8, 7])
        }
    }

    /// What was given out and is written again is no longer the writer's to change, nor is another writer's.
    @Test func placesThatWereGivenOut() async throws {
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                var writer = SegmentedWriter()
                let place = writer.reserve(4)
                let given = try writer.takeBuffer()
                writer.writeSegments(given)
                // One of this stretch, too.
                writer.patch(writer.reserve(4), with: UInt32(1))
                writer.patch(place, with: UInt32(0xdead_beef))
            }, "SegmentedWriter: 4 bytes are patched that this writer does not have")
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                var first = SegmentedWriter()
                var second = SegmentedWriter()
                let place = first.reserve(4)
                _ = second.reserve(4)
                second.writeSegments(try first.takeBuffer())
                second.patch(place, with: UInt32(1))
            }, "SegmentedWriter: 4 bytes are patched that this writer does not have")
        for isFixed in [true, false] {
            expectTrap(
                await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    [isFixed = isFixed as Bool] in
                    var writer = SegmentedWriter()
                    try writer.writeLengthPrefixed(isFixed ? .twoBytes : .leb128) { writer in
                        writer.writeByte(1)
                        _ = try? writer.takeBuffer()
                    }
                }, "SegmentedWriter: what a length is to be written in front of was taken")
        }
        // Each stretch of one writer has its own.
        var writer = SegmentedWriter(segmentSize: 16)
        var parts: [SegmentedBuffer] = []
        for number in 0..<4 as Range<UInt16> {
            let place = writer.reserve(2)
            if let last = parts.last { writer.writeSegments(last) }
            writer.patch(place, with: number)
            parts.append(try writer.takeBuffer())
        }
        #expect(parts[3] == [0, 3, 0, 2, 0, 1, 0, 0] && parts[0] == [0, 0] && parts[1] == [0, 1, 0, 0])
    }

    @Test func misuse() async {
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                var writer = SegmentedWriter()
                writer.writeUInt64(256, byteCount: 1)
            }, "SegmentedWriter: an integer that does not fit 1 bytes")
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                var writer = SegmentedWriter()
                let place = writer.reserve(2)
                _ = try writer.takeBuffer()
                writer.patch(place, withLength: 1)
            }, "are patched that this writer does not have")
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                var writer = SegmentedWriter()
                let place = writer.reserve(2)
                writer.patch(place, with: UInt32(1))
            }, "SegmentedWriter: a place of 2 bytes is patched with 4")
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                var writer = SegmentedWriter(segmentSize: 16)
                _ = writer.reserve(17)
            }, "SegmentedWriter: a place of 17 bytes, in segments of 16")
        expectTrap(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = SegmentedWriter(segmentSize: 15)
            }, "SegmentedWriter: segments of 15 bytes")
    }
}
