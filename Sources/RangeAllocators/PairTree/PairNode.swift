// A node of a PairTree: 512 bytes, eight cache lines.
//
//     0      4          16                             400            512
//     +------+----------+-------------------------------+--------------+
//     | count | unused  | 31 pairs: key, value          |              |   leaf
//     +------+----------+-------------------------------+--------------+
//     | count | unused  | 24 slots: key, value          | 24 children  |   inner node
//     +------+----------+-------------------------------+--------------+
//
// Pairs and slots lie at the same place, so that what searches and shifts is the same for both.

/// A node's view: a pointer, good until the tree takes its next node.
struct PairNode {
    struct Pair: Equatable {
        var key: Int
        var value: Int

        /// By key, then by value.
        @inline(__always)
        static func < (left: Pair, right: Pair) -> Bool {
            // No short circuit: which one is less is anybody's guess, and a wrong guess costs more than a comparison.
            (left.key < right.key) != ((left.key == right.key) && (left.value < right.value))
        }
    }

    static let byteCount = 512
    static let leafCapacity = (byteCount - pairsOffset) / MemoryLayout<Pair>.stride
    static let innerCapacity =
        (byteCount - pairsOffset) / (MemoryLayout<Pair>.stride + MemoryLayout<UInt32>.stride)
    private static let pairsOffset = 16
    private static let childrenOffset = pairsOffset + innerCapacity * MemoryLayout<Pair>.stride

    let base: UnsafeMutableRawPointer

    /// How many pairs or slots it holds.
    @inline(__always)
    var count: Int {
        get { Int(base.load(as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(truncatingIfNeeded: newValue), as: UInt32.self) }
    }

    @inline(__always)
    var pairs: UnsafeMutablePointer<Pair> {
        (base + Self.pairsOffset).assumingMemoryBound(to: Pair.self)
    }

    /// Of an inner node: child i holds what slot i stands for.
    @inline(__always)
    var children: UnsafeMutablePointer<UInt32> {
        (base + Self.childrenOffset).assumingMemoryBound(to: UInt32.self)
    }

    /// How many of its pairs are less than `pair`: a binary search without branches on what it compares.
    @inline(__always)
    func rank(_ pair: Pair) -> Int {
        var first = pairs
        var left = count
        guard left > 0 else { return 0 }
        while left > 1 {
            let half = left &>> 1
            first = first[half &- 1] < pair ? first + half : first
            left &-= half
        }
        return first - pairs + (first[0] < pair ? 1 : 0)
    }

    /// The first index from `start` on whose value is at least `value`, or `count`.
    @inline(__always)
    func firstIndex(from start: Int, valueAtLeast value: Int) -> Int {
        let count = count
        var index = start
        while index < count, pairs[index].value < value { index &+= 1 }
        return index
    }

    /// The largest of its values, or 0.
    func largestValue() -> Int {
        var largest = 0
        for index in 0..<count { largest = max(largest, pairs[index].value) }
        return largest
    }

    /// Makes room for a pair at `index`, and for a child if it is an inner node.
    @inline(__always)
    func open(at index: Int, isLeaf: Bool) {
        let count = count
        (pairs + index + 1).update(from: pairs + index, count: count - index)
        if !isLeaf { (children + index + 1).update(from: children + index, count: count - index) }
        self.count = count + 1
    }

    /// Closes the gap that the pair at `index`, and its child, leave.
    @inline(__always)
    func close(at index: Int, isLeaf: Bool) {
        let count = count - 1
        (pairs + index).update(from: pairs + index + 1, count: count - index)
        if !isLeaf { (children + index).update(from: children + index + 1, count: count - index) }
        self.count = count
    }

    /// Moves the last `moved` pairs, with their children, in front of those of `right`.
    func moveTail(_ moved: Int, to right: PairNode, isLeaf: Bool) {
        let kept = count - moved
        (right.pairs + moved).update(from: right.pairs, count: right.count)
        right.pairs.update(from: pairs + kept, count: moved)
        if !isLeaf {
            (right.children + moved).update(from: right.children, count: right.count)
            right.children.update(from: children + kept, count: moved)
        }
        count = kept
        right.count += moved
    }

    /// Moves the first `moved` pairs of `right`, with their children, behind its own.
    func takeHead(_ moved: Int, of right: PairNode, isLeaf: Bool) {
        let rest = right.count - moved
        (pairs + count).update(from: right.pairs, count: moved)
        right.pairs.update(from: right.pairs + moved, count: rest)
        if !isLeaf {
            (children + count).update(from: right.children, count: moved)
            right.children.update(from: right.children + moved, count: rest)
        }
        count += moved
        right.count = rest
    }
}
