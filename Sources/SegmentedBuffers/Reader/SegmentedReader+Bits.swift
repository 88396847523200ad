// Bits, from the highest of a byte to the lowest, and Exp-Golomb codes over them.
//
//     byte before the position    │x x x x x│b b b│      `bitCount` is 3: they are read next (R3)
//     bytes from the position on  │b b b b b b b b│ …

extension SegmentedReader {
    /// How many bits are left of the byte before the reader: 0 where it stands between bytes, else 1...7.
    ///
    /// What reads, skips or seeks bytes drops them. O(1).
    @inlinable @inline(__always)
    public var bitsLeftInByte: Int { bitsPosition == position ? Int(bitCount) : 0 }

    /// The number of bits that are left to read. O(1).
    @inlinable
    public var remainingBits: Int { remaining * 8 + bitsLeftInByte }

    /// Drops the bits that are left of a byte. Reading bytes does it, too. O(1).
    @inlinable
    public mutating func alignToByte() { bitCount = 0 }

    /// Reads up to 64 bits as an unsigned integer; the first bit is the highest.
    ///
    /// The ``position`` is behind the last byte of which a bit was read. Reading bytes next goes on there, and drops the
    /// bits left.
    ///
    /// - Parameter count: 0...64. No bits are 0.
    /// - Throws: `endOfData` where there are fewer bits (it counts in bytes, from the position); `outOfRange` where the
    ///   count is not 0...64.
    /// O(1).
    @inlinable @inline(__always)
    public mutating func readBits(_ count: Int) throws(SegmentedReadError) -> UInt64 {
        guard UInt(bitPattern: count) <= 64 else { throw .outOfRange(count) }
        let taken = try takenBits(count)
        move(behind: taken)
        return taken.bits
    }

    /// Reads a bit. - Throws: `endOfData`. O(1).
    @inlinable @inline(__always)
    public mutating func readBit() throws(SegmentedReadError) -> Bool { try readBits(1) != 0 }

    /// The next up to 64 bits, without moving; as ``readBits(_:)``.
    @inlinable
    public func peekBits(_ count: Int) throws(SegmentedReadError) -> UInt64 {
        guard UInt(bitPattern: count) <= 64 else { throw .outOfRange(count) }
        return try takenBits(count).bits
    }

    /// Skips bits, any number of them.
    ///
    /// - Throws: `endOfData` where there are fewer (in bytes); `outOfRange` where the count is negative.
    /// O(segments skipped).
    public mutating func skipBits(_ count: Int) throws(SegmentedReadError) {
        guard count >= 0 else { throw .outOfRange(count) }
        let left = bitsLeftInByte
        if count <= left {
            bitCount = UInt8(left - count)
            return
        }
        let beyond = count - left
        let needed = beyond / 8 + (beyond % 8 > 0 ? 1 : 0)
        guard needed <= remaining else { throw Self.endOfData(needed: needed, available: remaining) }
        try skip(beyond / 8)
        // Between bytes now: whole bytes were skipped, or the bits that were left.
        bitCount = 0
        if beyond % 8 > 0 { _ = try readBits(beyond % 8) }
    }

    /// Reads an unsigned Exp-Golomb code of order 0: `ue(v)` of H.264 and H.265 (ITU-T H.264, 9.1).
    ///
    /// - Throws: `malformedExpGolomb` where 64 zeros or more are in front, `endOfData` where it doesn't end.
    /// O(1).
    @inlinable
    public mutating func readUnsignedExpGolomb() throws(SegmentedReadError) -> UInt64 {
        let available = remainingBits
        let width = min(available, 64)
        // What is looked at, from the highest bit on: zeros in front of it count when there are `width` of them.
        let window = width == 0 ? 0 : try takenBits(width).bits << UInt64(64 &- width)
        let zeros = window.leadingZeroBitCount
        guard zeros < width else {
            throw width == 64 ? .malformedExpGolomb : Self.endOfData(needed: remaining + 1, available: remaining)
        }
        guard available > 2 &* zeros else {
            throw Self.endOfData(needed: (2 &* zeros &+ 8 &- bitsLeftInByte) / 8, available: remaining)
        }
        if 2 &* zeros < width { return try readBits(2 &* zeros &+ 1) &- 1 }
        // Longer than the window. The 1 and the bits behind it are 2^zeros and the rest.
        move(behind: try takenBits(zeros))
        return try readBits(zeros &+ 1) &- 1
    }

    /// Reads a signed Exp-Golomb code of order 0: `se(v)` of H.264 and H.265 (ITU-T H.264, 9.1.1): 0, 1, -1, 2, -2…
    ///
    /// - Throws: as ``readUnsignedExpGolomb()``. O(1).
    @inlinable
    public mutating func readSignedExpGolomb() throws(SegmentedReadError) -> Int64 {
        let code = try readUnsignedExpGolomb()
        // At most 2^64 - 2, so that half of it, rounded up, is at most 2^63 - 1.
        let magnitude = Int64(bitPattern: code >> 1)
        return code & 1 == 1 ? magnitude + 1 : -magnitude
    }

    /// Bits that were looked at, and what the reader is where they are read.
    @usableFromInline @frozen
    struct TakenBits {
        @usableFromInline var bits: UInt64
        @usableFromInline var after: Cursor
        @usableFromInline var lastByte: UInt8
        @usableFromInline var left: UInt8

        @inlinable @inline(__always)
        init(bits: UInt64, after: Cursor, lastByte: UInt8, left: UInt8) {
            self.bits = bits
            self.after = after
            self.lastByte = lastByte
            self.left = left
        }
    }

    @inlinable @inline(__always)
    mutating func move(behind taken: TakenBits) {
        cursor = taken.after
        bitsByte = taken.lastByte
        bitCount = taken.left
        bitsPosition = position
    }

    /// The next `count` (0...64) bits.
    @inlinable @inline(__always)
    func takenBits(_ count: Int) throws(SegmentedReadError) -> TakenBits {
        let left = bitsLeftInByte
        let partial = UInt64(bitsByte) & ((1 &<< UInt64(left)) &- 1)
        if count <= left {
            return TakenBits(
                bits: partial &>> UInt64(left &- count), after: cursor, lastByte: bitsByte,
                left: UInt8(truncatingIfNeeded: left &- count))
        }
        var after = cursor
        let beyond = count &- left
        let byteCount = (beyond &+ 7) &>> 3
        let stored: UInt64
        if bytesLeftInSegment >= 8 {
            stored = cursor.current.loadUnaligned(as: UInt64.self)
            after.current += byteCount
        } else {
            guard remaining >= byteCount else { throw Self.endOfData(needed: byteCount, available: remaining) }
            (stored, after) = Self.gathered(byteCount, at: cursor, in: list)
        }
        let word = UInt64(bigEndian: stored)
        // `beyond` is 1...64; where it is 64 there is nothing in `partial`, as `left` is 0 then.
        return TakenBits(
            bits: (partial << UInt64(beyond)) | (word &>> UInt64(64 &- beyond)), after: after,
            lastByte: UInt8(truncatingIfNeeded: word &>> UInt64(64 &- byteCount &* 8)),
            left: UInt8(truncatingIfNeeded: byteCount &* 8 &- beyond))
    }
}
