// Where requests come from and where answers go, and the loop between them and the connections.

import Glibc

protocol Workload {
    /// The next request, or nil when there is none (any more).
    mutating func next() throws -> Request?
    mutating func answered(_ request: Request, _ answer: Answer) throws
}

/// Sends a workload's requests on all connections at once, `depth` of them before a connection's answers are waited
/// for, until there are none left and all are answered.
func exchange<W: Workload>(with connections: [Connection], depth: Int, _ workload: inout W) throws {
    func refill(_ connection: Connection) throws {
        for _ in 0..<depth {
            guard let request = try workload.next() else { break }
            connection.add(request)
        }
        if !connection.isIdle { try connection.send() }
    }

    for connection in connections { try refill(connection) }
    var polled = connections.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    while connections.contains(where: { !$0.isIdle }) {
        let ready = poll(&polled, nfds_t(polled.count), 30_000)
        guard ready != 0 else { throw LoadError("the server is silent for 30 seconds") }
        if ready < 0 && errno != EINTR { throw LoadError(call: "poll") }
        for index in polled.indices where polled[index].revents != 0 {
            let connection = connections[index]
            try connection.receive { try workload.answered($0, $1) }
            if connection.isIdle { try refill(connection) }
        }
    }
}

/// Stores a range of items, once each.
struct Storing: Workload {
    let items: ItemSequence
    var numbers: Range<Int>
    private(set) var refused = 0

    init(items: ItemSequence, numbers: Range<Int>) {
        self.items = items
        self.numbers = numbers
    }

    mutating func next() -> Request? { numbers.popFirst().map { .set(items[$0]) } }

    mutating func answered(_ request: Request, _ answer: Answer) throws {
        if case .stored = answer { return }
        // A full server may refuse an item for want of memory, and goes on.
        guard case .refused(let words) = answer, words.hasPrefix("SERVER_ERROR out of memory") else {
            throw LoadError("stored \(request), and was answered \(answer)")
        }
        refused += 1
    }
}

/// Asks for a range of items, once each, and counts those that are there.
struct Counting: Workload {
    let items: ItemSequence
    var numbers: Range<Int>
    private(set) var held = 0
    private(set) var heldBytes = 0

    init(items: ItemSequence, numbers: Range<Int>) {
        self.items = items
        self.numbers = numbers
    }

    mutating func next() -> Request? { numbers.popFirst().map { .get(items[$0]) } }

    mutating func answered(_ request: Request, _ answer: Answer) throws {
        switch (request, answer) {
        case (.get(let item), .hit):
            held += 1
            heldBytes += item.byteCount
        case (.get, .miss): break
        default: throw LoadError("asked for \(request), and was answered \(answer)")
        }
    }
}

/// The same request, of random items, again and again.
struct RepeatedRequests: Workload {
    let items: ItemSequence
    let itemCount: Int
    let gets: Bool
    var left = 0
    private(set) var failures = 0
    private var random: SplitMix64

    init(items: ItemSequence, itemCount: Int, gets: Bool, seed: UInt64) {
        self.items = items
        self.itemCount = itemCount
        self.gets = gets
        random = SplitMix64(seed: seed)
    }

    mutating func next() -> Request? {
        guard left > 0 else { return nil }
        left -= 1
        let item = items[Int(truncatingIfNeeded: random.next() % UInt64(itemCount))]
        return gets ? .get(item) : .set(item)
    }

    mutating func answered(_ request: Request, _ answer: Answer) {
        switch answer {
        case .hit where gets, .stored where !gets: break
        default: failures += 1
        }
    }
}

/// What a program does with a cache: asks, and stores what was missing. At most so many gets a second; on one
/// connection without pipelining, so that the sequence is the same for every server.
struct GetOrStore: Workload {
    let items: ItemSequence
    let popularity: Zipf
    let gets: Int
    let rate: Double
    private(set) var refused = 0
    private var asked = 0
    private var hits = (first: 0, second: 0)
    private var secondHalfBytes = (asked: 0, hit: 0)
    private var missing: Item?
    private var random: SplitMix64
    private let start = ContinuousClock.now

    init(items: ItemSequence, popularity: Zipf, gets: Int, rate: Double, seed: UInt64) {
        self.items = items
        self.popularity = popularity
        self.gets = gets
        self.rate = rate
        random = SplitMix64(seed: seed)
    }

    mutating func next() -> Request? {
        if let item = missing {
            missing = nil
            return .set(item)
        }
        guard asked < gets else { return nil }
        let ahead = Double(asked) / rate - (ContinuousClock.now - start) / .seconds(1)
        // A sleep takes longer than asked, so it is worth it for a few requests at a time only.
        if ahead > 0.002 { pause(seconds: ahead) }
        asked += 1
        return .get(items[popularity.draw(&random)])
    }

    mutating func answered(_ request: Request, _ answer: Answer) throws {
        switch (request, answer) {
        case (.get(let item), .hit):
            if asked > gets / 2 {
                hits.second += 1
                secondHalfBytes.asked += item.byteCount
                secondHalfBytes.hit += item.byteCount
            } else {
                hits.first += 1
            }
        case (.get(let item), .miss):
            if asked > gets / 2 { secondHalfBytes.asked += item.byteCount }
            missing = item
        case (.set, .stored): break
        case (.set, .refused(let words)) where words.hasPrefix("SERVER_ERROR out of memory"): refused += 1
        default: throw LoadError("asked for \(request), and was answered \(answer)")
        }
    }

    /// Of the bytes that the second half asked for, the share that was there: what a policy that prefers small items
    /// costs.
    var byteHitRateOfSecondHalf: Double { Double(secondHalfBytes.hit) / Double(max(1, secondHalfBytes.asked)) }

    func hitRate(ofSecondHalf second: Bool) -> Double {
        second ? Double(hits.second) / Double(gets - gets / 2) : Double(hits.first) / Double(gets / 2)
    }
}

func pause(seconds: Double) {
    usleep(UInt32(seconds * 1_000_000))
}
