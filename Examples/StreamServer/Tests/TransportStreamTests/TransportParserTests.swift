// Packets out of any segments, of a whole stream and of a damaged one.

import StreamTestKit
import Testing
import TransportStream

@Suite("Transport parser")
struct TransportParserTests {
    @Test("A packet's header has its fields where the format has them")
    func header() {
        let header = PacketHeader(bits: 0x47_5A_BC_3D)
        #expect(header.isInSync && header.startsUnit && !header.isDamaged && !header.isScrambled)
        #expect(header.pid == 0x1ABC && header.continuityCounter == 13)
        #expect(header.hasAdaptationField && header.hasPayload)
        #expect(PacketHeader(bits: 0x47_80_00_80).isDamaged && PacketHeader(bits: 0x47_80_00_80).isScrambled)
    }

    @Test("A stream in any segments is parsed alike, and its keyframes are found", arguments: 0..<8)
    func segmentations(seed: Int) {
        var numbers = SeededNumbers(seed: UInt64(seed))
        let movie = StreamMaker.movie(groups: 4, seed: UInt64(seed))
        let whole = ParsedStream(movie.bytes)
        #expect(whole.bytes == movie.bytes && whole.rest == 0)
        #expect(whole.accessPoints == movie.keyframes)
        #expect(whole.counters.packets == movie.bytes.count / packetSize)
        #expect(whole.counters.continuityErrors == 0 && whole.counters.syncLosses == 0)
        #expect(whole.counters.malformed == 0 && whole.counters.checksumErrors == 0)
        #expect(whole.counters.tableChanges == 2 && whole.counters.unitStarts == 40)
        #expect(ParsedStream(movie.bytes, cuts: randomCuts(of: movie.bytes.count, using: &numbers)) == whole)
        #expect(ParsedStream(movie.bytes, cuts: Array(repeating: 64, count: movie.bytes.count / 64)) == whole)
    }

    @Test("What is left of a damaged stream is what the simplest search leaves, in any segments", arguments: 0..<30)
    func damage(seed: Int) {
        var numbers = SeededNumbers(seed: UInt64(seed))
        var bytes = StreamMaker.movie(groups: 2, seed: UInt64(seed)).bytes
        for _ in 0..<Int.random(in: 1...6, using: &numbers) {
            let place = Int.random(in: 0..<bytes.count - 2000, using: &numbers)
            let length = Int.random(in: 1...1000, using: &numbers)
            switch Int.random(in: 0..<4, using: &numbers) {
            case 0: bytes.removeSubrange(place..<place + length)
            case 1:
                bytes.insert(
                    contentsOf: (0..<length).map { _ in UInt8.random(in: 0...255, using: &numbers) }, at: place)
            case 2: bytes.replaceSubrange(place..<place + length, with: repeatElement(syncByte, count: length))
            default: bytes[place - place % packetSize] ^= UInt8.random(in: 1...255, using: &numbers)
            }
        }
        let parsed = ParsedStream(bytes, cuts: randomCuts(of: bytes.count, using: &numbers))
        #expect(parsed.bytes == surviving(bytes))
        #expect(parsed.bytes.count + parsed.counters.skippedBytes + parsed.rest == bytes.count)
        #expect(parsed == ParsedStream(bytes))
    }

    @Test("Bytes in packets may be anything", arguments: 0..<30)
    func contents(seed: Int) {
        var numbers = SeededNumbers(seed: UInt64(seed))
        var bytes = StreamMaker.movie(groups: 2, seed: UInt64(seed)).bytes
        for _ in 0..<500 {
            let place = Int.random(in: 0..<bytes.count, using: &numbers)
            if place % packetSize != 0 { bytes[place] = UInt8.random(in: 0...255, using: &numbers) }
        }
        let parsed = ParsedStream(bytes, cuts: randomCuts(of: bytes.count, using: &numbers))
        #expect(parsed.bytes == bytes && parsed.counters.syncLosses == 0)
        #expect(parsed == ParsedStream(bytes))
    }

    @Test("A few packets are believed when nothing follows")
    func short() {
        let bytes = StreamMaker.movie(groups: 1).bytes
        for count in [0, 1, 187, 188, 376, 377, 564] {
            #expect(ParsedStream(Array(bytes.prefix(count))).bytes.count == count / packetSize * packetSize)
        }
        var parser = TransportParser()
        var reader = makeReader(Array(bytes.prefix(376)))
        #expect(parser.next(&reader) == .needsMore && reader.position == 0)
        #expect(
            parser.next(&reader, atEnd: true)
                == .packet(TransportPacket(header: firstHeader(bytes), table: .associations)))
    }

    @Test("Garbage is counted until packets come")
    func garbage() {
        var parser = TransportParser()
        var zeroes = makeReader([UInt8](repeating: 0, count: 1000))
        #expect(parser.next(&zeroes) == .skipped(1000) && parser.skippedInRow == 1000)
        #expect(parser.next(&zeroes) == .needsMore)
        var more = makeReader([7] + StreamMaker.movie(groups: 1).bytes)
        #expect(parser.next(&more) == .skipped(1) && parser.skippedInRow == 1001)
        _ = parser.next(&more)
        #expect(parser.skippedInRow == 0 && parser.counters.skippedBytes == 1001 && parser.counters.syncLosses == 0)
    }

    @Test("Continuity counters: what is missing, what came twice, what begins anew")
    func continuity() {
        var maker = StreamMaker()
        func counters(_ numbers: [UInt8], flags: [Int: UInt8] = [:], pid: Int = 300) -> TransportCounters {
            var maker = StreamMaker()
            for (index, number) in numbers.enumerated() {
                maker.addPacket(pid: pid, payload: [1, 2, 3], flags: flags[index] ?? 0, counter: number)
            }
            return ParsedStream(maker.bytes).counters
        }
        #expect(counters([14, 15, 0, 1]).continuityErrors == 0)
        #expect(counters([1, 2, 4, 5, 9]).continuityErrors == 2)
        #expect(counters([1, 2, 2, 3]).duplicates == 1)
        #expect(counters([1, 2, 2, 3]).continuityErrors == 0)
        #expect(counters([1, 2, 9, 10], flags: [2: 0x80]).continuityErrors == 0)
        #expect(counters([1, 5, 3, 3], pid: KnownPID.null) == counters([0, 1, 2, 3], pid: KnownPID.null))
        // Without a payload, the counter stays as it is.
        for number in [3, 3, 4, 4] as [UInt8] { maker.addPacket(pid: 300, payload: [], counter: number) }
        #expect(ParsedStream(maker.bytes).counters.continuityErrors == 0)
        #expect(ParsedStream(maker.bytes).counters.duplicates == 0)
    }

    @Test("Fields that don't fit into their packet are counted, and the packet is one all the same")
    func malformedFields() {
        var bytes = StreamMaker.movie(groups: 1).bytes
        let video = ParsedStream(bytes).packets.firstIndex { $0.header.pid == StreamMaker.videoPID } ?? 0
        for length in [184, 200, 255] as [UInt8] {
            bytes[video * packetSize + 3] |= 0x20
            bytes[video * packetSize + 4] = length
            let parsed = ParsedStream(bytes)
            #expect(parsed.counters.malformed == 1 && parsed.bytes == bytes && parsed.accessPoints.isEmpty)
        }
        // One that was found to be damaged on its way is not looked at.
        bytes[video * packetSize + 1] |= 0x80
        #expect(ParsedStream(bytes).counters.damaged == 1 && ParsedStream(bytes).counters.malformed == 0)
    }
}
