// One stream: what comes from its publisher goes to its subscribers.
//
//     bytes read ─→ pending ─ parser ─→ runs of packets ─┬─→ queue of each subscriber
//                                                        ├─→ group: since the last keyframe, for those who come late
//                                                        └─→ tables: the last of each kind, for the same
//
// R1. `pending` begins where the parser goes on: with less than a packet, or with what is not known to be one.
// R2. A run lies in the memory that it was read to, which `pending`, `group`, the tables and the queues share. It goes
//     back when the slowest of them has given it up.
// R3. `group` is empty, or has the tables as they were before the last keyframe, the keyframe, and all packets since.
// R4. What is kept of a read is most of it, and in parts that are not small: so what is kept takes about as much memory
//     as its bytes say. Packets among noise, packets that came in crumbs, and tables are copied for that.
//
// Cost: a read is parsed once; each subscriber then takes a reference for each part of it.

public import TransportStream

public final class PublishedStream<Memory: StreamMemory> {
    public typealias Bytes = Memory.Bytes

    public let name: String
    public private(set) var subscribers: [Subscriber<Bytes>] = []
    public private(set) var hasPublisher = false
    /// What was received since the publisher came.
    public private(set) var receivedCount = 0
    /// The most that ever waited for a subscriber, after it was sent what it took.
    public private(set) var longestQueue = 0
    private let memory: Memory
    private let limits: RelayLimits
    private var parser = TransportParser()
    private var pending = Bytes()
    private var group = Bytes()
    private var groupIsOpen = false
    /// The packets of the last association table, and of the last map on each PID.
    private var associations: [UInt8] = []
    private var maps: [(pid: Int, packets: [UInt8])] = []
    /// A section of 1,024 bytes begins in one packet and may end in the seventh.
    private static var longestTable: Int { 8 * packetSize }

    init(name: String, memory: Memory, limits: RelayLimits) {
        self.name = name
        self.memory = memory
        self.limits = limits
    }

    public var counters: TransportCounters { parser.counters }
    public var programStreams: [Int: StreamKind] { parser.programStreams }
    /// How much is kept for subscribers that come late.
    public var groupCount: Int { group.count }
    var isUnused: Bool { !hasPublisher && subscribers.isEmpty }

    // MARK: The publisher's side

    func start() {
        hasPublisher = true
        receivedCount = 0
    }

    /// Takes what the publisher has sent.
    ///
    /// - Throws: ``RelayError`` where this is no transport stream; the publisher is then to be ended.
    public func receive(_ bytes: Bytes) throws(RelayError) {
        receivedCount += bytes.count
        pending.append(bytes)
        forward(atEnd: false)
        if parser.skippedInRow > limits.garbage { throw .noTransportStream(skipped: parser.skippedInRow) }
    }

    /// The publisher has ended, or is gone. Its subscribers get what is waiting for them.
    func end() -> TransportCounters {
        forward(atEnd: true)
        hasPublisher = false
        let counters = parser.counters
        parser = TransportParser()
        pending = Bytes()
        closeGroup()
        associations = []
        maps = []
        for subscriber in subscribers { subscriber.state = .ending }
        return counters
    }

    /// Packets in a row, by their places in `pending`.
    private struct Run {
        var range: Range<Int>
        /// Where the run begins with a keyframe: the tables before it.
        var tables: [UInt8]?
    }

    private func forward(atEnd: Bool) {
        var reader = pending.makeReader()
        var runs: [Run] = []
        var run = Run(range: 0..<0)
        var isNoisy = false
        parsing: while true {
            let step = parser.next(&reader, atEnd: atEnd)
            switch step {
            case .packet(let packet):
                let start = reader.position - packetSize
                if packet.isAccessPoint {
                    runs.append(run)
                    run = Run(range: start..<start, tables: associations + maps.flatMap(\.packets))
                } else if let table = packet.table {
                    keep(table, packet.header, start..<reader.position)
                }
                run.range = run.range.lowerBound..<reader.position
            case .skipped:
                isNoisy = true
                runs.append(run)
                run = Run(range: reader.position..<reader.position)
            case .needsMore:
                runs.append(run)
                break parsing
            }
        }
        for run in runs { forward(run, isNoisy) }
        // R1
        pending.dropFirst(reader.position)
    }

    private func forward(_ run: Run, _ isNoisy: Bool) {
        if let tables = run.tables { startGroup(tables) }
        guard !run.range.isEmpty else { return }
        var packets = pending.slice(run.range)
        // R4
        if isNoisy || packets.count < 64 * packets.partCount { packets = memory.copy(packets.contents) }
        for subscriber in subscribers where subscriber.state == .running { subscriber.queue.append(packets) }
        guard groupIsOpen else { return }
        group.append(packets)
        // R3: without its beginning, it is of no use.
        if group.count > limits.group { closeGroup() }
    }

    private func closeGroup() {
        group = Bytes()
        groupIsOpen = false
    }

    /// Begins a group: the next packet is a keyframe's first. A decoder needs the tables before it.
    private func startGroup(_ tables: [UInt8]) {
        // R3
        group = memory.copy(tables)
        groupIsOpen = true
        for subscriber in subscribers where subscriber.state == .waiting {
            subscriber.queue.append(group)
            subscriber.state = .running
        }
    }

    private func keep(_ table: TransportPacket.Table, _ header: PacketHeader, _ range: Range<Int>) {
        // R4
        let packet = pending.slice(range).contents
        func put(_ packets: inout [UInt8]) {
            if header.startsUnit || packets.count >= Self.longestTable { packets = [] }
            packets += packet
        }
        switch table {
        case .associations:
            put(&associations)
            maps.removeAll { !parser.mapPIDs.contains($0.pid) }
        case .programMap:
            let index = maps.firstIndex { $0.pid == header.pid } ?? maps.endIndex
            if index == maps.endIndex { maps.append((header.pid, [])) }
            put(&maps[index].packets)
        }
    }

    // MARK: The subscribers' side

    func add(tag: Int) -> Subscriber<Bytes> {
        let subscriber = Subscriber<Bytes>(state: parser.counters.packets == 0 ? .running : .waiting, tag: tag)
        subscribers.append(subscriber)
        if subscriber.state == .waiting, group.count > 0 {
            subscriber.queue.append(group)
            subscriber.state = .running
        }
        return subscriber
    }

    func remove(_ subscriber: Subscriber<Bytes>) { subscribers.removeAll { $0 === subscriber } }

    /// What is to be done about subscribers whose queues are too long, after they were sent what they take.
    ///
    /// - Returns: those that are to be disconnected.
    public func enforceLimit() -> [Subscriber<Bytes>] {
        var dropped: [Subscriber<Bytes>] = []
        for subscriber in subscribers { longestQueue = max(longestQueue, subscriber.queue.count) }
        for subscriber in subscribers where subscriber.state == .running && subscriber.queue.count > limits.queue {
            switch limits.slow {
            case .skip: subscriber.skipAhead()
            case .drop: dropped.append(subscriber)
            case .wait: break
            }
        }
        return dropped
    }

    /// Whether the publisher is to wait: somebody's queue is full.
    public var isFull: Bool {
        limits.slow == .wait && subscribers.contains { $0.state == .running && $0.queue.count >= limits.queue }
    }

    /// Whether a publisher that waits may go on: all queues are half empty.
    public var hasRoom: Bool {
        !subscribers.contains { $0.state == .running && $0.queue.count > limits.queue / 2 }
    }
}
