// A reader over a stream: segments are appended to its list as they arrive, and those that were read are clipped from
// it. A list that nobody shares is changed in place.

extension SegmentedReader {
    /// Puts a segment behind the data: what arrived. The reader stays where it is. O(1), amortised; O(segments) once
    /// where a buffer or another reader shares the list.
    @inlinable
    public mutating func append(_ segment: Segment) { list.push(segment) }

    /// Puts the segments of a buffer behind the data. O(segments of the buffer), as ``append(_:)-(Segment)``.
    @inlinable
    public mutating func append(_ buffer: SegmentedBuffer) {
        let wasEmpty = list.isEmpty
        list.append(buffer)
        // The list is the buffer's then, whose first place may be another.
        if wasEmpty { cursor = Self.following(Cursor(before: list), in: list) }
    }

    /// Copies bytes behind the data, into the room of the last segment where there is some that is this reader's alone.
    /// O(bytes).
    public mutating func append(copying bytes: UnsafeRawBufferPointer) {
        list.append(copying: bytes)
        // R1: the reader may be in the segment that has grown.
        let place = cursor.next - 1
        guard place >= list.first else { return }
        let segment = Self.bytes(at: place, in: list)
        let end = segment.baseAddress.unsafelyUnwrapped + segment.count
        cursor.endPosition += end - cursor.end
        cursor.end = end
    }

    /// Drops what was read from the reader's own list: segments that are all read go, and positions count from what is
    /// left. It can't go back any more; bits that are left of a byte stay.
    ///
    /// - Parameter recycle: gets each segment that is dropped, in order, to use its memory again where it is
    ///   ``Segment/isUniquelyOwned()``; without it the memory goes back where nobody else owns it.
    /// - Returns: how many bytes were dropped: the position before the call.
    /// O(segments dropped), amortised; O(segments) once where a buffer or another reader shares the list.
    @discardableResult
    public mutating func clipFront(_ recycle: (inout Segment) -> Void = { _ in }) -> Int {
        let count = position
        let bitsLeft = bitsLeftInByte
        // Places count from the end, as the list may take away those before its first.
        let segmentsAfter = Self.placeCount(of: list) - cursor.next
        list.clipFront(count, recycle)
        cursor.next = Self.placeCount(of: list) - segmentsAfter
        cursor.endPosition -= count
        keepBits(bitsLeft)
        return count
    }

    /// Drops what was read from a buffer and from the reader's list, which is the buffer's from here on: the reader goes
    /// on over it, with what was appended to the buffer in the meantime.
    ///
    /// - Parameters:
    ///   - buffer: the one that this reader was made of, to the end of which anything may have been put since. Traps
    ///     where it has fewer bytes than were read.
    ///   - recycle: gets each segment that is dropped, in order; the reader does not own it any more.
    /// - Returns: how many bytes were dropped: the position before the call.
    /// O(segments dropped), amortised; O(segments) where a third shares the list.
    @discardableResult
    public mutating func clipFront(
        of buffer: inout SegmentedBuffer, _ recycle: (inout Segment) -> Void = { _ in }
    ) -> Int {
        let count = position
        let bitsLeft = bitsLeftInByte
        if count > buffer.count {
            fatalError("SegmentedReader: \(count) bytes that were read are clipped from a buffer of \(buffer.count)")
        }
        // Not an owner while the closure asks who is, and the buffer changes its list.
        list = SegmentedBuffer()
        cursor = Cursor(before: list)
        buffer.clipFront(count, recycle)
        list = buffer
        cursor = Self.following(Cursor(before: list), in: list)
        keepBits(bitsLeft)
        return count
    }

    /// R3, at the position that is 0 now.
    private mutating func keepBits(_ count: Int) {
        bitsPosition = 0
        bitCount = UInt8(count)
    }
}
