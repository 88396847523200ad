// Finds the packets in a stream of bytes, and what somebody who forwards them has to know of each.
//
// P1. In sync, each packet begins where the one before it ends. Where a byte other than 0x47 is found there, the
//     packets that follow are looked for: a 0x47 that has two more behind it, at the distance of a packet. A packet is
//     handed out when it is whole, not when the next one has begun: the last one of a cut stream may have the beginning
//     of its successor inside.
// P2. `streams` holds, for each PID, the continuity counter seen last and what the PID is, by the tables that were
//     whole and right. Nothing else of the stream is kept, but for tables in progress.
//
// Cost: a packet that is neither a table nor the start of a unit takes the reading of four bytes, and of two more where
// it has an adaptation field. The generic parts are @inlinable, so that they compile to straight code for each reader.

/// A parser of one transport stream.
public struct TransportParser {
    /// What has been seen so far.
    public var counters: TransportCounters { seen }
    /// Bytes that were no packets since the last packet; a publisher with many of them sends something else.
    public var skippedInRow: Int { skipped }
    @usableFromInline var seen: TransportCounters
    @usableFromInline var skipped: Int
    @usableFromInline var isInSync: Bool
    @usableFromInline var streams: ContiguousArray<StreamState>
    @usableFromInline var tables: TableState
    @usableFromInline var payload: [UInt8]
    /// Whether the multiplexer marks keyframes: then what it does not mark is none.
    @usableFromInline var marksKeyframes: Bool

    /// What is known of a PID.
    @usableFromInline
    struct StreamState {
        @usableFromInline var counter: UInt8 = noCounter
        @usableFromInline var role: Role = .other
    }

    @usableFromInline static let noCounter: UInt8 = 0xFF

    @usableFromInline
    enum Role: UInt8 { case other, associations, programMap, elementary, accessPoints }

    public init() {
        seen = TransportCounters()
        skipped = 0
        isInSync = false
        streams = ContiguousArray(repeating: StreamState(), count: KnownPID.count)
        streams[KnownPID.associations].role = .associations
        tables = TableState()
        payload = []
        marksKeyframes = false
    }

    /// The streams of all programs, by the maps seen.
    public var programStreams: [Int: StreamKind] { tables.streamKinds }
    /// The PIDs of the maps, by the association table.
    public var mapPIDs: [Int] { tables.mapPIDs }

    /// Finds out what comes next.
    ///
    /// - Parameters:
    ///   - reader: where to go on; it is moved behind the packet, or behind what is none.
    ///   - atEnd: nothing will follow, so that fewer than three packets in a row are believed.
    @inlinable
    public mutating func next<Reader: PacketReader>(_ reader: inout Reader, atEnd: Bool = false) -> TransportStep {
        if isInSync {
            guard reader.remaining >= packetSize else { return .needsMore }
            if let packet = try? readPacket(&reader) { return .packet(packet) }
            // P1
            isInSync = false
            seen.syncLosses &+= 1
        }
        let skipped = search(&reader, atEnd: atEnd)
        guard skipped > 0 else { return isInSync ? next(&reader, atEnd: atEnd) : .needsMore }
        seen.skippedBytes &+= skipped
        self.skipped &+= skipped
        return .skipped(skipped)
    }

    /// Moves the reader to where packets begin, if that can be told.
    @inlinable
    mutating func search<Reader: PacketReader>(_ reader: inout Reader, atEnd: Bool) -> Int {
        let start = reader.position
        while reader.remaining > 0 {
            guard let distance = reader.distance(to: syncByte) else {
                try? reader.skip(reader.remaining)
                break
            }
            try? reader.skip(distance)
            if reader.remaining < packetSize || !atEnd && reader.remaining <= 2 * packetSize { break }
            if isSync(reader, packetSize), isSync(reader, 2 * packetSize) {
                isInSync = true
                break
            }
            try? reader.skip(1)
        }
        return reader.position - start
    }

    /// Whether a packet may begin that far away: it does, or the stream ends there.
    @inlinable
    func isSync<Reader: PacketReader>(_ reader: Reader, _ distance: Int) -> Bool {
        guard reader.remaining > distance else { return true }
        var ahead = reader
        try? ahead.skip(distance)
        return (try? ahead.readByte()) == syncByte
    }

    /// Reads a packet, all of which is there. Nil, and the reader as it was, where it does not begin with 0x47.
    @inlinable
    mutating func readPacket<Reader: PacketReader>(_ reader: inout Reader) throws(Reader.Failure) -> TransportPacket? {
        var inside = reader
        let header = PacketHeader(bits: try inside.readUInt32())
        guard header.isInSync else { return nil }
        try reader.skip(packetSize)
        seen.packets &+= 1
        skipped = 0
        if header.isDamaged {
            // None of its fields can be trusted.
            seen.damaged &+= 1
            return TransportPacket(header: header)
        }
        var payloadCount = packetSize - 4
        var hasRandomAccess = false
        if header.hasAdaptationField {
            let count = Int(try inside.readByte())
            guard 1 + count <= payloadCount - (header.hasPayload ? 1 : 0) else {
                seen.malformed &+= 1
                return TransportPacket(header: header)
            }
            if count > 0 {
                let flags = try inside.readByte()
                hasRandomAccess = flags & 0x40 != 0
                if flags & 0x80 != 0 { streams[header.pid].counter = Self.noCounter }
                try inside.skip(count - 1)
            }
            payloadCount -= 1 + count
        }
        guard header.hasPayload, header.pid != KnownPID.null else { return TransportPacket(header: header) }
        let follows = count(header)
        if follows == .again { return TransportPacket(header: header) }

        switch streams[header.pid].role {
        case .other:
            return TransportPacket(header: header)
        case .elementary:
            if header.startsUnit { seen.unitStarts &+= 1 }
            return TransportPacket(header: header)
        case .associations, .programMap:
            if follows == .afterGap { tables.interrupt(header.pid) }
            return TransportPacket(header: header, table: try readTable(header, &inside, payloadCount))
        case .accessPoints:
            guard header.startsUnit else { return TransportPacket(header: header) }
            seen.unitStarts &+= 1
            var isAccessPoint = hasRandomAccess || tables.accessKind == .audio
            if hasRandomAccess { marksKeyframes = true }
            if !isAccessPoint, !marksKeyframes, !header.isScrambled {
                isAccessPoint = try startsKeyframe(&inside, payloadCount, tables.accessKind)
            }
            if isAccessPoint { seen.accessPoints &+= 1 }
            return TransportPacket(header: header, isAccessPoint: isAccessPoint)
        }
    }

    /// How a packet follows the one before it of its PID.
    @usableFromInline enum Sequence { case inOrder, again, afterGap }

    @inlinable
    mutating func count(_ header: PacketHeader) -> Sequence {
        let before = streams[header.pid].counter
        let counter = header.continuityCounter
        streams[header.pid].counter = counter
        if before == Self.noCounter || counter == (before &+ 1) & 0x0F { return .inOrder }
        if counter == before {
            seen.duplicates &+= 1
            return .again
        }
        seen.continuityErrors &+= 1
        return .afterGap
    }

    @inlinable
    mutating func readTable<Reader: PacketReader>(
        _ header: PacketHeader, _ inside: inout Reader, _ payloadCount: Int
    ) throws(Reader.Failure) -> TransportPacket.Table {
        if payload.count != payloadCount { payload = [UInt8](repeating: 0, count: payloadCount) }
        var failure: Reader.Failure?
        payload.withUnsafeMutableBytes { bytes in
            do throws(Reader.Failure) { try inside.readWhole(into: bytes) } catch { failure = error }
        }
        if let failure { throw failure }
        let table: TransportPacket.Table = streams[header.pid].role == .associations ? .associations : .programMap
        takeTable(header)
        return table
    }

    /// Puts what lies in `payload` to the table of the PID.
    @usableFromInline
    mutating func takeTable(_ header: PacketHeader) {
        guard !header.isScrambled, tables.take(payload, header, &seen) else { return }
        // P2: what the PIDs are is written anew.
        for pid in streams.indices { streams[pid].role = .other }
        for pid in tables.streamKinds.keys { streams[pid].role = .elementary }
        if let pid = tables.accessPID { streams[pid].role = .accessPoints }
        // Tables are tables, whatever a map says.
        for pid in tables.mapPIDs { streams[pid].role = .programMap }
        streams[KnownPID.associations].role = .associations
        marksKeyframes = false
    }
}
