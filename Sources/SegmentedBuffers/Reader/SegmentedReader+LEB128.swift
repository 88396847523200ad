// LEB128: seven bits a byte, the lowest first; the highest bit of a byte says that another one follows. (DWARF 5,
// section 7.6; the limits are those of the WebAssembly binary format.)

extension SegmentedReader {
    /// Reads a LEB128 number: a signed one where the type is signed.
    ///
    /// A number may have more bytes than its value needs, but no more than its type's largest: 5 of 32 bits, 10 of 64.
    ///
    /// - Returns: the value, and how many bytes it took.
    /// - Throws: `malformedLEB128` where it has more bytes than that, or bits that its type hasn't; `endOfData` where
    ///   its last byte is not there (`needed` is a byte more than there are).
    /// O(1): at most `(bits + 6) / 7` bytes are looked at.
    @inlinable @inline(__always)
    public mutating func readLEB128<Value: FixedWidthInteger & BitwiseCopyable>(
        as type: Value.Type = Value.self
    ) throws(SegmentedReadError) -> (value: Value, byteCount: Int) {
        // Not the reader's own cursor yet: it stays where the number is malformed.
        var start = cursor
        if start.current == start.end {
            start = Self.following(start, in: list)
            if start.current == start.end { throw Self.endOfData(needed: 1, available: 0) }
        }
        // Most numbers are small.
        let first = start.current.load(as: UInt8.self)
        if first < 0x80, Value.bitWidth > 7 {
            start.current += 1
            cursor = start
            return (Value(truncatingIfNeeded: Value.isSigned ? Int8(bitPattern: first &<< 1) &>> 1 : Int8(first)), 1)
        }
        let (value, outcome) = Self.decodedLEB128(start.current, before: start.end, as: Value.self)
        if outcome > 0 {
            start.current += outcome
            cursor = start
            return (value, outcome)
        }
        guard outcome == 0 else { throw .malformedLEB128 }
        return try readCrossingLEB128()
    }

    /// Reads a number that may cross segments.
    @inlinable @inline(__always)
    mutating func readCrossingLEB128<Value: FixedWidthInteger & BitwiseCopyable>() throws(SegmentedReadError) -> (
        value: Value, byteCount: Int
    ) {
        let (value, outcome): (Value, Int) = Self.gatheredLEB128(at: cursor, in: list, remaining: remaining)
        guard outcome > 0 else {
            throw outcome == 0 ? Self.endOfData(needed: remaining + 1, available: remaining) : .malformedLEB128
        }
        cursor = Self.moved(cursor, by: outcome, in: list)
        return (value, outcome)
    }

    /// Decodes a number that may end before an address.
    ///
    /// The outcome is how many bytes it took; 0 where the bytes end before it does, -1 where it is malformed.
    @inlinable @inline(__always)
    static func decodedLEB128<Value: FixedWidthInteger & BitwiseCopyable>(
        _ start: UnsafeRawPointer, before end: UnsafeRawPointer, as type: Value.Type
    ) -> (value: Value, outcome: Int) {
        var value: Value = 0
        var byteCount = 0
        let limit = min(end - start, (Value.bitWidth &+ 6) / 7)
        while byteCount < limit {
            let byte = start.load(fromByteOffset: byteCount, as: UInt8.self)
            let shift = byteCount &* 7
            byteCount &+= 1
            if shift &+ 7 > Value.bitWidth, !fits(byte, in: Value.bitWidth &- shift, signed: Value.isSigned) {
                return (0, -1)
            }
            value |= Value(truncatingIfNeeded: byte & 0x7F) &<< Value(truncatingIfNeeded: shift)
            if byte < 0x80 {
                if Value.isSigned, byte & 0x40 != 0, shift &+ 7 < Value.bitWidth {
                    value |= ~0 &<< Value(truncatingIfNeeded: shift &+ 7)
                }
                return (value, byteCount)
            }
        }
        // A byte that the type can't need would have to follow.
        return (0, byteCount == (Value.bitWidth &+ 6) / 7 ? -1 : 0)
    }

    /// Whether a byte's seven bits say no more than the lowest `width` (1...6) of them, the sign included.
    @inlinable @inline(__always)
    static func fits(_ byte: UInt8, in width: Int, signed: Bool) -> Bool {
        if signed {
            let bits = (Int8(bitPattern: byte) << 1) >> 1
            let above = bits >> (width &- 1)
            return above == 0 || above == -1
        }
        return (byte & 0x7F) >> width == 0
    }

    /// Decodes a number that crosses segments; the outcome as above.
    @inlinable @inline(never)
    static func gatheredLEB128<Value: FixedWidthInteger & BitwiseCopyable>(
        at cursor: Cursor, in list: SegmentedBuffer, remaining: Int
    ) -> (Value, Int) {
        let count = min(remaining, (Value.bitWidth + 6) / 7)
        return withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { bytes in
            let start = bytes.baseAddress.unsafelyUnwrapped
            _ = copied(count, at: cursor, in: list, to: start)
            return decodedLEB128(start, before: UnsafeRawPointer(start) + count, as: Value.self)
        }
    }
}
