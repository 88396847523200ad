// One stream: what comes from its publisher goes to its subscribers.
//
//     bytes read ─→ pending ─ parser ─→ runs of packets ─┬─→ queue of each subscriber
//                                                        ├─→ group: since the last keyframe, for those who come late
//                                                        └─→ tables: the last of each kind, for the same
//
// R1. `pending` begins where the parser goes on: with less than a packet, or with what is not known to be one.
// R2. A run lies in the memory that it was read to, which `pending`, `group`, the tables and the queues share. It goes back
//     when the slowest of them has given it up.
// R3. `group` is empty, or has the tables as they were before the last keyframe, the keyframe, and all packets since.
//
// Cost: a read is parsed once; each subscriber then takes a reference for each part of it.

public import TransportStream

public final class PublishedStream<Bytes: StreamBytes> {
    public let name: String
    public private(set) var subscribers: [Subscriber<Bytes>] = []
    public private(set) var hasPublisher = false
    /// What was received since the publisher came.
    public private(set) var receivedCount = 0
    /// The most that ever waited for a subscriber, after it was sent what it took.
    public private(set) var longestQueue = 0
    private let limits: RelayLimits
    private var parser = TransportParser()
    private var pending = Bytes()
    private var group = Bytes()
    private var associations = Bytes()
    /// By PID, in the order in which they came.
    private var maps: [(pid: Int, packets: Bytes)] = []

    init(name: String, limits: RelayLimits) {
        self.name = name
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
        group = Bytes()
        associations = Bytes()
        maps = []
        for subscriber in subscribers { subscriber.state = .ending }
        return counters
    }

    private func forward(atEnd: Bool) {
        var reader = pending.makeReader()
        // The packets since `start` have not been forwarded.
        var start = 0
        while true {
            switch parser.next(&reader, atEnd: atEnd) {
            case .packet(let packet):
                let packetStart = reader.position - packetSize
                if packet.isAccessPoint {
                    forward(start..<packetStart)
                    start = packetStart
                    startGroup()
                } else if let table = packet.table {
                    keep(table, packet.header, packetStart..<reader.position)
                }
            case .skipped(let count):
                forward(start..<reader.position - count)
                start = reader.position
            case .needsMore:
                forward(start..<reader.position)
                // R1
                pending.dropFirst(reader.position)
                return
            }
        }
    }

    private func forward(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        let run = pending.slice(range)
        for subscriber in subscribers where subscriber.state == .running { subscriber.queue.append(run) }
        guard groupIsOpen else { return }
        group.append(run)
        // R3: without its beginning, it is of no use.
        if group.count > limits.group { closeGroup() }
    }

    private var groupIsOpen = false

    private func closeGroup() {
        group = Bytes()
        groupIsOpen = false
    }

    /// Begins a group: the next packet is a keyframe's first.
    private func startGroup() {
        // What a decoder needs to begin with a keyframe. R3
        group = associations
        for map in maps { group.append(map.packets) }
        groupIsOpen = true
        for subscriber in subscribers where subscriber.state == .waiting {
            subscriber.queue.append(group)
            subscriber.state = .running
        }
    }

    private func keep(_ table: TransportPacket.Table, _ header: PacketHeader, _ range: Range<Int>) {
        let packet = pending.slice(range)
        switch table {
        case .associations:
            if header.startsUnit { associations = Bytes() }
            associations.append(packet)
        case .programMap:
            let index = maps.firstIndex { $0.pid == header.pid } ?? maps.endIndex
            if index == maps.endIndex { maps.append((header.pid, Bytes())) }
            if header.startsUnit { maps[index].packets = Bytes() }
            maps[index].packets.append(packet)
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
        for subscriber in subscribers where subscriber.queue.count > limits.queue {
            switch limits.slow {
            case .skip: if subscriber.state == .running { subscriber.skipAhead() }
            case .drop: dropped.append(subscriber)
            case .wait: break
            }
        }
        return dropped
    }

    /// Whether the publisher is to wait: somebody's queue is full.
    public var isFull: Bool {
        limits.slow == .wait && subscribers.contains { $0.queue.count >= limits.queue }
    }

    /// Whether a publisher that waits may go on: all queues are half empty.
    public var hasRoom: Bool { !subscribers.contains { $0.queue.count > limits.queue / 2 } }
}
