// Strings, which are checked to be UTF-8, and values with their length in front.

extension SegmentedReader {
    /// Reads a string of a number of bytes.
    ///
    /// - Parameter count: bytes of UTF-8.
    /// - Throws: `endOfData`; `malformedUTF8`; `outOfRange` where the count is negative. O(count).
    public mutating func readString(_ count: Int) throws(SegmentedReadError) -> String {
        guard UInt(bitPattern: count) <= UInt(bitPattern: remaining) else {
            throw Self.refusal(of: count, available: remaining)
        }
        // Not the reader's own cursor yet: it stays where the bytes are no string.
        var after = cursor
        if after.current == after.end, count > 0 { after = Self.following(after, in: list) }
        let string: String?
        if count <= after.end - after.current {
            string = Self.validated(UnsafeRawBufferPointer(start: after.current, count: count))
            after.current += count
        } else {
            string = withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { bytes in
                after = Self.copied(count, at: after, in: list, to: bytes.baseAddress.unsafelyUnwrapped)
                return Self.validated(UnsafeRawBufferPointer(bytes))
            }
        }
        guard let string else { throw .malformedUTF8 }
        cursor = after
        return string
    }

    /// Reads a string out of a field of a fixed size, which is filled up behind it.
    ///
    /// - Parameters:
    ///   - byteCount: the size of the field.
    ///   - padding: an ASCII character or 0; those at the end of the field are not part of the string.
    /// - Throws: as ``readString(_:)``. O(byteCount).
    public mutating func readString(byteCount: Int, padding: UInt8 = 0) throws(SegmentedReadError) -> String {
        let field = try peekBytes(byteCount)
        let count = field.lastIndex { $0 != padding }.map { $0 + 1 } ?? 0
        let string = field.withUnsafeBytes { Self.validated(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        guard let string else { throw .malformedUTF8 }
        try skip(byteCount)
        return string
    }

    private static func validated(_ bytes: UnsafeRawBufferPointer) -> String? {
        String(validating: bytes.assumingMemoryBound(to: UInt8.self), as: UTF8.self)
    }

    /// Reads a string with its length in front.
    ///
    /// - Parameters:
    ///   - prefix: how its length, in bytes, is written.
    ///   - byteOrder: the order of the prefix's bytes.
    ///   - limit: the most bytes that it may have; a length over it is refused before the data is waited for.
    /// - Throws: as ``readLengthPrefix(_:byteOrder:limit:)`` and ``readString(_:)``; `endOfData` counts the prefix, too.
    /// O(length).
    public mutating func readString(
        lengthPrefix prefix: LengthPrefix, byteOrder: ByteOrder = .big, limit: Int = .max
    ) throws(SegmentedReadError) -> String {
        try afterLength(prefix, byteOrder, limit) { (reader, count) throws(SegmentedReadError) in
            try reader.readString(count)
        }
    }

    /// Reads bytes with their length in front, into an array; as ``readString(lengthPrefix:byteOrder:limit:)``.
    public mutating func readBytes(
        lengthPrefix prefix: LengthPrefix, byteOrder: ByteOrder = .big, limit: Int = .max
    ) throws(SegmentedReadError) -> [UInt8] {
        try afterLength(prefix, byteOrder, limit) { (reader, count) throws(SegmentedReadError) in
            try reader.readBytes(count)
        }
    }

    /// Reads bytes with their length in front, without copying them; as
    /// ``readString(lengthPrefix:byteOrder:limit:)``.
    public mutating func readSegments(
        lengthPrefix prefix: LengthPrefix, byteOrder: ByteOrder = .big, limit: Int = .max
    ) throws(SegmentedReadError) -> SegmentedBuffer {
        try afterLength(prefix, byteOrder, limit) { (reader, count) throws(SegmentedReadError) in
            try reader.readSegments(count)
        }
    }

    /// Reads a length alone.
    ///
    /// - Parameter limit: the most that it may be.
    /// - Throws: `endOfData` where the prefix is not all there; `lengthOverLimit`; `malformedLEB128`. O(1).
    public mutating func readLengthPrefix(
        _ prefix: LengthPrefix, byteOrder: ByteOrder = .big, limit: Int = .max
    ) throws(SegmentedReadError) -> Int {
        let start = cursor
        let length: UInt64 =
            if let byteCount = prefix.byteCount {
                try readUInt64(byteCount: byteCount, byteOrder: byteOrder)
            } else {
                try readLEB128(as: UInt64.self).value
            }
        guard length <= UInt64(max(limit, 0)) else {
            cursor = start
            throw .lengthOverLimit(length: length, limit: limit)
        }
        return Int(length)
    }

    /// Reads the length, and what is behind it by a closure; goes back to the length where that is not there.
    private mutating func afterLength<Value>(
        _ prefix: LengthPrefix, _ byteOrder: ByteOrder, _ limit: Int,
        _ body: (inout SegmentedReader, Int) throws(SegmentedReadError) -> Value
    ) throws(SegmentedReadError) -> Value {
        let start = cursor
        let before = remaining
        let length = try readLengthPrefix(prefix, byteOrder: byteOrder, limit: limit)
        do {
            return try body(&self, length)
        } catch {
            let prefixCount = before - remaining
            cursor = start
            guard case .endOfData(let needed, _) = error else { throw error }
            let (all, overflow) = needed.addingReportingOverflow(prefixCount)
            throw .endOfData(needed: overflow ? .max : all, available: before)
        }
    }

    // MARK: - Up to a delimiter

    /// Reads a string up to a delimiter, and the delimiter, which is not part of it: a line, with `"\n"`.
    ///
    /// - Parameter delimiter: UTF-8. Where it is empty, so is the string.
    /// - Throws: `endOfData` where there is no delimiter (`needed` is as much as must follow at least);
    ///   `malformedUTF8`. O(bytes).
    public mutating func readString(upTo delimiter: StaticString) throws(SegmentedReadError) -> String {
        let delimiterCount = delimiter.utf8CodeUnitCount
        guard let count = find(delimiter) else { throw missing(delimiterCount) }
        let string = try readString(count)
        try skip(delimiterCount)
        return string
    }

    /// Reads bytes up to a delimiter without copying them, and the delimiter, which is not among them.
    ///
    /// - Throws: `endOfData` where there is no delimiter. O(bytes).
    public mutating func readSegments(upTo delimiter: StaticString) throws(SegmentedReadError) -> SegmentedBuffer {
        let delimiterCount = delimiter.utf8CodeUnitCount
        guard let count = find(delimiter) else { throw missing(delimiterCount) }
        let segments = try readSegments(count)
        try skip(delimiterCount)
        return segments
    }

    /// A byte more might complete it; with fewer bytes than it has, as many as it has.
    private func missing(_ delimiterCount: Int) -> SegmentedReadError {
        .endOfData(needed: max(remaining + 1, delimiterCount), available: remaining)
    }
}
