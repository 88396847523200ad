// The load client of the cache server's measurements: it loads whatever server speaks memcached's text protocol, and
// prints what it measured as lines of `kind TAB title TAB value`, which `Scripts/bench-cache.sh` collects from several
// rounds and servers and `CacheLoad summary` turns into a table.
//
// One thread, blocking sockets, `poll`: on a machine where the client shares the processors with the server, the least
// client is the best. Every value that comes back is checked at both ends against what was stored.

import ArgumentParser

@main
struct CacheLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "CacheLoad",
        abstract: "Loads a cache server and prints what it measured, a line each.",
        subcommands: [Requests.self, Fill.self, Shift.self, Summary.self])
}

/// The server that is measured.
struct ServerOptions: ParsableArguments {
    @Option(help: "The port on 127.0.0.1 that the server listens on.")
    var port: UInt16

    @Option(help: "The server's process, for its CPU seconds and its memory.")
    var pid: Int32

    @Option(help: "What all random numbers start from: the same seed, the same requests.")
    var seed: UInt64 = 1
}

/// Prints one measurement.
func report(_ kind: Measurement.Kind, _ title: String, _ value: Double) {
    print(kind.rawValue, title, value, separator: "\t")
}

/// Server CPU seconds and requests a second for one kind of request.
struct Requests: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Requests of one kind: the server's CPU seconds for 100,000 of them, and how many a second.")

    enum Operation: String, ExpressibleByArgument { case get, set }

    @OptionGroup var server: ServerOptions

    @Option(help: "get (of items that are there) or set.")
    var operation: Operation

    @Option(help: "Bytes a value.")
    var valueSize: Int

    @Option(help: "How many requests are measured.")
    var requests = 100_000

    @Option(help: "Connections, all used at once.")
    var connections = 8

    @Option(help: "Requests sent on a connection before its answers are read.")
    var pipeline = 1

    func run() throws {
        let process = try ServerProcess(server.pid)
        let links = try (0..<connections).map { _ in try Connection(port: server.port) }
        // A working set that any server holds in 64 MiB, of up to 10,000 items.
        let items = ItemSequence(seed: server.seed, sizes: .exactly(valueSize))
        let itemCount = max(1, min(10_000, (24 << 20) / valueSize))
        var stored = Storing(items: items, numbers: 0..<itemCount)
        try exchange(with: [links[0]], depth: 16, &stored)

        var load = RepeatedRequests(items: items, itemCount: itemCount, gets: operation == .get, seed: server.seed)
        load.left = requests / 10
        try exchange(with: links, depth: pipeline, &load)

        load.left = requests
        let cpu = try process.cpuSeconds()
        let start = ContinuousClock.now
        try exchange(with: links, depth: pipeline, &load)
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let used = try process.cpuSeconds() - cpu

        guard load.failures == 0 else { throw LoadError("\(load.failures) of \(requests) requests failed") }
        let title =
            "\(operation.rawValue) \(shown(bytes: valueSize))" + (pipeline > 1 ? ", pipelined by \(pipeline)" : "")
        report(.cpu, title, used * 100_000 / Double(requests))
        report(.rate, title, Double(requests) / seconds)
    }
}

/// How many items a server holds.
struct Fill: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stores more than fits and counts what is still there.")

    @OptionGroup var server: ServerOptions

    @Option(help: "wide: 16 B to 64 KiB; small: mostly below 512 B.")
    var mix: SizeMix

    @Option(help: "The server's memory limit in MiB.")
    var memory = 64

    @Option(help: "How much is stored, in memory limits.")
    var times = 3

    @Option(help: "Seconds between storing and counting, for the server to come to rest.")
    var rest = 2.0

    func run() throws {
        let process = try ServerProcess(server.pid)
        let link = try Connection(port: server.port)
        let items = ItemSequence(seed: server.seed, sizes: mix.sizes)
        let itemCount = items.count(filling: times * memory << 20)

        var storing = Storing(items: items, numbers: 0..<itemCount)
        try exchange(with: [link], depth: 32, &storing)
        pause(seconds: rest)
        let resident = try process.residentBytes()

        var counting = Counting(items: items, numbers: 0..<itemCount)
        try exchange(with: [link], depth: 32, &counting)
        report(.items, "\(mix.title)", Double(counting.held))
        report(.bytes, "\(mix.title)", Double(counting.heldBytes) / Double(1 << 20))
        report(.resident, "\(mix.title)", Double(resident) / Double(1 << 20))
        report(.refused, "\(mix.title)", Double(storing.refused))
    }
}

/// The hit rate of a cache after its items become larger.
struct Shift: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fills a server with small items, then asks for large ones and stores those that are missing.")

    @OptionGroup var server: ServerOptions

    @Option(help: "The server's memory limit in MiB.")
    var memory = 64

    @Option(help: "Seconds of work on the large items; the hit rate is the second half's.")
    var seconds = 60.0

    @Option(help: "Gets a second: the same for every server, so that its background work has the same time.")
    var rate = 5_000.0

    func run() throws {
        let link = try Connection(port: server.port)
        let small = ItemSequence(seed: server.seed, sizes: .uniform(512...1536), firstNumber: 1_000_000_000)
        var filling = Storing(items: small, numbers: 0..<small.count(filling: 2 * memory << 20))
        try exchange(with: [link], depth: 32, &filling)

        // About 2 KiB and about 50 KiB, together four times what fits.
        let large = ItemSequence(
            seed: server.seed, sizes: .either(.uniform(1536...2560), 0.8, or: .uniform(40_960...61_440)))
        let itemCount = large.count(filling: 4 * memory << 20)
        var work = GetOrStore(
            items: large, popularity: Zipf(count: itemCount, exponent: 0.99), gets: Int(seconds * rate), rate: rate,
            seed: server.seed)
        try exchange(with: [link], depth: 1, &work)
        report(.hits, "all items, second half", work.hitRate(ofSecondHalf: true))
        report(.hits, "all items, first half", work.hitRate(ofSecondHalf: false))
        report(.byteHits, "all items, second half", work.byteHitRateOfSecondHalf)
        report(.refused, "large items after the shift", Double(work.refused))
        report(.resident, "after the shift", Double(try ServerProcess(server.pid).residentBytes()) / Double(1 << 20))
    }
}
