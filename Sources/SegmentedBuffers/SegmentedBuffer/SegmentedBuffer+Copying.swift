// Bytes out of a buffer and into it, at any offset, and all of them to one place.
//
// Cost: O(bytes), and O(segments) to find an offset. Thread-safety: none.

public import AllocatorCore

extension SegmentedBuffer {
    /// Copies bytes out: from an offset on, as many as there are and fit.
    ///
    /// - Parameter offset: of the first byte, 0...`count`. Traps where it is none of those.
    /// - Returns: how many were copied.
    @inlinable
    @discardableResult
    public func copyBytes(from offset: Int = 0, to destination: UnsafeMutableRawBufferPointer) -> Int {
        check(offset..<max(offset, byteCount))
        let count = min(byteCount - offset, destination.count)
        if count > 0 { copyOut(offset, destination.baseAddress.unsafelyUnwrapped, count) }
        return count
    }

    /// Copies a range of the bytes to an array. Traps where the range goes beyond `count`.
    @inlinable
    public func copyBytes(_ range: Range<Int>) -> [UInt8] {
        check(range)
        return [UInt8](unsafeUninitializedCapacity: range.count) { array, count in
            count = copyBytes(from: range.lowerBound, to: UnsafeMutableRawBufferPointer(array))
        }
    }

    /// Calls a closure with all bytes in one place: where they are, if that is one segment, else a copy that ends with
    /// the call.
    ///
    /// - Throws: what the closure throws.
    @inlinable
    public func withContiguousBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let whole = segmentCount > 1 ? contiguous() : self
        let result = try body(whole.firstBytes)
        withExtendedLifetime(whole) {}
        return result
    }

    /// The same bytes in one segment: this buffer, where it has no more, else a copy in memory from malloc.
    @inlinable
    public func contiguous() -> SegmentedBuffer {
        if segmentCount <= 1 { return self }
        return copied(to: Segment(capacity: byteCount))
    }

    /// The same bytes in one segment: this buffer, where it has no more, else a copy in a block of an allocator.
    ///
    /// - Throws: ``AllocationError``.
    @inlinable
    public func contiguous(allocator: any Allocator) throws(AllocationError) -> SegmentedBuffer {
        if segmentCount <= 1 { return self }
        return copied(to: try Segment(capacity: byteCount, allocator: allocator))
    }

    /// Writes bytes over those at an offset. Where other buffers share a segment, they keep what they have: it is
    /// replaced by a copy here, and of one larger than 1 KiB, the part that is written. Traps where the bytes go beyond
    /// `count`.
    ///
    /// - Complexity: O(bytes), and O(segments) where something is shared.
    @inlinable
    public mutating func replaceBytes(at offset: Int, with bytes: UnsafeRawBufferPointer) {
        check(offset..<offset + bytes.count)
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        var (index, start) = locate(offset)
        var done = 0
        while done < bytes.count {
            let size = self.bytes(ofSegment: index).count
            let count = min(size - start, bytes.count - done)
            if !write(source + done, count, at: start, inSegment: index) {
                // In more segments from here on, of the same bytes.
                let part = offset + done
                replaceSubrange(
                    part..<part + count,
                    with: SegmentedBuffer(copying: UnsafeRawBufferPointer(start: source + done, count: count)))
                (index, start) = part + count < byteCount ? locate(part + count) : (index, start)
            } else {
                index += 1
                start = 0
            }
            done += count
        }
    }

    // MARK: - Privates

    /// Copies bytes that are there, of which there is one at least.
    @inlinable @inline(__always)
    func copyOut(_ offset: Int, _ destination: UnsafeMutableRawPointer, _ count: Int) {
        if first == front.count {
            destination.copyMemory(from: lastStart + offset, byteCount: count)
        } else {
            copyOutOfList(offset, destination, count)
        }
    }

    @usableFromInline
    func copyOutOfList(_ offset: Int, _ destination: UnsafeMutableRawPointer, _ count: Int) {
        var (index, start) = locate(offset)
        var done = 0
        while done < count {
            let bytes = bytes(ofSegment: index)
            let part = min(bytes.count - start, count - done)
            (destination + done).copyMemory(from: bytes.baseAddress.unsafelyUnwrapped + start, byteCount: part)
            done += part
            index += 1
            start = 0
        }
    }

    @inlinable
    func copied(to segment: Segment) -> SegmentedBuffer {
        var segment = segment
        copyOut(0, segment.start, byteCount)
        segment.byteCount = byteCount
        return SegmentedBuffer(segment)
    }

    /// Writes bytes into a segment, of a copy where it is not this buffer's alone (S2). False where that is too large.
    @usableFromInline
    mutating func write(_ source: UnsafeRawPointer, _ count: Int, at start: Int, inSegment index: Int) -> Bool {
        func written(_ segment: inout Segment) -> Bool {
            if !segment.isWritable || !segment.isUniquelyOwned() {
                if segment.byteCount > 1024 { return false }
                segment = Segment(copying: segment.unsafeBytes)
            }
            (segment.start + start).copyMemory(from: source, byteCount: count)
            return true
        }
        let place = first + index
        if place < front.count { return written(&front[place]!) }
        var segment = takeLast()
        defer { last = segment }
        return written(&segment)
    }
}

extension Array where Element == UInt8 {
    /// Copies the bytes of a buffer to an array. O(bytes).
    @inlinable
    public init(_ buffer: SegmentedBuffer) { self = buffer.copyBytes(0..<buffer.count) }
}
