// A list of segments with a size.
//
// B1. No segment in the list is empty; `count` is the sum of their counts.
// B2. The list's live segments are `segments[first...]`; those before `first` are gone (their place is reclaimed when
//     they are more than the live ones), so that taking from the front is O(1).

/// Bytes that lie in several places, as one: a list of segments, whose memory may be shared with other buffers.
@frozen
public struct SegmentedBuffer {
    @usableFromInline var segments: ContiguousArray<Segment?>
    @usableFromInline var first: Int
    /// The number of bytes. O(1).
    public var count: Int { byteCount }
    @usableFromInline var byteCount: Int

    /// Makes an empty buffer.
    @inlinable
    public init() {
        segments = []
        first = 0
        byteCount = 0
    }
}
