// The segments of a buffer, one by one: to look at, to replace, to walk.
//
// Cost: O(1) a segment. Thread-safety: none.

extension SegmentedBuffer {
    /// The segments of a buffer, in their order. A copy of the buffer as it was when this was asked.
    @frozen
    public struct Segments: RandomAccessCollection {
        @usableFromInline let buffer: SegmentedBuffer

        @inlinable @inline(__always)
        init(_ buffer: SegmentedBuffer) { self.buffer = buffer }

        public typealias Index = Int
        public typealias Indices = Range<Int>

        @inlinable @inline(__always)
        public var startIndex: Int { 0 }

        @inlinable @inline(__always)
        public var endIndex: Int { buffer.segmentCount }

        @inlinable @inline(__always)
        public subscript(index: Int) -> Segment { buffer[segment: index] }
    }

    /// The segments, in their order. O(1).
    @inlinable @inline(__always)
    public var segments: Segments { Segments(self) }

    /// A segment by its place in the list: from 0, or counted from the end, where -1 is the last. Traps where there is
    /// none. O(1).
    @inlinable @inline(__always)
    public subscript(segment index: Int) -> Segment { segment(at: place(of: index)) }

    /// Puts a segment in the place of another, which goes where it came from if this was its last owner. One without
    /// bytes takes the place away. Traps where there is none.
    ///
    /// - Parameter index: from 0, or counted from the end, where -1 is the last.
    /// - Returns: the segment that was there.
    /// - Complexity: O(1); O(segments) to take a place away.
    @inlinable
    @discardableResult
    public mutating func replaceSegment(_ index: Int, with segment: Segment) -> Segment {
        let index = place(of: index)
        let old = self.segment(at: index)
        byteCount += segment.byteCount - old.byteCount
        let isLast = first + index == front.count
        if segment.byteCount > 0 {
            if isLast { last = segment } else { front[first + index] = segment }
        } else if isLast {
            lastMemory = nil
            settleLast()
        } else {
            front.remove(at: first + index)
        }
        return old
    }

    /// Whether nothing but this buffer owns the memory of a segment, and this one by that segment alone. Traps where
    /// there is none.
    ///
    /// - Parameter index: from 0, or counted from the end, where -1 is the last.
    /// - Complexity: O(1); O(segments) where a copy of this buffer shares the list.
    @inlinable
    public mutating func isUniquelyOwned(segment index: Int) -> Bool {
        let place = first + self.place(of: index)
        return place < front.count ? front[place]!.isUniquelyOwned() : isKnownUniquelyReferenced(&lastMemory)
    }

    /// The bytes of a segment, for as long as the buffer is there and is not changed. Traps where there is none. O(1).
    ///
    /// - Parameter index: from 0, or counted from the end, where -1 is the last.
    @inlinable
    @_lifetime(borrow self)
    public borrowing func span(ofSegment index: Int) -> RawSpan {
        _overrideLifetime(RawSpan(_unsafeBytes: bytes(ofSegment: place(of: index))), borrowing: self)
    }

    /// Calls a closure with the bytes of each segment, in their order.
    ///
    /// - Throws: what the closure throws.
    @inlinable
    public func withEachSegment<Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        for index in 0..<segmentCount { try body(bytes(ofSegment: index)) }
        withExtendedLifetime(self) {}
    }

    /// Puts a segment before the one at a place in the list, or at the end. Traps where there is no such place.
    ///
    /// - Parameter index: 0...`segmentCount`.
    /// - Complexity: O(segments behind it); O(1) at the ends, amortised.
    @inlinable
    public mutating func insert(_ segment: Segment, at index: Int) {
        if index < 0 || index > segmentCount { noSegment(index) }
        if index == segmentCount {
            push(segment)
        } else if index == 0 {
            prepend(segment)
        } else if segment.byteCount > 0 {
            byteCount += segment.byteCount
            front.insert(segment, at: first + index)
        }
    }

    // MARK: - Privates

    /// A place counted from the end, as one from the start.
    @inlinable @inline(__always)
    func place(of index: Int) -> Int {
        let count = segmentCount
        let place = index < 0 ? index &+ count : index
        if place < 0 || place >= count { noSegment(index) }
        return place
    }

    @usableFromInline @inline(never)
    func noSegment(_ index: Int) -> Never {
        fatalError("SegmentedBuffer: segment \(index) of \(segmentCount)")
    }

    /// B2, where the last segment was taken away: the one before it is the last.
    @inlinable
    mutating func settleLast() {
        if lastMemory == nil, first < front.count { last = front.removeLast() }
        if first == front.count, first > 0 {
            front.removeAll(keepingCapacity: true)
            first = 0
        }
    }
}
