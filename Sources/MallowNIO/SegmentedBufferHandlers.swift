// Segmented buffers in a channel's pipeline: what arrives as ByteBuffers goes on as SegmentedBuffers, and what is
// written as SegmentedBuffers goes out as ByteBuffers, which the channel writes with one vectored call.
//
// Segmented buffers are not Sendable: they are written and read by handlers, on the channel's event loop. What a
// channel offers to other threads (`NIOAsyncChannel`, `channel.writeAndFlush`) takes ByteBuffers: see "With SwiftNIO"
// in Documentation/HowSegmentedBuffersWork.md.
//
// Cost: see SegmentedBuffer+ByteBuffer.swift; a promise for a write that shares segments. Thread-safety: that of
// handlers: each is on its channel's event loop.

#if NIO
    public import Mallow
    public import NIOCore

    /// Hands each `ByteBuffer` that arrives on as a `SegmentedBuffer`: without copying, or as a block of an allocator.
    public final class SegmentedInboundHandler: ChannelInboundHandler {
        public typealias InboundIn = ByteBuffer
        public typealias InboundOut = SegmentedBuffer

        private let allocator: (any Allocator)?
        /// Whether bytes were lost: what comes after them is no continuation of what went before.
        private var hasGap = false

        /// A handler that copies nothing: the segments are the channel's own memory.
        public init() { allocator = nil }

        /// A handler that copies each `ByteBuffer` into one block of an allocator.
        ///
        /// Use it to bound or to account for what a channel brings, or so that what stays long keeps no more than its
        /// own bytes: a channel's byte buffers are as large as it expects a read to be.
        ///
        /// Where the allocator refuses, the handlers behind get `errorCaught` with its `AllocationError`, once, and
        /// then nothing more of this channel's bytes, since some of them are missing: close the channel there. Nothing
        /// stays allocated.
        ///
        /// The segments own their blocks, and keep the allocator: where the channel closes, those that are live stay,
        /// and each goes back when its last owner drops it, in whatever order.
        ///
        /// - Parameter allocator: gets blocks back on the thread that drops them. One that is not thread-safe belongs
        ///   to one event loop, and all segments are dropped there, which those that were written to a channel of
        ///   another loop are not; `SharedScalableAllocator` is for those.
        public init(allocator: any Allocator) { self.allocator = allocator }

        public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if hasGap { return }
            let bytes = unwrapInboundIn(data)
            guard let allocator else { return context.fireChannelRead(wrapInboundOut(SegmentedBuffer(bytes))) }
            let buffer: SegmentedBuffer
            do throws(AllocationError) { buffer = try SegmentedBuffer(copying: bytes, allocator: allocator) } catch {
                hasGap = true
                return context.fireErrorCaught(error)
            }
            context.fireChannelRead(wrapInboundOut(buffer))
        }
    }

    /// Writes each `SegmentedBuffer` as one `ByteBuffer` a segment, without copying, and small segments that follow
    /// each other copied together.
    ///
    /// The promise of a write is fulfilled when its last byte is out. Until then the handler keeps the byte buffers, so
    /// that one that is changed by a handler between this one and the channel (by masking, say) is copied first: what
    /// is shared does not change. A handler there that keeps byte buffers for longer than their write takes must not
    /// write to them.
    ///
    /// The segments are dropped on this channel's event loop, when they are out or the channel closes: what gets their
    /// memory back must be able to there.
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
            let (parts, shares) = Self.parts(
                of: unwrapOutboundIn(data), copyLimit: copyLimit, context.channel.allocator)
            let promise = shares ? Self.keep(parts, until: promise, on: context.eventLoop) : promise
            for part in parts.dropLast() { context.write(wrapOutboundOut(part), promise: nil) }
            context.write(wrapOutboundOut(parts.last ?? ByteBuffer()), promise: promise)
        }

        /// A second owner for byte buffers that share segments, so that whoever writes to one copies it. They are
        /// dropped on the event loop, as the segments must be.
        private static func keep(
            _ parts: [ByteBuffer], until promise: EventLoopPromise<Void>?, on eventLoop: any EventLoop
        ) -> EventLoopPromise<Void> {
            let isOut: EventLoopPromise<Void>
            if let promise, promise.futureResult.eventLoop === eventLoop {
                isOut = promise
            } else {
                isOut = eventLoop.makePromise()
                isOut.futureResult.cascade(to: promise)
            }
            isOut.futureResult.whenComplete { _ in withExtendedLifetime(parts) {} }
            return isOut
        }

        /// The byte buffers that make up a segmented one, and whether any of them shares a segment.
        private static func parts(
            of buffer: SegmentedBuffer, copyLimit: Int, _ allocator: ByteBufferAllocator
        ) -> (parts: [ByteBuffer], shares: Bool) {
            var parts: [ByteBuffer] = []
            var shares = false
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
                    // A ByteBuffer has less than 4 GiB.
                    for start in stride(from: 0, to: segment.count, by: 1 << 30) {
                        let part = segment[start..<min(start + (1 << 30), segment.count)]
                        parts.append(ByteBuffer(unsafelySharing: part))
                    }
                    shares = true
                }
            }
            endSmall()
            return (parts, shares)
        }
    }
#else
    // What a program finds that names them and has not turned the trait on.

    @available(
        *, unavailable, message: "turn on the trait NIO of the package mallow: .package(url: …, traits: [\"NIO\"])"
    )
    public final class SegmentedInboundHandler {
        public init() {}
        public init<Allocator>(allocator: Allocator) {}
    }

    @available(
        *, unavailable, message: "turn on the trait NIO of the package mallow: .package(url: …, traits: [\"NIO\"])"
    )
    public final class SegmentedOutboundHandler {
        public init(copyLimit: Int = 1024) {}
    }
#endif
