// A segment is a part of some memory that counts its owners. Segments are what a SegmentedBuffer is a list of.
//
//     memory      base ──────────────────────────────────────── limit
//     Segment               start ────────── start + count
//                 room before it, and behind it, that the only owner of the memory may fill
//
// S1. A segment's bytes lie in its memory, whose bytes stay where they are until the last owner is gone.
// S2. Bytes of a segment are written only where its memory has one owner: what was shared does not change.
//
// Thread-safety: the counting is atomic. The bytes, and whoever gets the memory back, are the caller's affair.

public import AllocatorCore

/// A part of some memory, and an owner of it: copying a segment adds an owner, and the memory goes back to where it
/// came from when the last owner is gone.
///
/// Make one of a copy of bytes, of a block and its allocator, of bytes that an object or an array keeps, that a closure
/// gives back, or that nobody does; put it into a ``SegmentedBuffer``. Not thread-safe and not `Sendable`, since what
/// gets the memory back need not be.
@frozen
public struct Segment {
    @usableFromInline var memory: SegmentMemory
    @usableFromInline var start: UnsafeMutableRawPointer
    @usableFromInline var byteCount: Int

    @inlinable @inline(__always)
    init(memory: SegmentMemory, start: UnsafeMutableRawPointer, count: Int) {
        self.memory = memory
        self.start = start
        self.byteCount = count
    }

    /// The number of bytes. O(1).
    @inlinable @inline(__always)
    public var count: Int { byteCount }

    /// The bytes. They stay where they are for as long as the memory has an owner; see ``span`` for what the compiler
    /// watches. O(1).
    @inlinable @inline(__always)
    public var unsafeBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: byteCount) }

    /// Calls a closure with the bytes, which must not leave it. O(1).
    @inlinable @inline(__always)
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let result = try body(unsafeBytes)
        withExtendedLifetime(memory) {}
        return result
    }

    /// The bytes, to read, for as long as this segment is there and is not changed. O(1).
    @inlinable
    public var span: RawSpan {
        @_lifetime(borrow self) @inline(__always)
        borrowing get { _overrideLifetime(RawSpan(_unsafeBytes: unsafeBytes), borrowing: self) }
    }

    /// The byte at an offset. Traps where there is none. O(1).
    @inlinable
    public subscript(offset: Int) -> UInt8 {
        if UInt(bitPattern: offset) >= UInt(bitPattern: byteCount) { outside(offset..<offset + 1) }
        return start.load(fromByteOffset: offset, as: UInt8.self)
    }

    /// A part of the bytes, with the same memory. Traps where the range goes beyond `count`. O(1).
    @inlinable
    public subscript(range: Range<Int>) -> Segment {
        if range.lowerBound < 0 || range.upperBound > byteCount { outside(range) }
        return Segment(memory: memory, start: start + range.lowerBound, count: range.count)
    }

    @usableFromInline @inline(never)
    func outside(_ range: Range<Int>) -> Never {
        fatalError("Segment: the range \(range) is outside of the \(byteCount) bytes")
    }
}

// MARK: - Owners

extension Segment {
    /// Whether nothing else owns the memory: no other segment, here or in a buffer. O(1).
    @inlinable @inline(__always)
    public mutating func isUniquelyOwned() -> Bool { isKnownUniquelyReferenced(&memory) }

    /// Whether two segments are parts of one memory. O(1).
    @inlinable
    public func sharesMemory(with other: Segment) -> Bool { memory === other.memory }

    /// All of the memory that this segment is a part of, where nobody else owns it, to be filled again; nil where
    /// somebody does, or where it is nobody's to write: an object's, a closure's, unowned. O(1).
    ///
    /// The bytes are those that are there. The memory has two owners then: the new segment may be written when this one
    /// is dropped, as what ``SegmentedBuffer/clipFront(_:_:)`` hands out is after the call.
    ///
    ///     try buffer.write(to: descriptor) { segment in
    ///         if let memory = segment.wholeMemory() { spare.append(memory) }
    ///     }
    public mutating func wholeMemory() -> Segment? {
        if !isUniquelyOwned() || !isWritable { return nil }
        let extent = memory.extent
        return Segment(memory: memory, start: extent.base, count: extent.limit - extent.base)
    }

    /// The bytes behind this segment that its only owner may fill. O(1).
    @inlinable @inline(__always)
    var roomBehind: Int { memory.extent.limit - (start + byteCount) }

    /// The bytes before this segment that its only owner may fill. O(1).
    @inlinable @inline(__always)
    var roomBefore: Int {
        let extent = memory.extent
        return extent.limit == extent.base ? 0 : start - extent.base
    }

    /// Whether the bytes may be written by the only owner (M2). O(1).
    @inlinable @inline(__always)
    var isWritable: Bool {
        let extent = memory.extent
        return extent.limit != extent.base
    }

    /// Calls a closure with the bytes, to change them. Traps where the memory has another owner, or is not this
    /// program's to write: an object's, a closure's, unowned. O(1).
    @inlinable
    public mutating func withUnsafeMutableBytes<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        if !isUniquelyOwned() || !isWritable { misuse("Segment", start, "is written and not one owner's alone") }
        let result = try body(UnsafeMutableRawBufferPointer(start: start, count: byteCount))
        withExtendedLifetime(memory) {}
        return result
    }
}
