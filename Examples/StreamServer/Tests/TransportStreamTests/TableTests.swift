// Sections of tables: checksums, versions, missing and malformed ones.

import StreamTestKit
import Testing
import TransportStream

@Suite("Tables")
struct TableTests {
    private func streams(_ maker: StreamMaker) -> (parser: TransportParser, keyframes: Int) {
        var parser = TransportParser()
        var reader = makeReader(maker.bytes)
        while case .packet = parser.next(&reader, atEnd: true) {}
        return (parser, parser.counters.accessPoints)
    }

    @Test("The checksum is the one of the format")
    func checksum() {
        #expect(SectionChecksum.compute("123456789".utf8) == 0x0376_E6E7)
        #expect(SectionChecksum.compute([]) == 0xFFFF_FFFF)
        let section = StreamMaker.associations([(1, 0x1000)])
        #expect(SectionChecksum.compute(section) == 0)
        for bit in 0..<section.count * 8 {
            var changed = section
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(SectionChecksum.compute(changed) != 0)
        }
    }

    @Test("The maps of several programs, with descriptors, over several packets")
    func programs() {
        var maker = StreamMaker()
        let descriptors = [UInt8](repeating: 0x55, count: 60)
        maker.addSections(pid: 0, [StreamMaker.associations([(0, 0x10), (1, 0x1000), (2, 0x1001)])])
        maker.addSections(
            pid: 0x1000,
            [StreamMaker.map([(0x03, 0x100), (0x02, 0x101), (0x06, 0x102), (0x24, 0x103)], descriptors: descriptors)])
        // Another table on the map's PID, before it; and both in one packet.
        maker.addSections(
            pid: 0x1001,
            [
                StreamMaker.section(tableID: 0xFC, body: [1, 2, 3]),
                StreamMaker.map([(0x1B, 0x200), (0x0F, 0x201)], program: 2),
            ])
        let parser = streams(maker).parser
        #expect(
            parser.programStreams == [
                0x100: .audio, 0x101: .mpegVideo, 0x102: .other, 0x103: .h265, 0x200: .h264, 0x201: .audio,
            ])
        #expect(parser.counters.tableChanges == 3 && parser.counters.malformed == 0)
    }

    @Test("A new version replaces the old one; one for later, one seen before and a wrong one don't")
    func versions() {
        var maker = StreamMaker()
        maker.addTables()
        maker.addTables()
        #expect(streams(maker).parser.counters.tableChanges == 2)
        let new = StreamMaker.map([(0x02, 0x300)], version: 1)
        var wrong = new
        wrong[14] ^= 1
        maker.addSections(pid: StreamMaker.mapPID, [wrong])
        maker.addSections(pid: 0, [StreamMaker.associations([(5, 0x1500)], version: 1, isCurrent: false)])
        #expect(streams(maker).parser.programStreams[StreamMaker.videoPID] == .h264)
        #expect(streams(maker).parser.counters.checksumErrors == 1)
        maker.addSections(pid: StreamMaker.mapPID, [new])
        #expect(streams(maker).parser.programStreams == [0x300: .mpegVideo])
        maker.addSections(pid: 0, [StreamMaker.associations([(5, 0x1500)], version: 2)])
        #expect(streams(maker).parser.programStreams.isEmpty)
        #expect(streams(maker).parser.counters.tableChanges == 4)
    }

    @Test("A section of which a packet is missing is none; the next one is")
    func interrupted() {
        var maker = StreamMaker()
        maker.addSections(pid: 0, [StreamMaker.associations([(1, StreamMaker.mapPID)])])
        let long = StreamMaker.map([(0x1B, 0x100)], descriptors: [UInt8](repeating: 1, count: 200))
        maker.addSections(pid: StreamMaker.mapPID, [long])
        let packets = stride(from: 0, to: maker.bytes.count, by: packetSize).map {
            Array(maker.bytes[$0..<$0 + packetSize])
        }
        #expect(packets.count == 4)
        var cut = StreamMaker()
        cut.addRaw(packets[0] + packets[1] + packets[3])
        #expect(streams(cut).parser.programStreams.isEmpty)
        #expect(streams(cut).parser.counters.continuityErrors == 1)
        // It begins in the middle: what is seen first is not the start.
        var late = StreamMaker()
        late.addRaw(packets[0] + packets[2] + packets[3])
        #expect(streams(late).parser.programStreams.isEmpty && streams(late).parser.counters.malformed == 0)
        late.addRaw(packets[1...3].joined())
        #expect(streams(late).parser.programStreams == [0x100: .h264])
    }

    @Test("Sections that say of themselves what can't be are counted")
    func malformed() {
        let sections: [[UInt8]] = [
            // Longer than any may be.
            [0, 0xBF, 0xFF, 0, 1, 0xC1, 0, 0],
            // Too short for a header.
            [0, 0xB0, 2, 0, 1],
            // A body that is no list of programs; a map whose parts are longer than it is.
            StreamMaker.section(tableID: 0, body: [1, 2, 3]),
        ]
        for section in sections {
            var maker = StreamMaker()
            maker.addSections(pid: 0, [section])
            let parser = streams(maker).parser
            #expect(parser.counters.malformed == 1 && parser.counters.tableChanges == 0)
        }
        for body in [
            [0xE1, 0, 0xF0, 9], [0xE1, 0, 0xF0, 0, 0x1B, 0xE1], [0xE1, 0, 0xF0, 0, 0x1B, 0xE1, 0, 0xF0, 4, 1],
        ] {
            var maker = StreamMaker()
            maker.addSections(pid: 0, [StreamMaker.associations([(1, 0x1000)])])
            maker.addSections(pid: 0x1000, [StreamMaker.section(tableID: 2, body: body.map { UInt8($0) })])
            let parser = streams(maker).parser
            #expect(parser.counters.malformed == 1 && parser.programStreams.isEmpty)
        }
        // A pointer beyond the packet.
        var maker = StreamMaker()
        maker.addPacket(pid: 0, payload: [200, 1, 2, 3], startsUnit: true)
        #expect(streams(maker).parser.counters.malformed == 1)
    }

    @Test("A table that names PIDs of its own, and the null PID, changes nothing about them")
    func strangePIDs() {
        var maker = StreamMaker()
        maker.addSections(pid: 0, [StreamMaker.associations([(1, 0), (2, KnownPID.null), (3, 0x1000)])])
        maker.addSections(pid: 0x1000, [StreamMaker.map([(0x1B, 0), (0x1B, 0x1000), (0x1B, 0x100)], version: 0)])
        maker.addSections(pid: 0, [StreamMaker.associations([(3, 0x1000)], version: 1)])
        maker.addSections(pid: 0x1000, [StreamMaker.map([(0x1B, 0x100)], version: 1)])
        let parser = streams(maker).parser
        #expect(parser.programStreams == [0x100: .h264] && parser.counters.accessPoints == 0)
    }
}
