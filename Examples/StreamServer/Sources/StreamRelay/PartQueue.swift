// Bytes in parts, over any kind of part: what [UInt8] and ByteBuffer need to be StreamBytes. As SegmentedBuffer does,
// it shares the parts' memory and copies nothing.

import Glibc
import NIOCore
public import TransportStream

/// Bytes in one place, shared among their copies.
public protocol BytePart {
    var partCount: Int { get }
    func byte(at offset: Int) -> UInt8
    func bigEndian32(at offset: Int) -> UInt32
    /// The distance from an offset to the next such byte.
    func distance(to byte: UInt8, from offset: Int) -> Int?
    func part(_ range: Range<Int>) -> Self
    /// The bytes, which stay where they are as long as there is a copy of the part.
    var stableBytes: UnsafeRawBufferPointer { get }
}

/// Bytes in several places, as one.
public struct PartQueue<Part: BytePart>: StreamBytes {
    var parts = CircularBuffer<Part>(initialCapacity: 4)
    public private(set) var count = 0

    public init() {}

    public var partCount: Int { parts.count }

    mutating func append(_ part: Part) {
        guard part.partCount > 0 else { return }
        parts.append(part)
        count += part.partCount
    }

    public mutating func append(_ more: PartQueue) {
        for part in more.parts { parts.append(part) }
        count += more.count
    }

    public func slice(_ range: Range<Int>) -> PartQueue {
        var slice = PartQueue()
        var start = 0
        for part in parts {
            let end = start + part.partCount
            if start >= range.upperBound { break }
            if end > range.lowerBound {
                let inside = max(range.lowerBound, start) - start..<min(range.upperBound, end) - start
                slice.append(inside.count == part.partCount ? part : part.part(inside))
            }
            start = end
        }
        return slice
    }

    public mutating func dropFirst(_ dropped: Int) {
        count -= dropped
        var left = dropped
        while left > 0 {
            let first = parts[parts.startIndex]
            if first.partCount <= left {
                left -= first.partCount
                parts.removeFirst()
            } else {
                parts[parts.startIndex] = first.part(left..<first.partCount)
                left = 0
            }
        }
    }

    public mutating func keepFirst(_ kept: Int) { self = slice(0..<kept) }

    public func makeReader() -> PartReader<Part> { PartReader(self) }

    public mutating func send(to descriptor: Int32) -> SendOutcome {
        while count > 0 {
            let written = withUnsafeTemporaryAllocation(of: iovec.self, capacity: 64) { vectors in
                var used = 0
                for part in parts.prefix(64) {
                    let bytes = part.stableBytes
                    vectors[used] = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
                    used += 1
                }
                return withExtendedLifetime(parts) { writev(descriptor, vectors.baseAddress, Int32(used)) }
            }
            if written < 0 {
                switch errno {
                case EINTR: continue
                case EAGAIN: return .full
                default: return .gone(errno)
                }
            }
            dropFirst(written)
        }
        return .all
    }

    public var contents: [UInt8] { parts.flatMap { Array($0.stableBytes) } }
}

/// A position in a part queue.
public struct PartReader<Part: BytePart>: PacketReader {
    private let parts: CircularBuffer<Part>
    private var next: CircularBuffer<Part>.Index
    private var current: Part?
    private var currentCount: Int
    /// In the current part.
    private var offset = 0
    public private(set) var position = 0
    public private(set) var remaining: Int

    public struct EndOfBytes: Error {}

    init(_ bytes: PartQueue<Part>) {
        parts = bytes.parts
        next = parts.startIndex
        remaining = bytes.count
        current = nil
        currentCount = 0
        advance()
    }

    /// Goes to the next part when the current one is read.
    @inline(__always)
    private mutating func advance() {
        while offset >= currentCount, next < parts.endIndex {
            offset -= currentCount
            let part = parts[next]
            current = part
            currentCount = part.partCount
            next = parts.index(after: next)
        }
    }

    public mutating func readByte() throws(EndOfBytes) -> UInt8 {
        guard remaining > 0, let part = current else { throw EndOfBytes() }
        let byte = part.byte(at: offset)
        try skip(1)
        return byte
    }

    public mutating func readUInt32() throws(EndOfBytes) -> UInt32 {
        if let part = current, currentCount - offset >= 4 {
            let value = part.bigEndian32(at: offset)
            try skip(4)
            return value
        }
        guard remaining >= 4 else { throw EndOfBytes() }
        var value: UInt32 = 0
        for _ in 0..<4 { value = value << 8 | UInt32(try readByte()) }
        return value
    }

    public mutating func skip(_ count: Int) throws(EndOfBytes) {
        guard count <= remaining else { throw EndOfBytes() }
        offset += count
        position += count
        remaining -= count
        advance()
    }

    public mutating func readWhole(into destination: UnsafeMutableRawBufferPointer) throws(EndOfBytes) {
        guard destination.count <= remaining else { throw EndOfBytes() }
        var copied = 0
        while copied < destination.count, let part = current {
            let count = min(destination.count - copied, currentCount - offset)
            let source = UnsafeRawBufferPointer(rebasing: part.stableBytes[offset..<offset + count])
            UnsafeMutableRawBufferPointer(rebasing: destination[copied...]).copyMemory(from: source)
            withExtendedLifetime(part) {}
            copied += count
            try skip(count)
        }
    }

    public func distance(to byte: UInt8) -> Int? {
        var passed = 0
        var from = offset
        var part = current
        var following = next
        while let searched = part {
            if let distance = searched.distance(to: byte, from: from) { return passed + distance }
            passed += searched.partCount - from
            from = 0
            part = following < parts.endIndex ? parts[following] : nil
            if following < parts.endIndex { following = parts.index(after: following) }
        }
        return nil
    }
}
