// Segments into a buffer: nothing here copies a byte.
//
// Cost: O(1) a segment, amortised. Thread-safety: none.

public import AllocatorCore

extension SegmentedBuffer {
    /// Makes a buffer of a segment.
    @inlinable @inline(__always)
    public init(_ segment: Segment) {
        self.init()
        push(segment)
    }

    /// Makes a buffer of segments, in their order.
    @inlinable
    public init(_ segments: some Sequence<Segment>) {
        self.init()
        push(contentsOf: segments)
    }

    /// Puts a segment at the end. One without bytes is dropped.
    @inlinable @inline(__always)
    public mutating func push(_ segment: Segment) {
        if segment.byteCount == 0 { return }
        byteCount += segment.byteCount
        if lastMemory != nil { moveLastToList() }
        lastMemory = segment.memory
        lastStart = segment.start
        lastCount = segment.byteCount
    }

    /// Puts segments at the end, in their order.
    @inlinable
    public mutating func push(contentsOf segments: some Sequence<Segment>) {
        for segment in segments { push(segment) }
    }

    /// Puts a block of an allocator at the end, which is taken over: see ``Segment/init(adopting:count:allocator:)``.
    @inlinable
    public mutating func push(
        adopting block: UnsafeMutableRawBufferPointer, count: Int? = nil, allocator: any Allocator
    ) {
        push(Segment(adopting: block, count: count, allocator: allocator))
    }

    /// Puts bytes at the end that an object keeps: see ``Segment/init(_:ownedBy:)``.
    @inlinable
    public mutating func push(_ bytes: UnsafeRawBufferPointer, ownedBy object: AnyObject) {
        push(Segment(bytes, ownedBy: object))
    }

    /// Puts bytes at the end that a closure gives back: see ``Segment/init(_:releasedBy:)``.
    @inlinable
    public mutating func push(
        _ bytes: UnsafeMutableRawBufferPointer, releasedBy release: @escaping (UnsafeMutableRawBufferPointer) -> Void
    ) {
        push(Segment(bytes, releasedBy: release))
    }

    /// Puts bytes at the end that outlive the buffer and all that is made of it: see ``Segment/init(unowned:)``.
    @inlinable
    public mutating func push(unowned bytes: UnsafeRawBufferPointer) { push(Segment(unowned: bytes)) }

    /// Puts the segments of another buffer at the end, and shares them. O(segments of the other).
    @inlinable
    public mutating func append(_ other: SegmentedBuffer) {
        guard let otherLast = other.last else { return }
        if lastMemory == nil {
            self = other
            return
        }
        for place in other.first..<other.front.count { push(other.front[place].unsafelyUnwrapped) }
        push(otherLast)
    }

    /// Puts a segment in front. One without bytes is dropped. O(1), amortised.
    @inlinable
    public mutating func prepend(_ segment: Segment) {
        if segment.byteCount == 0 { return }
        byteCount += segment.byteCount
        if lastMemory == nil {
            last = segment
            return
        }
        if first == 0 { makeRoomInFront(for: 1) }
        first &-= 1
        front[first] = segment
    }

    /// Puts the segments of another buffer in front, and shares them. O(segments of the other), amortised.
    @inlinable
    public mutating func prepend(_ other: SegmentedBuffer) {
        guard let otherLast = other.last else { return }
        if lastMemory == nil {
            self = other
            return
        }
        prepend(otherLast)
        for place in (other.first..<other.front.count).reversed() { prepend(other.front[place].unsafelyUnwrapped) }
    }

    /// Moves the list up, by as many places as it has, so that it is O(1) a segment.
    @usableFromInline
    mutating func makeRoomInFront(for places: Int) {
        let room = max(places, front.count, 2)
        front.insert(contentsOf: repeatElement(nil, count: room), at: 0)
        first += room
    }
}
