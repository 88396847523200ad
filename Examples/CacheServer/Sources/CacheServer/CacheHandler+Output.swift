// Writing answers: straight to the socket, and only what it does not take is NIO's.
//
// Most often the socket has room for all of an answer. `write`, or `writev` with the parts of large values where they
// lie in the arena, then costs the system call and little else; the way through the channel's pipeline took a tenth of
// the CPU time of a small request (README.md). What is left over becomes `ByteBuffer`s, the parts of values still
// without a copy, and until NIO has written them no further command of this client is looked at.
//
// O1. `socket` is written to only where NIO has nothing of ours (`isWaiting` is false): so the order is kept.

import CacheStore
import MemcachedProtocol
import NIOCore

extension CacheHandler {
    func answer(_ line: Reply) { reply.append(line.bytes) }

    /// Writes what there is to write. Returns whether all of it was: where not, the client must read first.
    func flush(_ context: ChannelHandlerContext) -> Bool {
        if reply.isEmpty { return !isWaiting }
        // Closed meanwhile: the number may be another connection's by now.
        if !context.channel.isActive { socket = -1 }
        let byteCount = reply.byteCount
        counters.write(byteCount)
        let written = isWaiting ? 0 : writeToSocket()
        let left = written < byteCount ? buffers(from: written, context) : []
        // The references of the others are their buffers'.
        if !reply.parts.isEmpty { store.releaseShared(left.isEmpty ? reply.parts : reply.parts(before: written)) }
        reply.removeAll()
        // Last, as the channel may find out that it is closed, and say so, before this returns.
        if !left.isEmpty { passOn(left, context) }
        return !isWaiting
    }

    /// The bytes that the socket took.
    private func writeToSocket() -> Int {
        if reply.parts.isEmpty { return max(0, write(socket, reply.base, reply.count)) }
        var written = 0
        while true {
            vectors.removeAll(keepingCapacity: true)
            var byteCount = 0
            reply.visit(from: written) { bytes, _ in
                guard vectors.count < 1024 else { return }
                vectors.append(iovec(iov_base: bytes.baseAddress, iov_len: bytes.count))
                byteCount += bytes.count
            }
            let count = writev(socket, vectors, CInt(vectors.count))
            if count > 0 { written += count }
            // An error, too, is NIO's to find: it writes what is left, and closes the channel.
            if count < byteCount || written == reply.byteCount { return written }
        }
    }

    /// What the socket did not take.
    private func buffers(from written: Int, _ context: ChannelHandlerContext) -> [ByteBuffer] {
        var buffers: [ByteBuffer] = []
        reply.visit(from: written) { bytes, isShared in
            buffers.append(
                isShared
                    ? SharedValues.buffer(bytes)
                    : context.channel.allocator.buffer(bytes: UnsafeRawBufferPointer(bytes)))
        }
        return buffers
    }

    /// Hands it to the channel.
    private func passOn(_ buffers: [ByteBuffer], _ context: ChannelHandlerContext) {
        waiting += 1
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { [self] result in
            waiting -= 1
            if case .success = result, !isWaiting { resume(context) }
        }
        for buffer in buffers.dropLast() { context.write(wrapOutboundOut(buffer), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(buffers[buffers.count - 1]), promise: written)
    }

    /// At the end of a read: writes, and closes the connection where that was asked for.
    func finishBurst(_ context: ChannelHandlerContext) {
        let isWritten = flush(context)
        guard isClosing else { return }
        if isWritten {
            context.close(promise: nil)
        } else {
            // After what is on its way.
            context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated().whenComplete { _ in
                context.close(promise: nil)
            }
        }
    }
}
