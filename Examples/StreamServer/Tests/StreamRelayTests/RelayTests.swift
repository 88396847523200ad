// Who gets which packets: early, late, slow, on each kind of buffers.

import StreamRelay
import StreamTestKit
import Testing
import TransportStream

@Suite("Relay")
struct RelayTests {
    private let movie = StreamMaker.movie(groups: 6, seed: 3)

    private func limits(
        queue: Int = 1 << 20, group: Int = 1 << 20, garbage: Int = 1000, slow: SlowPolicy = .skip
    ) -> RelayLimits {
        var limits = RelayLimits()
        (limits.queue, limits.group, limits.garbage, limits.slow) = (queue, group, garbage, slow)
        return limits
    }

    /// What a subscriber gets that starts with the keyframe at a place.
    private func stream(from keyframe: Int) -> [UInt8] {
        StreamMaker.tables(in: movie.bytes, before: keyframe) + movie.bytes[keyframe...]
    }

    @Test("Everybody gets every byte, whatever the reads and the sends are", arguments: MemoryKind.allCases)
    func exact(kind: MemoryKind) throws {
        func run<Memory: StreamMemory>(_ memory: Memory) throws {
            var numbers = SeededNumbers(seed: 1)
            let relay = Relay(memory: memory, limits: limits())
            let subscribers = try (0..<3).map { try relay.subscribe("a/b", tag: $0).1 }
            let stream = try relay.publish("a/b")
            var received = [[UInt8]](repeating: [], count: 3)
            for cut in randomCuts(of: movie.bytes.count, using: &numbers) {
                try stream.receive(memory.copy(Array(movie.bytes[cut])))
                for index in 0..<3 {
                    received[index] += subscribers[index].take(Int.random(in: 0...400, using: &numbers))
                }
            }
            relay.end(stream)
            for index in 0..<3 {
                #expect(subscribers[index].state == .ending)
                received[index] += subscribers[index].take(.max)
                #expect(received[index] == movie.bytes)
                #expect(subscribers[index].sentCount == movie.bytes.count && subscribers[index].skips == 0)
                relay.remove(subscribers[index], from: stream)
            }
            #expect(relay.streams.isEmpty)
        }
        try withMemory(kind) { try run($0) }
    }

    @Test("Who comes late starts with the tables and the keyframe before", arguments: MemoryKind.allCases)
    func late(kind: MemoryKind) throws {
        func run<Memory: StreamMemory>(_ memory: Memory) throws {
            let relay = Relay(memory: memory, limits: limits())
            let stream = try relay.publish("test")
            var started: [(subscriber: Subscriber<Memory.Bytes>, keyframe: Int)] = []
            for start in stride(from: 0, to: movie.bytes.count, by: 501) {
                let end = min(start + 501, movie.bytes.count)
                try stream.receive(memory.copy(Array(movie.bytes[start..<end])))
                // The first packet of the keyframe has come, and in sync a packet is one when it is whole.
                guard let keyframe = movie.keyframes.last(where: { $0 + packetSize <= end }) else { continue }
                started.append((try relay.subscribe("test", tag: 0).1, keyframe))
            }
            #expect(Set(started.map(\.keyframe)).count == movie.keyframes.count)
            relay.end(stream)
            for (subscriber, keyframe) in started {
                #expect(subscriber.take(.max) == self.stream(from: keyframe))
                relay.remove(subscriber, from: stream)
            }
        }
        try withMemory(kind) { try run($0) }
    }

    @Test("Where the group is too long to be kept, who comes late waits for the next", arguments: MemoryKind.allCases)
    func noGroup(kind: MemoryKind) throws {
        func run<Memory: StreamMemory>(_ memory: Memory) throws {
            let relay = Relay(memory: memory, limits: limits(group: 3000))
            let stream = try relay.publish("test")
            let place = movie.keyframes[2] + 4000
            try stream.receive(memory.copy(Array(movie.bytes[..<place])))
            let subscriber = try relay.subscribe("test", tag: 0).1
            #expect(subscriber.state == .waiting && subscriber.queue.count == 0 && stream.groupCount == 0)
            try stream.receive(memory.copy(Array(movie.bytes[place..<movie.keyframes[3] + 400])))
            #expect(subscriber.state == .running && stream.groupCount > 0)
            try stream.receive(memory.copy(Array(movie.bytes[(movie.keyframes[3] + 400)...])))
            relay.end(stream)
            #expect(subscriber.take(.max) == self.stream(from: movie.keyframes[3]))
            relay.remove(subscriber, from: stream)
        }
        try withMemory(kind) { try run($0) }
    }

    @Test("Who is too slow gets its packet to the end, and then a keyframe", arguments: MemoryKind.allCases)
    func skip(kind: MemoryKind) throws {
        func run<Memory: StreamMemory>(_ memory: Memory) throws {
            let relay = Relay(memory: memory, limits: limits(queue: 5000))
            let slow = try relay.subscribe("test", tag: 0).1
            let fast = try relay.subscribe("test", tag: 1).1
            let stream = try relay.publish("test")
            var fastBytes: [UInt8] = []
            func publish(_ range: Range<Int>) throws {
                try stream.receive(memory.copy(Array(movie.bytes[range])))
                fastBytes += fast.take(.max)
                #expect(stream.enforceLimit().isEmpty)
            }
            let place = movie.keyframes[1] + 300
            try publish(0..<1000)
            var slowBytes = slow.take(500)
            try publish(1000..<place)
            #expect(slow.state == .waiting && slow.skips == 1)
            #expect(stream.longestQueue == place / packetSize * packetSize - 500)
            // 500 bytes are two packets and a part of the third.
            #expect(slow.queue.count == 3 * packetSize - 500)
            #expect(slow.missedCount == place / packetSize * packetSize - 3 * packetSize)
            try publish(place..<movie.keyframes[2] + 2000)
            #expect(slow.state == .running)
            slowBytes += slow.take(.max)
            try publish(movie.keyframes[2] + 2000..<movie.keyframes[2] + 5000)
            relay.end(stream)
            fastBytes += fast.take(.max)
            slowBytes += slow.take(.max)
            let end = (movie.keyframes[2] + 5000) / packetSize * packetSize
            #expect(fastBytes == Array(movie.bytes[..<end]))
            let missing = movie.bytes.count - end
            #expect(
                slowBytes == movie.bytes[..<(3 * packetSize)] + self.stream(from: movie.keyframes[2]).dropLast(missing))
            for subscriber in [slow, fast] { relay.remove(subscriber, from: stream) }
        }
        try withMemory(kind) { try run($0) }
    }

    @Test("Who is too slow is dropped, or the publisher waits, where that is asked for", arguments: MemoryKind.allCases)
    func otherPolicies(kind: MemoryKind) throws {
        func run<Memory: StreamMemory>(_ memory: Memory) throws {
            let dropping = Relay(memory: memory, limits: limits(queue: 5000, slow: .drop))
            let slow = try dropping.subscribe("test", tag: 7).1
            let stream = try dropping.publish("test")
            try stream.receive(memory.copy(Array(movie.bytes[..<5000])))
            #expect(stream.enforceLimit().isEmpty)
            try stream.receive(memory.copy(Array(movie.bytes[5000..<6000])))
            #expect(stream.enforceLimit().map(\.tag) == [7])
            dropping.remove(slow, from: stream)
            dropping.end(stream)

            let waiting = Relay(memory: memory, limits: limits(queue: 5000, slow: .wait))
            let other = try waiting.subscribe("test", tag: 0).1
            let held = try waiting.publish("test")
            try held.receive(memory.copy(Array(movie.bytes[..<4900])))
            #expect(!held.isFull && !held.hasRoom)
            try held.receive(memory.copy(Array(movie.bytes[4900..<6000])))
            #expect(held.enforceLimit().isEmpty && held.isFull)
            _ = other.take(2000)
            #expect(!held.isFull && !held.hasRoom)
            _ = other.take(2000)
            #expect(held.hasRoom)
            waiting.end(held)
            waiting.remove(other, from: held)
        }
        try withMemory(kind) { try run($0) }
    }

    @Test("Memory goes back when the slowest has sent it")
    func recycling() throws {
        let memory = try SegmentedMemory()
        let relay = Relay(memory: memory, limits: limits(group: 0))
        let subscribers = try (0..<4).map { try relay.subscribe("test", tag: $0).1 }
        let stream = try relay.publish("test")
        // Only tables and the start of a packet stay beside what is queued.
        let piece = 10 * packetSize
        for start in stride(from: 0, to: movie.bytes.count - piece, by: piece) {
            try stream.receive(memory.copy(Array(movie.bytes[start..<start + piece])))
        }
        let queued = subscribers[0].queue.count
        #expect(memory.liveByteCount ?? 0 < queued + 16 * (queued / piece) + 1000)
        for (index, subscriber) in subscribers.enumerated() {
            #expect(memory.liveByteCount ?? 0 >= queued)
            _ = subscriber.take(index < 3 ? .max : queued - 100)
        }
        #expect(memory.liveByteCount ?? 0 <= 4 * (piece + 16))
        _ = subscribers[3].take(.max)
        relay.end(stream)
        for subscriber in subscribers { relay.remove(subscriber, from: stream) }
        #expect(memory.liveByteCount == 0)
        #expect(try memory.close())
    }

    @Test("Packets among noise, and in crumbs, take no more memory than they need")
    func hostileReads() throws {
        let memory = try SegmentedMemory()
        let relay = Relay(memory: memory, limits: limits(garbage: 100_000))
        let subscriber = try relay.subscribe("test", tag: 0).1
        let stream = try relay.publish("test")
        let noise = [UInt8](repeating: 0, count: 60_000)
        let packets = stride(from: 0, to: 6 * 3 * packetSize, by: 3 * packetSize).map {
            Array(movie.bytes[$0..<$0 + 3 * packetSize])
        }
        for three in packets { try stream.receive(memory.copy(three + noise)) }
        #expect(subscriber.queue.count == 6 * 3 * packetSize)
        #expect(memory.liveByteCount ?? 0 < 2 * subscriber.queue.count + 1000)
        #expect(subscriber.take(.max) == Array(packets.joined()))
        relay.end(stream)
        relay.remove(subscriber, from: stream)

        let (waiting, crumbs) = try relay.subscribe("test", tag: 0)
        _ = try relay.publish("test")
        for byte in movie.bytes.prefix(100 * packetSize) { try waiting.receive(memory.copy([byte])) }
        #expect(crumbs.queue.count == 100 * packetSize && crumbs.queue.segmentCount <= 101)
        // The queue, the group beside it, and the tables.
        #expect(memory.liveByteCount ?? 0 < 3 * crumbs.queue.count)
        relay.end(waiting)
        #expect(crumbs.take(.max) == Array(movie.bytes.prefix(100 * packetSize)))
        relay.remove(crumbs, from: waiting)
        #expect(try memory.close())
    }

    @Test("The next publisher of a name begins anew: no group and no tables are left", arguments: MemoryKind.allCases)
    func nextPublisher(kind: MemoryKind) throws {
        func run<Memory: StreamMemory>(_ memory: Memory) throws {
            let relay = Relay(memory: memory, limits: limits())
            // Somebody who takes nothing keeps the stream there.
            let (stream, staying) = try relay.subscribe("test", tag: 0)
            _ = try relay.publish("test")
            try stream.receive(memory.copy(movie.bytes))
            relay.end(stream)
            #expect(try relay.publish("test") === stream)
            // From the middle of a group on, without its tables.
            let place = movie.keyframes[2] + 2 * packetSize
            let tables = StreamMaker.tables(in: movie.bytes, before: place)
            try stream.receive(memory.copy(tables + movie.bytes[place..<place + 8 * packetSize]))
            let late = try relay.subscribe("test", tag: 1).1
            #expect(late.state == .waiting && stream.groupCount == 0)
            try stream.receive(memory.copy(Array(movie.bytes[(place + 8 * packetSize)...])))
            #expect(late.take(.max) == self.stream(from: movie.keyframes[3]))
            #expect(staying.take(.max) == movie.bytes)
            relay.end(stream)
            relay.remove(late, from: stream)
            relay.remove(staying, from: stream)
        }
        try withMemory(kind) { try run($0) }
    }

    @Test("Packets of a table that never begins anew are not kept for ever")
    func endlessTable() throws {
        let memory = try SegmentedMemory()
        let relay = Relay(memory: memory, limits: limits())
        let stream = try relay.publish("test")
        var maker = StreamMaker()
        maker.addTables()
        for _ in 0..<1000 { maker.addPacket(pid: StreamMaker.mapPID, payload: [UInt8](repeating: 0xFF, count: 184)) }
        maker.addUnit(pid: StreamMaker.videoPID, StreamMaker.pes([1, 2, 3]), flags: 0x40)
        try stream.receive(memory.copy(maker.bytes))
        #expect(stream.groupCount <= 20 * packetSize)
        relay.end(stream)
        #expect(try memory.close())
    }

    @Test("Names, publishers and what is no stream")
    func refusals() throws {
        let memory = try SegmentedMemory()
        let relay = Relay(memory: memory, limits: limits())
        for name in ["", String(repeating: "a", count: 65), "a b", "a\n", "ä"] {
            #expect(throws: RelayError.malformedName) { try relay.publish(name) }
            #expect(throws: RelayError.malformedName) { try relay.subscribe(name, tag: 0) }
        }
        #expect(relay.streams.isEmpty)
        let stream = try relay.publish("a-b_c.d/E9")
        #expect(throws: RelayError.isPublished("a-b_c.d/E9")) { try relay.publish("a-b_c.d/E9") }
        try stream.receive(memory.copy([UInt8](repeating: 1, count: 1000)))
        #expect(throws: RelayError.noTransportStream(skipped: 1001)) { try stream.receive(memory.copy([1])) }
        relay.end(stream)
        #expect(relay.streams.isEmpty)
        // The same stream again begins anew.
        let (waiting, subscriber) = try relay.subscribe("a-b_c.d/E9", tag: 0)
        let again = try relay.publish("a-b_c.d/E9")
        #expect(again === waiting)
        try again.receive(memory.copy(movie.bytes))
        #expect(again.counters.accessPoints == 6 && again.counters.skippedBytes == 0)
        relay.end(again)
        let statistics = Dictionary(uniqueKeysWithValues: relay.statistics.map { ($0.name, $0.value) })
        #expect(statistics["received_bytes"] == 1001 + movie.bytes.count && statistics["skipped_bytes"] == 1001)
        #expect(statistics["access_points"] == 6 && statistics["queued_bytes"] == movie.bytes.count)
        relay.remove(subscriber, from: waiting)
        #expect(try memory.close())
    }
}
