// What moves nodes in a SingleTreap. A range that shrinks sinks below the larger ones, one that grows rises above the
// smaller: without rotations, by one walk down that takes the two sides apart or puts them together.

extension SingleTreap {
    /// Frees a range; false, having changed nothing, where a part of it is free. O(depth).
    public mutating func insert(_ lower: Int, _ upper: Int) -> Bool {
        // The neighbours, which are both on the way down to where the range would be, and what is above each.
        var (before, aboveBefore) = (rootLink(), UInt32(0))
        var (after, aboveAfter) = (before, aboveBefore)
        var afterIsLower = false
        var (link, above) = (before, UInt32(0))
        var (hasBefore, hasAfter) = (false, false)
        while link.pointee != 0 {
            let current = node(link.pointee)
            let index = link.pointee
            if current.pointee.start < lower {
                (before, aboveBefore, hasBefore, afterIsLower) = (link, above, true, false)
                link = current.rightLink
            } else {
                (after, aboveAfter, hasAfter, afterIsLower) = (link, above, true, true)
                link = current.leftLink
            }
            above = index
        }
        if hasBefore, node(before.pointee).pointee.end > lower { return false }
        if hasAfter, node(after.pointee).pointee.start < upper { return false }
        let joinsBefore = hasBefore && node(before.pointee).pointee.end == lower
        let joinsAfter = hasAfter && node(after.pointee).pointee.start == upper

        switch (joinsBefore, joinsAfter) {
        case (false, false):
            add(lower, upper)
        case (true, false):
            grow(before, above: aboveBefore, to: node(before.pointee).pointee.start, upper)
        case (false, true):
            grow(after, above: aboveAfter, to: lower, node(after.pointee).pointee.end)
        case (true, true):
            let start = node(before.pointee).pointee.start
            let end = node(after.pointee).pointee.end
            // The deeper one goes: that leaves the links to the other and to what is above it as they are.
            pool.put(unlink(afterIsLower ? after : before))
            if afterIsLower {
                grow(before, above: aboveBefore, to: start, end)
            } else {
                grow(after, above: aboveAfter, to: start, end)
            }
        }
        return true
    }

    /// Takes `lower..<upper` out of a range that it lies in.
    mutating func carve(_ link: TreapLink, _ lower: Int, _ upper: Int) {
        let range = node(link.pointee)
        let end = range.pointee.end
        if lower > range.pointee.start {
            range.pointee.count = lower - range.pointee.start
            sink(link)
            if upper < end { add(upper, end) }
        } else if upper < end {
            range.pointee.start = upper
            range.pointee.count = end - upper
            sink(link)
        } else {
            pool.put(unlink(link))
        }
    }

    private mutating func add(_ lower: Int, _ upper: Int) {
        let index = pool.take()
        node(index).pointee = TreapNode(start: lower, count: upper - lower, left: 0, right: 0)
        place(index)
    }

    /// Makes a range larger, and moves it up if it outranks what is above it now.
    private mutating func grow(_ link: TreapLink, above: UInt32, to lower: Int, _ upper: Int) {
        let range = node(link.pointee)
        range.pointee.start = lower
        range.pointee.count = upper - lower
        guard above != 0, range.pointee.outranks(node(above).pointee) else { return }
        place(unlink(link))
    }

    /// Links a node where it belongs: above the first on its way down that it outranks, whose tree it takes apart.
    private mutating func place(_ index: UInt32) {
        let new = node(index)
        var link = rootLink()
        while link.pointee != 0, !new.pointee.outranks(node(link.pointee).pointee) {
            let current = node(link.pointee)
            link = current.pointee.start < new.pointee.start ? current.rightLink : current.leftLink
        }
        var rest = link.pointee
        link.pointee = index
        var (left, right) = (new.leftLink, new.rightLink)
        while rest != 0 {
            let current = node(rest)
            if current.pointee.start < new.pointee.start {
                left.pointee = rest
                left = current.rightLink
                rest = left.pointee
            } else {
                right.pointee = rest
                right = current.leftLink
                rest = right.pointee
            }
        }
        left.pointee = 0
        right.pointee = 0
    }

    /// Moves a node that has become smaller down below those that outrank it.
    private mutating func sink(_ link: TreapLink) {
        let index = link.pointee
        let sunk = node(index)
        var (left, right) = (sunk.pointee.left, sunk.pointee.right)
        let end = merge(&left, &right, at: link) { sunk.pointee.outranks($0) }
        end.pointee = index
        sunk.pointee.left = left
        sunk.pointee.right = right
    }

    /// Takes a node out of the tree and returns it.
    private mutating func unlink(_ link: TreapLink) -> UInt32 {
        let index = link.pointee
        var (left, right) = (node(index).pointee.left, node(index).pointee.right)
        let end = merge(&left, &right, at: link) { $0.count < 0 }
        end.pointee = 0
        return index
    }

    /// Merges two trees, all of the left one before all of the right one, from `link` down as long as the higher root
    /// is not `low`. Returns the link at which the next node goes, and leaves what is below it in `left` and `right`.
    @inline(__always)
    private borrowing func merge(
        _ left: inout UInt32, _ right: inout UInt32, at start: TreapLink, until low: (TreapNode) -> Bool
    ) -> TreapLink {
        var link = start
        while true {
            // Node 0, at the end of either, is outranked by all.
            let (first, second) = (node(left), node(right))
            if first.pointee.outranks(second.pointee) {
                if low(first.pointee) { return link }
                link.pointee = left
                link = first.rightLink
                left = link.pointee
            } else {
                if low(second.pointee) { return link }
                link.pointee = right
                link = second.leftLink
                right = link.pointee
            }
        }
    }
}
