// Segregated fit: free ranges in bins by size, found by two levels of bits; and a hash table of their ends, by which a
// range that is freed finds its neighbours.
//
//     levels   one bit a level with a range in it
//     bins     a level: 32 bits, one a bin, and 32 heads of lists; see BinNumber.swift for which sizes a bin has
//     nodes    lower, upper, links of its bin's list: 24 bytes a free range, by number; see RangeNodes.swift
//     ends     open addressing, 4 bytes an entry: a node's number under its lower end, and under its upper; see
//              RangeEnds.swift
//
// F1. Each free range has one node, which is in the list of the bin of its count, and in `ends` twice.
// F2. A bin's bit is set exactly where its list is not empty; a level's where a bin of it has its bit set.
// F3. Whenever an end is removed from `ends`, the nodes have the ends of all other entries.
// F4. R1, from which follows that no offset is an end of two free ranges: `ends` has each key once.
//
// Cost: a request looks at the first range of its own bin, then takes the first of the next bin that has any, all of
// which are large enough. Only where there is none does it search the one bin whose ranges may or may not fit (with an
// alignment, the bins up to count + alignment - 1). Freeing looks up the two ends. Both are O(1) but for that search,
// and for the table's growth; what they cost besides is cache misses, about one an end and one a neighbour.
// Thread-safety: none.
//
// The bins are those of Masmano, Ripoll, Crespo and Real: "TLSF: a new dynamic memory allocator for real-time systems"
// (2004). Theirs are over memory, whose block headers lead to the neighbours; here a hash table does.

/// Free ranges in bins by size: the strategy to use unless another's order matters.
///
/// Allocating and freeing take the same time however many ranges there are, but for cache misses. A request is placed
/// in a range whose count is at most a 32nd above what is needed, or in the next larger ones: near to best fit.
///
/// It sees that what is freed is free already where an end of it is an end of a free range; `RangeChecks.everything`
/// finds the other cases.
public struct SegregatedFit: RangeStrategy, ~Copyable {
    var nodes: RangeNodes
    var ends: RangeEnds
    /// A bit a level.
    private var levels: UInt64
    /// The bits of each level's bins: as many as there can be levels.
    private let bits: UnsafeMutablePointer<UInt32>
    /// The lists of the bins of the first `levelCapacity` levels.
    private var heads: UnsafeMutablePointer<UInt32>
    private var levelCapacity: Int

    public init() {
        nodes = RangeNodes()
        ends = RangeEnds()
        levels = 0
        bits = .allocate(capacity: BinNumber.levelCount)
        bits.initialize(repeating: 0, count: BinNumber.levelCount)
        levelCapacity = 4
        heads = .allocate(capacity: 4 * BinNumber.binsPerLevel)
        heads.initialize(repeating: RangeNodes.none, count: 4 * BinNumber.binsPerLevel)
    }

    deinit {
        bits.deallocate()
        heads.deallocate()
    }

    public static var findsEveryOverlap: Bool { false }

    public var rangeCount: Int { nodes.count }

    public var metadataByteCount: Int {
        nodes.byteCount + ends.byteCount + MemoryLayout<Self>.size
            + 4 * (BinNumber.levelCount + levelCapacity * BinNumber.binsPerLevel)
    }

    // MARK: Bins

    /// Puts a node in the bin of its count (F1, F2).
    private mutating func link(_ node: UInt32, _ bin: BinNumber) {
        if bin.level >= levelCapacity { growHeads(to: bin.level + 1) }
        let head = heads + bin.index
        let next = head.pointee
        nodes[node].previous = RangeNodes.none
        nodes[node].next = next
        if next != RangeNodes.none {
            nodes[next].previous = node
        } else {
            bits[bin.level] |= 1 << bin.position
            levels |= 1 << UInt64(truncatingIfNeeded: bin.level)
        }
        head.pointee = node
    }

    private mutating func unlink(_ node: UInt32, _ bin: BinNumber) {
        let (previous, next) = (nodes[node].previous, nodes[node].next)
        if next != RangeNodes.none { nodes[next].previous = previous }
        if previous != RangeNodes.none {
            nodes[previous].next = next
        } else {
            heads[bin.index] = next
            if next == RangeNodes.none {
                bits[bin.level] &= ~(1 << bin.position)
                if bits[bin.level] == 0 { levels &= ~(1 << UInt64(truncatingIfNeeded: bin.level)) }
            }
        }
    }

    /// Gives a node other bounds, and the bin of its new count. Most ranges that shrink or grow stay in theirs.
    private mutating func setBounds(_ node: UInt32, _ lower: Int, _ upper: Int) {
        let old = BinNumber(holding: nodes[node].upper &- nodes[node].lower)
        let new = BinNumber(holding: upper &- lower)
        nodes[node].lower = lower
        nodes[node].upper = upper
        if old != new {
            unlink(node, old)
            link(node, new)
        }
    }

    @inline(never)
    private mutating func growHeads(to count: Int) {
        let old = levelCapacity * BinNumber.binsPerLevel
        let new = count * BinNumber.binsPerLevel
        let grown = UnsafeMutablePointer<UInt32>.allocate(capacity: new)
        grown.moveInitialize(from: heads, count: old)
        (grown + old).initialize(repeating: RangeNodes.none, count: new - old)
        heads.deallocate()
        heads = grown
        levelCapacity = count
    }

    /// The first bin at or above `bin` that has a range, or nil.
    private borrowing func firstBin(from bin: BinNumber) -> BinNumber? {
        let inLevel = bits[bin.level] & (~0 << bin.position)
        if inLevel != 0 { return BinNumber(level: bin.level, position: UInt32(inLevel.trailingZeroBitCount)) }
        let above = levels & (~1 << UInt64(truncatingIfNeeded: bin.level))
        if above == 0 { return nil }
        let level = above.trailingZeroBitCount
        return BinNumber(level: level, position: UInt32(bits[level].trailingZeroBitCount))
    }

    // MARK: Finding

    /// A node with room for the request, or `none`: then there is none (R2).
    private borrowing func node(count: Int, alignment: Int) -> UInt32 {
        if alignment > 1 { return node(count: count, alignedTo: alignment) }
        let own = BinNumber(holding: count)
        // The first of the request's own bin, which sizes that come again and again find: they would split others.
        var first = RangeNodes.none
        if bits[own.level] & 1 << own.position != 0 {
            first = heads[own.index]
            if nodes[first].upper &- nodes[first].lower >= count { return first }
        }
        if let next = own.next, let bin = firstBin(from: next) { return heads[bin.index] }
        // The only bin that is left: its other ranges may or may not fit.
        while first != RangeNodes.none {
            if nodes[first].upper &- nodes[first].lower >= count { return first }
            first = nodes[first].next
        }
        return RangeNodes.none
    }

    @inline(never)
    private borrowing func node(count: Int, alignedTo alignment: Int) -> UInt32 {
        let own = BinNumber(holding: count)
        if bits[own.level] & 1 << own.position != 0 {
            let first = heads[own.index]
            if nodes.fits(first, count, alignment) { return first }
        }
        // A range of so many has room wherever it starts.
        let most = count &+ alignment &- 1
        let enough = BinNumber(holding: most)
        if let above = enough.next, let bin = firstBin(from: above) { return heads[bin.index] }
        // Those that may or may not fit, the smallest bins first.
        var bin = firstBin(from: own)
        while let searched = bin {
            var node = heads[searched.index]
            while node != RangeNodes.none {
                if nodes.fits(node, count, alignment) { return node }
                node = nodes[node].next
            }
            bin = searched.next.flatMap { firstBin(from: $0) }
        }
        return RangeNodes.none
    }

    public borrowing func find(count: Int, alignment: Int) -> Int? {
        let node = node(count: count, alignment: alignment)
        return node == RangeNodes.none ? nil : roundedUp(nodes[node].lower, alignment)
    }

    public borrowing func largestCount() -> Int {
        if levels == 0 { return 0 }
        let level = 63 - levels.leadingZeroBitCount
        var node = heads[BinNumber(level: level, position: UInt32(31 - bits[level].leadingZeroBitCount)).index]
        var largest = 0
        while node != RangeNodes.none {
            largest = max(largest, nodes[node].upper - nodes[node].lower)
            node = nodes[node].next
        }
        return largest
    }

    // MARK: Taking and freeing

    public mutating func allocate(count: Int, alignment: Int) -> Int? {
        let node = node(count: count, alignment: alignment)
        if node == RangeNodes.none { return nil }
        let lower = roundedUp(nodes[node].lower, alignment)
        cut(node, lower, lower &+ count)
        return lower
    }

    /// Takes a part out of a node's range.
    private mutating func cut(_ node: UInt32, _ lower: Int, _ upper: Int) {
        let (freeLower, freeUpper) = (nodes[node].lower, nodes[node].upper)
        if lower == freeLower {
            if upper == freeUpper {
                unlink(node, BinNumber(holding: freeUpper &- freeLower))
                ends.remove(freeLower, .lower, of: node, nodes)
                ends.remove(freeUpper, .upper, of: node, nodes)
                nodes.free(node)
                shrinkIfMostlyFree()
            } else {
                ends.remove(freeLower, .lower, of: node, nodes)
                ends.insert(upper, .lower, of: node)
                setBounds(node, upper, freeUpper)
            }
        } else if upper == freeUpper {
            ends.remove(freeUpper, .upper, of: node, nodes)
            ends.insert(lower, .upper, of: node)
            setBounds(node, freeLower, lower)
        } else {
            // The node keeps what is in front; another gets what is behind, and its upper end.
            let behind = newNode(upper, freeUpper)
            ends.replace(freeUpper, .upper, of: node, with: behind)
            ends.insert(upper, .lower, of: behind)
            ends.insert(lower, .upper, of: node)
            setBounds(node, freeLower, lower)
            link(behind, BinNumber(holding: freeUpper &- upper))
        }
    }

    /// A node in no list and with no ends in the table.
    private mutating func newNode(_ lower: Int, _ upper: Int) -> UInt32 {
        ends.reserve(rangeCount: nodes.count &+ 1, nodes)
        return nodes.allocate(lower, upper)
    }

    public mutating func allocate(_ lower: Int, _ upper: Int) -> Bool {
        var node = ends.node(under: lower, .lower, nodes)
        if node == RangeNodes.none { node = ends.node(under: upper, .upper, nodes) }
        if node == RangeNodes.none { node = nodes.node(containing: lower) }
        guard node != RangeNodes.none, nodes[node].lower <= lower, nodes[node].upper >= upper else { return false }
        cut(node, lower, upper)
        return true
    }

    public mutating func insert(_ lower: Int, _ upper: Int) -> Bool {
        let below = ends.find(lower, nodes)
        let above = ends.find(upper, nodes)
        // F4: what starts at `lower`, or ends at `upper`, is free and overlaps.
        if below.isFound, below.end == .lower { return false }
        if above.isFound, above.end == .upper { return false }
        switch (below.isFound, above.isFound) {
        case (false, false):
            let node = newNode(lower, upper)
            ends.insert(lower, .lower, of: node)
            ends.insert(upper, .upper, of: node)
            link(node, BinNumber(holding: upper &- lower))
        case (true, false):
            let freeLower = nodes[below.node].lower
            ends.remove(lower, .upper, of: below.node, nodes)
            ends.insert(upper, .upper, of: below.node)
            setBounds(below.node, freeLower, upper)
        case (false, true):
            ends.remove(upper, .lower, of: above.node, nodes)
            ends.insert(lower, .lower, of: above.node)
            setBounds(above.node, lower, nodes[above.node].upper)
        case (true, true):
            let end = nodes[above.node].upper
            ends.remove(lower, .upper, of: below.node, nodes)
            ends.remove(upper, .lower, of: above.node, nodes)
            ends.replace(end, .upper, of: above.node, with: below.node)
            unlink(above.node, BinNumber(holding: end &- upper))
            nodes.free(above.node)
            setBounds(below.node, nodes[below.node].lower, end)
            shrinkIfMostlyFree()
        }
        return true
    }

    // MARK: The whole

    public borrowing func lowerEnd(ofRangeEndingAt upper: Int) -> Int? {
        let node = ends.node(under: upper, .upper, nodes)
        return node == RangeNodes.none ? nil : nodes[node].lower
    }

    public borrowing func freeRanges() -> [Range<Int>] { nodes.ranges().sorted { $0.lowerBound < $1.lowerBound } }

    public mutating func removeAll() {
        nodes.removeAll()
        ends.removeAll()
        while levels != 0 {
            let level = levels.trailingZeroBitCount
            (heads + level * BinNumber.binsPerLevel).update(repeating: RangeNodes.none, count: BinNumber.binsPerLevel)
            bits[level] = 0
            levels &= levels &- 1
        }
    }

    /// Moves what is left into less memory where few ranges are left of many: otherwise a moment of fragmentation
    /// would hold memory for ever. Amortised over the frees that it took, O(1).
    @inline(__always)
    private mutating func shrinkIfMostlyFree() {
        if nodes.isMostlyFree { shrink() }
    }

    @inline(never)
    private mutating func shrink() {
        let ranges = nodes.ranges()
        removeAll()
        nodes = RangeNodes()
        ends = RangeEnds()
        for range in ranges {
            let node = newNode(range.lowerBound, range.upperBound)
            ends.insert(range.lowerBound, .lower, of: node)
            ends.insert(range.upperBound, .upper, of: node)
            link(node, BinNumber(holding: range.count))
        }
    }

    public borrowing func brokenInvariant() -> String? {
        var linked = 0
        for level in 0..<BinNumber.levelCount {
            guard (levels >> UInt64(level) & 1 == 1) == (bits[level] != 0) else {
                return "F2: the bit of level \(level)"
            }
            guard level < levelCapacity else { continue }
            for position in 0..<UInt32(BinNumber.binsPerLevel) {
                let bin = BinNumber(level: level, position: position)
                var node = heads[bin.index]
                guard (bits[level] >> position & 1 == 1) == (node != RangeNodes.none) else { return "F2: bin \(bin)" }
                var previous = RangeNodes.none
                while node != RangeNodes.none {
                    guard BinNumber(holding: nodes[node].upper - nodes[node].lower) == bin else {
                        return "F1: a range of \(nodes[node].upper - nodes[node].lower) in bin \(bin)"
                    }
                    guard nodes[node].previous == previous else { return "F1: a link back in bin \(bin)" }
                    (previous, node) = (node, nodes[node].next)
                    linked += 1
                    guard linked <= nodes.count else { return "F1: more links than ranges" }
                }
            }
        }
        guard linked == nodes.count else { return "F1: \(linked) ranges in bins, \(nodes.count) in all" }
        return nodes.brokenInvariant() ?? ends.brokenInvariant(nodes)
    }
}

/// The least multiple of a power of two that is not below the offset.
@inline(__always)
func roundedUp(_ offset: Int, _ alignment: Int) -> Int { (offset &+ alignment &- 1) & ~(alignment &- 1) }
