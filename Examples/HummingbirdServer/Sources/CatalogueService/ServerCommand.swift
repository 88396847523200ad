// The command: options, start, stop. SIGTERM and SIGINT end it when the requests that are under way are answered.

import ArgumentParser
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import ProductCatalogue

#if canImport(Glibc)
    import Glibc
#endif

/// What `--log-level` may say: the names of swift-log.
enum LogLevel: String, CaseIterable, ExpressibleByArgument {
    case trace, debug, info, notice, warning, error, critical

    var level: Logger.Level { Logger.Level(rawValue: rawValue) ?? .notice }
}

public struct ServerCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "HummingbirdServer",
        abstract: "A product catalogue over HTTP: JSON and large bodies, all in memory, on Hummingbird.")

    @Option(name: .shortAndLong, help: "TCP port to listen on; 0 for any that is free.")
    var port = 8080
    @Option(name: [.customShort("l"), .customLong("listen")], help: "Address to listen on; 0.0.0.0 for all.")
    var address = "127.0.0.1"
    @Option(name: .shortAndLong, help: "Event loops; as many as processors unless told.")
    var threads = System.coreCount
    @Option(help: "The products to start with.")
    var products = 1000
    @Option(help: "The most products that are kept; where there are more, the oldest goes.")
    var capacity = 1000
    @Option(help: "The largest body that is read as a whole, in MiB.")
    var bodyLimit = 16
    @Option(help: "How much of images is kept, in MiB; the oldest goes.")
    var imageLimit = 16
    @Option(help: "What is logged; info, debug and trace have a line for each request.")
    var logLevel = LogLevel.notice

    public init() {}

    public func validate() throws {
        func check(_ isRight: Bool, _ message: String) throws {
            if !isRight { throw ValidationError(message) }
        }
        try check((0...65535).contains(port), "--port \(port): a port is from 0 to 65535")
        try check((1...1024).contains(threads), "--threads \(threads): from 1 to 1024")
        try check((1...10_000_000).contains(capacity), "--capacity \(capacity): from 1 to 10000000")
        try check((0...capacity).contains(products), "--products \(products): from 0 to the capacity, \(capacity)")
        try check((1...1024).contains(bodyLimit), "--body-limit \(bodyLimit): from 1 to 1024 MiB")
        try check((0...65536).contains(imageLimit), "--image-limit \(imageLimit): from 0 to 65536 MiB")
    }

    public func run() async throws {
        let catalogue = Catalogue(capacity: capacity)
        for number in 0..<products { _ = catalogue.create(.sample(number)) }

        var logger = Logger(label: "HummingbirdServer")
        logger.logLevel = logLevel.level
        let address = address
        let application = Application(
            router: makeRouter(catalogue: catalogue),
            configuration: .init(
                address: .hostname(address, port: port), serverName: "HummingbirdServer", backlog: 1024),
            onServerRunning: { channel in
                note("listening on \(address):\(channel.localAddress?.port ?? 0)")
            },
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup(numberOfThreads: threads)),
            logger: logger)
        do {
            try await application.runService()
        } catch let error as IOError {
            note("HummingbirdServer: \(address):\(port): \(error)")
            throw ExitCode.failure
        }
        note("stopped")
    }

    private func makeRouter(catalogue: Catalogue) -> Router<ServerContext> {
        let counters = RequestCounters()
        let images = ImageCache(limit: imageLimit << 20)
        let router = Router(context: ServerContext.self)
        router.add(middleware: CountingMiddleware(counters: counters))
        router.add(middleware: RequestIDMiddleware())
        if logLevel.level <= .info { router.add(middleware: LogRequestsMiddleware(.info)) }
        router.add(middleware: BodyLimitMiddleware(limit: bodyLimit << 20))

        router.get("health") { _, _ in "OK\n" }
        router.get("metrics") { _, _ in
            counters.text + "catalogue_products \(catalogue.count)\nimage_bytes \(images.byteCount)\n"
        }
        ProductRoutes(catalogue: catalogue).add(to: router)
        BodyRoutes(images: images).add(to: router)
        return router
    }
}

/// A line on standard error.
private func note(_ line: String) {
    var line = line + "\n"
    _ = line.withUTF8 { write(2, $0.baseAddress, $0.count) }
}
