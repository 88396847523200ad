// All streams, by name. A stream is there as long as somebody publishes it or waits for it.

import TransportStream

public final class Relay<Memory: StreamMemory> {
    public typealias Stream = PublishedStream<Memory>

    public let memory: Memory
    public let limits: RelayLimits
    public private(set) var streams: [String: Stream] = [:]
    /// What the publishers that have ended had sent.
    private var endedCounters = TransportCounters()
    private var endedReceivedCount = 0
    private var endedSentCount = 0
    private var endedSkips = 0
    private var endedMissedCount = 0
    private var endedLongestQueue = 0

    public init(memory: Memory, limits: RelayLimits) {
        self.memory = memory
        self.limits = limits
    }

    /// Begins to publish a stream.
    public func publish(_ name: String) throws(RelayError) -> Stream {
        guard isStreamName(name.utf8) else { throw .malformedName }
        let stream = stream(name)
        guard !stream.hasPublisher else { throw .isPublished(name) }
        stream.start()
        return stream
    }

    /// Ends what a publisher sent. Its subscribers are to be disconnected when their queues are empty.
    public func end(_ stream: Stream) {
        endedReceivedCount += stream.receivedCount
        endedCounters += stream.end()
        removeIfUnused(stream)
    }

    /// Adds a subscriber: to a stream from its first packet on, where there is none yet, else from a keyframe on.
    public func subscribe(_ name: String, tag: Int) throws(RelayError) -> (Stream, Subscriber<Memory.Bytes>) {
        guard isStreamName(name.utf8) else { throw .malformedName }
        let stream = stream(name)
        return (stream, stream.add(tag: tag))
    }

    /// Removes a subscriber, and what is waiting for it.
    public func remove(_ subscriber: Subscriber<Memory.Bytes>, from stream: Stream) {
        stream.remove(subscriber)
        subscriber.queue = Memory.Bytes()
        endedSentCount += subscriber.sentCount
        endedSkips += subscriber.skips
        endedMissedCount += subscriber.missedCount
        removeIfUnused(stream)
    }

    private func stream(_ name: String) -> Stream {
        if let stream = streams[name] { return stream }
        let stream = Stream(name: name, memory: memory, limits: limits)
        streams[name] = stream
        return stream
    }

    private func removeIfUnused(_ stream: Stream) {
        guard stream.isUnused else { return }
        endedLongestQueue = max(endedLongestQueue, stream.longestQueue)
        streams[stream.name] = nil
    }

    /// What there is and was, as lines of a name and a number.
    public var statistics: [(name: String, value: Int)] {
        let live = streams.values
        let subscribers = live.flatMap(\.subscribers)
        var counters = endedCounters
        for stream in live where stream.hasPublisher { counters += stream.counters }
        let received = live.reduce(endedReceivedCount) { $0 + ($1.hasPublisher ? $1.receivedCount : 0) }
        var lines: [(name: String, value: Int)] = [
            ("streams", live.count),
            ("publishers", live.count { $0.hasPublisher }),
            ("subscribers", subscribers.count),
            ("subscribers_waiting", subscribers.count { $0.state == .waiting }),
            ("received_bytes", received),
            ("sent_bytes", subscribers.reduce(endedSentCount) { $0 + $1.sentCount }),
            ("queued_bytes", subscribers.reduce(0) { $0 + $1.queue.count }),
            ("longest_queue_bytes", live.reduce(endedLongestQueue) { max($0, $1.longestQueue) }),
            ("group_bytes", live.reduce(0) { $0 + $1.groupCount }),
            ("skips", subscribers.reduce(endedSkips) { $0 + $1.skips }),
            ("missed_bytes", subscribers.reduce(endedMissedCount) { $0 + $1.missedCount }),
            ("packets", counters.packets),
            ("skipped_bytes", counters.skippedBytes),
            ("sync_losses", counters.syncLosses),
            ("continuity_errors", counters.continuityErrors),
            ("duplicates", counters.duplicates),
            ("damaged", counters.damaged),
            ("malformed", counters.malformed),
            ("checksum_errors", counters.checksumErrors),
            ("table_changes", counters.tableChanges),
            ("unit_starts", counters.unitStarts),
            ("access_points", counters.accessPoints),
        ]
        if let live = memory.liveByteCount { lines.append(("live_bytes", live)) }
        if let held = memory.heldByteCount { lines.append(("held_bytes", held)) }
        return lines
    }
}
