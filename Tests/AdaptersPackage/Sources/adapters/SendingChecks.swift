// Buffers handed from one task to another: what Documentation/HowSegmentedBuffersWork.md says can be, compiles and runs.

import Mallow
import MallowNIO
import NIOCore

extension Adapters {
    static func checkSending() async throws {
        let allocator = try SharedScalableAllocator()
        let (stream, continuation) = AsyncStream<SegmentedBuffer>.makeStream()
        let receiver = Task {
            var received: [[UInt8]] = []
            for await buffer in stream { received.append([UInt8](buffer)) }
            return received
        }
        // Fresh ones: of bytes, of a byte buffer, of a writer.
        continuation.yield(SegmentedBuffer(copying: pattern(10)))
        continuation.yield(SegmentedBuffer(ByteBuffer(bytes: pattern(20))))
        var writer = SegmentedWriter()
        writer.writeBytes(pattern(30))
        continuation.yield(try writer.finish())
        // What an allocator of any thread has, read here.
        var arrived = ByteBuffer(bytes: pattern(35))
        if let block = try allocator.read(upTo: 100, from: &arrived) {
            continuation.yield(SegmentedBuffer(Segment(adopting: block, allocator: allocator)))
        }
        // Of what a reader gave that goes on: copies.
        var reader = SegmentedReader(SegmentedBuffer(copying: pattern(100)))
        let packet = try reader.readSegments(40)
        continuation.yield(SegmentedBuffer(Segment(sharing: [UInt8](packet))))
        let bytes = packet.copyBytes(0..<packet.count)
        continuation.yield(
            SegmentedBuffer(try bytes.withUnsafeBytes { try Segment(copying: $0, allocator: allocator) }))
        check(try reader.readBytes(60) == Array(pattern(100)[40...]), "the reader's rest")
        // Of one that doesn't: what it read.
        var last = SegmentedReader(SegmentedBuffer(copying: pattern(50)))
        let rest = try last.readSegments(50)
        continuation.yield(rest)
        continuation.finish()
        let expected = [10, 20, 30, 35].map { pattern($0) } + [[UInt8](packet), [UInt8](packet), pattern(50)]
        check(await receiver.value == expected, "what another task received")
        try allocator.close()
    }
}
