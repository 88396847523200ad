// The invariants of SegregatedFit.swift, walked in full, and those of its nodes and of the table of their ends: for
// tests. O(ranges · log(ranges)).

extension SegregatedFit {
    public borrowing func brokenInvariant() -> String? {
        var linked = 0
        for level in 0..<BinNumber.levelCount {
            guard (levels >> UInt64(level) & 1 == 1) == (bits[level] != 0) else {
                return "F2: the bit of level \(level)"
            }
            guard level < levelCapacity else { continue }
            for position in 0..<BinNumber.binsPerLevel {
                let bin = BinNumber(level * BinNumber.binsPerLevel + position)
                var node = heads[bin.number]
                guard (bits[level] & bin.bit != 0) == (node != RangeNodes.none) else { return "F2: bin \(bin.number)" }
                var previous = RangeNodes.none
                while node != RangeNodes.none {
                    guard BinNumber(holding: nodes[node].upper - nodes[node].lower) == bin else {
                        return "F1: a range of \(nodes[node].upper - nodes[node].lower) in bin \(bin.number)"
                    }
                    guard nodes[node].previous == previous else { return "F1: a link back in bin \(bin.number)" }
                    (previous, node) = (node, nodes[node].next)
                    linked += 1
                    guard linked <= nodes.count else { return "F1: more links than ranges" }
                }
            }
        }
        guard linked == nodes.count else { return "F1: \(linked) ranges in bins, \(nodes.count) in all" }
        let ranges = freeRanges()
        for (range, next) in zip(ranges, ranges.dropFirst()) where range.upperBound >= next.lowerBound {
            return "R1: \(range) and \(next)"
        }
        guard ranges.count == rangeCount, !ranges.contains(where: \.isEmpty) else { return "R1, F4: an empty range" }
        return nodes.brokenInvariant() ?? ends.brokenInvariant(nodes)
    }
}
