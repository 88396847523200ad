// The walk that tests take after every step.

extension PairTree {
    /// What is wrong with the tree, or nil. O(n).
    func brokenInvariant() -> String? {
        if let broken = pool.brokenInvariant() { return broken }
        var walk = Walk()
        if let broken = check(root, level: height, &walk) { return broken }
        guard walk.pairs == count else { return "B6: \(walk.pairs) pairs in the leaves, but count is \(count)" }
        guard walk.nodes == pool.handedOut else { return "B6: \(walk.nodes) nodes in the tree of \(pool.handedOut)" }
        return nil
    }

    private struct Walk {
        var pairs = 0
        var nodes = 0
        var last: Pair?
    }

    private func check(_ index: UInt32, level: Int, _ walk: inout Walk) -> String? {
        let current = node(index)
        walk.nodes += 1
        let least = index == root ? (level == 0 ? 0 : 2) : Self.leastCount(level: level)
        guard current.count >= least, current.count <= Self.capacity(level: level) else {
            return "B4: a node of level \(level) holds \(current.count)"
        }
        let unused = current.count..<Self.capacity(level: level)
        guard unused.allSatisfy({ current.pairs[$0] == PairNode.beyond }) else {
            return "B5: a node of level \(level) has something behind its \(current.count) pairs"
        }
        for position in 0..<current.count {
            let pair = current.pairs[position]
            if level > 0 {
                if let broken = check(slot: pair, child: current.children[position], level: level, &walk) {
                    return broken
                }
            } else {
                if let last = walk.last, keepsLargest ? last.key >= pair.key : last.isLess(than: pair) == 0 {
                    return "B1: \(pair) comes after \(last)"
                }
                walk.last = pair
                walk.pairs += 1
            }
        }
        return nil
    }

    private func check(slot: Pair, child: UInt32, level: Int, _ walk: inout Walk) -> String? {
        guard node(child).count > 0 else { return "B4: an empty node at level \(level - 1)" }
        let first = node(child).pairs[0]
        guard first.key == slot.key, keepsLargest || first == slot else {
            return "B2: the slot \(slot) of a child that starts with \(first)"
        }
        if keepsLargest, node(child).largestValue() != slot.value {
            return "B3: the largest is \(node(child).largestValue()), but the slot says \(slot.value)"
        }
        return check(child, level: level - 1, &walk)
    }
}
