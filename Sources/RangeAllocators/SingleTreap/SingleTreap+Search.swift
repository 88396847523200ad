// Searching a SingleTreap: by count from the root down, by offset from left to right.

extension SingleTreap {
    @inline(__always)
    borrowing func rootLink() -> TreapLink { node(0).leftLink }

    /// Which range a request gets, and where in it; nil where none has room.
    borrowing func choose(count: Int, alignment: Int) -> (link: TreapLink, offset: Int)? {
        guard let link = betterFit(count: count) else { return nil }
        if let offset = offset(of: count, alignment: alignment, in: node(link.pointee).pointee) {
            return (link, offset)
        }
        // So much has room wherever it starts.
        if let link = betterFit(count: count + (alignment - 1)),
            let offset = offset(of: count, alignment: alignment, in: node(link.pointee).pointee)
        {
            return (link, offset)
        }
        // R2: what is left are ranges that have room if they start well. All of them, from the lowest on.
        var next = firstLink(startingAtLeast: 0, count: count)
        while let link = next {
            let range = node(link.pointee).pointee
            if let offset = offset(of: count, alignment: alignment, in: range) { return (link, offset) }
            next = firstLink(startingAtLeast: range.end, count: count)
        }
        return nil
    }

    @inline(__always)
    private borrowing func offset(of count: Int, alignment: Int, in range: TreapNode) -> Int? {
        place(count, alignment: alignment, from: range.start, to: range.end)
    }

    /// Down from the root, always to the smaller child that has `count`, as far as one has.
    private borrowing func betterFit(count: Int) -> TreapLink? {
        var link = rootLink()
        guard node(link.pointee).pointee.count >= count else { return nil }
        while true {
            let current = node(link.pointee)
            // Node 0, where there is no child, has -1.
            let left = node(current.pointee.left).pointee.count
            let right = node(current.pointee.right).pointee.count
            if left >= count, left <= right || right < count {
                link = current.leftLink
            } else if right >= count {
                link = current.rightLink
            } else {
                return link
            }
        }
    }

    /// The first range in order that starts at `start` or later and has `count`.
    private borrowing func firstLink(startingAtLeast start: Int, count: Int) -> TreapLink? {
        var first: TreapLink?
        var link = rootLink()
        // C2: below a node that is too small, all are.
        while node(link.pointee).pointee.count >= count {
            let current = node(link.pointee)
            if current.pointee.start >= start {
                first = link
                link = current.leftLink
            } else {
                link = current.rightLink
            }
        }
        return first
    }

    /// The last range in order that starts at `start` or before.
    borrowing func linkToLast(startingAtMost start: Int) -> TreapLink? {
        var last: TreapLink?
        var link = rootLink()
        while link.pointee != 0 {
            let current = node(link.pointee)
            if current.pointee.start <= start {
                last = link
                link = current.rightLink
            } else {
                link = current.leftLink
            }
        }
        return last
    }

    /// Calls `body` with every range in order, and how many are above it in the tree. O(n).
    borrowing func walk(_ body: (TreapNode, Int) -> Void) {
        var above: [(node: UInt32, depth: Int)] = []
        var current = node(0).pointee.left
        var depth = 0
        while true {
            while current != 0 {
                above.append((current, depth))
                current = node(current).pointee.left
                depth += 1
            }
            guard let next = above.popLast() else { return }
            body(node(next.node).pointee, next.depth)
            current = node(next.node).pointee.right
            depth = next.depth + 1
        }
    }

    /// How many nodes a search passes at most. O(n).
    borrowing func depth() -> Int {
        var deepest = 0
        walk { _, depth in deepest = max(deepest, depth + 1) }
        return deepest
    }

    /// What is wrong with the structure, or nil. O(n).
    public borrowing func brokenInvariant() -> String? {
        if let broken = pool.brokenInvariant() { return broken }
        var broken: String?
        var end = -1
        var nodes = 0
        walk { range, _ in
            nodes += 1
            if range.start <= end || range.count <= 0 {
                broken = "C1: a free range at \(range.start) of \(range.count) after one that ends at \(end)"
            }
            end = range.end
            for child in [range.left, range.right] where child != 0 && !range.outranks(node(child).pointee) {
                broken = "C2: the range at \(range.start) is above one of \(node(child).pointee.count)"
            }
        }
        if broken == nil, nodes != rangeCount { broken = "C3: \(nodes) nodes in the tree of \(rangeCount)" }
        return broken
    }
}
