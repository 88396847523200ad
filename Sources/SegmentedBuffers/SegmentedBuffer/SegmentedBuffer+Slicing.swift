// Parts of a buffer: they share its memory. Taking from the front and the end, with what is dropped handed out.
//
// Cost: O(segments that are passed); from the front, O(segments that are dropped). Thread-safety: none.

extension SegmentedBuffer {
    /// A part of the bytes, which shares the segments. Traps where the range goes beyond `count`.
    ///
    /// - Complexity: O(segments up to the end of the range, or from its start, whichever are fewer); no allocation
    ///   where the part lies in one segment.
    @inlinable
    public subscript(range: Range<Int>) -> SegmentedBuffer {
        check(range)
        var part = SegmentedBuffer()
        if range.isEmpty { return part }
        if first == front.count {
            part.lastMemory = lastMemory
            part.lastStart = lastStart + range.lowerBound
            part.lastCount = range.count
            part.byteCount = range.count
            return part
        }
        var (index, offset) = locate(range.lowerBound)
        var missing = range.count
        while true {
            let bytes = bytes(ofSegment: index)
            let taken = min(bytes.count - offset, missing)
            let owner = segment(at: index)
            part.push(Segment(memory: owner.memory, start: owner.start + offset, count: taken))
            missing -= taken
            if missing == 0 { return part }
            index += 1
            offset = 0
        }
    }

    /// A part of the bytes, as `buffer[2...]`. Traps where the range goes beyond `count`.
    @inlinable
    public subscript(range: some RangeExpression<Int>) -> SegmentedBuffer {
        // An empty range of the positions is what ends at the count.
        self[range.relative(to: 0..<byteCount)]
    }

    /// The first bytes; all of them, where there are fewer.
    @inlinable
    public func prefix(_ count: Int) -> SegmentedBuffer {
        if count < 0 { outside(0..<0) }
        return self[0..<min(count, byteCount)]
    }

    /// The last bytes; all of them, where there are fewer.
    @inlinable
    public func suffix(_ count: Int) -> SegmentedBuffer {
        if count < 0 { outside(0..<0) }
        return self[max(byteCount - count, 0)..<byteCount]
    }

    /// Takes bytes from the front, as a buffer. Traps where there are fewer. O(segments that are taken).
    @inlinable
    public mutating func splitFirst(_ count: Int) -> SegmentedBuffer {
        let part = self[0..<count]
        removeFirst(count)
        return part
    }

    /// Drops bytes from the front. Traps where there are fewer. O(segments that are dropped), amortised.
    @inlinable
    public mutating func removeFirst(_ count: Int) { clipFront(count) { _ in } }

    /// Drops bytes from the end. Traps where there are fewer. O(segments that are dropped).
    @inlinable
    public mutating func removeLast(_ count: Int) { clipEnd(count) { _ in } }

    /// Drops bytes from the front, and hands out each segment that is dropped whole, to use its memory again: where
    /// ``Segment/isUniquelyOwned()``, nobody else has it, and ``Segment/wholeMemory()`` gives all of it. Of a segment
    /// that is cut, the rest of its memory stays.
    ///
    /// - Parameter hand: called in the order of the segments, each of which is given up with the call, unless it is
    ///   kept. It must not use this buffer.
    /// - Complexity: O(segments that are dropped), amortised.
    @inlinable
    public mutating func clipFront(_ count: Int, _ hand: (inout Segment) -> Void) {
        if UInt(bitPattern: count) > UInt(bitPattern: byteCount) { outside(0..<max(count, 0)) }
        byteCount &-= count
        var missing = count
        while missing > 0, first < front.count {
            let size = front[first].unsafelyUnwrapped.byteCount
            if missing < size {
                front[first]!.start += missing
                front[first]!.byteCount &-= missing
                missing = 0
            } else {
                missing &-= size
                var dropped = front[first].take().unsafelyUnwrapped
                first &+= 1
                hand(&dropped)
            }
        }
        if first > 0 { reclaim() }
        if missing == 0 { return }
        if missing < lastCount {
            lastStart += missing
            lastCount &-= missing
        } else {
            var dropped = takeLast()
            hand(&dropped)
        }
    }

    /// Drops bytes from the end, and hands out each segment that is dropped whole, as ``clipFront(_:_:)`` does.
    ///
    /// - Parameter hand: called from the last segment on. It must not use this buffer.
    /// - Complexity: O(segments that are dropped).
    @inlinable
    public mutating func clipEnd(_ count: Int, _ hand: (inout Segment) -> Void) {
        if UInt(bitPattern: count) > UInt(bitPattern: byteCount) { outside(0..<max(count, 0)) }
        byteCount &-= count
        var missing = count
        while missing > 0 {
            let size = lastCount
            if missing < size {
                lastCount &-= missing
                return
            }
            missing &-= size
            var dropped = takeLast()
            settleLast()
            hand(&dropped)
        }
    }

    /// Drops all bytes, and hands out all segments. The list keeps its memory. O(segments).
    @inlinable
    public mutating func reset(_ hand: (inout Segment) -> Void) { clipFront(byteCount, hand) }

    /// Drops all bytes.
    ///
    /// - Parameter keepingCapacity: keeps the memory of the list.
    /// - Complexity: O(segments).
    @inlinable
    public mutating func reset(keepingCapacity: Bool = false) {
        front.removeAll(keepingCapacity: keepingCapacity)
        first = 0
        lastMemory = nil
        byteCount = 0
    }

    /// Puts other bytes in the place of some. Traps where the range goes beyond `count`. O(segments).
    @inlinable
    public mutating func replaceSubrange(_ range: Range<Int>, with other: SegmentedBuffer) {
        check(range)
        let end = self[range.upperBound..<byteCount]
        removeLast(byteCount - range.lowerBound)
        append(other)
        append(end)
    }

    // MARK: - Privates

    /// In which segment an offset lies, and where in it. The offset must be one of a byte. Searches from the nearer
    /// end.
    @inlinable @inline(__always)
    func locate(_ offset: Int) -> (index: Int, offset: Int) {
        if first == front.count { return (0, offset) }
        return locateInList(offset)
    }

    @usableFromInline
    func locateInList(_ offset: Int) -> (index: Int, offset: Int) {
        if offset <= byteCount / 2 {
            var index = 0
            var rest = offset
            while true {
                let size = bytes(ofSegment: index).count
                if rest < size { return (index, rest) }
                rest -= size
                index += 1
            }
        }
        var index = segmentCount
        var start = byteCount
        while start > offset {
            index -= 1
            start -= bytes(ofSegment: index).count
        }
        return (index, offset - start)
    }

    /// B2: takes away the places before the first segment, where they are more than the others.
    @inlinable
    mutating func reclaim() {
        if first == front.count {
            front.removeAll(keepingCapacity: true)
            first = 0
        } else if first >= 16, first > front.count / 2 {
            front.removeSubrange(0..<first)
            first = 0
        }
    }
}
