// Adding, removing and replacing pairs at the cursor, and what the slots above have to know of it (B2, B3).

extension PairTree {
    /// Adds a pair that is not in the set.
    mutating func insert(_ pair: Pair) {
        seek(pair)
        insertHere(pair)
    }

    /// Adds a pair at the cursor, which ``seek(_:)`` has moved to where the pair belongs.
    mutating func insertHere(_ pair: Pair) {
        while node(path[0].node).count == PairNode.leafCapacity {
            makeRoom(level: 0)
            seek(pair)
        }
        let leaf = node(path[0].node)
        let index = Int(path[0].index)
        leaf.open(at: index, isLeaf: true)
        leaf.pairs[index] = pair
        count += 1
        if index == 0 { renewSlots() }
        if keepsLargest { raiseLargest(to: pair.value) }
    }

    /// Removes a pair; false where it is not in the set.
    mutating func remove(_ pair: Pair) -> Bool {
        seek(pair)
        guard moveToPairAfter(), current == pair else { return false }
        removeCurrent()
        return true
    }

    /// Removes `current`.
    mutating func removeCurrent() {
        let leaf = node(path[0].node)
        let index = Int(path[0].index)
        let value = leaf.pairs[index].value
        leaf.close(at: index, isLeaf: true)
        count -= 1
        if index == 0 { renewSlots() }
        if keepsLargest { lowerLargest(from: value) }
        if leaf.count < Self.leastCount(level: 0) { mend(level: 0) }
    }

    /// Puts another pair in the place of `current`, which must still lie between its neighbours. The cursor stays.
    mutating func replaceCurrent(with pair: Pair) {
        let leaf = node(path[0].node)
        let index = Int(path[0].index)
        let old = leaf.pairs[index].value
        leaf.pairs[index] = pair
        if index == 0 { renewSlots() }
        guard keepsLargest else { return }
        if pair.value > old {
            raiseLargest(to: pair.value)
        } else if pair.value < old {
            lowerLargest(from: old)
        }
    }

    // MARK: The slots above the cursor

    /// Keeps B2 after another pair has become the first of the cursor's leaf.
    private func renewSlots() {
        let first = node(path[0].node).pairs[0]
        var level = 1
        while level <= height {
            let index = Int(path[level].index)
            let slot = node(path[level].node).pairs + index
            slot.pointee.key = first.key
            if !keepsLargest { slot.pointee.value = first.value }
            if index > 0 { return }  // The slots further up are those of pairs that come before it.
            level += 1
        }
    }

    /// Keeps B3 after a value of the cursor's leaf has risen or come.
    private func raiseLargest(to value: Int) {
        var level = 1
        while level <= height {
            let slot = node(path[level].node).pairs + Int(path[level].index)
            guard slot.pointee.value < value else { return }
            slot.pointee.value = value
            level += 1
        }
    }

    /// Keeps B3 after a value of the cursor's leaf has sunk or gone, which was `old`.
    private func lowerLargest(from old: Int) {
        var level = 1
        while level <= height {
            let slot = node(path[level].node).pairs + Int(path[level].index)
            guard slot.pointee.value == old else { return }  // Another one is larger.
            let largest = node(path[level - 1].node).largestValue()
            guard largest < old else { return }
            slot.pointee.value = largest
            level += 1
        }
    }
}
