// A PairTree as free ranges by offset: the key is where a range starts, the value its count.

/// What is left of a free range of which a part was taken: the counts in front and behind, either of which may be 0.
struct RangeRemainder {
    var start: Int
    var frontCount: Int
    var backStart: Int
    var backCount: Int
}

/// A range that has been freed, joined with what it touches.
struct JoinedRange {
    var start: Int
    var count: Int
    /// The free range that ended where it starts: its count, or 0.
    var beforeCount: Int
    /// The free range that started where it ends.
    var after: PairTree.Pair?
}

/// The first multiple of `alignment`, a power of two, from `start` on, if `count` from there end by `end`.
@inline(__always)
func place(_ count: Int, alignment: Int, from start: Int, to end: Int) -> Int? {
    let aligned = roundedUp(start, alignment)
    return aligned &+ count <= end ? aligned : nil
}

extension PairTree {
    /// Frees a range; nil, having changed nothing, where a part of it is free.
    mutating func join(_ lower: Int, _ upper: Int) -> JoinedRange? {
        seek(Pair(key: lower, value: 0))
        let before = pairBefore()
        let after = pairAfter()
        if let before, before.key + before.value > lower { return nil }
        if let after, after.key < upper { return nil }

        var joined = JoinedRange(start: lower, count: upper - lower, beforeCount: 0, after: nil)
        if let after, after.key == upper {
            joined.after = after
            joined.count += after.value
        }
        if let before, before.key + before.value == lower {
            joined.start = before.key
            joined.count += before.value
            joined.beforeCount = before.value
            _ = moveToPairBefore()
            replaceCurrent(with: Pair(key: joined.start, value: joined.count))
            if joined.after != nil {
                _ = moveToNext()
                removeCurrent()
            }
        } else if joined.after != nil {
            _ = moveToPairAfter()
            replaceCurrent(with: Pair(key: lower, value: joined.count))
        } else {
            insertHere(Pair(key: lower, value: upper - lower))
        }
        return joined
    }

    /// Takes `lower..<upper`, all of which lies in `current`, out of it.
    mutating func carveCurrent(_ lower: Int, _ upper: Int) -> RangeRemainder {
        let range = current
        let rest = RangeRemainder(
            start: range.key, frontCount: lower - range.key, backStart: upper,
            backCount: range.key + range.value - upper)
        if rest.frontCount > 0 {
            replaceCurrent(with: Pair(key: rest.start, value: rest.frontCount))
            if rest.backCount > 0 { insert(Pair(key: upper, value: rest.backCount)) }
        } else if rest.backCount > 0 {
            replaceCurrent(with: Pair(key: upper, value: rest.backCount))
        } else {
            removeCurrent()
        }
        return rest
    }

    /// Moves to the range that all of `lower..<upper` lies in; false where there is none.
    func moveToRange(around lower: Int, _ upper: Int) -> Bool {
        seek(Pair(key: lower, value: .max - 1))  // Behind the one that starts at `lower` too.
        guard moveToPairBefore() else { return false }
        return current.key + current.value >= upper
    }

    /// The lower end of the range that ends at `upper`, or nil.
    func lowerEnd(ofRangeEndingAt upper: Int) -> Int? {
        seek(Pair(key: upper, value: 0))
        guard let before = pairBefore(), before.key + before.value == upper else { return nil }
        return before.key
    }

    /// All ranges in order. O(n).
    func ranges() -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        ranges.reserveCapacity(count)
        forAll { ranges.append($0.key..<$0.key + $0.value) }
        return ranges
    }

    /// What is wrong with the ranges, or nil (R1). O(n).
    func brokenRange() -> String? {
        var end = -1
        var broken: String?
        forAll { pair in
            if pair.key <= end || pair.value <= 0 {
                broken = "R1: a free range at \(pair.key) of \(pair.value) after one that ends at \(end)"
            }
            end = pair.key + pair.value
        }
        return broken
    }
}
