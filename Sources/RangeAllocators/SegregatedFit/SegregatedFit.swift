// Segregated fit: free ranges in bins by size, found by two levels of bits; and a hash table of their ends, by which a
// range that is freed finds its neighbours.
//
//     levels   one bit a level with a range in it
//     bins     a level: 32 bits, one a bin, and 32 heads of lists; see BinNumber.swift for which sizes a bin has
//     nodes    lower, upper, links of its bin's list: 24 bytes a free range, by number; see RangeNodes.swift
//     ends     a hash table, 5 bytes an entry: a node's number under its lower end, and under its upper; see
//              RangeEnds.swift
//
//     wilderness   the range that an empty space started with, or what is left of it: no node, no bin, no entry
//
// F1. Each free range but the wilderness has one node, which is in the list of the bin of its count, and in `ends`
//     twice.
// F2. A bin's bit is set exactly where its list is not empty; a level's where a bin of it has its bit set.
// F3. R1, from which follows that no offset is an end of two free ranges: `ends` has each key once.
//
// F4. The wilderness is not empty, or `Int.min ..< Int.min`. It touches no free range.
//
// Cost: a request looks at the first range of its own bin, then takes the first of the next bin that has any, all of
// which are large enough, then the wilderness. Only where that does not fit does it search the one bin whose ranges may
// or may not fit (with an alignment, the bins up to count + alignment - 1). Freeing looks up the two ends. Both are
// O(1) but for that search, and for the growth of nodes and table; what they cost besides is cache misses, about one an
// end and one a neighbour.
//
// Memory: from 40 to 50 bytes a free range, as far as nodes (24 to 30) and table (16 to 20) have just grown or are
// about to; none for what is allocated; about 1 KiB whatever there is. What has grown shrinks again when less than an
// eighth is in use.
//
// Thread-safety: none.
//
// The bins are those of Masmano, Ripoll, Crespo and Real: "TLSF: a new dynamic memory allocator for real-time systems"
// (2004). Theirs are over memory, whose block headers lead to the neighbours; here a hash table does.

/// Free ranges in bins by size: the strategy to use unless another's order matters.
///
/// Allocating and freeing take the same time however many ranges there are, but for cache misses. A request is placed
/// in a range whose count is at most a 32nd above what is needed, or in the next larger ones: near to best fit.
///
/// Memory: at most 50 bytes for each of the most free ranges that there were at once, and none for what is allocated:
/// where every second range is free that is 25 for any range, and next to nothing where few are. It is given back when
/// seven eighths of them have gone. Where it counts more than time, ``FirstFit`` takes about 28 bytes a free range.
///
/// It sees that what is freed is free already where an end of it is an end of a free range; `RangeChecks.everything`
/// finds the other cases.
public struct SegregatedFit: RangeStrategy, ~Copyable {
    var nodes: RangeNodes
    var ends: RangeEnds
    /// A bit a level.
    var levels: UInt64
    /// The bits of each level's bins: as many as there can be levels.
    let bits: UnsafeMutablePointer<UInt32>
    /// The lists of the bins of the first `levelCapacity` levels.
    var heads: UnsafeMutablePointer<UInt32>
    var levelCapacity: Int
    var wildLower = Int.min
    var wildUpper = Int.min

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

    public var rangeCount: Int { nodes.count &+ (wildUpper > wildLower ? 1 : 0) }

    public var metadataByteCount: Int {
        nodes.byteCount + ends.byteCount + MemoryLayout<Self>.size
            + 4 * (BinNumber.levelCount + levelCapacity * BinNumber.binsPerLevel)
    }

    // MARK: Bins

    /// Puts a node in the bin of its count (F1, F2).
    @inline(__always)
    private mutating func link(_ node: UInt32, _ bin: BinNumber) {
        if bin.level >= levelCapacity { growHeads(to: bin.level + 1) }
        let next = heads[bin.number]
        heads[bin.number] = node
        nodes[node].previous = RangeNodes.none
        nodes[node].next = next
        if next != RangeNodes.none {
            nodes[next].previous = node
        } else {
            bits[bin.level] |= bin.bit
            levels |= 1 &<< UInt64(truncatingIfNeeded: bin.level)
        }
    }

    @inline(__always)
    private mutating func unlink(_ node: UInt32, _ bin: BinNumber) {
        let (previous, next) = (nodes[node].previous, nodes[node].next)
        if next != RangeNodes.none { nodes[next].previous = previous }
        if previous != RangeNodes.none {
            nodes[previous].next = next
        } else {
            heads[bin.number] = next
            if next == RangeNodes.none {
                bits[bin.level] &= ~bin.bit
                if bits[bin.level] == 0 { levels &= ~(1 &<< UInt64(truncatingIfNeeded: bin.level)) }
            }
        }
    }

    /// Gives a node other bounds, and the bin of its new count. Most ranges that shrink or grow stay in theirs.
    @inline(__always)
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
    @inline(__always)
    borrowing func firstBin(from bin: BinNumber) -> BinNumber? {
        let level = bin.level
        if level >= levelCapacity { return nil }
        let inLevel = bits[level] & (0 &- bin.bit)
        if inLevel != 0 { return BinNumber(level &<< 5 &+ inLevel.trailingZeroBitCount) }
        let above = levels & (~1 &<< UInt64(truncatingIfNeeded: level))
        if above == 0 { return nil }
        let higher = above.trailingZeroBitCount
        return BinNumber(higher &<< 5 &+ bits[higher].trailingZeroBitCount)
    }

    // MARK: Taking and freeing

    public mutating func allocate(count: Int, alignment: Int) -> Int? {
        let node = node(count: count, alignment: alignment)
        if node == RangeNodes.none { return nil }
        let lower = roundedUp(lower(node), alignment)
        if node == Self.wilderness {
            cutWilderness(lower, lower &+ count)
        } else {
            cut(node, lower, lower &+ count)
        }
        return lower
    }

    /// Takes a whole free range that has room for `count` (at least 1), or nil: for a caller who cuts it up himself.
    package mutating func allocateRange(holding count: Int) -> Range<Int>? {
        let node = node(count: count, alignment: 1)
        if node == RangeNodes.none { return nil }
        if node != Self.wilderness { return takeOut(node) }
        defer { (wildLower, wildUpper) = (.min, .min) }
        return wildLower..<wildUpper
    }

    /// Takes a part out of the wilderness, which keeps what is behind it.
    @inline(__always)
    private mutating func cutWilderness(_ lower: Int, _ upper: Int) {
        let front = wildLower
        if upper == wildUpper {
            // F4. What is in front, if anything, stays the wilderness.
            wildUpper = lower
            if front == lower { (wildLower, wildUpper) = (.min, .min) }
        } else {
            wildLower = upper
            if front != lower { add(front, lower) }
        }
    }

    /// Enters a free range that touches no other.
    private mutating func add(_ lower: Int, _ upper: Int) {
        let node = newNode(lower, upper)
        ends.insert(lower, .lower, of: node)
        ends.insert(upper, .upper, of: node)
        link(node, BinNumber(holding: upper &- lower))
    }

    /// Takes a part out of a node's range.
    private mutating func cut(_ node: UInt32, _ lower: Int, _ upper: Int) {
        let (freeLower, freeUpper) = (nodes[node].lower, nodes[node].upper)
        if lower == freeLower {
            if upper == freeUpper {
                _ = takeOut(node)
            } else {
                ends.remove(freeLower, .lower, of: node)
                ends.insert(upper, .lower, of: node)
                setBounds(node, upper, freeUpper)
            }
        } else if upper == freeUpper {
            ends.remove(freeUpper, .upper, of: node)
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
        ends.reserve(nodes)
        return nodes.allocate(lower, upper)
    }

    public mutating func allocate(_ lower: Int, _ upper: Int) -> Bool {
        if lower >= wildLower, upper <= wildUpper {
            cutWilderness(lower, upper)
            return true
        }
        var node = ends.find(lower, nodes).node
        if node == RangeNodes.none { node = ends.find(upper, nodes).node }
        if node == RangeNodes.none { node = nodes.node(containing: lower) }
        guard node != RangeNodes.none, nodes[node].lower <= lower, nodes[node].upper >= upper else { return false }
        cut(node, lower, upper)
        return true
    }

    public mutating func insert(_ lower: Int, _ upper: Int) -> Bool {
        if lower <= wildUpper, upper >= wildLower { return insertBesideWilderness(lower, upper) }
        if nodes.count == 0, wildUpper == wildLower {
            (wildLower, wildUpper) = (lower, upper)
            return true
        }
        let below = ends.find(lower, nodes)
        // F3: what starts at `lower`, or ends at `upper`, is free and overlaps.
        if below.isFound, nodes[below.node].lower == lower { return false }
        let above = ends.find(upper, nodes)
        if above.isFound {
            let end = nodes[above.node].upper
            if end == upper { return false }
            ends.remove(above)
            if below.isFound {
                join(below.node, above.node, lower, upper, end)
            } else {
                ends.insert(lower, .lower, of: above.node)
                setBounds(above.node, lower, end)
            }
        } else if below.isFound {
            ends.remove(below)
            ends.insert(upper, .upper, of: below.node)
            setBounds(below.node, nodes[below.node].lower, upper)
        } else {
            add(lower, upper)
        }
        return true
    }

    /// Frees what touches the wilderness or overlaps it: a part of it, from then on.
    @inline(__always)
    private mutating func insertBesideWilderness(_ lower: Int, _ upper: Int) -> Bool {
        if lower < wildUpper, upper > wildLower { return false }
        if upper == wildLower {
            if nodes.count == 0 {
                wildLower = lower
                return true
            }
            let below = ends.find(lower, nodes)
            if below.isFound, nodes[below.node].lower == lower { return false }
            wildLower = below.isFound ? takeOut(below.node).lowerBound : lower
        } else {
            let above = ends.find(upper, nodes)
            if above.isFound, nodes[above.node].upper == upper { return false }
            wildUpper = above.isFound ? takeOut(above.node).upperBound : upper
        }
        return true
    }

    /// Removes a free range from the records.
    private mutating func takeOut(_ node: UInt32) -> Range<Int> {
        let (lower, upper) = (nodes[node].lower, nodes[node].upper)
        unlink(node, BinNumber(holding: upper &- lower))
        ends.remove(lower, .lower, of: node)
        ends.remove(upper, .upper, of: node)
        nodes.free(node)
        shrinkIfMostlyFree()
        return lower..<upper
    }

    /// Frees what lies between two free ranges: the one above is no more, and its end is the other's.
    private mutating func join(_ below: UInt32, _ above: UInt32, _ lower: Int, _ upper: Int, _ end: Int) {
        ends.remove(lower, .upper, of: below)
        ends.replace(end, .upper, of: above, with: below)
        unlink(above, BinNumber(holding: end &- upper))
        nodes.free(above)
        setBounds(below, nodes[below].lower, end)
        shrinkIfMostlyFree()
    }

    // MARK: The whole

    public borrowing func lowerEnd(ofRangeEndingAt upper: Int) -> Int? {
        if upper == wildUpper { return wildLower }
        let found = ends.find(upper, nodes)
        return found.isFound && nodes[found.node].upper == upper ? nodes[found.node].lower : nil
    }

    public borrowing func freeRanges() -> [Range<Int>] {
        var ranges = nodes.ranges()
        if wildUpper > wildLower { ranges.append(wildLower..<wildUpper) }
        ranges.sort { $0.lowerBound < $1.lowerBound }
        return ranges
    }

    public mutating func removeAll() {
        (wildLower, wildUpper) = (.min, .min)
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
        let wilderness = (wildLower, wildUpper)
        removeAll()
        (wildLower, wildUpper) = wilderness
        nodes = RangeNodes()
        ends = RangeEnds()
        for range in ranges { add(range.lowerBound, range.upperBound) }
    }
}

/// The least multiple of a power of two that is not below the offset.
@inline(__always)
func roundedUp(_ offset: Int, _ alignment: Int) -> Int { (offset &+ alignment &- 1) & ~(alignment &- 1) }
