// First fit: the free ranges in one B-tree by offset, whose inner nodes know the largest range below each slot. The
// lowest range that is large enough is found from the top without looking at any that comes before it.
//
// Invariants: those of PairTree, whose keys are starts and whose values are counts; R1 to R3 of RangeStrategy.
//
// Cost: O(log n) for all but the lists; with an alignment, a step for each range in front of the place that is large
// enough but badly aligned. 512 bytes a node of up to 31 free ranges. Not thread-safe.

/// A strategy of ``RangeAllocator``: takes the lowest offset that fits.
///
/// Use it where what is allocated should stay together at the start of the space: in a file that is to be short, in a
/// space of which ``RangeAllocator/trim()`` cuts the end off, or where the answer must not depend on what was allocated
/// and freed before. Of the ordered strategies it is the fastest, and needs the least memory together with the treap,
/// about 28 bytes a free range; ``SegregatedFit`` is about twice as fast.
///
/// Free ranges that overlap what is free already are always found out. Not thread-safe.
public struct FirstFit: RangeStrategy, ~Copyable {
    private var ranges = PairTree(keepsLargest: true)

    /// Makes one without free ranges. O(1).
    public init() {}

    public static var findsEveryOverlap: Bool { true }

    public var rangeCount: Int { ranges.count }

    public var metadataByteCount: Int { MemoryLayout<Self>.size + ranges.byteCount }

    /// The count of the largest free range, or 0. O(1).
    public borrowing func largestCount() -> Int { ranges.largestValue() }

    /// The lowest offset that fits, or nil. O(log n) without an alignment.
    public borrowing func find(count: Int, alignment: Int) -> Int? {
        guard ranges.seekFirst(valueAtLeast: count) else { return nil }
        repeat {
            let range = ranges.current
            if let offset = place(count, alignment: alignment, from: range.key, to: range.key + range.value) {
                return offset
            }
        } while ranges.moveToNext(valueAtLeast: count)
        return nil
    }

    /// Takes the lowest offset that fits, or returns nil. O(log n) without an alignment.
    public mutating func allocate(count: Int, alignment: Int) -> Int? {
        // The search leaves the cursor at the range it chose.
        guard let offset = find(count: count, alignment: alignment) else { return nil }
        _ = ranges.carveCurrent(offset, offset + count)
        return offset
    }

    /// Takes exactly this range if all of it is free. O(log n).
    public mutating func allocate(_ lower: Int, _ upper: Int) -> Bool {
        guard ranges.moveToRange(around: lower, upper) else { return false }
        _ = ranges.carveCurrent(lower, upper)
        return true
    }

    /// Frees a range; false, having changed nothing, where a part of it is free. O(log n).
    public mutating func insert(_ lower: Int, _ upper: Int) -> Bool {
        ranges.join(lower, upper) != nil
    }

    /// The lower end of the free range that ends at `upper`, or nil. O(log n).
    public borrowing func lowerEnd(ofRangeEndingAt upper: Int) -> Int? {
        ranges.lowerEnd(ofRangeEndingAt: upper)
    }

    /// Every free range, in order of offsets. O(n).
    public borrowing func freeRanges() -> [Range<Int>] { ranges.ranges() }

    /// Forgets all free ranges and keeps the memory. O(1).
    public mutating func removeAll() { ranges.removeAll() }

    /// What is wrong with the structure, or nil. O(n).
    public borrowing func brokenInvariant() -> String? {
        ranges.brokenInvariant() ?? ranges.brokenRange()
    }

    /// How many nodes a search passes at most.
    borrowing func depth() -> Int { ranges.height + 1 }
}
