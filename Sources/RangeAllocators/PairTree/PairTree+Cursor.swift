// Where the cursor goes, and what it sees. Nothing here changes the tree.

extension PairTree {
    /// Moves the cursor in front of the first pair that is not less than `pair`.
    func seek(_ pair: Pair) {
        // B2: down the last slot that is not greater, by the key alone where a slot's value is the largest.
        let behind = Pair(key: pair.key, value: keepsLargest ? .max : pair.value &+ 1)
        var index = root
        var level = height
        while level > 0 {
            let inner = node(index)
            let slot = max(inner.innerRank(behind) &- 1, 0)
            path[level] = Step(node: index, index: Int32(truncatingIfNeeded: slot))
            index = inner.children[slot]
            level &-= 1
        }
        path[0] = Step(node: index, index: Int32(truncatingIfNeeded: node(index).leafRank(pair)))
    }

    /// Moves the cursor in front of the first pair whose value is at least `value`; false where there is none. For a
    /// tree that keeps the largest.
    func seekFirst(valueAtLeast value: Int) -> Bool {
        descend(from: root, level: height, valueAtLeast: value)
    }

    /// From the pair behind the cursor, moves it on to the next one whose value is at least `value`; false where there
    /// is none. For a tree that keeps the largest.
    func moveToNext(valueAtLeast value: Int) -> Bool {
        for level in 0...height {
            let current = node(path[level].node)
            let index = current.firstIndex(from: Int(path[level].index) + 1, valueAtLeast: value)
            guard index < current.count else { continue }
            path[level].index = Int32(truncatingIfNeeded: index)
            return level == 0 || descend(from: current.children[index], level: level - 1, valueAtLeast: value)
        }
        return false
    }

    private func descend(from start: UInt32, level top: Int, valueAtLeast value: Int) -> Bool {
        var index = start
        var level = top
        while true {
            let current = node(index)
            let position = current.firstIndex(from: 0, valueAtLeast: value)
            guard position < current.count else { return false }  // B3: at the root, or not at all
            path[level] = Step(node: index, index: Int32(truncatingIfNeeded: position))
            if level == 0 { return true }
            index = current.children[position]
            level &-= 1
        }
    }

    /// The pair behind the cursor, which is in the cursor's own leaf.
    @inline(__always)
    var current: Pair { node(path[0].node).pairs[Int(path[0].index)] }

    /// The pair behind the cursor.
    @inline(__always)
    func pairAfter() -> Pair? {
        let leaf = node(path[0].node)
        let index = Int(path[0].index)
        if index < leaf.count { return leaf.pairs[index] }
        guard let level = levelOfTurn(forward: true) else { return nil }
        var next = node(path[level].node).children[Int(path[level].index) + 1]
        for _ in 1..<level { next = node(next).children[0] }
        return node(next).pairs[0]
    }

    /// The pair in front of the cursor.
    @inline(__always)
    func pairBefore() -> Pair? {
        let index = Int(path[0].index)
        if index > 0 { return node(path[0].node).pairs[index - 1] }
        guard let level = levelOfTurn(forward: false) else { return nil }
        var previous = node(node(path[level].node).children[Int(path[level].index) - 1])
        for _ in 1..<level { previous = node(previous.children[previous.count - 1]) }
        return previous.pairs[previous.count - 1]
    }

    /// Where the pair behind the cursor is in the next leaf, moves there: `current` is then that pair. False where
    /// there is none.
    @inline(__always)
    func moveToPairAfter() -> Bool {
        Int(path[0].index) < node(path[0].node).count || turn(forward: true)
    }

    /// Moves over the pair in front of the cursor, which is `current` then; false where there is none.
    @inline(__always)
    func moveToPairBefore() -> Bool {
        guard path[0].index > 0 else { return turn(forward: false) }
        path[0].index &-= 1
        return true
    }

    /// From `current`, moves to the next pair; false where there is none.
    func moveToNext() -> Bool {
        path[0].index &+= 1
        return moveToPairAfter()
    }

    /// Moves to the first pair of the next leaf or the last one of the leaf before.
    private func turn(forward: Bool) -> Bool {
        guard var level = levelOfTurn(forward: forward) else { return false }
        path[level].index += forward ? 1 : -1
        while level > 0 {
            let next = node(path[level].node).children[Int(path[level].index)]
            level -= 1
            path[level] = Step(node: next, index: forward ? 0 : Int32(truncatingIfNeeded: node(next).count - 1))
        }
        return true
    }

    /// The lowest level at which the path can go on to the next child, or to the one before.
    private func levelOfTurn(forward: Bool) -> Int? {
        var level = 1
        while level <= height {
            let index = Int(path[level].index)
            if forward ? index + 1 < node(path[level].node).count : index > 0 { return level }
            level += 1
        }
        return nil
    }
}
