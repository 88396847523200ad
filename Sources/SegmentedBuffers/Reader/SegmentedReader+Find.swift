// Looking for a byte, or several, from the position on. Within a segment memchr finds the first byte; the others may be
// in the next segments.

import CMallowShims

extension SegmentedReader {
    /// How many bytes lie before the next byte of a value; nil where there is none. It does not move.
    ///
    /// - Parameter offset: where to begin, in bytes from the position: a stream need not search again what it has
    ///   searched. Nil where it is negative or beyond the end.
    /// O(bytes), at memchr's speed.
    public func find(_ byte: UInt8, from offset: Int = 0) -> Int? {
        guard offset >= 0, offset <= remaining else { return nil }
        return found(byte, at: Self.moved(cursor, by: offset, in: list))?.offset
    }

    /// How many bytes lie before the next occurrence of a delimiter, which may cross segments; nil where there is none.
    /// It does not move.
    ///
    /// - Parameters:
    ///   - delimiter: found at once where it has no bytes.
    ///   - offset: as for ``find(_:from:)-(UInt8,_)``. To go on after more was appended, begin one byte less than the
    ///     delimiter has before the old end.
    /// O(bytes), at memchr's speed, where its first byte is rare; at worst O(bytes * delimiter).
    public func find(_ delimiter: UnsafeRawBufferPointer, from offset: Int = 0) -> Int? {
        guard offset >= 0, offset <= remaining else { return nil }
        guard let first = delimiter.first else { return offset }
        var cursor = Self.moved(cursor, by: offset, in: list)
        while let match = found(first, at: cursor) {
            guard match.offset + delimiter.count <= remaining else { return nil }
            if matches(delimiter, at: match.cursor) { return match.offset }
            cursor = match.cursor
            cursor.current += 1
        }
        return nil
    }

    /// As ``find(_:from:)-(UnsafeRawBufferPointer,_)``.
    public func find(_ delimiter: [UInt8], from offset: Int = 0) -> Int? {
        delimiter.withUnsafeBytes { find($0, from: offset) }
    }

    /// As ``find(_:from:)-(UnsafeRawBufferPointer,_)``, with the UTF-8 of a string: `find("\r\n")`.
    public func find(_ delimiter: StaticString, from offset: Int = 0) -> Int? {
        delimiter.withUTF8Buffer { find(UnsafeRawBufferPointer($0), from: offset) }
    }

    /// The next byte of a value from a cursor on: how far it is from the reader, and the cursor at it.
    private func found(_ byte: UInt8, at start: Cursor) -> (offset: Int, cursor: Cursor)? {
        var cursor = start
        while true {
            let count = cursor.end - cursor.current
            if count > 0 {
                if let match = memchr(cursor.current, Int32(byte), count) {
                    cursor.current = UnsafeRawPointer(match)
                    return (cursor.endPosition - (cursor.end - cursor.current) - position, cursor)
                }
                cursor.current = cursor.end
            }
            guard cursor.next < Self.placeCount(of: list) else { return nil }
            cursor = Self.following(cursor, in: list)
        }
    }

    /// Whether the bytes at a cursor, of which there are enough, are a delimiter's.
    private func matches(_ delimiter: UnsafeRawBufferPointer, at start: Cursor) -> Bool {
        var cursor = start
        var rest = delimiter
        while true {
            let part = min(rest.count, cursor.end - cursor.current)
            if part > 0, memcmp(cursor.current, rest.baseAddress.unsafelyUnwrapped, part) != 0 { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[part...])
            if rest.isEmpty { return true }
            cursor = Self.following(cursor, in: list)
        }
    }
}
