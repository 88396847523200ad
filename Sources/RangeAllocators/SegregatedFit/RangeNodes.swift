// The free ranges of a SegregatedFit by number, in one piece of memory that grows by a quarter.
//
//     node, 24 bytes   0 ─── 7   8 ─── 15   16 ── 19   20 ── 23
//                      lower     upper      previous   next
//
// N1. A node is live, or free: then its `upper` is `Int.min`, which no range ends at that is not empty, and `next`
//     leads to another free one.
// N2. Nodes from `used` on were never live.
// N3. Numbers are below 2^31: RangeEnds says in the highest bit which end of a node an entry is for.
//
// Cost: O(1), but for growing, which copies. Thread-safety: none.

struct RangeNode {
    var lower: Int
    var upper: Int
    var previous: UInt32
    var next: UInt32
}

struct RangeNodes: ~Copyable {
    /// The number of no node.
    static var none: UInt32 { .max }
    /// In the place of a free node's upper end (N1).
    private static var free: Int { .min }
    private static var greatestCapacity: Int { 1 << 31 }

    private var base: UnsafeMutablePointer<RangeNode>
    private var capacity: Int
    private var used = 0
    private var firstFree = UInt32.max
    /// The live ones.
    private(set) var count = 0

    init() {
        capacity = 4
        base = .allocate(capacity: 4)
    }

    deinit { base.deallocate() }

    var byteCount: Int { capacity * MemoryLayout<RangeNode>.stride }

    @inline(__always)
    subscript(_ node: UInt32) -> RangeNode {
        unsafeAddress { UnsafePointer(base + Int(node)) }
        nonmutating unsafeMutableAddress { base + Int(node) }
    }

    @inline(__always)
    mutating func allocate(_ lower: Int, _ upper: Int) -> UInt32 {
        let node: UInt32
        if firstFree != Self.none {
            node = firstFree
            firstFree = self[node].next
        } else {
            if used == capacity { grow() }
            node = UInt32(truncatingIfNeeded: used)
            used &+= 1
        }
        count &+= 1
        (base + Int(node)).initialize(
            to: RangeNode(lower: lower, upper: upper, previous: Self.none, next: Self.none))
        return node
    }

    @inline(__always)
    mutating func free(_ node: UInt32) {
        self[node].upper = Self.free
        self[node].next = firstFree
        firstFree = node
        count &-= 1
    }

    @inline(never)
    private mutating func grow() {
        let larger = Self.capacity(after: capacity)
        let grown = UnsafeMutablePointer<RangeNode>.allocate(capacity: larger)
        grown.moveInitialize(from: base, count: used)
        base.deallocate()
        base = grown
        capacity = larger
    }

    /// How many nodes there is room for after growing. Traps where no more can have a number (N3).
    static func capacity(after capacity: Int) -> Int {
        guard capacity < greatestCapacity else { fatalError("SegregatedFit: more than 2^31 free ranges") }
        return min(capacity + max(capacity / 4, 4), greatestCapacity)
    }

    mutating func removeAll() {
        used = 0
        count = 0
        firstFree = Self.none
    }

    /// Whether so much memory is unused that moving to less is worth it.
    @inline(__always)
    var isMostlyFree: Bool { capacity > 1024 && count < capacity &>> 3 }

    @inline(__always)
    func fits(_ node: UInt32, _ count: Int, _ alignment: Int) -> Bool {
        roundedUp(self[node].lower, alignment) &+ count <= self[node].upper
    }

    /// The live node whose range the offset lies in, or `none`. O(n).
    func node(containing offset: Int) -> UInt32 {
        for node in 0..<UInt32(truncatingIfNeeded: used) where self[node].upper > offset && self[node].lower <= offset {
            return node
        }
        return Self.none
    }

    /// The live nodes. O(n).
    func live() -> some Sequence<UInt32> {
        let base = base
        return (0..<UInt32(truncatingIfNeeded: used)).lazy.filter { base[Int($0)].upper != Self.free }
    }

    /// The live ranges, in no order. O(n).
    func ranges() -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        ranges.reserveCapacity(count)
        for node in 0..<UInt32(truncatingIfNeeded: used) where self[node].upper != Self.free {
            ranges.append(self[node].lower..<self[node].upper)
        }
        return ranges
    }

    func brokenInvariant() -> String? {
        let ranges = ranges()
        guard ranges.count == count else { return "N1: \(ranges.count) live nodes, \(count) counted" }
        var free = 0
        var node = firstFree
        while node != Self.none {
            free += 1
            guard free <= used, self[node].upper == Self.free else { return "N1: the free node \(node)" }
            node = self[node].next
        }
        return count + free == used ? nil : "N2: \(count) live and \(free) free of \(used)"
    }
}
