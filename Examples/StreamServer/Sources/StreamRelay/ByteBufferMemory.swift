// The relay on SwiftNIO's ByteBuffer: each read makes a buffer, of which the queues have slices. As in SwiftNIO's own
// channels, how large it is follows what the last reads brought.

public import NIOCore
import TransportStream

extension ByteBuffer: BytePart {
    public var partCount: Int { readableBytes }

    public func byte(at offset: Int) -> UInt8 { getInteger(at: readerIndex &+ offset).unsafelyUnwrapped }

    public func bigEndian32(at offset: Int) -> UInt32 { getInteger(at: readerIndex &+ offset).unsafelyUnwrapped }

    public func distance(to byte: UInt8, from offset: Int) -> Int? {
        let view = readableBytesView.dropFirst(offset)
        return view.firstIndex(of: byte).map { $0 - view.startIndex }
    }

    public func part(_ range: Range<Int>) -> ByteBuffer {
        getSlice(at: readerIndex + range.lowerBound, length: range.count).unsafelyUnwrapped
    }

    // The bytes belong to an object, which each copy holds.
    public var stableBytes: UnsafeRawBufferPointer {
        withUnsafeReadableBytesWithStorageManagement { bytes, _ in bytes }
    }
}

/// Memory as `ByteBuffer`s.
public final class ByteBufferMemory: StreamMemory {
    private let allocator = ByteBufferAllocator()
    private var sizes: AdaptiveRecvByteBufferAllocator
    private let largestRead: Int

    public init(largestRead: Int) {
        self.largestRead = largestRead
        sizes = AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 2048, maximum: largestRead)
    }

    public func read(from descriptor: Int32, upTo count: Int, into bytes: inout PartQueue<ByteBuffer>) -> ReadOutcome {
        var buffer =
            count < largestRead ? allocator.buffer(capacity: count) : sizes.buffer(allocator: allocator)
        var outcome = ReadOutcome.end
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 0) { memory in
            var byteCount = 0
            outcome = readOnce(descriptor, memory.baseAddress, memory.count, &byteCount)
            return byteCount
        }
        guard case .bytes(let byteCount) = outcome else { return outcome }
        _ = sizes.record(actualReadBytes: byteCount)
        bytes.append(buffer)
        return outcome
    }

    public func copy(_ bytes: [UInt8]) -> PartQueue<ByteBuffer> {
        var queue = PartQueue<ByteBuffer>()
        queue.append(allocator.buffer(bytes: bytes))
        return queue
    }

    public var liveByteCount: Int? { nil }
    public var heldByteCount: Int? { nil }
    public func close() -> Bool { false }
}
