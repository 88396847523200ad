// A node of a PairTree: 512 bytes, eight cache lines.
//
//     0      4          16                             384            508
//     +------+----------+-------------------------------+-------------+
//     | count | unused  | 31 pairs: key, value                        |   leaf
//     +------+----------+-------------------------------+-------------+
//     | count | unused  | 23 slots: key, value          | 23 children |   inner node
//     +------+----------+-------------------------------+-------------+
//
// Pairs and slots lie at the same place, so that what shifts them is the same for both. Those behind `count` are
// `PairNode.beyond`, which is not less than anything: a search looks at a fixed number of pairs and needs no branch.
// Blocks of eight pairs, and one less in the last, make that number small: one of each block, then those of one.

/// A node's view: a pointer, good until the tree takes its next node.
struct PairNode {
    struct Pair: Equatable {
        var key: Int
        var value: Int

        /// By key, then by value: 1 if this is the lesser, else 0. Neither is negative.
        ///
        /// Which is the lesser is anybody's guess, and a branch would be guessed wrong every other time, which costs as
        /// much as a cache miss. So both are one wide number, and what comes out is for adding.
        @inline(__always)
        func isLess(than other: Pair) -> Int { wide < other.wide ? 1 : 0 }

        @inline(__always)
        private var wide: Int128 {
            Int128(truncatingIfNeeded: key) &<< 64 | Int128(truncatingIfNeeded: UInt(bitPattern: value))
        }
    }

    static let byteCount = 512
    static let leafCapacity = 31
    static let innerCapacity = 23
    static let beyond = Pair(key: .max, value: 0)
    private static let blockCount = 8
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

    /// Makes it empty.
    func clear() {
        count = 0
        // Of an inner node, over the children too, which are none.
        pairs.initialize(repeating: Self.beyond, count: Self.leafCapacity)
    }

    /// How many of a leaf's pairs are less than `pair`. O(1).
    @inline(__always)
    func leafRank(_ pair: Pair) -> Int {
        let pairs = pairs
        let blocks = pairs[7].isLess(than: pair) &+ pairs[15].isLess(than: pair) &+ pairs[23].isLess(than: pair)
        return rank(pair, inBlock: blocks)
    }

    /// How many of an inner node's slots are less than `pair`. O(1).
    @inline(__always)
    func innerRank(_ pair: Pair) -> Int {
        let pairs = pairs
        return rank(pair, inBlock: pairs[7].isLess(than: pair) &+ pairs[15].isLess(than: pair))
    }

    /// The last pair of the block, if it has eight, is known not to be less.
    @inline(__always)
    private func rank(_ pair: Pair, inBlock block: Int) -> Int {
        let start = block &* Self.blockCount
        let first = pairs + start
        let less =
            first[0].isLess(than: pair) &+ first[1].isLess(than: pair) &+ first[2].isLess(than: pair)
            &+ first[3].isLess(than: pair) &+ first[4].isLess(than: pair) &+ first[5].isLess(than: pair)
            &+ first[6].isLess(than: pair)
        return start &+ less
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
        pairs[count] = Self.beyond
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
        (pairs + kept).update(repeating: Self.beyond, count: moved)
        count = kept
        right.count += moved
    }

    /// Moves the first `moved` pairs of `right`, with their children, behind its own.
    func takeHead(_ moved: Int, of right: PairNode, isLeaf: Bool) {
        let rest = right.count - moved
        (pairs + count).update(from: right.pairs, count: moved)
        right.pairs.update(from: right.pairs + moved, count: rest)
        (right.pairs + rest).update(repeating: Self.beyond, count: moved)
        if !isLeaf {
            (children + count).update(from: right.children, count: moved)
            right.children.update(from: right.children + moved, count: rest)
        }
        count += moved
        right.count = rest
    }
}
