// Moving without reading.

extension SegmentedReader {
    /// Skips bytes.
    ///
    /// - Parameter count: bytes; none leaves the bits of a byte that are left, too.
    /// - Throws: `endOfData` where fewer are left, `outOfRange` where the count is negative.
    /// O(segments skipped).
    @inlinable @inline(__always)
    public mutating func skip(_ count: Int) throws(SegmentedReadError) {
        if UInt(bitPattern: count) <= UInt(bitPattern: bytesLeftInSegment) {
            cursor.current += count
        } else {
            guard UInt(bitPattern: count) <= UInt(bitPattern: remaining) else {
                throw Self.refusal(of: count, available: remaining)
            }
            cursor = Self.moved(cursor, by: count, in: list)
        }
    }

    /// Goes back over bytes that were read, in whatever segment they are. What is left of the bits of a byte is read
    /// then: one byte back is its first bit.
    ///
    /// - Throws: `outOfRange` where the count is negative or more than the ``position``.
    /// O(segments gone back).
    public mutating func unread(_ count: Int) throws(SegmentedReadError) {
        guard count >= 0, count <= position else { throw .outOfRange(count) }
        goBack(to: position - count)
    }

    /// Goes to a position, which may be the end.
    ///
    /// - Throws: `outOfRange` where it is negative, `endOfData` where it is beyond the end: `needed` and `available`
    ///   count from the reader on.
    /// O(segments between here and there).
    public mutating func seek(to target: Int) throws(SegmentedReadError) {
        guard target >= 0 else { throw .outOfRange(target) }
        guard target <= list.byteCount else {
            throw .endOfData(needed: target - position, available: remaining)
        }
        if target > position {
            cursor = Self.moved(cursor, by: target - position, in: list)
        } else {
            goBack(to: target)
        }
    }

    /// Goes behind the last byte. O(1).
    public mutating func moveToEnd() {
        bitCount = 0
        guard remaining > 0 else { return }
        // Something is left, so there is a last segment.
        let next = Self.placeCount(of: list)
        let last = Self.bytes(at: next - 1, in: list)
        let end = last.baseAddress.unsafelyUnwrapped + last.count
        cursor = Cursor(current: end, end: end, next: next, endPosition: list.byteCount)
    }

    /// Goes to a position that is not beyond the reader's.
    private mutating func goBack(to target: Int) {
        bitCount = 0
        guard target > 0 else {
            cursor = Self.first(in: list)
            return
        }
        // A position greater than 0 has a segment before it, and so has `next` (R1).
        while true {
            let bytes = Self.bytes(at: cursor.next - 1, in: list)
            let segmentPosition = cursor.endPosition - bytes.count
            if target > segmentPosition {
                let start = bytes.baseAddress.unsafelyUnwrapped
                cursor = Cursor(
                    current: start + (target - segmentPosition), end: start + bytes.count, next: cursor.next,
                    endPosition: cursor.endPosition)
                return
            }
            cursor.next -= 1
            cursor.endPosition = segmentPosition
        }
    }
}
