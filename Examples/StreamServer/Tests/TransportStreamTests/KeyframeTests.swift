// Where a decoder can start, by the multiplexer's flag or by the codec's start codes.

import StreamTestKit
import Testing
import TransportStream

@Suite("Keyframes")
struct KeyframeTests {
    /// Where a decoder can start in a stream with one PES packet.
    private func accessPoints(
        type: UInt8, _ pes: [UInt8], flags: UInt8? = nil, isScrambled: Bool = false
    ) -> (points: Int, malformed: Int) {
        var maker = StreamMaker()
        maker.addSections(pid: 0, [StreamMaker.associations([(1, 0x1000)])])
        maker.addSections(pid: 0x1000, [StreamMaker.map([(type, 0x100)])])
        maker.addUnit(pid: 0x100, pes, flags: flags)
        var bytes = maker.bytes
        if isScrambled { bytes[2 * packetSize + 3] |= 0x80 }
        let counters = ParsedStream(bytes).counters
        return (counters.accessPoints, counters.malformed)
    }

    @Test("The codec's start codes tell where the multiplexer does not")
    func startCodes() {
        func points(_ type: UInt8, _ code: UInt8) -> Int {
            // Behind another start code, across bytes that look like one.
            accessPoints(type: type, StreamMaker.pes([0, 0, 1, 0x09, 0, 0, 0, 0, 1, code, 0x80, 1, 2])).points
        }
        // H.264: IDR slice, parameter set; not a slice, not a delimiter.
        #expect(
            points(0x1B, 0x65) == 1 && points(0x1B, 0x67) == 1 && points(0x1B, 0x41) == 0 && points(0x1B, 0x06) == 0)
        // H.265: types 16 to 21 and 33.
        #expect(points(0x24, 19 << 1) == 1 && points(0x24, 33 << 1) == 1 && points(0x24, 1 << 1) == 0)
        // MPEG-2: sequence header; not a picture.
        #expect(points(0x02, 0xB3) == 1 && points(0x02, 0x00) == 0)
        // A codec that is not known: nothing is guessed.
        #expect(points(0xEA, 0xB3) == 0 && points(0xEA, 0x65) == 0)
    }

    @Test("The multiplexer's flag is believed, also with encryption")
    func flags() {
        let pes = StreamMaker.pes([9, 9, 9])
        #expect(accessPoints(type: 0xEA, pes, flags: 0x40) == (1, 0))
        #expect(accessPoints(type: 0xEA, pes, flags: 0x00) == (0, 0))
        #expect(accessPoints(type: 0x1B, pes, flags: 0x40, isScrambled: true) == (1, 0))
        let key = StreamMaker.pes([0, 0, 1, 0x65])
        #expect(accessPoints(type: 0x1B, key) == (1, 0) && accessPoints(type: 0x1B, key, isScrambled: true) == (0, 0))
    }

    @Test("Where the multiplexer marks keyframes, others are none, until the tables change")
    func marked() {
        let key = StreamMaker.pes([0, 0, 1, 0x65])
        var maker = StreamMaker()
        maker.addTables()
        maker.addUnit(pid: StreamMaker.videoPID, key)
        maker.addUnit(pid: StreamMaker.videoPID, key, flags: 0x40)
        maker.addUnit(pid: StreamMaker.videoPID, key)
        #expect(ParsedStream(maker.bytes).accessPoints == [2 * packetSize, 3 * packetSize])
        maker.addSections(
            pid: StreamMaker.mapPID, [StreamMaker.map([(0x1B, StreamMaker.videoPID)], version: 1)])
        maker.addUnit(pid: StreamMaker.videoPID, key)
        #expect(ParsedStream(maker.bytes).accessPoints.count == 3)
    }

    @Test("Without video, a decoder can start with any unit of audio")
    func audio() {
        #expect(accessPoints(type: 0x0F, StreamMaker.pes([1, 2, 3], streamID: 0xC0)).points == 1)
        #expect(accessPoints(type: 0x06, StreamMaker.pes([1, 2, 3])).points == 0)
    }

    @Test("Headers that are cut, wrong or longer than the packet")
    func headers() {
        #expect(accessPoints(type: 0x1B, [0, 0, 1]) == (0, 1))
        #expect(accessPoints(type: 0x1B, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) == (0, 1))
        #expect(accessPoints(type: 0x1B, StreamMaker.pes([], headerCount: 0)) == (0, 0))
        #expect(accessPoints(type: 0x1B, StreamMaker.pes([0, 0, 1, 0x65], headerCount: 200)) == (0, 0))
        // The start code's last byte lies in the next packet: that frame is not found out.
        let filled = [UInt8](repeating: 9, count: packetSize - 4 - 14 - 3)
        #expect(accessPoints(type: 0x1B, StreamMaker.pes(filled + [0, 0, 1, 0x65])) == (0, 0))
        #expect(accessPoints(type: 0x1B, StreamMaker.pes(filled.dropLast() + [0, 0, 1, 0x65])) == (1, 0))
    }
}
