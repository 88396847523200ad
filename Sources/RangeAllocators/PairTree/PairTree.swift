// An ordered set of pairs of integers as a B-tree, with a cursor: what TwoTrees keeps twice and FirstFit once.
//
// A B-tree, because a search costs what it misses in the cache: 300,000 pairs are four levels deep here, where a binary
// tree has 18. All pairs are in the leaves. An inner node has a slot for each child, a pair too: it says what the child
// holds. Nodes come from a pool and are named by 4-byte indices (PairNode draws them).
//
// The order is by key, then by value. A tree made with `keepsLargest` is for keys that differ: the value in a slot is
// then the largest of the child's, by which the first value that is large enough is found from the top.
//
// The cursor is a gap between pairs: `path[0]` is a leaf and the index in it of the pair behind the gap, `path[level]`
// an inner node above and the index of the slot that led down. What adds or removes pairs leaves it nowhere.
//
// Invariants:
// B1. All leaves are at level 0, the root is at level `height`; keys rise from leaf to leaf.
// B2. A slot is the first pair of all that its child holds; where the tree keeps the largest, its key is. Exactly: a
//     slot that were only no greater could be passed by the pair before it, whose key may rise up to its neighbour's.
// B3. Where the tree keeps the largest, a slot's value is the largest in its child.
// B4. No node but the root is under half full; a root that is an inner node has at least two children.
// B5. What is behind a node's last pair is `PairNode.beyond`.
// B6. `count` pairs are in the leaves; every node that the pool has handed out is in the tree.
//
// Cost: all is O(log n) unless said otherwise. 16 bytes a pair, divided by how full the leaves are; a full one passes
// pairs on to its neighbours before it is split. Not thread-safe, not even for reading: the cursor moves.
//
// Source: Bayer and McCreight, "Organization and Maintenance of Large Ordered Indices", 1972.

/// An ordered set of pairs, with a cursor.
struct PairTree: ~Copyable {
    typealias Pair = PairNode.Pair

    /// A node on the way from the root to the cursor's leaf, and the index in it.
    struct Step {
        var node: UInt32
        var index: Int32
    }

    /// More than a tree of 2^32 nodes needs, each of at least eleven children.
    static let greatestHeight = 12

    let keepsLargest: Bool
    let path: UnsafeMutablePointer<Step>
    var pool = NodePool(nodeByteCount: PairNode.byteCount)
    var root: UInt32
    var height = 0
    var count = 0

    init(keepsLargest: Bool) {
        self.keepsLargest = keepsLargest
        path = .allocate(capacity: Self.greatestHeight + 1)
        root = pool.take()
        PairNode(base: pool.address(of: root)).clear()
    }

    deinit {
        path.deallocate()
    }

    /// The bytes that it occupies.
    var byteCount: Int { pool.byteCount + (Self.greatestHeight + 1) * MemoryLayout<Step>.stride }

    @inline(__always)
    func node(_ index: UInt32) -> PairNode {
        // By a constant, which is a shift: it is on the way from each level to the next.
        PairNode(base: pool.base + Int(index) &* PairNode.byteCount)
    }

    /// Forgets all pairs and keeps the memory. O(1).
    mutating func removeAll() {
        pool.removeAll()
        root = pool.take()
        node(root).clear()
        height = 0
        count = 0
    }

    // MARK: What is in it

    /// The greatest key, or 0.
    func lastKey() -> Int {
        guard count > 0 else { return 0 }
        var current = node(root)
        for _ in 0..<height { current = node(current.children[current.count - 1]) }
        return current.pairs[current.count - 1].key
    }

    /// The largest value, or 0, if the tree keeps it. O(1).
    func largestValue() -> Int {
        node(root).largestValue()
    }

    /// Calls `body` with every pair, in order. O(n).
    func forAll(_ body: (Pair) -> Void) {
        visit(root, level: height, body)
    }

    private func visit(_ index: UInt32, level: Int, _ body: (Pair) -> Void) {
        let current = node(index)
        for position in 0..<current.count {
            if level == 0 {
                body(current.pairs[position])
            } else {
                visit(current.children[position], level: level - 1, body)
            }
        }
    }
}
