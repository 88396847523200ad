// Makes transport streams for the tests: tables with checksums, PES packets cut into transport packets, with all that
// the parser looks at. What it made is known, so that the tests need no second parser.

import TransportStream

/// Random numbers from a seed, by the SplitMix64 generator.
public struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

/// A transport stream in the making.
public struct StreamMaker {
    public private(set) var bytes: [UInt8] = []
    private var counters: [Int: UInt8] = [:]

    public init() {}

    /// The number of packets so far.
    public var packetCount: Int { bytes.count / packetSize }

    // MARK: Packets

    /// Adds a packet: header, adaptation field if there are flags for it or room to fill, payload.
    public mutating func addPacket(
        pid: Int, payload: some Collection<UInt8>, startsUnit: Bool = false, flags: UInt8? = nil, counter: UInt8? = nil
    ) {
        let counter = counter ?? counters[pid, default: 0]
        if !payload.isEmpty { counters[pid] = (counter &+ 1) & 0x0F }
        let room = packetSize - 4 - payload.count
        let hasField = flags != nil || room > 0
        precondition(room >= (flags == nil ? 0 : 2), "\(payload.count) bytes of payload don't fit")
        bytes += [
            syncByte, (startsUnit ? 0x40 : 0) | UInt8(pid >> 8), UInt8(pid & 0xFF),
            (hasField ? 0x20 : 0) | (payload.isEmpty ? 0 : 0x10) | counter,
        ]
        if hasField {
            bytes.append(UInt8(room - 1))
            if room > 1 {
                bytes.append(flags ?? 0)
                bytes += repeatElement(0xFF, count: room - 2)
            }
        }
        bytes += payload
    }

    /// Adds bytes that are what they are.
    public mutating func addRaw(_ raw: some Sequence<UInt8>) { bytes += raw }

    /// Adds a unit, such as a PES packet, in as many packets as it takes.
    public mutating func addUnit(pid: Int, _ unit: [UInt8], flags: UInt8? = nil) {
        var rest = unit[...]
        var flags = flags
        var isFirst = true
        while isFirst || !rest.isEmpty {
            let room = packetSize - 4 - (flags == nil ? 0 : 2)
            // One byte less than a full packet has an adaptation field of no bytes but its length.
            addPacket(pid: pid, payload: rest.prefix(room), startsUnit: isFirst, flags: flags)
            rest = rest.dropFirst(room)
            flags = nil
            isFirst = false
        }
    }

    /// Adds a section, or several behind each other, as a table's PID carries them; stuffed up to the packet's end.
    public mutating func addSections(pid: Int, _ sections: [[UInt8]]) {
        var rest = ([0] + sections.joined())[...]
        var isFirst = true
        while !rest.isEmpty {
            let part = rest.prefix(packetSize - 4)
            rest = rest.dropFirst(packetSize - 4)
            addPacket(
                pid: pid, payload: part + repeatElement(0xFF, count: packetSize - 4 - part.count), startsUnit: isFirst)
            isFirst = false
        }
    }

    // MARK: Tables

    /// A section with its header and its checksum.
    public static func section(
        tableID: UInt8, id: Int = 1, version: UInt8 = 0, isCurrent: Bool = true, number: UInt8 = 0, body: [UInt8]
    ) -> [UInt8] {
        let length = 5 + body.count + 4
        var section: [UInt8] = [
            tableID, 0xB0 | UInt8(length >> 8), UInt8(length & 0xFF), UInt8(id >> 8), UInt8(id & 0xFF),
            0xC0 | version << 1 | (isCurrent ? 1 : 0), number, number,
        ]
        section += body
        let checksum = SectionChecksum.compute(section)
        for shift in stride(from: 24, through: 0, by: -8) { section.append(UInt8(checksum >> shift & 0xFF)) }
        return section
    }

    /// An association table.
    public static func associations(
        _ programs: [(number: Int, mapPID: Int)], version: UInt8 = 0, isCurrent: Bool = true
    ) -> [UInt8] {
        let body = programs.flatMap { program in
            [
                UInt8(program.number >> 8), UInt8(program.number & 0xFF),
                0xE0 | UInt8(program.mapPID >> 8), UInt8(program.mapPID & 0xFF),
            ]
        }
        return section(tableID: 0, version: version, isCurrent: isCurrent, body: body)
    }

    /// A program's map. `descriptors` are put behind each stream and behind the program.
    public static func map(
        _ streams: [(type: UInt8, pid: Int)], program: Int = 1, version: UInt8 = 0, descriptors: [UInt8] = []
    ) -> [UInt8] {
        let length = [0xF0 | UInt8(descriptors.count >> 8), UInt8(descriptors.count & 0xFF)]
        var body: [UInt8] = [0xE1, 0x00] + length + descriptors
        for stream in streams {
            body += [stream.type, 0xE0 | UInt8(stream.pid >> 8), UInt8(stream.pid & 0xFF)] + length + descriptors
        }
        return section(tableID: 2, id: program, version: version, body: body)
    }

    /// A PES packet around some video or audio.
    public static func pes(_ content: [UInt8], streamID: UInt8 = 0xE0, headerCount: UInt8 = 5) -> [UInt8] {
        [0, 0, 1, streamID, 0, 0, 0x80, 0x80, headerCount] + [UInt8](repeating: 0x21, count: Int(headerCount)) + content
    }
}

extension StreamMaker {
    public static let mapPID = 0x1000
    public static let videoPID = 0x100
    public static let audioPID = 0x101

    /// The two tables of a stream with H.264 video and AAC.
    public mutating func addTables() {
        addSections(pid: 0, [Self.associations([(1, Self.mapPID)])])
        addSections(pid: Self.mapPID, [Self.map([(0x1B, Self.videoPID), (0x0F, Self.audioPID)])])
    }

    /// A stream of some groups of pictures, each of which begins with a keyframe, with tables and audio between.
    ///
    /// - Returns: the bytes, and where the keyframes begin.
    public static func movie(
        groups: Int, framesInGroup: Int = 5, frameByteCount: Int = 700, seed: UInt64 = 1
    ) -> (bytes: [UInt8], keyframes: [Int]) {
        var numbers = SeededNumbers(seed: seed)
        var maker = StreamMaker()
        var keyframes: [Int] = []
        for _ in 0..<groups {
            for frame in 0..<framesInGroup {
                if frame % 3 == 0 { maker.addTables() }
                if frame == 0 { keyframes.append(maker.bytes.count) }
                let content = (0..<frameByteCount).map { _ in UInt8.random(in: 2...255, using: &numbers) }
                maker.addUnit(pid: videoPID, pes(content), flags: frame == 0 ? 0x40 : nil)
                maker.addUnit(pid: audioPID, pes(Array(content.prefix(200)), streamID: 0xC0))
            }
        }
        return (maker.bytes, keyframes)
    }

    /// The tables that came last before a place: packets of the association table and of the map.
    public static func tables(in bytes: [UInt8], before place: Int) -> [UInt8] {
        var last: [Int: ArraySlice<UInt8>] = [:]
        for start in stride(from: 0, to: place, by: packetSize) {
            let pid = Int(bytes[start + 1] & 0x1F) << 8 | Int(bytes[start + 2])
            if pid == 0 || pid == mapPID { last[pid] = bytes[start..<start + packetSize] }
        }
        return Array(last[0] ?? []) + Array(last[mapPID] ?? [])
    }
}
