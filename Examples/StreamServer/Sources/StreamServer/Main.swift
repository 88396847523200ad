// The command: options, start, stop, exit status.

import ArgumentParser
import Glibc
import StreamRelay

extension SlowPolicy: ExpressibleByArgument {}
extension BufferKind: ExpressibleByArgument {}

@main
struct Main: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "StreamServer",
        abstract:
            "Receives MPEG transport streams and forwards them to subscribers, out of memory that all of them share.")

    @Option(name: .shortAndLong, help: "TCP port to listen on; 0 for any that is free.")
    var port = 8554
    @Option(name: [.customShort("l"), .customLong("listen")], help: "IPv4 address to listen on; 0.0.0.0 for all.")
    var address = "127.0.0.1"
    @Option(help: "How much may wait for one subscriber, in bytes or with a suffix k or m.")
    var bufferLimit = "8m"
    @Option(help: "How much since the last keyframe is kept for subscribers that come late; 0: they wait for the next.")
    var groupLimit = "4m"
    @Option(help: "What becomes of a subscriber that takes less than is published: skip, drop or wait.")
    var slow = SlowPolicy.skip
    @Option(help: "How many bytes in a row that are no packets a publisher may send.")
    var garbageLimit = "64k"
    @Option(help: "Seconds for which somebody may neither send nor take anything.")
    var timeout = 30
    @Option(help: "How much is read at once.")
    var readSize = "64k"
    @Option(name: [.customShort("c"), .customLong("connections")], help: "The most connections at a time.")
    var connections = 1024
    @Option(help: "The stream's name where a publisher sends packets without a word.")
    var unnamed = "live"
    @Option(help: "What the packets lie in: mallow, array, bytebuffer or copies. The others are there to be compared.")
    var buffers = BufferKind.mallow

    static func main() {
        do {
            let command = try parse()
            Glibc.exit(try command.serve(command.options()))
        } catch let error as OptionError {
            fail(error.description)
        } catch let error as SystemError {
            fail(error.description)
        } catch {
            let status = exitCode(for: error)
            if status == .success { exit(withError: error) }
            fail(message(for: error))
        }
    }

    private static func fail(_ message: String) -> Never {
        note("StreamServer: \(message.split(separator: "\n").first ?? "")")
        Glibc.exit(1)
    }

    private static func note(_ line: String) {
        var line = line + "\n"
        _ = line.withUTF8 { write(2, $0.baseAddress, $0.count) }
    }

    private func options() throws(OptionError) -> ServerOptions {
        func check(_ isRight: Bool, _ message: String) throws(OptionError) {
            if !isRight { throw OptionError(description: message) }
        }
        func size(_ name: String, _ text: String, _ range: ClosedRange<Int>) throws(OptionError) -> Int {
            guard let count = byteCount(text), range.contains(count) else {
                let limits = "from \(range.lowerBound) to \(range.upperBound)"
                throw OptionError(description: "--\(name) \(text): a size such as 65536, 64k or 8m, \(limits)")
            }
            return count
        }
        var options = ServerOptions()
        try check(port >= 0 && port <= 65535, "--port \(port): a port is from 0 to 65535")
        try check(timeout >= 1 && timeout <= 86400, "--timeout \(timeout): from 1 to 86400 seconds")
        try check(connections >= 1, "--connections \(connections): at least 1 connection")
        try check(isStreamName(unnamed.utf8), "--unnamed \(unnamed): \(RelayError.malformedName)")
        (options.port, options.address, options.timeout) = (UInt16(port), address, timeout * 1000)
        (options.connections, options.unnamed) = (connections, unnamed)
        options.readSize = try size("read-size", readSize, 1 << 10...4 << 20)
        options.limits.queue = try size("buffer-limit", bufferLimit, 64 << 10...1 << 40)
        options.limits.group = try size("group-limit", groupLimit, 0...1 << 40)
        options.limits.garbage = try size("garbage-limit", garbageLimit, 1 << 10...1 << 30)
        options.limits.slow = slow
        return options
    }

    private func serve(_ options: ServerOptions) throws -> Int32 {
        switch buffers {
        case .mallow: try serve(options, SegmentedMemory())
        case .array: try serve(options, ArrayMemory())
        case .bytebuffer: try serve(options, ByteBufferMemory(largestRead: options.readSize))
        case .copies: try serve(options, CopyingMemory(largestRead: options.readSize))
        }
    }

    /// Serves until the process is asked to stop. The exit status says whether memory was left.
    private func serve(_ options: ServerOptions, _ memory: some StreamMemory) throws -> Int32 {
        do {
            let server = try Server(options, memory: memory)
            Self.note("listening on \(options.address):\(server.port)")
            try server.run()
        }
        do {
            if try memory.close() { Self.note("allocator: no leaks") }
            return 0
        } catch {
            Self.note("allocator: \(error)")
            return 1
        }
    }
}
