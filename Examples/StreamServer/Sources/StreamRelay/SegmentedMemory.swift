// The relay on Mallow: each read takes a block of a ScalableAllocator, and gives back what was not filled of it. The
// block is a segment, which the queues share; its memory is free when the last of them has dropped it.

import Glibc
public import Mallow
import TransportStream

extension SegmentedBuffer: StreamBytes {
    public var partCount: Int { segmentCount }

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
    /// Its memory comes from the system and goes back there: a burst leaves nothing behind in malloc.
    public let allocator: ScalableAllocator

    public init() throws(ConfigurationError) {
        allocator = try ScalableAllocator(source: .pages(PageAllocator()))
    }

    public func read(from descriptor: Int32, upTo count: Int, into bytes: inout SegmentedBuffer) -> ReadOutcome {
        do throws(ScalableReadError) {
            guard let block = try allocator.read(upTo: count, from: descriptor) else { return .end }
            bytes.push(Segment(adopting: block, allocator: allocator))
            return .bytes(block.count)
        } catch {
            switch error {
            case .descriptor(let failure): return failure.isWouldBlock ? .nothing : .failed(failure.code)
            case .allocation: return .failed(ENOMEM)
            }
        }
    }

    public func copy(_ bytes: [UInt8]) -> SegmentedBuffer {
        bytes.withUnsafeBytes { bytes in
            guard let segment = try? Segment(copying: bytes, allocator: allocator) else {
                fatalError("SegmentedMemory: no memory for \(bytes.count) bytes")
            }
            return SegmentedBuffer(segment)
        }
    }

    public var liveByteCount: Int? { allocator.usedByteCount }
    public var heldByteCount: Int? { allocator.heldByteCount }

    public func close() throws -> Bool {
        try allocator.close()
        return true
    }
}
