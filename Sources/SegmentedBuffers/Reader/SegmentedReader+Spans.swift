// Bytes as spans: where they are, if they lie in one segment, else copied into a scratch array of the caller's. The
// compiler sees to it that neither the reader nor the scratch is used otherwise while the span is. Swift 6.3 takes a span
// in a `let` to be in use to the end of its scope, as it does an array's: put a `do` around it, or use the closure.

extension SegmentedReader {
    /// What is left of the segment that the next byte lies in; empty at the end. O(1).
    @inlinable
    public var currentSpan: RawSpan {
        @_lifetime(borrow self) @inline(__always)
        borrowing get {
            var cursor = cursor
            if cursor.current == cursor.end { cursor = Self.following(cursor, in: list) }
            let bytes = UnsafeRawBufferPointer(start: cursor.current, count: cursor.end - cursor.current)
            return _overrideLifetime(RawSpan(_unsafeBytes: bytes), borrowing: self)
        }
    }

    /// Reads bytes as a span, without copying where they lie in one segment.
    ///
    /// - Parameters:
    ///   - count: bytes.
    ///   - scratch: where they are copied to when they cross segments; it grows when it is too small, and what is in it
    ///     otherwise is of no matter. Give the same one each time.
    /// - Throws: `endOfData`; `outOfRange` where the count is negative. The scratch is as it was then.
    /// O(1); O(count) where they cross segments.
    @inlinable @inline(__always)
    @_lifetime(&self, &scratch)
    public mutating func readSpan(
        _ count: Int, scratch: inout [UInt8]
    ) throws(SegmentedReadError) -> RawSpan {
        let bytes = try bytesForSpan(count, &scratch)
        return _overrideLifetime(
            _overrideLifetime(RawSpan(_unsafeBytes: bytes), mutating: &scratch), mutating: &self)
    }

    /// Reads bytes as a span for a closure, as ``readSpan(_:scratch:)``.
    ///
    /// - Throws: what the closure throws, too; the reader has not moved then. O(1); O(count) where they cross segments.
    @inlinable @inline(__always)
    public mutating func readSpan<Result>(
        _ count: Int, scratch: inout [UInt8], _ body: (RawSpan) throws(SegmentedReadError) -> Result
    ) throws(SegmentedReadError) -> Result {
        let start = cursor
        let bytes = try bytesForSpan(count, &scratch)
        do throws(SegmentedReadError) {
            return try body(RawSpan(_unsafeBytes: bytes))
        } catch {
            cursor = start
            throw error
        }
    }

    /// The next bytes as a span, as ``readSpan(_:scratch:)``, without moving.
    @inlinable
    @_lifetime(borrow self, &scratch)
    public func peekSpan(
        _ count: Int, scratch: inout [UInt8]
    ) throws(SegmentedReadError) -> RawSpan {
        let bytes: UnsafeRawBufferPointer
        if UInt(bitPattern: count) <= UInt(bitPattern: bytesLeftInSegment) {
            bytes = UnsafeRawBufferPointer(start: cursor.current, count: count)
        } else {
            var ahead = self
            bytes = try ahead.readBytes(count, into: &scratch)
        }
        return _overrideLifetime(
            _overrideLifetime(RawSpan(_unsafeBytes: bytes), mutating: &scratch), borrowing: self)
    }

    @inlinable @inline(__always)
    mutating func bytesForSpan(
        _ count: Int, _ scratch: inout [UInt8]
    ) throws(SegmentedReadError) -> UnsafeRawBufferPointer {
        guard UInt(bitPattern: count) <= UInt(bitPattern: bytesLeftInSegment) else {
            return try readBytes(count, into: &scratch)
        }
        let bytes = UnsafeRawBufferPointer(start: cursor.current, count: count)
        cursor.current += count
        return bytes
    }

    /// Reads bytes that do not lie in what is left of the current segment: in the next one, or copied into the scratch.
    @usableFromInline @inline(never)
    mutating func readBytes(
        _ count: Int, into scratch: inout [UInt8]
    ) throws(SegmentedReadError) -> UnsafeRawBufferPointer {
        guard UInt(bitPattern: count) <= UInt(bitPattern: remaining) else {
            throw Self.refusal(of: count, available: remaining)
        }
        if cursor.current == cursor.end {
            cursor = Self.following(cursor, in: list)
            if count <= bytesLeftInSegment {
                let bytes = UnsafeRawBufferPointer(start: cursor.current, count: count)
                cursor.current += count
                return bytes
            }
        }
        if scratch.count < count {
            scratch.append(contentsOf: repeatElement(0, count: count - scratch.count))
        }
        // The elements stay where they are while nobody else may use the array: for as long as the span is there.
        let start = scratch.withUnsafeMutableBytes { $0.baseAddress.unsafelyUnwrapped }
        cursor = Self.copied(count, at: cursor, in: list, to: start)
        return UnsafeRawBufferPointer(start: start, count: count)
    }
}
