// Integers of a type's size, of 1 to 8 bytes, and LEB128 numbers: what fits is stored at once, unaligned.

extension SegmentedWriter {
    /// Writes an integer of a fixed width, as ``SegmentedReader/readInteger(as:byteOrder:)`` reads it. O(1).
    @inlinable @inline(__always)
    public mutating func writeInteger<Value: FixedWidthInteger & BitwiseCopyable>(
        _ value: Value, byteOrder: ByteOrder = .big
    ) {
        let stored = byteOrder == .big ? value.bigEndian : value.littleEndian
        let size = MemoryLayout<Value>.size
        if room >= size {
            current.storeBytes(of: stored, as: Value.self)
            current += size
        } else {
            withUnsafeBytes(of: stored) { writeSlowly($0) }
        }
    }

    /// Writes several integers one after the other: `writer.writeIntegers(type, flags, length)`. O(integers).
    @inlinable @inline(__always)
    public mutating func writeIntegers<each Value: FixedWidthInteger & BitwiseCopyable>(
        _ value: repeat each Value, byteOrder: ByteOrder = .big
    ) {
        repeat writeInteger(each value, byteOrder: byteOrder)
    }

    /// Writes the lowest 1 to 8 bytes of an unsigned integer. Traps where the count is not 1...8, or the value needs
    /// more. O(1).
    @inlinable @inline(__always)
    public mutating func writeUInt64(_ value: UInt64, byteCount: Int, byteOrder: ByteOrder = .big) {
        guard UInt(bitPattern: byteCount &- 1) < 8, value >> UInt64(byteCount &* 8) == 0 else {
            doesNotFit(byteCount)
        }
        writeLow(value, byteCount, byteOrder)
    }

    /// Writes a signed integer in 1 to 8 bytes, the highest bit being the sign. Traps where the count is not 1...8, or
    /// the value needs more. O(1).
    @inlinable @inline(__always)
    public mutating func writeInt64(_ value: Int64, byteCount: Int, byteOrder: ByteOrder = .big) {
        guard UInt(bitPattern: byteCount &- 1) < 8 else { doesNotFit(byteCount) }
        let above = value >> Int64(byteCount &* 8 &- 1)
        guard above == 0 || above == -1 else { doesNotFit(byteCount) }
        writeLow(UInt64(bitPattern: value), byteCount, byteOrder)
    }

    /// Writes the lowest bytes, of which there are 1...8.
    @inlinable @inline(__always)
    mutating func writeLow(_ value: UInt64, _ byteCount: Int, _ byteOrder: ByteOrder) {
        let stored =
            byteOrder == .big ? (value &<< UInt64(64 &- byteCount &* 8)).bigEndian : value.littleEndian
        if room >= 8 {
            // What goes beyond the integer is room, and written over.
            current.storeBytes(of: stored, as: UInt64.self)
            current += byteCount
        } else {
            withUnsafeBytes(of: stored) { writeSlowly(UnsafeRawBufferPointer(rebasing: $0[..<byteCount])) }
        }
    }

    /// Writes a LEB128 number, as short as it can be: signed for a signed type, else unsigned.
    ///
    /// - Returns: the bytes that it took.
    /// - Complexity: O(bytes that it takes).
    @inlinable @inline(__always)
    @discardableResult
    public mutating func writeLEB128<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) -> Int {
        let most = (Value.bitWidth &+ 6) / 7
        if room >= most {
            let count = Self.encodeLEB128(value, to: current)
            current += count
            return count
        }
        return withUnsafeTemporaryAllocation(byteCount: most, alignment: 1) { bytes in
            let count = Self.encodeLEB128(value, to: bytes.baseAddress.unsafelyUnwrapped)
            writeSlowly(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            return count
        }
    }

    /// Writes a number to where there is room for the longest. How many bytes it took.
    @inlinable @inline(__always)
    static func encodeLEB128<Value: FixedWidthInteger>(_ value: Value, to place: UnsafeMutableRawPointer) -> Int {
        var rest = value
        var count = 0
        while true {
            let byte = UInt8(truncatingIfNeeded: rest) & 0x7f
            rest >>= 7
            // A signed number ends where all that is left is the sign, which the byte's own highest bit says.
            let isEnd = Value.isSigned ? rest == (byte & 0x40 == 0 ? 0 : ~0) : rest == 0
            place.storeBytes(of: isEnd ? byte : byte | 0x80, toByteOffset: count, as: UInt8.self)
            count &+= 1
            if isEnd { return count }
        }
    }

    @usableFromInline @inline(never)
    func doesNotFit(_ byteCount: Int) -> Never {
        fatalError("SegmentedWriter: an integer that does not fit \(byteCount) bytes, or a count that is not 1...8")
    }
}
