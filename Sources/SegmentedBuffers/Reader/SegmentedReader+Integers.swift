// Integers of a fixed size: of a type's, and of 1 to 8 bytes.
//
// One that lies in its segment is loaded, unaligned, and its bytes are swapped; one that crosses segments is copied
// together, out of line.

extension SegmentedReader {
    /// Reads an integer of a fixed width.
    ///
    /// - Throws: `endOfData`. O(1).
    @inlinable @inline(__always)
    public mutating func readInteger<Value: FixedWidthInteger & BitwiseCopyable>(
        as type: Value.Type = Value.self, byteOrder: ByteOrder = .big
    ) throws(SegmentedReadError) -> Value {
        let size = MemoryLayout<Value>.size
        let stored: Value
        if bytesLeftInSegment >= size {
            stored = cursor.current.loadUnaligned(as: Value.self)
            cursor.current += size
        } else {
            guard remaining >= size else { throw Self.endOfData(needed: size, available: remaining) }
            (stored, cursor) = Self.gathered(at: cursor, in: list)
        }
        return byteOrder == .big ? Value(bigEndian: stored) : Value(littleEndian: stored)
    }

    /// Reads an unsigned integer of 1 to 8 bytes, as formats with sizes of 24, 40, 48 or 56 bits have.
    ///
    /// - Throws: `endOfData`; `outOfRange` where the count is not 1...8. O(1).
    @inlinable @inline(__always)
    public mutating func readUInt64(
        byteCount: Int, byteOrder: ByteOrder = .big
    ) throws(SegmentedReadError) -> UInt64 {
        guard UInt(bitPattern: byteCount &- 1) < 8 else { throw .outOfRange(byteCount) }
        let unused = UInt64(64 &- byteCount &* 8)
        let stored: UInt64
        if bytesLeftInSegment >= 8 {
            stored = cursor.current.loadUnaligned(as: UInt64.self)
            cursor.current += byteCount
        } else {
            guard remaining >= byteCount else { throw Self.endOfData(needed: byteCount, available: remaining) }
            (stored, cursor) = Self.gathered(byteCount, at: cursor, in: list)
        }
        // What was loaded beyond the integer lies at the higher addresses.
        return byteOrder == .big
            ? UInt64(bigEndian: stored) &>> unused : (UInt64(littleEndian: stored) &<< unused) &>> unused
    }

    /// Reads a signed integer of 1 to 8 bytes; its highest bit is the sign.
    ///
    /// - Throws: `endOfData`; `outOfRange` where the count is not 1...8. O(1).
    @inlinable @inline(__always)
    public mutating func readInt64(byteCount: Int, byteOrder: ByteOrder = .big) throws(SegmentedReadError) -> Int64 {
        let value = try readUInt64(byteCount: byteCount, byteOrder: byteOrder)
        let unused = Int64(64 &- byteCount &* 8)
        return (Int64(bitPattern: value) &<< unused) &>> unused
    }

    /// Reads several integers that follow each other, all or none:
    /// `let (type, flags, length) = try reader.readIntegers(as: UInt8.self, UInt8.self, UInt16.self)`.
    ///
    /// - Throws: `endOfData` where they are not all there. O(integers).
    @inlinable @inline(__always)
    public mutating func readIntegers<each Value: FixedWidthInteger & BitwiseCopyable>(
        as type: repeat (each Value).Type, byteOrder: ByteOrder = .big
    ) throws(SegmentedReadError) -> (repeat each Value) {
        var size = 0
        for type in repeat each type { size &+= Self.size(of: type) }
        guard remaining >= size else { throw Self.endOfData(needed: size, available: remaining) }
        return (repeat try readInteger(as: each type, byteOrder: byteOrder))
    }

    @inlinable @inline(__always)
    static func size<Value>(of type: Value.Type) -> Int { MemoryLayout<Value>.size }

    /// An integer as it is stored, which crosses segments, and the cursor behind it.
    @inlinable @inline(never)
    static func gathered<Value: FixedWidthInteger & BitwiseCopyable>(
        at cursor: Cursor, in list: SegmentedBuffer
    ) -> (Value, Cursor) {
        var stored: Value = 0
        let after = withUnsafeMutableBytes(of: &stored) { bytes in
            copied(bytes.count, at: cursor, in: list, to: bytes.baseAddress.unsafelyUnwrapped)
        }
        return (stored, after)
    }

    /// The first `count` bytes of an integer as it is stored, the others 0, and the cursor behind them.
    @usableFromInline @inline(never)
    static func gathered(
        _ count: Int, at cursor: Cursor, in list: SegmentedBuffer
    ) -> (UInt64, Cursor) {
        var stored: UInt64 = 0
        let after = withUnsafeMutableBytes(of: &stored) { bytes in
            copied(count, at: cursor, in: list, to: bytes.baseAddress.unsafelyUnwrapped)
        }
        return (stored, after)
    }
}
