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
        // Byte by byte, with branches: where lengths repeat the processor knows them beforehand, and where they don't, a
        // wrong guess costs about what the next number waits for a length that is found without branches.
        let (current, end) = (cursor.current, cursor.end)
        let longest = (Value.bitWidth &+ 6) / 7
        if end - current >= longest {
            // A limit that is known when this is compiled leaves a byte's test and its bits, one after the other.
            let (value, outcome): (Value, Int) = Self.decodedLEB128(current, before: current + longest)
            guard outcome > 0 else { throw .malformedLEB128 }
            cursor.current = current + outcome
            return (value, outcome)
        }
        if current < end {
            let (value, outcome): (Value, Int) = Self.decodedLEB128(current, before: end)
            if outcome > 0 {
                cursor.current = current + outcome
                return (value, outcome)
            }
        }
        let (value, outcome): (Value, Int) = Self.gatheredLEB128(at: cursor, in: list, remaining: remaining)
        guard outcome > 0 else {
            throw outcome == 0 ? Self.endOfData(needed: remaining + 1, available: remaining) : .malformedLEB128
        }
        cursor = Self.moved(cursor, by: outcome, in: list)
        return (value, outcome)
    }

    /// Decodes a number of up to 8 bytes without a branch on its length: for one that is copied together.
    ///
    /// - Parameter stored: the bytes as they lie in memory.
    /// The outcome is how many bytes it took; 0 where it has more than 8, -1 where it is malformed.
    @inlinable @inline(__always)
    static func shortLEB128<Value: FixedWidthInteger & BitwiseCopyable>(
        _ stored: UInt64
    ) -> (value: Value, outcome: Int) {
        let word = UInt64(littleEndian: stored)
        // The highest bits of the bytes behind which none follows: the lowest of them ends the number.
        let ends = ~word & 0x8080_8080_8080_8080
        if ends == 0 { return (0, 0) }
        let byteCount = (ends.trailingZeroBitCount &+ 1) &>> 3
        if byteCount > (Value.bitWidth &+ 6) / 7 { return (0, -1) }
        // Seven bits of eight, fourteen of sixteen, twenty-eight of thirty-two are moved together.
        var bits = word & (ends ^ (ends &- 1))
        bits = (bits & 0x007F_007F_007F_007F) | ((bits & 0x7F00_7F00_7F00_7F00) &>> 1)
        bits = (bits & 0x0000_3FFF_0000_3FFF) | ((bits & 0x3FFF_0000_3FFF_0000) &>> 2)
        bits = (bits & 0x0000_0000_0FFF_FFFF) | ((bits & 0x0FFF_FFFF_0000_0000) &>> 4)
        if Value.isSigned {
            let unused = Int64(64 &- byteCount &* 7)
            let extended = (Int64(bitPattern: bits) &<< unused) &>> unused
            let value = Value(truncatingIfNeeded: extended)
            return Value.bitWidth < 64 && Int64(truncatingIfNeeded: value) != extended ? (0, -1) : (value, byteCount)
        }
        let value = Value(truncatingIfNeeded: bits)
        return Value.bitWidth < 64 && UInt64(truncatingIfNeeded: value) != bits ? (0, -1) : (value, byteCount)
    }

    /// Decodes a number of any length byte by byte, to an address at most. The outcome is as above.
    @inlinable @inline(__always)
    static func decodedLEB128<Value: FixedWidthInteger & BitwiseCopyable>(
        _ start: UnsafeRawPointer, before end: UnsafeRawPointer
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

    /// Decodes a number of any length, which may cross segments. The outcome is how many bytes it took; 0 where the
    /// data ends before it does, -1 where it is malformed.
    @inlinable @inline(never)
    static func gatheredLEB128<Value: FixedWidthInteger & BitwiseCopyable>(
        at cursor: Cursor, in list: SegmentedBuffer, remaining: Int
    ) -> (Value, Int) {
        let (word, _) = gathered(min(remaining, 8), at: cursor, in: list)
        let (value, outcome): (Value, Int) = shortLEB128(word)
        // What is behind the data was gathered as zeros: a number that ends there has no end.
        if outcome > remaining { return (0, 0) }
        if outcome != 0 { return (value, outcome) }
        let count = min(remaining, (Value.bitWidth + 6) / 7)
        return withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { bytes in
            let start = bytes.baseAddress.unsafelyUnwrapped
            _ = copied(count, at: cursor, in: list, to: start)
            return decodedLEB128(start, before: UnsafeRawPointer(start) + count)
        }
    }
}
