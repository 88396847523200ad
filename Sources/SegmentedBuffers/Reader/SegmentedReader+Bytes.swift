// Bytes, one by one and many at once.

extension SegmentedReader {
    /// Reads a byte.
    ///
    /// - Throws: `endOfData`. O(1).
    @inlinable @inline(__always)
    public mutating func readByte() throws(SegmentedReadError) -> UInt8 {
        guard let byte = nextByte() else { throw Self.endOfData(needed: 1, available: 0) }
        return byte
    }

    /// Reads a byte, or gives nil at the end of the data: what a loop over all bytes asks for. O(1).
    @inlinable @inline(__always)
    public mutating func nextByte() -> UInt8? {
        if cursor.current == cursor.end {
            cursor = Self.following(cursor, in: list)
            if cursor.current == cursor.end { return nil }
        }
        let byte = cursor.current.load(as: UInt8.self)
        cursor.current += 1
        return byte
    }

    /// Reads a byte, and says what the bits of a mask are in it: `bits` is the byte's bits under the mask, moved down
    /// so that the lowest bit of the mask is bit 0. With a mask of `0b1110_0000`, `bits` is 0...7.
    ///
    /// - Throws: `endOfData`. O(1).
    @inlinable @inline(__always)
    public mutating func readByte(mask: UInt8) throws(SegmentedReadError) -> (byte: UInt8, bits: UInt8) {
        let byte = try readByte()
        return (byte, Self.bits(of: byte, mask: mask))
    }

    @inlinable @inline(__always)
    static func bits(of byte: UInt8, mask: UInt8) -> UInt8 { (byte & mask) >> mask.trailingZeroBitCount }

    /// Reads bytes into memory of the caller's, as many as there are and as fit: fewer than fit only at the end of the
    /// data.
    ///
    /// - Returns: how many.
    /// O(bytes).
    @inlinable
    public mutating func read(into destination: UnsafeMutableRawBufferPointer) -> Int {
        // By itself: where it is known when this is compiled, so is how to copy it.
        let wanted = destination.count
        if wanted <= bytesLeftInSegment {
            if wanted > 0 {
                destination.baseAddress.unsafelyUnwrapped.copyMemory(from: cursor.current, byteCount: wanted)
                cursor.current += wanted
            }
            return wanted
        }
        let count = min(wanted, remaining)
        cursor = Self.copied(count, at: cursor, in: list, to: destination.baseAddress.unsafelyUnwrapped)
        return count
    }

    /// Reads bytes into memory of the caller's, as many as there are and as fit.
    ///
    /// - Returns: how many. What follows them in the span is as it was.
    /// O(bytes).
    @inlinable
    public mutating func read(into destination: inout MutableRawSpan) -> Int {
        destination.withUnsafeMutableBytes { read(into: $0) }
    }

    /// Fills several places one after the other, as `readv` does, with as many bytes as there are and as fit.
    ///
    /// - Returns: how many, in all of them.
    /// O(bytes + places).
    @inlinable
    public mutating func read(into destinations: some Sequence<UnsafeMutableRawBufferPointer>) -> Int {
        var total = 0
        for destination in destinations {
            let count = read(into: destination)
            total += count
            if count < destination.count { break }
        }
        return total
    }

    /// Fills several places one after the other, all of them or none.
    ///
    /// - Throws: `endOfData` where they are larger than the data; nothing is written then.
    /// O(bytes + places).
    @inlinable
    public mutating func readWhole(
        into destinations: some Collection<UnsafeMutableRawBufferPointer>
    ) throws(SegmentedReadError) {
        var needed = 0
        for destination in destinations { needed += destination.count }
        guard needed <= remaining else { throw Self.endOfData(needed: needed, available: remaining) }
        _ = read(into: destinations)
    }

    /// Fills memory of the caller's, all of it or nothing.
    ///
    /// - Throws: `endOfData` where it is larger than the data; nothing is written then. O(bytes).
    @inlinable
    public mutating func readWhole(into destination: UnsafeMutableRawBufferPointer) throws(SegmentedReadError) {
        guard destination.count <= remaining else {
            throw Self.endOfData(needed: destination.count, available: remaining)
        }
        _ = read(into: destination)
    }

    /// Reads bytes into an array.
    ///
    /// - Throws: `endOfData`, or `outOfRange` where the count is negative; no memory is asked for then. O(bytes).
    @inlinable
    public mutating func readBytes(_ count: Int) throws(SegmentedReadError) -> [UInt8] {
        if UInt(bitPattern: count) <= UInt(bitPattern: bytesLeftInSegment) {
            let bytes = [UInt8](UnsafeRawBufferPointer(start: cursor.current, count: count))
            cursor.current += count
            return bytes
        }
        guard UInt(bitPattern: count) <= UInt(bitPattern: remaining) else {
            throw Self.refusal(of: count, available: remaining)
        }
        let (bytes, after) = Self.gatheredBytes(count, at: cursor, in: list)
        cursor = after
        return bytes
    }

    /// Bytes that cross segments, and the cursor behind them.
    @usableFromInline @inline(never)
    static func gatheredBytes(
        _ count: Int, at cursor: Cursor, in list: SegmentedBuffer
    ) -> ([UInt8], Cursor) {
        var after = cursor
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
            after = copied(
                count, at: cursor, in: list, to: UnsafeMutableRawPointer(bytes.baseAddress.unsafelyUnwrapped))
            initialized = count
        }
        return (bytes, after)
    }
}
