// The relay on Mallow: each read takes a block of a ScalableAllocator, and gives back what was not filled of it. The block is a
// segment, which the queues share; its memory is free when the last of them has dropped it.

public import Mallow
import TransportStream

extension SegmentedBuffer: StreamBytes {
    public func slice(_ range: Range<Int>) -> SegmentedBuffer { self[range] }

    public mutating func dropFirst(_ count: Int) { removeFirst(count) }

    public mutating func keepFirst(_ count: Int) { self = prefix(count) }

    public func makeReader() -> SegmentedReader { SegmentedReader(self) }

    public mutating func send(to descriptor: Int32) -> SendOutcome {
        do throws(DescriptorError) {
            return try write(to: descriptor).isComplete ? .all : .full
        } catch {
            return .gone(error.code)
        }
    }

    public var contents: [UInt8] { Array(self) }
}

/// Memory as segments of a scalable allocator's blocks.
public final class SegmentedMemory: StreamMemory {
    let allocator = SystemAllocator()

    public init(largestRead: Int) {}

    public func read(from descriptor: Int32, upTo count: Int, into bytes: inout SegmentedBuffer) -> ReadOutcome {
        guard let block = allocator.tryAllocate(byteCount: count, alignment: 16) else { return .failed(12) }
        var byteCount = 0
        let outcome = readOnce(descriptor, block.baseAddress, count, &byteCount)
        if byteCount > 0 {
            bytes.push(Segment(adopting: block, count: byteCount, allocator: allocator))
        } else {
            allocator.deallocate(block)
        }
        return outcome
    }

    public func copy(_ bytes: [UInt8]) -> SegmentedBuffer { SegmentedBuffer(copying: bytes) }

    public var heldByteCount: Int? { nil }
    public var reservedByteCount: Int? { nil }

    public func close() throws -> Bool {
        try allocator.close()
        return true
    }
}
