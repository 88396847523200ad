// What keeps the nodes of a PairTree neither too full nor too empty (B4).

extension PairTree {
    @inline(__always)
    static func capacity(level: Int) -> Int {
        level == 0 ? PairNode.leafCapacity : PairNode.innerCapacity
    }

    /// Fewer, and a node takes pairs from a neighbour or is united with it.
    @inline(__always)
    static func leastCount(level: Int) -> Int { capacity(level: level) / 2 }

    /// Does something about the full node at `level` of the path, which is wrong afterwards: seek again, and look
    /// again.
    mutating func makeRoom(level: Int) {
        if level == height { growRoot() }
        let parent = node(path[level + 1].node)
        let index = Int(path[level + 1].index)
        // A neighbour that is all but full is not worth it: the next pair would be back for the same.
        let capacity = Self.capacity(level: level)
        let roomy = capacity - capacity / 8
        if index > 0, node(parent.children[index - 1]).count <= roomy {
            even(parent, index - 1, level: level)
        } else if index + 1 < parent.count, node(parent.children[index + 1]).count <= roomy {
            even(parent, index, level: level)
        } else if parent.count == PairNode.innerCapacity {
            makeRoom(level: level + 1)
        } else {
            split(level: level)
        }
    }

    /// Fills the node at `level` of the path up from a neighbour, or unites it with one. The path is wrong afterwards.
    mutating func mend(level: Int) {
        guard level < height else {
            if level > 0, node(root).count == 1 {
                let only = node(root).children[0]
                pool.put(root)
                root = only
                height -= 1
            }
            return
        }
        let parent = node(path[level + 1].node)
        let left = max(Int(path[level + 1].index) - 1, 0)
        let total = node(parent.children[left]).count + node(parent.children[left + 1]).count
        let capacity = Self.capacity(level: level)
        guard total <= capacity - 1 else {
            even(parent, left, level: level)
            return
        }
        unite(parent, left, level: level)
        if parent.count < Self.leastCount(level: level + 1) { mend(level: level + 1) }
    }

    /// Puts a root above the root, with one slot.
    private mutating func growRoot() {
        let index = pool.take()
        let above = node(index)
        above.clear()
        above.count = 1
        above.pairs[0] = slot(for: node(root))
        above.children[0] = root
        root = index
        height += 1
        precondition(height <= Self.greatestHeight)
        path[height] = Step(node: index, index: 0)
    }

    /// Moves the upper half of a node to a new one. Its parent has room.
    private mutating func split(level: Int) {
        let index = pool.take()
        let parent = node(path[level + 1].node)
        let left = Int(path[level + 1].index)
        let lower = node(parent.children[left])
        let upper = node(index)
        upper.clear()
        lower.moveTail(lower.count / 2, to: upper, isLeaf: level == 0)
        parent.open(at: left + 1, isLeaf: false)
        parent.children[left + 1] = index
        parent.pairs[left + 1] = slot(for: upper)
        if keepsLargest { parent.pairs[left].value = lower.largestValue() }
    }

    /// Shares the pairs of children `left` and `left + 1` out evenly.
    private func even(_ parent: PairNode, _ left: Int, level: Int) {
        let lower = node(parent.children[left])
        let upper = node(parent.children[left + 1])
        let half = (lower.count + upper.count) / 2
        if lower.count > half {
            lower.moveTail(lower.count - half, to: upper, isLeaf: level == 0)
        } else {
            lower.takeHead(half - lower.count, of: upper, isLeaf: level == 0)
        }
        parent.pairs[left + 1] = slot(for: upper)
        if keepsLargest { parent.pairs[left].value = lower.largestValue() }
    }

    /// Makes one node of children `left` and `left + 1`.
    private mutating func unite(_ parent: PairNode, _ left: Int, level: Int) {
        let lower = node(parent.children[left])
        let emptied = parent.children[left + 1]
        let upper = node(emptied)
        lower.takeHead(upper.count, of: upper, isLeaf: level == 0)
        if keepsLargest { parent.pairs[left].value = lower.largestValue() }
        parent.close(at: left + 1, isLeaf: false)
        pool.put(emptied)
    }

    /// The slot that a parent has for a node (B2, B3).
    private func slot(for child: PairNode) -> Pair {
        Pair(key: child.pairs[0].key, value: keepsLargest ? child.largestValue() : child.pairs[0].value)
    }
}
