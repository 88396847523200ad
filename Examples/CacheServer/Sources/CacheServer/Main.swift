// The command: options, start, stop, exit status.

import ArgumentParser
import CacheStore
import Foundation
import NIOCore

@main
struct Main: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "CacheServer",
        abstract: "An in-memory cache with the memcached text protocol, its items in a slab arena of Mallow.")

    // The long names are memcached's.
    @Option(name: .shortAndLong, help: "TCP port to listen on.")
    var port = 11211
    @Option(name: [.customShort("l"), .customLong("listen")], help: "Address to listen on; 0.0.0.0 for all.")
    var address = "127.0.0.1"
    @Option(
        name: [.customShort("m"), .customLong("memory-limit")],
        help: "Memory for items and their index, in megabytes.")
    var megabytes = 64
    @Option(name: .shortAndLong, help: "Threads that serve connections.")
    var threads = 4
    @Option(
        name: [.customShort("I"), .customLong("max-item-size")],
        help: "The largest item, in bytes or with a suffix k or m: 1k to 8m.")
    var largestItem = "1m"
    @Option(
        name: [.customShort("f"), .customLong("slab-growth-factor"), .customLong("growth-factor")],
        help: "By how much chunk sizes grow from class to class.")
    var growthFactor = CacheConfiguration().growthFactor
    @Option(name: [.customShort("c"), .customLong("conn-limit")], help: "The most connections at a time.")
    var connections = 1024
    @Flag(name: .shortAndLong, help: "Say on standard error what is listened on.")
    var verbose: Int

    static func main() {
        do {
            let command = try parse()
            let options = try command.options()
            Foundation.exit(try serve(options))
        } catch let error as OptionError {
            fail(error.description)
        } catch {
            let status = exitCode(for: error)
            if status == .success { exit(withError: error) }
            fail(message(for: error))
        }
    }

    private static func fail(_ message: String) -> Never {
        let line = message.split(separator: "\n").first ?? ""
        FileHandle.standardError.write(Data("CacheServer: \(line)\n".utf8))
        Foundation.exit(1)
    }

    private func options() throws(OptionError) -> ServerOptions {
        func check(_ isRight: Bool, _ message: String) throws(OptionError) {
            if !isRight { throw OptionError(description: message) }
        }
        var options = ServerOptions()
        try check(port >= 0 && port <= 65535, "-p \(port): a port is from 0 to 65535")
        try check(megabytes >= 8 && megabytes <= 1 << 20, "-m \(megabytes): from 8 to 1048576 megabytes")
        try check(threads >= 1 && threads <= 256, "-t \(threads): from 1 to 256 threads")
        try check(connections >= 1, "-c \(connections): at least 1 connection")
        try check(growthFactor >= 1.01 && growthFactor <= 16, "-f \(growthFactor): a growth factor from 1.01 to 16")
        guard let itemBytes = byteCount(largestItem) else {
            throw OptionError(description: "-I \(largestItem): not a size such as 1048576, 512k or 1m")
        }
        try check(itemBytes >= 1024 && itemBytes <= 8 << 20, "-I \(largestItem): from 1k to 8m")
        try check(itemBytes <= megabytes << 19, "-I \(largestItem): at most half of the memory, which -m sets")
        (options.port, options.address, options.threads) = (port, address, threads)
        (options.connections, options.verbosity) = (connections, verbose)
        options.store.memoryLimit = megabytes << 20
        options.store.largestItem = itemBytes
        options.store.growthFactor = growthFactor
        return options
    }

    /// Serves until the process is asked to stop. The exit status says whether memory was left.
    private static func serve(_ options: ServerOptions) throws -> Int32 {
        func note(_ line: String) { FileHandle.standardError.write(Data("\(line)\n".utf8)) }
        let server = try Server(options)
        let channel: any Channel
        do {
            channel = try server.start()
        } catch {
            server.abort()
            throw OptionError(description: "cannot listen on \(options.address):\(options.port): \(reason(error))")
        }
        if options.verbosity > 0, let address = channel.localAddress { note("listening on \(address)") }
        waitForStopSignal()
        do {
            try server.stop(channel)
            note("arena: no leaks")
            return 0
        } catch {
            note("arena: \(error)")
            return 1
        }
    }

    private static func reason(_ error: any Error) -> String {
        (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
    }
}
