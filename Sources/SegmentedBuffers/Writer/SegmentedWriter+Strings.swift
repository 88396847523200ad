// Strings, and what has its length in front.

/// Why a ``SegmentedWriter`` did not write what it was asked to. Nothing of it is written.
public enum SegmentedWriteError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There are more bytes than the length in front can say, or than the field has.
    case tooLong(count: Int, limit: Int)

    public var description: String {
        switch self {
        case .tooLong(let count, let limit): "\(count) bytes where there may be \(limit)"
        }
    }
}

extension LengthPrefix {
    /// The largest length that it can say.
    @inlinable
    public var largest: Int {
        switch self {
        case .oneByte: 0xff
        case .twoBytes: 0xffff
        case .fourBytes: 0xffff_ffff
        case .eightBytes, .leb128: .max
        }
    }
}

extension SegmentedWriter {
    /// Writes a string as UTF-8, and nothing else. O(bytes).
    @inlinable
    public mutating func writeString(_ string: String) {
        var string = string
        string.withUTF8 { writeBytes(UnsafeRawBufferPointer($0)) }
    }

    /// Writes a string as UTF-8 into a field of a fixed size.
    ///
    /// - Parameters:
    ///   - byteCount: the size of the field.
    ///   - padding: what is behind the string.
    /// - Throws: ``SegmentedWriteError`` where the string is longer.
    /// - Complexity: O(byteCount).
    public mutating func writeString(
        _ string: String, byteCount: Int, padding: UInt8 = 0
    ) throws(SegmentedWriteError) {
        let count = string.utf8.count
        if count > byteCount { throw .tooLong(count: count, limit: byteCount) }
        writeString(string)
        writeRepeating(padding, count: byteCount - count)
    }

    /// Writes a string as UTF-8, with its length in bytes in front.
    ///
    /// - Throws: ``SegmentedWriteError`` where the prefix can't say the length.
    /// - Complexity: O(bytes).
    public mutating func writeString(
        _ string: String, lengthPrefix prefix: LengthPrefix, byteOrder: ByteOrder = .big
    ) throws(SegmentedWriteError) {
        try writeLengthPrefix(prefix, string.utf8.count, byteOrder: byteOrder)
        writeString(string)
    }

    /// Copies bytes, with their number in front; as ``writeString(_:lengthPrefix:byteOrder:)``.
    public mutating func writeBytes(
        _ bytes: UnsafeRawBufferPointer, lengthPrefix prefix: LengthPrefix, byteOrder: ByteOrder = .big
    ) throws(SegmentedWriteError) {
        try writeLengthPrefix(prefix, bytes.count, byteOrder: byteOrder)
        writeBytes(bytes)
    }

    /// Copies bytes, with their number in front; as ``writeString(_:lengthPrefix:byteOrder:)``.
    public mutating func writeBytes(
        _ bytes: [UInt8], lengthPrefix prefix: LengthPrefix, byteOrder: ByteOrder = .big
    ) throws(SegmentedWriteError) {
        try writeLengthPrefix(prefix, bytes.count, byteOrder: byteOrder)
        writeBytes(bytes)
    }

    /// Puts a buffer's segments behind what was written, without copying, with the number of their bytes in front; as
    /// ``writeString(_:lengthPrefix:byteOrder:)``.
    public mutating func writeSegments(
        _ other: SegmentedBuffer, lengthPrefix prefix: LengthPrefix, byteOrder: ByteOrder = .big
    ) throws(SegmentedWriteError) {
        try writeLengthPrefix(prefix, other.count, byteOrder: byteOrder)
        writeSegments(other)
    }

    /// Writes a length alone.
    ///
    /// - Throws: ``SegmentedWriteError`` where the prefix can't say it. A negative length traps.
    /// - Complexity: O(1).
    public mutating func writeLengthPrefix(
        _ prefix: LengthPrefix, _ length: Int, byteOrder: ByteOrder = .big
    ) throws(SegmentedWriteError) {
        if length > prefix.largest { throw .tooLong(count: length, limit: prefix.largest) }
        if let byteCount = prefix.byteCount {
            writeUInt64(UInt64(length), byteCount: byteCount, byteOrder: byteOrder)
        } else {
            writeLEB128(UInt64(length))
        }
    }
}
