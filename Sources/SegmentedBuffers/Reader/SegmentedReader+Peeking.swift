// Reading without moving. What has no form of its own is peeked by `peek(_:)`, or through a copy of the reader.

extension SegmentedReader {
    /// The next byte, or one behind it.
    ///
    /// - Parameter offset: bytes from the position.
    /// - Throws: `endOfData`; `outOfRange` where the offset is negative. O(1), O(segments) with an offset.
    @inlinable @inline(__always)
    public func peekByte(at offset: Int = 0) throws(SegmentedReadError) -> UInt8 {
        try peekInteger(as: UInt8.self, at: offset)
    }

    /// The next byte, and what the bits of a mask are in it, as ``readByte(mask:)``.
    ///
    /// - Throws: `endOfData`. O(1).
    @inlinable @inline(__always)
    public func peekByte(mask: UInt8) throws(SegmentedReadError) -> (byte: UInt8, bits: UInt8) {
        let byte = try peekByte()
        return (byte, Self.bits(of: byte, mask: mask))
    }

    /// The next integer of a fixed width, or one behind it.
    ///
    /// - Parameter offset: bytes from the position.
    /// - Throws: `endOfData`; `outOfRange` where the offset is negative. O(1), O(segments) with an offset.
    @inlinable @inline(__always)
    public func peekInteger<Value: FixedWidthInteger & BitwiseCopyable>(
        as type: Value.Type = Value.self, at offset: Int = 0, byteOrder: ByteOrder = .big
    ) throws(SegmentedReadError) -> Value {
        let size = MemoryLayout<Value>.size
        let stored: Value
        if offset >= 0, bytesLeftInSegment &- size >= offset {
            stored = cursor.current.loadUnaligned(fromByteOffset: offset, as: Value.self)
        } else {
            (stored, _) = Self.gathered(at: try ahead(by: offset, needing: size), in: list)
        }
        return byteOrder == .big ? Value(bigEndian: stored) : Value(littleEndian: stored)
    }

    /// The next unsigned integer of 1 to 8 bytes, as ``readUInt64(byteCount:byteOrder:)``, or one behind it.
    ///
    /// - Parameter offset: bytes from the position.
    /// O(1), O(segments) with an offset.
    @inlinable
    public func peekUInt64(
        byteCount: Int, at offset: Int = 0, byteOrder: ByteOrder = .big
    ) throws(SegmentedReadError) -> UInt64 {
        try ahead(by: offset) { (reader) throws(SegmentedReadError) in
            try reader.readUInt64(byteCount: byteCount, byteOrder: byteOrder)
        }
    }

    /// The next signed integer of 1 to 8 bytes, as ``readInt64(byteCount:byteOrder:)``, or one behind it.
    ///
    /// - Parameter offset: bytes from the position.
    /// O(1), O(segments) with an offset.
    @inlinable
    public func peekInt64(
        byteCount: Int, at offset: Int = 0, byteOrder: ByteOrder = .big
    ) throws(SegmentedReadError) -> Int64 {
        try ahead(by: offset) { (reader) throws(SegmentedReadError) in
            try reader.readInt64(byteCount: byteCount, byteOrder: byteOrder)
        }
    }

    /// The next LEB128 number, as ``readLEB128(as:)``, or one behind it.
    ///
    /// - Parameter offset: bytes from the position.
    /// O(1), O(segments) with an offset.
    @inlinable
    public func peekLEB128<Value: FixedWidthInteger & BitwiseCopyable>(
        as type: Value.Type = Value.self, at offset: Int = 0
    ) throws(SegmentedReadError) -> (value: Value, byteCount: Int) {
        try ahead(by: offset) { (reader) throws(SegmentedReadError) in try reader.readLEB128(as: type) }
    }

    /// The next bytes, as ``readBytes(_:)``, or some behind them.
    ///
    /// - Parameter offset: bytes from the position.
    /// O(bytes), and O(segments) with an offset.
    @inlinable
    public func peekBytes(_ count: Int, at offset: Int = 0) throws(SegmentedReadError) -> [UInt8] {
        try ahead(by: offset) { (reader) throws(SegmentedReadError) in try reader.readBytes(count) }
    }

    /// Copies the next bytes into memory of the caller's, as many as there are and as fit.
    ///
    /// - Returns: how many. O(bytes).
    @inlinable
    public func peek(into destination: UnsafeMutableRawBufferPointer) -> Int {
        var reader = self
        return reader.read(into: destination)
    }

    /// The next bytes, as ``readSegments(_:)``.
    ///
    /// O(segments).
    @inlinable
    public func peekSegments(_ count: Int) throws(SegmentedReadError) -> SegmentedBuffer {
        var reader = self
        return try reader.readSegments(count)
    }

    /// The next bytes as a string, as ``readString(_:)``.
    ///
    /// O(bytes).
    @inlinable
    public func peekString(_ count: Int) throws(SegmentedReadError) -> String {
        var reader = self
        return try reader.readString(count)
    }

    /// Calls a closure with a copy of this reader, and so reads whatever it reads without moving:
    /// `try reader.peek { try ($0.readByte(), $0.readLEB128(as: UInt32.self)) }`.
    ///
    /// - Throws: what the closure throws. Two retains and what the closure does.
    @inlinable
    public func peek<Result, Failure: Error>(
        _ body: (inout SegmentedReader) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var reader = self
        return try body(&reader)
    }

    /// Calls a closure with this reader, and goes back to where it was where the closure throws: for records of which
    /// all or nothing is to be read. What the closure appends or clips is undone then, too.
    ///
    /// - Throws: what the closure throws. Two retains and what the closure does.
    @inlinable
    public mutating func attempt<Result, Failure: Error>(
        _ body: (inout SegmentedReader) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var reader = self
        let result = try body(&reader)
        self = reader
        return result
    }

    // MARK: - Privates

    @inlinable @inline(__always)
    func ahead<Result>(
        by offset: Int, _ body: (inout SegmentedReader) throws(SegmentedReadError) -> Result
    ) throws(SegmentedReadError) -> Result {
        var reader = self
        try reader.skip(offset)
        return try body(&reader)
    }

    /// The cursor `offset` bytes further on, where there must be `count` more.
    @usableFromInline @inline(never)
    func ahead(by offset: Int, needing count: Int) throws(SegmentedReadError) -> Cursor {
        guard offset >= 0 else { throw .outOfRange(offset) }
        guard offset <= remaining, count <= remaining - offset else {
            let (needed, overflow) = offset.addingReportingOverflow(count)
            throw .endOfData(needed: overflow ? .max : needed, available: remaining)
        }
        return Self.moved(cursor, by: offset, in: list)
    }
}
