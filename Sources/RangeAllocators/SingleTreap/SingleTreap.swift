// Better fit from one tree: the free ranges ordered by offset from left to right and by count from the root down (a
// Cartesian tree). One tree answers both questions, which range touches this one and which is large enough: where the
// root of a subtree is too small, all of it is.
//
// Nodes come from a pool and are named by 4-byte indices. Node 0 is nobody's: its left link is the root, its count -1.
//
// Invariants:
// C1. In order, the ranges rise by offset and neither overlap nor touch.
// C2. No node outranks the one above it (`TreapNode.outranks`).
// C3. Every node that the pool has handed out is in the tree.
// Further R1 to R3 of RangeStrategy.
//
// Cost: O(depth). Where counts don't follow offsets, equal ones included, the depth is expected O(log n), about 2 ln n;
// where they rise or fall with the offset over the whole space the tree becomes a list, and the depth n. With an
// alignment, O(depth) more for each range that is large enough but badly aligned, and only if none is larger by the
// alignment. 24 bytes a node, and up to a quarter more where the pool has just grown. No recursion. Not thread-safe.
//
// Source: Stephenson, "Fast Fits: New Methods for Dynamic Storage Allocation", 1983.

/// A strategy of ``RangeAllocator``: one tree ordered by offset, with the larger ranges above the smaller ones.
///
/// It is the structure that other allocators of ranges have, and is here to compare with them: a fit between the first
/// and the best, from one small tree. A new program has little reason to take it: ``FirstFit`` needs the same memory,
/// about 28 bytes a free range, is faster, and has no bad case. This one has: in a space whose free ranges grow from
/// one end to the other the tree is a list. ``TwoTrees`` is best fit, and ``SegregatedFit`` the fastest.
///
/// Free ranges that overlap what is free already are always found out. Not thread-safe.
public struct SingleTreap: RangeStrategy, ~Copyable {
    var pool = NodePool(nodeByteCount: MemoryLayout<TreapNode>.stride)

    /// Makes one without free ranges. O(1).
    public init() {
        node(0).pointee = TreapNode(start: 0, count: -1, left: 0, right: 0)
    }

    public static var findsEveryOverlap: Bool { true }

    public var rangeCount: Int { pool.handedOut }

    public var metadataByteCount: Int { MemoryLayout<Self>.size + pool.byteCount }

    @inline(__always)
    borrowing func node(_ index: UInt32) -> UnsafeMutablePointer<TreapNode> {
        pool.base.assumingMemoryBound(to: TreapNode.self) + Int(index)
    }

    /// The count of the largest free range, or 0. O(1).
    public borrowing func largestCount() -> Int {
        let root = node(0).pointee.left
        return root == 0 ? 0 : node(root).pointee.count
    }

    /// Where a request would go, or nil. O(depth) without an alignment.
    public borrowing func find(count: Int, alignment: Int) -> Int? {
        choose(count: count, alignment: alignment)?.offset
    }

    /// Takes a range that fits, or returns nil. O(depth) without an alignment.
    public mutating func allocate(count: Int, alignment: Int) -> Int? {
        guard let choice = choose(count: count, alignment: alignment) else { return nil }
        carve(choice.link, choice.offset, choice.offset + count)
        return choice.offset
    }

    /// Takes exactly this range if all of it is free. O(depth).
    public mutating func allocate(_ lower: Int, _ upper: Int) -> Bool {
        guard let link = linkToLast(startingAtMost: lower), node(link.pointee).pointee.end >= upper else {
            return false
        }
        carve(link, lower, upper)
        return true
    }

    /// The lower end of the free range that ends at `upper`, or nil. O(depth).
    public borrowing func lowerEnd(ofRangeEndingAt upper: Int) -> Int? {
        guard let link = linkToLast(startingAtMost: upper - 1) else { return nil }
        let range = node(link.pointee).pointee
        return range.end == upper ? range.start : nil
    }

    /// Every free range, in order of offsets. O(n).
    public borrowing func freeRanges() -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        ranges.reserveCapacity(rangeCount)
        walk { range, _ in ranges.append(range.start..<range.end) }
        return ranges
    }

    /// Forgets all free ranges and keeps the memory. O(1).
    public mutating func removeAll() {
        pool.removeAll()
        node(0).pointee.left = 0
    }
}
