// The handlers on sockets: a server that sends back what comes, out of an allocator's memory.

import Mallow
import MallowNIO
import NIOCore
import NIOPosix

/// The first buffer that came: set on the event loop of the server's channel, and looked at after the loop has ended.
private final class Kept: @unchecked Sendable {
    var buffer: SegmentedBuffer?
}

/// Sends back what comes, and keeps the first of it beyond the channel's end.
private final class Echo: ChannelInboundHandler {
    typealias InboundIn = SegmentedBuffer
    typealias OutboundOut = SegmentedBuffer
    let kept: Kept

    init(_ kept: Kept) { self.kept = kept }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        if kept.buffer == nil { kept.buffer = buffer }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }
}

/// Takes what comes into blocks of an allocator of its own event loop, until all is there.
private final class Collecting: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    let allocator: ScalableAllocator
    let wanted: Int
    let isThere: EventLoopPromise<[UInt8]>
    private var buffer = SegmentedBuffer()

    init(_ allocator: ScalableAllocator, wanted: Int, isThere: EventLoopPromise<[UInt8]>) {
        self.allocator = allocator
        self.wanted = wanted
        self.isThere = isThere
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        do {
            while let block = try allocator.read(upTo: 1000, from: &bytes) {
                buffer.push(Segment(adopting: block, allocator: allocator))
            }
        } catch { errorCaught(context: context, error: error) }
        if buffer.count >= wanted {
            isThere.succeed([UInt8](buffer))
            buffer.reset()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        isThere.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { isThere.fail(ChannelError.eof) }
}

extension Adapters {
    static func checkChannel() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let content = pattern(3_000_000)
        // The server's memory goes to any thread, the client's stays on one event loop until that has ended.
        let shared = try SharedScalableAllocator()
        nonisolated(unsafe) let own = ScalableAllocator()
        let kept = Kept()

        let server = try ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        SegmentedInboundHandler(allocator: shared), SegmentedOutboundHandler(), Echo(kept),
                    ])
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
        let loop = group.next()
        let isThere = loop.makePromise(of: [UInt8].self)
        let client = try ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        Collecting(own, wanted: content.count, isThere: isThere), SegmentedOutboundHandler(),
                    ])
                }
            }
            .connect(to: server.localAddress!).wait()
        try loop.submit {
            for start in stride(from: 0, to: content.count, by: 400_000) {
                var buffer = SegmentedBuffer(Segment(sharing: content)[start..<min(start + 300_000, content.count)])
                if start + 300_000 < content.count {
                    buffer.append(copying: content[(start + 300_000)..<min(start + 400_000, content.count)])
                }
                client.pipeline.syncOperations.write(NIOAny(buffer), promise: nil)
            }
            client.pipeline.syncOperations.flush()
        }.wait()
        check(try isThere.futureResult.wait() == content, "what a server sent back")
        // What is not written when a channel closes is dropped with it.
        let isOut = loop.makePromise(of: Void.self)
        try loop.submit {
            let buffer = SegmentedBuffer(counted(pattern(5000)))
            client.pipeline.syncOperations.write(NIOAny(buffer), promise: isOut)
            check(Witness.alive == 1, "a segment goes before it is written")
        }.wait()
        try client.close().wait()
        check(errorOf { try isOut.futureResult.wait() } != nil, "a write to a channel that closed is said to be out")
        try server.close().wait()
        try group.syncShutdownGracefully()

        check(Witness.alive == 0, "a channel that closed keeps what was to be written")
        // Both channels are closed: what is kept is there, and all the rest was given back.
        check(kept.buffer?.isEmpty == false, "nothing was kept")
        if let buffer = kept.buffer {
            check(buffer == Array(content[..<buffer.count]), "what was kept beyond a channel")
        }
        check((errorOf { try shared.close() } as? LeakError)?.blocks == 1, "one block is live")
        kept.buffer = nil
        try shared.close()
        try own.close()
        check(shared.statistics.totalBytes >= content.count && own.statistics.totalBytes >= content.count, "too little")
    }
}
