// The bytes of a buffer, one by one.
//
// Cost: the next byte O(1), also backward; a byte by its offset O(segments). Thread-safety: none.

extension SegmentedBuffer {
    /// The bytes of a buffer as a collection. A copy of the buffer as it was when this was asked.
    ///
    /// An index knows its segment, so that stepping and reading are O(1); going far is O(segments that are passed),
    /// which is why this is no `RandomAccessCollection`.
    @frozen
    public struct Bytes: BidirectionalCollection {
        @usableFromInline let buffer: SegmentedBuffer

        @inlinable @inline(__always)
        init(_ buffer: SegmentedBuffer) { self.buffer = buffer }
    }

    /// The bytes, one by one. O(1).
    @inlinable @inline(__always)
    public var bytes: Bytes { Bytes(self) }

    /// The byte at an offset. Traps where there is none. O(segments from the nearer end).
    @inlinable
    public subscript(offset: Int) -> UInt8 {
        if UInt(bitPattern: offset) >= UInt(bitPattern: byteCount) { outside(offset..<offset &+ 1) }
        let found = locate(offset)
        return bytes(ofSegment: found.index)[found.offset]
    }
}

extension SegmentedBuffer.Bytes {
    /// A place between bytes: before the one at `offset` in its segment.
    @frozen
    public struct Index: Comparable, Sendable {
        /// How many bytes are before it in the buffer.
        public let position: Int
        @usableFromInline let segment: Int
        @usableFromInline let offset: Int

        @inlinable @inline(__always)
        init(position: Int, segment: Int, offset: Int) {
            self.position = position
            self.segment = segment
            self.offset = offset
        }

        @inlinable @inline(__always)
        public static func < (left: Self, right: Self) -> Bool { left.position < right.position }

        @inlinable @inline(__always)
        public static func == (left: Self, right: Self) -> Bool { left.position == right.position }
    }

    @inlinable @inline(__always)
    public var count: Int { buffer.byteCount }

    @inlinable @inline(__always)
    public var startIndex: Index { Index(position: 0, segment: 0, offset: 0) }

    @inlinable @inline(__always)
    public var endIndex: Index { Index(position: buffer.byteCount, segment: buffer.segmentCount, offset: 0) }

    @inlinable @inline(__always)
    public subscript(index: Index) -> UInt8 {
        if UInt(bitPattern: index.position) >= UInt(bitPattern: buffer.byteCount) {
            buffer.outside(index.position..<index.position &+ 1)
        }
        let bytes = buffer.bytes(ofSegment: index.segment)
        // An index of another buffer, or of this one as it was.
        if UInt(bitPattern: index.offset) >= UInt(bitPattern: bytes.count) {
            buffer.outside(index.position..<index.position &+ 1)
        }
        return bytes[index.offset]
    }

    @inlinable @inline(__always)
    public func index(after index: Index) -> Index {
        if index.position >= buffer.byteCount { buffer.outside(index.position..<index.position &+ 1) }
        let isLast = index.offset &+ 1 == buffer.bytes(ofSegment: index.segment).count
        return Index(
            position: index.position &+ 1, segment: isLast ? index.segment &+ 1 : index.segment,
            offset: isLast ? 0 : index.offset &+ 1)
    }

    @inlinable @inline(__always)
    public func index(before index: Index) -> Index {
        if index.position <= 0 { buffer.outside(-1..<0) }
        if index.offset > 0 {
            return Index(position: index.position &- 1, segment: index.segment, offset: index.offset &- 1)
        }
        let size = buffer.bytes(ofSegment: index.segment &- 1).count
        return Index(position: index.position &- 1, segment: index.segment &- 1, offset: size &- 1)
    }

    /// O(segments from the nearer end).
    @inlinable
    public func index(_ index: Index, offsetBy distance: Int) -> Index {
        let position = index.position + distance
        if UInt(bitPattern: position) > UInt(bitPattern: buffer.byteCount) { buffer.outside(position..<position) }
        if position == buffer.byteCount { return endIndex }
        let found = buffer.locate(position)
        return Index(position: position, segment: found.index, offset: found.offset)
    }

    @inlinable
    public func index(_ index: Index, offsetBy distance: Int, limitedBy limit: Index) -> Index? {
        let left = limit.position - index.position
        if distance > 0 ? left >= 0 && distance > left : left <= 0 && distance < left { return nil }
        return self.index(index, offsetBy: distance)
    }

    /// O(1).
    @inlinable @inline(__always)
    public func distance(from start: Index, to end: Index) -> Int { end.position - start.position }

    /// Where all bytes lie in one segment.
    @inlinable
    public func withContiguousStorageIfAvailable<Result>(
        _ body: (UnsafeBufferPointer<UInt8>) throws -> Result
    ) rethrows -> Result? {
        if buffer.segmentCount > 1 { return nil }
        defer { withExtendedLifetime(buffer) {} }
        return try body(buffer.firstBytes.assumingMemoryBound(to: UInt8.self))
    }

    /// Goes over the bytes.
    @frozen
    public struct Iterator: IteratorProtocol {
        @usableFromInline let buffer: SegmentedBuffer
        @usableFromInline var current: UnsafeRawPointer
        @usableFromInline var end: UnsafeRawPointer
        /// The segment behind the one that `end` is the end of.
        @usableFromInline var following: Int

        @inlinable @inline(__always)
        init(_ buffer: SegmentedBuffer) {
            self.buffer = buffer
            let bytes = buffer.firstBytes
            current = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 16).unsafelyUnwrapped
            end = current + bytes.count
            following = 1
        }

        @inlinable @inline(__always)
        public mutating func next() -> UInt8? {
            if current == end {
                if following >= buffer.segmentCount { return nil }
                let bytes = buffer.bytes(ofSegment: following)
                // B1: there is a byte.
                current = bytes.baseAddress.unsafelyUnwrapped
                end = current + bytes.count
                following &+= 1
            }
            let byte = current.load(as: UInt8.self)
            current += 1
            return byte
        }
    }

    @inlinable @inline(__always)
    public func makeIterator() -> Iterator { Iterator(buffer) }
}
