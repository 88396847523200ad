// The server: the store, the event loops, and how both come to an end.

import CacheStore
import Dispatch
import NIOCore
import NIOPosix
import Synchronization

/// Bytes read and written by the connections of one event loop, which alone changes them.
final class LoopCounters: Sendable {
    let bytesRead = Atomic(0)
    let bytesWritten = Atomic(0)

    @inline(__always)
    func read(_ byteCount: Int) {
        bytesRead.store(bytesRead.load(ordering: .relaxed) &+ byteCount, ordering: .relaxed)
    }

    @inline(__always)
    func write(_ byteCount: Int) {
        bytesWritten.store(bytesWritten.load(ordering: .relaxed) &+ byteCount, ordering: .relaxed)
    }
}

final class Server: @unchecked Sendable {
    let options: ServerOptions
    let store: CacheStore
    let startOfClock = ContinuousClock.now
    let connections = Atomic(0)
    let accepted = Atomic(0)
    let rejected = Atomic(0)
    let loopCounters: [LoopCounters]
    private let acceptingLoop = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let loops: MultiThreadedEventLoopGroup

    init(_ options: ServerOptions) throws {
        self.options = options
        store = try CacheStore(options.store)
        loops = MultiThreadedEventLoopGroup(numberOfThreads: options.threads)
        loopCounters = (0..<options.threads).map { _ in LoopCounters() }
        SharedValues.store = store
    }

    /// Starts to listen.
    func start() throws -> any Channel {
        var countersOfLoops: [ObjectIdentifier: LoopCounters] = [:]
        for (loop, counters) in zip(loops.makeIterator(), loopCounters) {
            countersOfLoops[ObjectIdentifier(loop)] = counters
        }
        let counters = countersOfLoops
        let channel = try ServerBootstrap(group: acceptingLoop, childGroup: loops)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            // One read for each time a socket is readable: a second one would most often find nothing.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 16 << 10))
            .childChannelInitializer { [self] channel in
                accepted.add(1, ordering: .relaxed)
                return channel.eventLoop.makeCompletedFuture {
                    let handler = CacheHandler(self, counters[ObjectIdentifier(channel.eventLoop)] ?? LoopCounters())
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: options.address, port: options.port).wait()
        acceptingLoop.next().scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { [store] _ in
            store.tick()
        }
        return channel
    }

    /// Stops accepting, closes the connections, empties the store and checks that no memory is left.
    ///
    /// - Throws: `LeakError`.
    func stop(_ channel: any Channel) throws {
        try? channel.close().wait()
        try loops.syncShutdownGracefully()
        try acceptingLoop.syncShutdownGracefully()
        try store.close()
    }

    /// Ends the loops of a server that could not start.
    func abort() {
        try? loops.syncShutdownGracefully()
        try? acceptingLoop.syncShutdownGracefully()
    }
}

/// Waits until the process is asked to stop: SIGTERM or SIGINT.
func waitForStopSignal() {
    // A client that is gone is an error of `write`, not the end.
    signal(SIGPIPE, SIG_IGN)
    let asked = DispatchSemaphore(value: 0)
    let sources = [SIGTERM, SIGINT].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { asked.signal() }
        source.resume()
        return source
    }
    asked.wait()
    withExtendedLifetime(sources) {}
}
