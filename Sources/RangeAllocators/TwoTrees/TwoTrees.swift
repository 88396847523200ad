// Best fit: the free ranges in two B-trees, one by offset, which joins what touches, and one by count and then offset,
// in which the first range that is large enough is the smallest that is.
//
// B-trees and not binary ones, which would need 32 bytes a range instead of two times 16 and what leaves have spare:
// 300,000 free ranges are four levels deep here and 18 there, and past a few thousand ranges a search costs what it
// misses in the cache.
//
// Invariants:
// T1. The pairs of `sizes` are those of `offsets`, turned round.
// Further those of PairTree, and R1 to R3 of RangeStrategy.
//
// Cost: O(log n) for all but the lists; with an alignment, a step for each range that is large enough but badly
// aligned, none of which is larger than count and alignment together. Two nodes of 512 bytes for up to 31 free ranges.
// Not thread-safe.

/// A strategy of ``RangeAllocator``: takes the smallest free range that fits, and the lowest of those.
///
/// Use it where the space is tight and large ranges must last: best fit breaks none up while a smaller one will do. The
/// cost is two trees to keep, about 55 bytes a free range; ``SegregatedFit`` is three to four times as fast and its fit
/// nearly as good.
///
/// Free ranges that overlap what is free already are always found out. Not thread-safe.
public struct TwoTrees: RangeStrategy, ~Copyable {
    private var offsets = PairTree(keepsLargest: false)
    private var sizes = PairTree(keepsLargest: false)

    /// Makes one without free ranges. O(1).
    public init() {}

    public static var findsEveryOverlap: Bool { true }

    public var rangeCount: Int { offsets.count }

    public var metadataByteCount: Int { MemoryLayout<Self>.size + offsets.byteCount + sizes.byteCount }

    /// The count of the largest free range, or 0. O(log n).
    public borrowing func largestCount() -> Int { sizes.lastKey() }

    /// Where best fit would go, or nil. O(log n) without an alignment.
    public borrowing func find(count: Int, alignment: Int) -> Int? {
        sizes.seek(PairTree.Pair(key: count, value: 0))
        guard sizes.moveToPairAfter() else { return nil }
        repeat {
            let (size, start) = (sizes.current.key, sizes.current.value)
            if let offset = place(count, alignment: alignment, from: start, to: start + size) { return offset }
        } while sizes.moveToNext()
        return nil
    }

    /// Takes the smallest free range that fits, or returns nil. O(log n) without an alignment.
    public mutating func allocate(count: Int, alignment: Int) -> Int? {
        // The search leaves the cursor at the range it chose.
        guard let offset = find(count: count, alignment: alignment) else { return nil }
        let chosen = sizes.current
        sizes.removeCurrent()
        offsets.seek(PairTree.Pair(key: chosen.value, value: chosen.key))
        guard offsets.moveToPairAfter() else { fatalError("TwoTrees: the trees differ") }
        keep(offsets.carveCurrent(offset, offset + count))
        return offset
    }

    /// Takes exactly this range if all of it is free. O(log n).
    public mutating func allocate(_ lower: Int, _ upper: Int) -> Bool {
        guard offsets.moveToRange(around: lower, upper) else { return false }
        removeSize(offsets.current.value, at: offsets.current.key)
        keep(offsets.carveCurrent(lower, upper))
        return true
    }

    /// Frees a range; false, having changed nothing, where a part of it is free. O(log n).
    public mutating func insert(_ lower: Int, _ upper: Int) -> Bool {
        guard let joined = offsets.join(lower, upper) else { return false }
        if joined.beforeCount > 0 { removeSize(joined.beforeCount, at: joined.start) }
        if let after = joined.after { removeSize(after.value, at: after.key) }
        sizes.insert(PairTree.Pair(key: joined.count, value: joined.start))
        return true
    }

    private mutating func removeSize(_ count: Int, at start: Int) {
        guard sizes.remove(PairTree.Pair(key: count, value: start)) else {
            fatalError("TwoTrees: the trees differ")  // T1
        }
    }

    /// Adds what is left of a range to the sizes.
    private mutating func keep(_ rest: RangeRemainder) {
        if rest.frontCount > 0 { sizes.insert(PairTree.Pair(key: rest.frontCount, value: rest.start)) }
        if rest.backCount > 0 { sizes.insert(PairTree.Pair(key: rest.backCount, value: rest.backStart)) }
    }

    /// The lower end of the free range that ends at `upper`, or nil. O(log n).
    public borrowing func lowerEnd(ofRangeEndingAt upper: Int) -> Int? {
        offsets.lowerEnd(ofRangeEndingAt: upper)
    }

    /// Every free range, in order of offsets. O(n).
    public borrowing func freeRanges() -> [Range<Int>] { offsets.ranges() }

    /// Forgets all free ranges and keeps the memory. O(1).
    public mutating func removeAll() {
        offsets.removeAll()
        sizes.removeAll()
    }

    /// What is wrong with the structure, or nil. O(n log n).
    public borrowing func brokenInvariant() -> String? {
        if let broken = offsets.brokenInvariant() ?? sizes.brokenInvariant() ?? offsets.brokenRange() { return broken }
        guard sizes.count == offsets.count else { return "T1: \(sizes.count) sizes of \(offsets.count) ranges" }
        var broken: String?
        offsets.forAll { range in
            let turned = PairTree.Pair(key: range.value, value: range.key)
            sizes.seek(turned)
            if sizes.pairAfter() != turned { broken = "T1: no size \(range.value) for the range at \(range.key)" }
        }
        return broken
    }

    /// How many nodes a search passes at most, in the higher of the trees.
    borrowing func depth() -> Int { max(offsets.height, sizes.height) + 1 }
}
