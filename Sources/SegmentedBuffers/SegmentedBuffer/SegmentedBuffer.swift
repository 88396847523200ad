// A list of segments with a size. The last one lies in the buffer itself: a buffer of one segment needs no list, and
// appending looks no further.
//
//     front   [ nil  nil  S0  S1  S2 ]      last   S3
//                         ↑ first
//
// B1. No segment in the list is empty; `byteCount` is the sum of their counts.
// B2. The segments are `front[first...]`, of which none is nil, and then the last, which there is but in an empty
//     buffer. Those before `first` are gone, and nil; their place is reclaimed when they are more than the others, so
//     that taking from the front is O(1), amortised.
// B3. What two buffers share does not change (S2): a copy of a buffer has the bytes that it had.
//
// Cost: 48 bytes; an allocation for the list from the second segment on. Copying a buffer: two counts of references.
// Thread-safety: none.

/// Bytes that lie in several places, as one: a list of segments, whose memory may be shared with other buffers.
///
/// For what arrives in pieces and is cut, joined and forwarded: nothing of that copies a byte. Where all bytes lie in
/// one place, and are looked at one by one in no order, an array is simpler. Read it by ``SegmentedReader``, write it
/// by ``SegmentedWriter``.
///
/// A value: a copy shares the segments and is not changed by what is done to the other. Not thread-safe and not
/// `Sendable`, since what gets the memory back need not be.
@frozen
public struct SegmentedBuffer {
    @usableFromInline var front: ContiguousArray<Segment?>
    @usableFromInline var first: Int
    // The last segment, as what it is made of: an optional one in one piece would be dropped through a witness table.
    @usableFromInline var lastMemory: SegmentMemory?
    @usableFromInline var lastStart: UnsafeMutableRawPointer
    @usableFromInline var lastCount: Int
    @usableFromInline var byteCount: Int

    /// Makes an empty buffer. O(1), without an allocation.
    @inlinable @inline(__always)
    public init() {
        front = []
        first = 0
        lastMemory = nil
        lastStart = UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
        lastCount = 0
        byteCount = 0
    }

    /// The number of bytes. O(1).
    @inlinable @inline(__always)
    public var count: Int { byteCount }

    /// Whether there are no bytes. O(1).
    @inlinable @inline(__always)
    public var isEmpty: Bool { byteCount == 0 }

    /// The number of segments. O(1).
    @inlinable @inline(__always)
    public var segmentCount: Int { lastMemory == nil ? 0 : front.count &- first &+ 1 }

    /// The last segment; nil in an empty buffer. Getting it adds an owner. O(1).
    @inlinable
    var last: Segment? {
        @inline(__always)
        get {
            guard let lastMemory else { return nil }
            return Segment(memory: lastMemory, start: lastStart, count: lastCount)
        }
        @inline(__always)
        set {
            lastMemory = newValue?.memory
            if let newValue { (lastStart, lastCount) = (newValue.start, newValue.byteCount) }
        }
    }

    /// Where the last segment is, without becoming an owner of it; of an empty buffer, none. O(1).
    @inlinable @inline(__always)
    var lastBytes: UnsafeRawBufferPointer {
        lastMemory == nil
            ? UnsafeRawBufferPointer(start: nil, count: 0) : UnsafeRawBufferPointer(start: lastStart, count: lastCount)
    }

    /// Takes the last segment out, of which there is one: B2 is to be restored.
    @inlinable @inline(__always)
    mutating func takeLast() -> Segment {
        Segment(memory: lastMemory.take().unsafelyUnwrapped, start: lastStart, count: lastCount)
    }

    /// Puts the last segment, of which there is one, at the end of the list, to make place for another.
    @inlinable @inline(__always)
    mutating func moveLastToList() {
        // A list rarely stays at one.
        if front.capacity == 0 { front.reserveCapacity(6) }
        front.append(takeLast())
    }

    /// A segment by its place in the list, which must be one. O(1).
    @inlinable @inline(__always)
    func segment(at index: Int) -> Segment {
        let place = first &+ index
        if place < front.count { return front[place].unsafelyUnwrapped }
        return Segment(memory: lastMemory.unsafelyUnwrapped, start: lastStart, count: lastCount)
    }

    /// Where the bytes of a segment are, without becoming an owner of it. O(1).
    @inlinable @inline(__always)
    func bytes(ofSegment index: Int) -> UnsafeRawBufferPointer {
        let place = first &+ index
        if place < front.count { return front[place].unsafelyUnwrapped.unsafeBytes }
        return UnsafeRawBufferPointer(start: lastStart, count: lastCount)
    }

    /// Where the first segment begins and how many bytes it has; of an empty buffer, none. O(1).
    @inlinable @inline(__always)
    var firstBytes: UnsafeRawBufferPointer {
        lastMemory == nil ? UnsafeRawBufferPointer(start: nil, count: 0) : bytes(ofSegment: 0)
    }

    @usableFromInline @inline(never)
    func outside(_ range: Range<Int>) -> Never {
        fatalError("SegmentedBuffer: the range \(range) is outside of the \(byteCount) bytes")
    }

    /// Traps where a range is not one of this buffer's.
    @inlinable @inline(__always)
    func check(_ range: Range<Int>) {
        if range.lowerBound < 0 || range.upperBound > byteCount { outside(range) }
    }

    /// What is wrong with the list, for tests; nil where nothing is. O(segments).
    package func brokenInvariant() -> String? {
        if first > front.count { return "B2: the first segment is behind the list" }
        for place in front.indices where (front[place] == nil) != (place < first) {
            return "B2: the segment at \(place), with the first at \(first)"
        }
        if lastMemory == nil, first < front.count || byteCount != 0 { return "B2: an empty buffer has bytes" }
        var sum = 0
        for index in 0..<segmentCount {
            let segment = segment(at: index)
            if segment.count <= 0 { return "B1: the segment at \(index) has \(segment.count) bytes" }
            if segment.isWritable, segment.start < segment.memory.extent.base || segment.roomBehind < 0 {
                return "S1: the segment at \(index) is not in its memory"
            }
            sum += segment.count
        }
        return sum == byteCount ? nil : "B1: \(sum) bytes are counted as \(byteCount)"
    }
}
