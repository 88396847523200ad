// A connection: what is read goes through `consume`, which answers line by line into `reply`, and once a read is done the
// reply is written. Nothing is allocated for a command, and no string is made.
//
// N1. At most one of these is what the next bytes are: the rest of a value (`pending`), what is to be skipped (`skipped`),
//     more keys of a `get` (`continued`), a line.
// N2. `rest` holds bytes that were read and not yet consumed: a line that has not ended, or what a client sent that does
//     not read its answers. Then nothing more is read from it until it does.
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
    var reply = ByteBuffer()
    /// Whether something was written and not flushed.
    var isUnflushed = false
    /// The parts of a value that are written from where they lie.
    var shared: [UnsafeMutableRawBufferPointer] = []

    var pending: PendingItem?
    var pendingIsQuiet = false
    /// How many of the two bytes that end a value have come, and whether they are the right ones.
    var endBytes = 0
    var isEndRight = true
    var skipped = 0
    var continued: Request?
    var isClosing = false

    private var rest = ByteBuffer()
    /// How much of `rest` is known to have no line end.
    private var searched = 0
    private var isPaused = false
    private var isConsuming = false

    /// The longest line of a `get`, which memcached doesn't limit; of others, the length it has.
    private static let longestKeyList = 1 << 20
    private static let longestLine = 2048

    init(_ server: Server, _ counters: LoopCounters) {
        (self.server, store, self.counters) = (server, server.store, counters)
    }

    // MARK: - Events

    func channelActive(context: ChannelHandlerContext) {
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
    }

    func channelReadComplete(context: ChannelHandlerContext) { finishBurst(context) }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard isPaused, !isConsuming, context.channel.isWritable else { return }
        isPaused = false
        var input = rest
        rest = ByteBuffer()
        process(&input, context)
        finishBurst(context)
        if !isPaused { setReading(true, context) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: - Input

    private func process(_ input: inout ByteBuffer, _ context: ChannelHandlerContext) {
        isConsuming = true
        let consumed = input.withUnsafeReadableBytes { consume($0, context) }
        isConsuming = false
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

    /// Consumes what can be, and says how much that was.
    private func consume(_ bytes: UnsafeRawBufferPointer, _ context: ChannelHandlerContext) -> Int {
        var offset = 0
        while offset < bytes.count, !isClosing, !isPaused {
            let input = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            if skipped > 0 {
                let count = min(skipped, input.count)
                skipped -= count
                offset += count
            } else if pending != nil {
                offset += receive(input)
            } else if let end = lineEnd(input) {
                let line = UnsafeRawBufferPointer(rebasing: input[..<(end > 0 && input[end - 1] == 0x0D ? end - 1 : end)])
                let data = UnsafeRawBufferPointer(rebasing: input[(end + 1)...])
                offset += respond(to: line, data, input, context)
            } else {
                checkLength(input, context)
                break
            }
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
    private func checkLength(_ input: UnsafeRawBufferPointer, _ context: ChannelHandlerContext) {
        guard input.count > Self.longestLine, continued == nil else { return }
        var words = Words(UnsafeRawBufferPointer(rebasing: input[..<Self.longestLine]))
        let verb = words.next().map { UnsafeRawBufferPointer($0) }
        let isKeyList = verb.map { $0.elementsEqual("get".utf8) || $0.elementsEqual("gets".utf8) } ?? false
        if !isKeyList || input.count > Self.longestKeyList {
            isClosing = true
            finishBurst(context)
        }
    }

    // MARK: - Output

    func answer(_ line: Reply) {
        let bytes = line.bytes
        reply.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count) {
            $0.copyMemory(from: bytes)
            return bytes.count
        }
    }

    /// Hands the reply so far to the channel, which writes it when it is flushed.
    func passOn(_ context: ChannelHandlerContext) {
        guard reply.readableBytes > 0 else { return }
        counters.write(reply.readableBytes)
        context.write(wrapOutboundOut(reply), promise: nil)
        isUnflushed = true
        reply = context.channel.allocator.buffer(capacity: 1024)
    }

    /// Passes a part of a value on without copying it: it has a reference, which goes when it is written.
    func passOn(shared part: UnsafeMutableRawBufferPointer, _ context: ChannelHandlerContext) {
        counters.write(part.count)
        context.write(wrapOutboundOut(SharedValues.buffer(part)), promise: nil)
        isUnflushed = true
    }

    /// Stops where the client does not read its answers. Returns whether to go on.
    func mayGoOn(_ context: ChannelHandlerContext) -> Bool {
        if reply.readableBytes > 64 << 10 { passOn(context) }
        if context.channel.isWritable { return true }
        context.flush()
        isUnflushed = false
        if context.channel.isWritable { return true }
        if !isPaused {
            isPaused = true
            setReading(false, context)
        }
        return false
    }

    private func setReading(_ isReading: Bool, _ context: ChannelHandlerContext) {
        try? context.channel.syncOptions?.setOption(.autoRead, value: isReading)
    }

    private func finishBurst(_ context: ChannelHandlerContext) {
        if reply.readableBytes > 0 {
            counters.write(reply.readableBytes)
            isUnflushed = true
            context.write(wrapOutboundOut(reply), promise: nil)
            context.flush()
            // Most often it has been written by now, and its memory is this handler's alone again.
            reply.clear(minimumCapacity: 512)
        } else if isUnflushed {
            context.flush()
        }
        isUnflushed = false
        if isClosing { context.close(promise: nil) }
    }
}
