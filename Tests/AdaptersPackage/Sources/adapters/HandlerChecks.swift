// The handlers, in a channel without a socket.

import AllocatorTestKit
import Mallow
import MallowNIO
import NIOCore
import NIOEmbedded

/// Keeps what goes out until the flush and changes it in place then, when nobody else in the pipeline has it any more.
final class Masking: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    var count = 0
    var waiting: [(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)] = []

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        waiting.append((unwrapOutboundIn(data), promise))
    }

    func flush(context: ChannelHandlerContext) {
        for index in waiting.indices {
            waiting[index].bytes.withUnsafeMutableReadableBytes { bytes in
                for index in bytes.indices { bytes[index] ^= 0x5a }
            }
            count += 1
            context.write(wrapOutboundOut(waiting[index].bytes), promise: waiting[index].promise)
        }
        waiting = []
        context.flush()
    }
}

extension Adapters {
    static func checkHandlers() throws {
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandlers([SegmentedInboundHandler(), SegmentedOutboundHandler()])
        try channel.writeInbound(ByteBuffer(bytes: pattern(10)))
        let read = try channel.readInbound(as: SegmentedBuffer.self)
        check(read == SegmentedBuffer(copying: pattern(10)), "what was read")

        var buffer = SegmentedBuffer()
        for size in [3, 2000, 5, 6, 4000, 1] { buffer.push(counted(pattern(size))) }
        let expected = [UInt8](buffer)
        // To two channels, as a forwarder does.
        let other = EmbeddedChannel()
        try other.pipeline.syncOperations.addHandler(SegmentedOutboundHandler(copyLimit: 1 << 20))
        let channels = [(channel, [3, 2000, 11, 4000, 1]), (other, [6015])]
        for (channel, _) in channels {
            let context = try channel.pipeline.syncOperations.context(handlerType: SegmentedOutboundHandler.self)
            let promise = channel.eventLoop.makePromise(of: Void.self)
            nonisolated(unsafe) var isDone = false
            promise.futureResult.whenSuccess { isDone = true }
            let handler = context.handler as! SegmentedOutboundHandler
            handler.write(context: context, data: NIOAny(buffer), promise: promise)
            check(!isDone, "a promise is fulfilled before the flush")
            context.flush()
            check(isDone, "a promise is not fulfilled")
        }
        buffer.reset()
        for (channel, sizes) in channels {
            var parts: [ByteBuffer] = []
            while let part = try channel.readOutbound(as: ByteBuffer.self) { parts.append(part) }
            check(parts.map(\.readableBytes) == sizes, "the parts: \(parts.map(\.readableBytes))")
            check(parts.flatMap { Array($0.readableBytesView) } == expected, "the bytes of the parts")
            _ = try channel.finish()
        }
    }

    /// Each ByteBuffer a block of an allocator; none where it refuses, and none after that.
    static func checkInboundAllocator() throws {
        let allocator = ScalableAllocator()
        let failing = FailingAllocator(upstream: allocator, plan: .request(4))
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(SegmentedInboundHandler(allocator: failing))
        for size in [5000, 0, 3, 70_000] {
            let bytes = ByteBuffer(bytes: pattern(size))
            let place = bytes.withUnsafeReadableBytes { $0.baseAddress }
            try channel.writeInbound(bytes)
            guard let buffer = try channel.readInbound(as: SegmentedBuffer.self) else {
                check(false, "nothing came of \(size) bytes")
                continue
            }
            check(buffer == pattern(size) && buffer.segmentCount == min(size, 1), "\(size) bytes as a block")
            if size > 0 {
                let start = buffer[segment: 0].unsafeBytes.baseAddress!
                check(start != place && allocator.owns(start), "\(size) bytes are not the allocator's")
            }
        }
        check(allocator.statistics.liveBlocks == 0, "what was read and dropped is live")

        // The fourth block is refused.
        let error = errorOf { try channel.writeInbound(ByteBuffer(bytes: pattern(100))) }
        check((error as? AllocationError)?.byteCount == 100, "memory was refused: \(String(describing: error))")
        try channel.writeInbound(ByteBuffer(bytes: pattern(10)))
        check(try channel.readInbound(as: SegmentedBuffer.self) == nil, "bytes after others that were lost")
        check(failing.requestCount == 4, "\(failing.requestCount) requests")
        check(try channel.finish().isClean, "something is left in the channel")

        // What is live when a channel closes stays until it is dropped.
        var kept: SegmentedBuffer?
        do {
            let other = EmbeddedChannel()
            try other.pipeline.syncOperations.addHandler(SegmentedInboundHandler(allocator: failing))
            for _ in 0..<2 { try other.writeInbound(ByteBuffer(bytes: pattern(2000))) }
            kept = try other.readInbound()
            check(try !other.finish().isClean, "what nobody read is not in the channel")
        }
        check(kept! == pattern(2000), "a segment that is live when its channel closes")
        check((errorOf { try failing.close() } as? LeakError)?.blocks == 1, "what is live after a channel closed")
        kept = nil
        try failing.close()
        try allocator.close()
    }

    /// Handlers between the outbound handler and the channel that write: what others share stays.
    static func checkOutboundWriters() throws {
        let text = pattern(5000)
        let channel = EmbeddedChannel()
        let masking = Masking()
        try channel.pipeline.syncOperations.addHandlers([masking, SegmentedOutboundHandler()])
        let loop = EmbeddedEventLoop()
        // Without a promise, with one, and with one of another event loop.
        let promises = [nil, channel.eventLoop.makePromise(of: Void.self), loop.makePromise(of: Void.self)]
        for promise in promises {
            var buffer = SegmentedBuffer(Segment(sharing: text))
            buffer.push(Segment(sharing: text)[2000..<4000])
            buffer.push(counted(text))
            let context = try channel.pipeline.syncOperations.context(handlerType: SegmentedOutboundHandler.self)
            (context.handler as! SegmentedOutboundHandler).write(
                context: context, data: NIOAny(buffer), promise: promise)
            buffer.reset()
            check(Witness.alive == 1, "a segment goes before it is written")
            context.flush()
            for size in [5000, 2000, 5000] {
                let part = try channel.readOutbound(as: ByteBuffer.self)
                check(part?.readableBytes == size, "a part that was masked")
                let masked = (size == 2000 ? text[2000..<4000] : text[...]).map { $0 ^ 0x5a }
                check(part?.readableBytesView.elementsEqual(masked) == true, "a part is not masked")
            }
            loop.run()
            check(Witness.alive == 0, "a segment stays when it is written")
            check(text == pattern(5000), "masking on the way out changes an array")
        }
        check(masking.count == 9, "\(masking.count) parts were masked")
        for promise in promises.compactMap({ $0 }) {
            nonisolated(unsafe) var isDone = false
            promise.futureResult.whenSuccess { isDone = true }
            check(isDone, "a promise is not fulfilled")
        }
        check(try channel.finish().isClean, "something is left in the channel")
    }

    /// A segment that is larger than a ByteBuffer can be: of addresses alone, which nobody reads.
    static func checkLargeSegment() throws {
        let byteCount = 5 << 30
        let segment = Segment(
            unowned: UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: 1 << 40), count: byteCount))
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(SegmentedOutboundHandler())
        let context = try channel.pipeline.syncOperations.context(handlerType: SegmentedOutboundHandler.self)
        (context.handler as! SegmentedOutboundHandler).write(
            context: context, data: NIOAny(SegmentedBuffer(segment)), promise: nil)
        context.flush()
        var written = 0
        while let part = try channel.readOutbound(as: ByteBuffer.self) {
            let place = part.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
            check(place == (1 << 40) + UInt(written), "a part of a large segment")
            written += part.readableBytes
        }
        check(written == byteCount, "\(written) bytes of \(byteCount)")
        _ = try channel.finish()
    }
}
