// Bits, from the highest of a byte to the lowest, and Exp-Golomb codes over them.
//
//     byte before `current`   │x x x x x│0 0 0│      `bitsLeft` is 3: they are written next (W2)

extension SegmentedWriter {
    /// How many bits of the last byte are not written yet: 0 between bytes, else 1...7. What writes bytes leaves them
    /// 0. O(1).
    @inlinable @inline(__always)
    public var bitsLeftInByte: Int { bitsEnd == current ? bitsLeft : 0 }

    /// Goes on at the next whole byte; the bits between are 0. O(1).
    @inlinable
    public mutating func alignToByte() { bitsLeft = 0 }

    /// Writes the lowest bits of a number, the highest of them first, as ``SegmentedReader/readBits(_:)`` reads them.
    ///
    /// - Parameter count: 0...64; traps where it is not. The bits above them are ignored.
    /// - Complexity: O(1).
    @inlinable @inline(__always)
    public mutating func writeBits(_ value: UInt64, count: Int) {
        if UInt(bitPattern: count) > 64 { wrongBitCount(count) }
        let bits = count == 64 ? value : value & ((1 &<< UInt64(count)) &- 1)
        let left = bitsLeftInByte
        if count <= left {
            if count > 0 { addToLastByte(UInt8(truncatingIfNeeded: bits &<< UInt64(left &- count))) }
            bitsLeft = left &- count
            return
        }
        let beyond = count &- left
        // 64 where nothing is left: then there is nothing to add, too.
        if left > 0 { addToLastByte(UInt8(truncatingIfNeeded: bits &>> UInt64(beyond))) }
        let byteCount = (beyond &+ 7) &>> 3
        // The bits that are left are the highest of a word, and what is below them is 0 (W2).
        writeLow((bits << UInt64(64 &- beyond)) &>> UInt64(64 &- byteCount &* 8), byteCount, .big)
        // W3: what was not written, where there is no memory, has no byte whose bits are left.
        bitsLeft = memory == nil ? 0 : byteCount &* 8 &- beyond
        bitsEnd = current
    }

    /// Writes a bit. O(1).
    @inlinable @inline(__always)
    public mutating func writeBit(_ bit: Bool) { writeBits(bit ? 1 : 0, count: 1) }

    /// Writes an unsigned Exp-Golomb code of order 0: `ue(v)` of H.264 and H.265 (ITU-T H.264, 9.1).
    ///
    /// Traps for `UInt64.max`, whose code needs a number of 65 bits. O(1).
    @inlinable
    public mutating func writeUnsignedExpGolomb(_ value: UInt64) {
        let code = value &+ 1
        if code == 0 { wrongBitCount(65) }
        let length = 64 &- code.leadingZeroBitCount
        if length <= 32 {
            writeBits(code, count: 2 &* length &- 1)
        } else {
            writeBits(0, count: length &- 1)
            writeBits(code, count: length)
        }
    }

    /// Writes a signed Exp-Golomb code of order 0: `se(v)` of H.264 and H.265 (ITU-T H.264, 9.1.1): 0, 1, -1, 2, -2…
    ///
    /// Traps for `Int64.min`, whose code needs a number of 65 bits. O(1).
    @inlinable
    public mutating func writeSignedExpGolomb(_ value: Int64) {
        if value == .min { wrongBitCount(65) }
        writeUnsignedExpGolomb(value > 0 ? UInt64(value) &* 2 &- 1 : UInt64(-value) &* 2)
    }

    /// W2: the byte before `current` is the piece's, as nothing came between.
    @inlinable @inline(__always)
    mutating func addToLastByte(_ bits: UInt8) {
        let last = current - 1
        last.storeBytes(of: last.load(as: UInt8.self) | bits, as: UInt8.self)
    }

    @usableFromInline @inline(never)
    func wrongBitCount(_ count: Int) -> Never { fatalError("SegmentedWriter: \(count) bits are written at once") }
}
