// How a RangeAllocator keeps its free ranges: what differs from strategy to strategy. All that does not (checks of
// arguments, counts, history, snapshots, plans) is RangeAllocator's.
//
// What every strategy promises:
// R1. Its free ranges are not empty, overlap nowhere and touch nowhere: what touches is joined.
// R2. It finds a place if one free range has room for the count at the alignment, and says none only when none has.
// R3. What it says it refused changed nothing.
//
// Offsets and counts are from 0 to `RangeAllocator.largestSize`, 2^62, so that the sum of two never overflows.
// Alignments are powers of two of at most 2^61. The caller has checked all this.

/// A structure that holds the free ranges of a ``RangeAllocator``, and by which it decides where a request goes.
///
/// The module has four: ``SegregatedFit``, ``SingleTreap``, ``TwoTrees`` and ``FirstFit``. A program names one as the
/// parameter of ``RangeAllocator``; it has no use for these requirements by themselves.
public protocol RangeStrategy: ~Copyable {
    /// Makes one without free ranges.
    init()

    /// Whether ``insert(_:_:)`` sees every overlap. One that does not sees those that an end of a free range shows.
    static var findsEveryOverlap: Bool { get }

    /// The number of free ranges. O(1).
    var rangeCount: Int { get }

    /// The bytes of memory that the structure occupies, spare capacity included.
    var metadataByteCount: Int { get }

    /// The count of the largest free range, or 0.
    borrowing func largestCount() -> Int

    /// Where a request would go: the offset that ``allocate(count:alignment:)`` would return now, or nil.
    borrowing func find(count: Int, alignment: Int) -> Int?

    /// Takes `count` (at least 1) out of a free range, at a multiple of `alignment`; what is left in front and behind
    /// stays free. Returns the offset, or nil: then no free range has room.
    mutating func allocate(count: Int, alignment: Int) -> Int?

    /// Takes exactly `lower..<upper` (not empty) if all of it is free, and says whether it was.
    mutating func allocate(_ lower: Int, _ upper: Int) -> Bool

    /// Frees `lower..<upper` (not empty), joined with the free ranges that it touches. Returns false, having changed
    /// nothing, where it saw that a part of it is free already.
    mutating func insert(_ lower: Int, _ upper: Int) -> Bool

    /// The lower end of the free range that ends at `upper`, or nil. At most O(log n).
    borrowing func lowerEnd(ofRangeEndingAt upper: Int) -> Int?

    /// Every free range, in order of offsets. At most O(n log n).
    borrowing func freeRanges() -> [Range<Int>]

    /// Forgets all free ranges. Memory is kept for those to come.
    mutating func removeAll()

    /// What is wrong with the structure, or nil: walks it all.
    borrowing func brokenInvariant() -> String?
}
