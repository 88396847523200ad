// Where a request goes. The order is that of the file SegregatedFit.swift's cost.

extension SegregatedFit {
    /// A node with room for the request; or `wilderness`, which has room; or `none`: then there is none (R2).
    @inline(__always)
    borrowing func node(count: Int, alignment: Int) -> UInt32 {
        if alignment > 1 { return node(count: count, alignedTo: alignment) }
        if levels == 0 { return wildUpper &- wildLower >= count ? Self.wilderness : RangeNodes.none }
        let own = BinNumber(holding: count)
        // The first of the request's own bin, which sizes that come again and again find: they would split others.
        if own.level < levelCapacity, bits[own.level] & own.bit != 0 {
            let first = heads[own.number]
            if nodes[first].upper &- nodes[first].lower >= count { return first }
        }
        if let bin = firstBin(from: own.next) { return heads[bin.number] }
        return wildUpper &- wildLower >= count ? Self.wilderness : lastResort(count, own)
    }

    /// In place of a node's number.
    static var wilderness: UInt32 { RangeNodes.none - 1 }

    @inline(__always)
    borrowing func lower(_ node: UInt32) -> Int { node == Self.wilderness ? wildLower : nodes[node].lower }

    /// A node of the request's own bin, the only one that is left: its ranges may or may not fit.
    @inline(never)
    borrowing func lastResort(_ count: Int, _ own: BinNumber) -> UInt32 {
        guard own.level < levelCapacity else { return RangeNodes.none }
        var node = heads[own.number]
        while node != RangeNodes.none {
            if nodes[node].upper &- nodes[node].lower >= count { return node }
            node = nodes[node].next
        }
        return RangeNodes.none
    }

    @inline(never)
    borrowing func node(count: Int, alignedTo alignment: Int) -> UInt32 {
        let own = BinNumber(holding: count)
        if own.level < levelCapacity, bits[own.level] & own.bit != 0 {
            let first = heads[own.number]
            if nodes.fits(first, count, alignment) { return first }
        }
        // A range of so many has room wherever it starts.
        let enough = BinNumber(holding: count &+ alignment &- 1)
        if let bin = firstBin(from: enough.next) { return heads[bin.number] }
        if wildUpper > wildLower, roundedUp(wildLower, alignment) &+ count <= wildUpper { return Self.wilderness }
        // Those that may or may not fit, the smallest bins first.
        var bin = firstBin(from: own)
        while let searched = bin {
            var node = heads[searched.number]
            while node != RangeNodes.none {
                if nodes.fits(node, count, alignment) { return node }
                node = nodes[node].next
            }
            bin = firstBin(from: searched.next)
        }
        return RangeNodes.none
    }

    public borrowing func find(count: Int, alignment: Int) -> Int? {
        let node = node(count: count, alignment: alignment)
        return node == RangeNodes.none ? nil : roundedUp(lower(node), alignment)
    }

    public borrowing func largestCount() -> Int {
        if levels == 0 { return wildUpper &- wildLower }
        let level = 63 - levels.leadingZeroBitCount
        var node = heads[level * BinNumber.binsPerLevel + 31 - bits[level].leadingZeroBitCount]
        var largest = wildUpper &- wildLower
        while node != RangeNodes.none {
            largest = max(largest, nodes[node].upper - nodes[node].lower)
            node = nodes[node].next
        }
        return largest
    }
}
