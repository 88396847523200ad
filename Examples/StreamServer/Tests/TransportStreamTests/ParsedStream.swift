// Parsing a whole stream in one go, for the tests.

import Mallow
import StreamTestKit
import TransportStream

/// What a parser says of a stream.
struct ParsedStream: Equatable {
    /// The packets, and where each began.
    var packets: [TransportPacket] = []
    var places: [Int] = []
    /// What was left of the stream: all packets behind each other.
    var bytes: [UInt8] = []
    var counters = TransportCounters()
    /// What was not understood at the end.
    var rest = 0

    var accessPoints: [Int] { zip(packets, places).filter(\.0.isAccessPoint).map(\.1) }
    var tables: [TransportPacket.Table?] { packets.map(\.table) }

    /// Parses segments as they come, as a server does. `cuts` says how long each is; what is beyond is one more.
    init(_ stream: [UInt8], cuts: [Int] = []) {
        var parser = TransportParser()
        var pending = SegmentedBuffer()
        var start = 0
        var before = 0
        for length in cuts + [stream.count] {
            let end = min(stream.count, start + length)
            stream[start..<end].withUnsafeBytes { pending.push(Segment(copying: $0)) }
            start = end
            var reader = SegmentedReader(pending)
            steps: while true {
                switch parser.next(&reader, atEnd: end == stream.count) {
                case .packet(let packet):
                    packets.append(packet)
                    let place = before + reader.position - packetSize
                    places.append(place)
                    bytes += stream[place..<place + packetSize]
                case .skipped: break
                case .needsMore: break steps
                }
            }
            before += reader.position
            pending.removeFirst(reader.position)
        }
        rest = pending.count
        counters = parser.counters
    }
}

/// Random lengths of segments.
func randomCuts(of count: Int, using numbers: inout SeededNumbers) -> [Int] {
    var cuts: [Int] = []
    var left = count
    while left > 0 {
        let cut = [1, 2, 3, 187, 188, 189, 376, 1316, 5000].randomElement(using: &numbers) ?? 1
        cuts.append(min(cut, left))
        left -= cut
    }
    return cuts
}

/// The packets that are left of a damaged stream, found in the simplest way.
func surviving(_ stream: [UInt8]) -> [UInt8] {
    var found: [UInt8] = []
    var place = 0
    var isInSync = false
    while place + packetSize <= stream.count {
        if stream[place] != syncByte {
            isInSync = false
        } else if !isInSync {
            isInSync = [packetSize, 2 * packetSize].allSatisfy {
                place + $0 >= stream.count || stream[place + $0] == syncByte
            }
        }
        if isInSync { found += stream[place..<place + packetSize] }
        place += isInSync ? packetSize : 1
    }
    return found
}
