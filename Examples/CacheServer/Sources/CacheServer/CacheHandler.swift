// A connection: what is read goes through `consume`, which answers line by line into `reply`, and once a read is done
// the reply is written (CacheHandler+Output.swift). Nothing is allocated for a command, and no string is made.
//
// N1. At most one of these is what the next bytes are: the rest of a value (`pending`), what is to be skipped
//     (`skipped`), more keys of a `get` (`continued`), a line.
// N2. `rest` holds bytes that were read and not yet consumed: a line that has not ended, or what a client sent that
//     does not read its answers. Then nothing more is read from it until it does.
//
// Thread-safety: that of its event loop.

import CacheStore
import MemcachedProtocol
import NIOCore

final class CacheHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let server: Server
    let store: CacheStore
    let counters: LoopCounters
    var reply = ReplyBuffer()
    /// The connection's file descriptor.
    var socket: CInt = -1
    var vectors: [iovec] = []
    /// How often NIO was handed something that the socket did not take, and has not written it yet.
    var waiting = 0
    var isWaiting: Bool { waiting > 0 }

    var pending: PendingItem?
    var pendingIsQuiet = false
    /// How many of the two bytes that end a value have come, and whether they are the right ones.
    var endBytes = 0
    var isEndRight = true
    var skipped = 0
    var skippedResult: StoreResult?
    var continued: Request?
    var isClosing = false

    private var rest = ByteBuffer()
    /// How much of `rest` is known to have no line end.
    private var searched = 0
    /// Whether commands wait until what was answered is written.
    private var isPaused = false

    /// The longest line of a `get`, which memcached doesn't limit; of others, the length it has.
    private static let longestKeyList = 1 << 20
    private static let longestLine = 2048
    /// How much is answered before it is written.
    static let largestReply = 256 << 10

    init(_ server: Server, _ counters: LoopCounters) {
        (self.server, store, self.counters) = (server, server.store, counters)
    }

    // MARK: - Events

    func channelActive(context: ChannelHandlerContext) {
        let operations = context.channel.pipeline.syncOperations
        let found = try? operations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
        guard let found else { return context.close(promise: nil) }
        socket = found
        if server.connections.add(1, ordering: .relaxed).newValue > server.options.connections {
            server.rejected.add(1, ordering: .relaxed)
            answer(.tooManyConnections)
            isClosing = true
            finishBurst(context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        server.connections.subtract(1, ordering: .relaxed)
        if let pending { store.abandon(pending) }
        pending = nil
        rest = ByteBuffer()
        isClosing = true
        socket = -1
        store.releaseShared(reply.parts)
        reply.removeAll()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var input = unwrapInboundIn(data)
        counters.read(input.readableBytes)
        if rest.readableBytes > 0 {
            rest.writeBuffer(&input)
            input = rest
            rest = ByteBuffer()
        }
        process(&input, context)
        if isWaiting { pause(context) }
    }

    func channelReadComplete(context: ChannelHandlerContext) { finishBurst(context) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: - Input

    private func process(_ input: inout ByteBuffer, _ context: ChannelHandlerContext) {
        let consumed = input.withUnsafeReadableBytes { consume($0, context) }
        input.moveReaderIndex(forwardBy: consumed)
        guard !isClosing, input.readableBytes > 0 else { return }
        if isPaused {
            rest = input
        } else {
            // A copy, so that a few bytes don't hold a whole read's memory.
            rest = context.channel.allocator.buffer(capacity: max(input.readableBytes * 2, 512))
            rest.writeBuffer(&input)
        }
    }

    /// Looks at no further command, and reads nothing, until what was answered is written.
    func pause(_ context: ChannelHandlerContext) {
        guard !isPaused else { return }
        isPaused = true
        try? context.channel.syncOptions?.setOption(.autoRead, value: false)
    }

    /// What was answered is written: goes on.
    func resume(_ context: ChannelHandlerContext) {
        guard isPaused, !isClosing else { return }
        isPaused = false
        var input = rest
        rest = ByteBuffer()
        process(&input, context)
        finishBurst(context)
        if !isPaused, !isClosing { try? context.channel.syncOptions?.setOption(.autoRead, value: true) }
    }

    /// Consumes what can be, and says how much that was.
    private func consume(_ bytes: UnsafeRawBufferPointer, _ context: ChannelHandlerContext) -> Int {
        var offset = 0
        while offset < bytes.count, !isClosing, !isPaused {
            let input = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            if skipped > 0 {
                offset += skip(input)
            } else if pending != nil {
                offset += receive(input)
                if offset == bytes.count { receiveFromSocket() }
            } else if let end = lineEnd(input) {
                let line = UnsafeRawBufferPointer(
                    rebasing: input[..<(end > 0 && input[end - 1] == 0x0D ? end - 1 : end)])
                let data = UnsafeRawBufferPointer(rebasing: input[(end + 1)...])
                offset += respond(to: line, data, input, context)
            } else {
                checkLength(input)
                break
            }
            if reply.byteCount > Self.largestReply, !flush(context) { pause(context) }
        }
        return offset
    }

    private func lineEnd(_ input: UnsafeRawBufferPointer) -> Int? {
        let start = min(searched, input.count)
        searched = 0
        guard let base = input.baseAddress, let found = memchr(base + start, 0x0A, input.count - start) else {
            searched = input.count
            return nil
        }
        return UnsafeRawPointer(found) - base
    }

    /// Closes the connection of a client that sends what cannot become a command.
    private func checkLength(_ input: UnsafeRawBufferPointer) {
        guard input.count > Self.longestLine, continued == nil else { return }
        var words = Words(UnsafeRawBufferPointer(rebasing: input[..<Self.longestLine]))
        let verb = words.next().map { UnsafeRawBufferPointer($0) }
        let isKeyList = verb.map { $0.elementsEqual("get".utf8) || $0.elementsEqual("gets".utf8) } ?? false
        if !isKeyList || input.count > Self.longestKeyList { isClosing = true }
    }
}
