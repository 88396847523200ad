// A reader of bytes that lie in segments: where it is in a list of segments that is its own.
//
//     list       [ segment ][ segment ][ segment ][ segment ]
//                                 ▲   ▲
//     cursor                current  end        `next` is the place of the third in the list (B2 of SegmentedBuffer)
//
// R1. `current..<end` is what is left of the segment before `next`, or nothing. A reader may stand at the end of a
//     segment; it goes to the next one when it needs a byte of it, so that reading checks one thing only.
// R2. `endPosition` is the position of `end`, counted from the first byte of the list.
// R3. Where `bitsPosition` is the position, the lowest `bitCount` (0...7) bits of the byte before it, which is
//     `bitsByte`, are not read yet; elsewhere all are. So what moves forward has nothing to forget; what moves back sets
//     `bitCount` to 0.
// R4. The list owns the memory that the cursor points into, or the cursor's range is empty.
//
// What crosses segments is done by functions that take a cursor and give another, out of line. A cursor has four words,
// which fit into registers both ways: no call gets the reader's address, and one in a local variable stays in registers.
//
// Cost: a byte is a comparison, a load and an addition; an integer in one segment, a subtraction more. Going to the
// next segment costs a call, about 3 ns. Copying a reader is a retain. Thread-safety: none.

/// Reads integers, numbers of variable length, bits, strings and bytes out of a ``SegmentedBuffer``, wherever its
/// segments end.
///
/// Use it to parse what came in pieces, as protocols and files do, without putting the pieces together first. It has
/// its own copy of the list of segments, and owns them: it stays valid, and reads the same bytes, whatever is pushed onto
/// the buffer, cut from it or replaced in it later. Several readers over one buffer are independent of each other. A copy
/// of a reader is a reader at the same position, so `let mark = reader` … `reader = mark` goes back to where it was.
///
/// Where a whole value is asked for and the data ends, or is not what was asked for, it throws a ``SegmentedReadError``
/// and has not moved. No input makes it trap; counts and positions may come out of the data unchecked.
///
/// Positions and counts are in bytes; a position counts from the first byte of the list. Bits are read from the highest
/// of a byte on. A byte of which only some bits are read counts as read: **whatever reads bytes drops the bits that are
/// left of it** and goes on at the next byte, see ``readBits(_:)``.
///
/// Not thread-safe and not `Sendable`, as the buffer. For one contiguous array a `RawSpan` does with less.
@frozen
public struct SegmentedReader {
    @usableFromInline var list: SegmentedBuffer
    @usableFromInline var cursor: Cursor

    /// R3.
    @usableFromInline var bitsPosition: Int
    @usableFromInline var bitsByte: UInt8
    @usableFromInline var bitCount: UInt8

    /// Where a reader is. Trivial, so that keeping one to come back to costs no retain.
    @usableFromInline @frozen
    struct Cursor {
        @usableFromInline var current: UnsafeRawPointer
        @usableFromInline var end: UnsafeRawPointer
        @usableFromInline var next: Int
        @usableFromInline var endPosition: Int

        @inlinable @inline(__always)
        init(current: UnsafeRawPointer, end: UnsafeRawPointer, next: Int, endPosition: Int) {
            self.current = current
            self.end = end
            self.next = next
            self.endPosition = endPosition
        }

        /// Before the first segment: there is nothing left of none.
        @inlinable
        init(before list: SegmentedBuffer) {
            let nowhere = UnsafeRawPointer(bitPattern: 16).unsafelyUnwrapped
            self.init(current: nowhere, end: nowhere, next: list.first, endPosition: 0)
        }
    }

    /// Makes a reader at the first byte of a buffer.
    ///
    /// O(1): the list is shared until the buffer or the reader changes its own.
    @inlinable @inline(__always)
    public init(_ buffer: SegmentedBuffer) {
        list = buffer
        bitsPosition = 0
        bitsByte = 0
        bitCount = 0
        cursor = Self.first(in: buffer)
    }

    /// Makes a reader at a position, which may be the end.
    ///
    /// - Throws: as ``seek(to:)``. O(segments before the position).
    @inlinable
    public init(_ buffer: SegmentedBuffer, at position: Int) throws(SegmentedReadError) {
        self.init(buffer)
        try seek(to: position)
    }
}

// MARK: - Position

extension SegmentedReader {
    /// The number of bytes before the reader. A byte of which only some bits are read is one of them. O(1).
    @inlinable @inline(__always)
    public var position: Int { cursor.endPosition &- bytesLeftInSegment }

    /// The number of bytes from the reader on. O(1).
    @inlinable @inline(__always)
    public var remaining: Int { list.byteCount &- position }

    /// The number of bytes, read or not. O(1).
    @inlinable @inline(__always)
    public var count: Int { list.byteCount }

    /// Whether no byte is left. There may be bits of the last one. O(1).
    @inlinable @inline(__always)
    public var isAtEnd: Bool { remaining == 0 }

    @inlinable @inline(__always)
    var bytesLeftInSegment: Int { cursor.end - cursor.current }
}

// MARK: - From segment to segment

extension SegmentedReader {
    /// One more than the place of the last segment.
    @inlinable @inline(__always)
    static func placeCount(of list: SegmentedBuffer) -> Int { list.front.count &+ (list.isEmpty ? 0 : 1) }

    /// The bytes of the segment in a place, which there must be.
    @inlinable @inline(__always)
    static func bytes(at place: Int, in list: SegmentedBuffer) -> UnsafeRawBufferPointer {
        list.bytes(ofSegment: place &- list.first)
    }

    /// The cursor at the first byte. A list of one segment, which is the last then, needs no call.
    @inlinable @inline(__always)
    static func first(in list: SegmentedBuffer) -> Cursor {
        guard list.front.isEmpty, let start = list.lastBytes.baseAddress else {
            return following(Cursor(before: list), in: list)
        }
        return Cursor(current: start, end: start + list.byteCount, next: 1, endPosition: list.byteCount)
    }

    /// The cursor at the start of the next segment, or the same one where there is none.
    @inlinable @inline(__always)
    static func following(_ cursor: Cursor, in list: SegmentedBuffer) -> Cursor {
        let bytes = bytes(at: cursor.next, of: list.front, or: list.lastBytes)
        guard let start = bytes.baseAddress else { return cursor }
        return Cursor(
            current: start, end: start + bytes.count, next: cursor.next &+ 1,
            endPosition: cursor.endPosition &+ bytes.count)
    }

    /// The bytes of the segment in a place; none where it is behind the last. What it takes and gives fits into
    /// registers, which a cursor doesn't.
    @usableFromInline @inline(never)
    static func bytes(
        at place: Int, of front: ContiguousArray<Segment?>, or last: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        if place < front.count { return front[place].unsafelyUnwrapped.unsafeBytes }
        if place == front.count { return last }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// The cursor `count` bytes further on, which there must be.
    @usableFromInline @inline(never)
    static func moved(_ cursor: Cursor, by count: Int, in list: SegmentedBuffer) -> Cursor {
        var cursor = cursor
        var left = count
        while left > cursor.end - cursor.current {
            left -= cursor.end - cursor.current
            cursor = following(cursor, in: list)
        }
        cursor.current += left
        return cursor
    }

    /// Copies the next `count` bytes, which there must be, and gives the cursor behind them.
    @usableFromInline @inline(never)
    static func copied(
        _ count: Int, at cursor: Cursor, in list: SegmentedBuffer, to destination: UnsafeMutableRawPointer
    ) -> Cursor {
        var cursor = cursor
        var left = count
        var destination = destination
        while left > 0 {
            if cursor.current == cursor.end { cursor = following(cursor, in: list) }
            let part = min(left, cursor.end - cursor.current)
            destination.copyMemory(from: cursor.current, byteCount: part)
            destination += part
            cursor.current += part
            left -= part
        }
        return cursor
    }

    /// The error where a value takes `needed` bytes and fewer are there. By values: see the top of the file.
    @usableFromInline @inline(never)
    static func endOfData(needed: Int, available: Int) -> SegmentedReadError {
        .endOfData(needed: needed, available: available)
    }

    /// The error for a count of bytes that are not there.
    @usableFromInline @inline(never)
    static func refusal(of count: Int, available: Int) -> SegmentedReadError {
        count < 0 ? .outOfRange(count) : .endOfData(needed: count, available: available)
    }
}
