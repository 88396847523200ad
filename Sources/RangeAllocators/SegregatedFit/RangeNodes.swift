// The free ranges of a SegregatedFit by number, in one piece of memory that grows by halves.
//
// N1. A node is live, or free: then its `upper` is -1, and `next` leads to another free one.
// N2. Nodes from `used` on were never live.

struct RangeNode {
    var lower: Int
    var upper: Int
    var previous: UInt32
    var next: UInt32
}

struct RangeNodes: ~Copyable {
    /// The number of no node.
    static var none: UInt32 { .max }

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
        self[node].upper = -1
        self[node].next = firstFree
        firstFree = node
        count &-= 1
    }

    @inline(never)
    private mutating func grow() {
        let larger = capacity + max(capacity / 2, 4)
        let grown = UnsafeMutablePointer<RangeNode>.allocate(capacity: larger)
        grown.moveInitialize(from: base, count: used)
        base.deallocate()
        base = grown
        capacity = larger
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
        return (0..<UInt32(truncatingIfNeeded: used)).lazy.filter { base[Int($0)].upper >= 0 }
    }

    /// The live ranges, in no order. O(n).
    func ranges() -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        ranges.reserveCapacity(count)
        for node in 0..<UInt32(truncatingIfNeeded: used) where self[node].upper >= 0 {
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
            guard free <= used, self[node].upper == -1 else { return "N1: the free node \(node)" }
            node = self[node].next
        }
        return count + free == used ? nil : "N2: \(count) live and \(free) free of \(used)"
    }
}
