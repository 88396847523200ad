// Bytes where they are: the segments that the next bytes lie in, as owners of their memory, and as ranges of addresses.

extension SegmentedReader {
    /// What is left of the segment that the next byte lies in, as an owner of its memory; nil at the end. O(1).
    @inlinable
    public var currentSegment: Segment? {
        var cursor = cursor
        if cursor.current == cursor.end { cursor = Self.following(cursor, in: list) }
        if cursor.current == cursor.end { return nil }
        return segment(at: cursor, count: cursor.end - cursor.current)
    }

    /// Reads what is left of the segment that the next byte lies in, without copying it; nil at the end. O(1).
    @inlinable
    public mutating func readSegment() -> Segment? {
        guard let segment = currentSegment else { return nil }
        if cursor.current == cursor.end { cursor = Self.following(cursor, in: list) }
        cursor.current = cursor.end
        return segment
    }

    /// Reads bytes without copying them, as a buffer that shares the segments they lie in.
    ///
    /// - Throws: `endOfData`; `outOfRange` where the count is negative.
    /// O(segments); an allocation from the second segment on.
    @inlinable
    public mutating func readSegments(_ count: Int) throws(SegmentedReadError) -> SegmentedBuffer {
        if count > 0, count <= bytesLeftInSegment {
            let part = segment(at: cursor, count: count)
            cursor.current += count
            return SegmentedBuffer(part)
        }
        return try readCrossingSegments(count)
    }

    @usableFromInline @inline(never)
    mutating func readCrossingSegments(_ count: Int) throws(SegmentedReadError) -> SegmentedBuffer {
        guard UInt(bitPattern: count) <= UInt(bitPattern: remaining) else {
            throw Self.refusal(of: count, available: remaining)
        }
        var result = SegmentedBuffer()
        var left = count
        while left > 0 {
            if cursor.current == cursor.end { cursor = Self.following(cursor, in: list) }
            let part = min(left, cursor.end - cursor.current)
            result.push(segment(at: cursor, count: part))
            cursor.current += part
            left &-= part
        }
        return result
    }

    /// Bytes of a cursor's segment, as an owner of their memory.
    @inlinable @inline(__always)
    func segment(at cursor: Cursor, count: Int) -> Segment {
        let owner = list.segment(at: cursor.next &- 1 &- list.first)
        return Segment(memory: owner.memory, start: UnsafeMutableRawPointer(mutating: cursor.current), count: count)
    }
}

// MARK: - Ranges

extension SegmentedReader {
    /// Where all bytes from the reader on lie: a range of addresses for each segment. It does not move. O(1).
    ///
    /// The addresses are good for as long as the reader, the sequence or its iterator is there; see
    /// ``withRanges(_:)`` for what the compiler watches.
    @inlinable @inline(__always)
    public var ranges: Ranges { Ranges(list: list, cursor: cursor, count: remaining) }

    /// Where the next `count` bytes lie. It does not move.
    ///
    /// - Throws: `endOfData`; `outOfRange` where the count is negative. O(1).
    @inlinable @inline(__always)
    public func ranges(_ count: Int) throws(SegmentedReadError) -> Ranges {
        guard UInt(bitPattern: count) <= UInt(bitPattern: remaining) else {
            throw Self.refusal(of: count, available: remaining)
        }
        return Ranges(list: list, cursor: cursor, count: count)
    }

    /// Reads bytes by saying where they lie: as ``ranges(_:)``, and moves behind them.
    ///
    /// - Throws: `endOfData`; `outOfRange` where the count is negative. O(segments).
    @inlinable @inline(__always)
    public mutating func readRanges(_ count: Int) throws(SegmentedReadError) -> Ranges {
        let ranges = try ranges(count)
        try skip(count)
        return ranges
    }

    /// Calls a closure with a span for each segment that bytes from the reader on lie in. It does not move.
    ///
    /// - Throws: what the closure throws. O(segments), without an allocation.
    @inlinable @inline(__always)
    public func withRanges<Failure: Error>(_ body: (RawSpan) throws(Failure) -> Void) throws(Failure) {
        try Self.forEachRange(of: remaining, at: cursor, in: list, body)
    }

    /// Calls a closure with a span for each segment that the next `count` bytes lie in. It does not move.
    ///
    /// - Throws: `endOfData`; `outOfRange` where the count is negative: the closure is not called then. And what the
    ///   closure throws, of the same type. O(segments), without an allocation.
    @inlinable @inline(__always)
    public func withRanges(
        _ count: Int, _ body: (RawSpan) throws(SegmentedReadError) -> Void
    ) throws(SegmentedReadError) {
        guard UInt(bitPattern: count) <= UInt(bitPattern: remaining) else {
            throw Self.refusal(of: count, available: remaining)
        }
        try Self.forEachRange(of: count, at: cursor, in: list, body)
    }

    @inlinable @inline(__always)
    static func forEachRange<Failure: Error>(
        of count: Int, at cursor: Cursor, in list: SegmentedBuffer, _ body: (RawSpan) throws(Failure) -> Void
    ) throws(Failure) {
        var start = cursor.current
        var inSegment = cursor.end - cursor.current
        var next = cursor.next
        var left = count
        // Mostly they lie in one segment: without the loop then.
        if left > inSegment {
            repeat {
                if inSegment > 0 {
                    try body(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: start, count: inSegment)))
                    left &-= inSegment
                }
                let bytes = Self.bytes(at: next, in: list)
                start = bytes.baseAddress.unsafelyUnwrapped
                inSegment = bytes.count
                next &+= 1
            } while left > inSegment
        }
        if left > 0 { try body(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: start, count: left))) }
        withExtendedLifetime(list) {}
    }

    /// Where bytes lie, segment by segment, none of them empty; it keeps their memory.
    @frozen
    public struct Ranges: Sequence {
        @usableFromInline let list: SegmentedBuffer
        @usableFromInline let cursor: Cursor
        /// The bytes in all of them.
        public let count: Int

        @inlinable @inline(__always)
        init(list: SegmentedBuffer, cursor: Cursor, count: Int) {
            self.list = list
            self.cursor = cursor
            self.count = count
        }

        @inlinable @inline(__always)
        public func makeIterator() -> Iterator { Iterator(self) }

        @frozen
        public struct Iterator: IteratorProtocol {
            @usableFromInline let list: SegmentedBuffer
            @usableFromInline var current: UnsafeRawPointer
            /// Bytes from `current` on in its segment.
            @usableFromInline var inSegment: Int
            @usableFromInline var place: Int
            @usableFromInline var left: Int

            @inlinable @inline(__always)
            init(_ ranges: Ranges) {
                list = ranges.list
                current = ranges.cursor.current
                inSegment = ranges.cursor.end - ranges.cursor.current
                place = ranges.cursor.next
                left = ranges.count
            }

            @inlinable @inline(__always)
            public mutating func next() -> UnsafeRawBufferPointer? {
                if left == 0 { return nil }
                if inSegment == 0 {
                    // B1: `left` is not 0, so there is another segment, and it has bytes.
                    let bytes = SegmentedReader.bytes(at: place, in: list)
                    current = bytes.baseAddress.unsafelyUnwrapped
                    inSegment = bytes.count
                    place &+= 1
                }
                let part = Swift.min(left, inSegment)
                left &-= part
                inSegment = 0
                return UnsafeRawBufferPointer(start: current, count: part)
            }
        }
    }
}
