// Segmented buffers in a channel's pipeline: what arrives as ByteBuffers goes on as SegmentedBuffers, and what is written
// as SegmentedBuffers goes out as ByteBuffers, which the channel writes with one vectored call.
//
// Cost: see SegmentedBuffer+ByteBuffer.swift. Thread-safety: that of handlers: each is on its channel's event loop.

#if NIO
    public import Mallow
    public import NIOCore

    /// Hands each `ByteBuffer` that arrives on as a `SegmentedBuffer`, without copying.
    public final class SegmentedInboundHandler: ChannelInboundHandler {
        public typealias InboundIn = ByteBuffer
        public typealias InboundOut = SegmentedBuffer

        public init() {}

        public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.fireChannelRead(wrapInboundOut(SegmentedBuffer(unwrapInboundIn(data))))
        }
    }

    /// Writes each `SegmentedBuffer` as one `ByteBuffer` a segment, without copying, and small segments that follow each
    /// other copied together.
    ///
    /// Handlers between this one and the channel must not change the bytes in place, where the segments are shared. The
    /// promise of a write is fulfilled when its last byte is out.
    public final class SegmentedOutboundHandler: ChannelOutboundHandler {
        public typealias OutboundIn = SegmentedBuffer
        public typealias OutboundOut = ByteBuffer

        /// Segments of fewer bytes are copied.
        public let copyLimit: Int

        /// Makes a handler.
        ///
        /// - Parameter copyLimit: segments of fewer bytes are copied, since that costs less than to keep them.
        public init(copyLimit: Int = 1024) { self.copyLimit = copyLimit }

        public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            let parts = Self.parts(of: unwrapOutboundIn(data), copyLimit: copyLimit, context.channel.allocator)
            for part in parts.dropLast() { context.write(wrapOutboundOut(part), promise: nil) }
            context.write(wrapOutboundOut(parts.last ?? ByteBuffer()), promise: promise)
        }

        /// The byte buffers that make up a segmented one.
        static func parts(
            of buffer: SegmentedBuffer, copyLimit: Int, _ allocator: ByteBufferAllocator
        ) -> [ByteBuffer] {
            var parts: [ByteBuffer] = []
            var small = SegmentedBuffer()
            func endSmall() {
                if !small.isEmpty { parts.append(ByteBuffer(copying: small, allocator: allocator)) }
                small.reset()
            }
            for segment in buffer.segments {
                if segment.count < copyLimit {
                    small.push(segment)
                } else {
                    endSmall()
                    parts.append(ByteBuffer(sharing: segment))
                }
            }
            endSmall()
            return parts
        }
    }
#endif
