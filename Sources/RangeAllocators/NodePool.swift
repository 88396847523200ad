// Nodes of one size for trees whose links are 4-byte indices: half the bytes of pointers, and the memory can move.
//
// All nodes lie side by side in one block, which grows by a quarter. A node that was put back holds, in its first four
// bytes, the index of the one that was put back before it. Node 0 is never handed out: index 0 means "none".
//
// Invariants:
// N1. `handedOut` nodes are out; together with those on the free list and node 0 they are the first `carved` ones.
// N2. `carved` is at most `capacity`.
//
// Cost: O(1), but for growing, which copies. Not thread-safe.

/// A store of nodes of one size, named by index. Growing moves them: no pointer outlives a call of ``take()``.
struct NodePool: ~Copyable {
    /// Cache lines: a node of a multiple of 64 bytes begins with one.
    private static let alignment = 64
    private static let firstCapacity = 4

    let nodeByteCount: Int
    private(set) var base: UnsafeMutableRawPointer
    private(set) var capacity: Int
    private(set) var handedOut = 0
    private var carved = 1
    private var freeHead: UInt32 = 0

    init(nodeByteCount: Int) {
        self.nodeByteCount = nodeByteCount
        capacity = Self.firstCapacity
        base = .allocate(byteCount: capacity * nodeByteCount, alignment: Self.alignment)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: nodeByteCount)
    }

    deinit {
        base.deallocate()
    }

    /// The bytes that the pool occupies, nodes that are not handed out included.
    var byteCount: Int { capacity * nodeByteCount }

    /// Where a node lies until the next ``take()``.
    @inline(__always)
    func address(of node: UInt32) -> UnsafeMutableRawPointer {
        base + Int(node) &* nodeByteCount
    }

    /// Hands a node out; what it holds is undefined. O(1), amortised. Traps past 2^32 nodes.
    mutating func take() -> UInt32 {
        handedOut += 1
        if freeHead != 0 {
            let node = freeHead
            freeHead = address(of: node).load(as: UInt32.self)
            return node
        }
        if carved == capacity { grow() }
        defer { carved += 1 }
        return UInt32(carved)
    }

    /// Takes a node back. O(1).
    mutating func put(_ node: UInt32) {
        address(of: node).storeBytes(of: freeHead, as: UInt32.self)
        freeHead = node
        handedOut -= 1
    }

    /// Takes all nodes back and keeps their memory; node 0 keeps what it holds. O(1).
    mutating func removeAll() {
        handedOut = 0
        carved = 1
        freeHead = 0
    }

    private mutating func grow() {
        let larger = capacity + max(capacity / 4, Self.firstCapacity)
        guard larger <= Int(UInt32.max) else { fatalError("RangeAllocators: more than 2^32 free ranges") }
        let moved = UnsafeMutableRawPointer.allocate(byteCount: larger * nodeByteCount, alignment: Self.alignment)
        moved.copyMemory(from: base, byteCount: carved * nodeByteCount)
        base.deallocate()
        base = moved
        capacity = larger
    }

    /// What is wrong with the pool, or nil. O(nodes on the free list).
    func brokenInvariant() -> String? {
        guard carved <= capacity else { return "N2: \(carved) nodes carved of \(capacity)" }
        var free = 0
        var node = freeHead
        while node != 0 {
            guard node < carved, free < carved else { return "N1: the free list leads to node \(node)" }
            free += 1
            node = address(of: node).load(as: UInt32.self)
        }
        guard handedOut + free + 1 == carved else {
            return "N1: \(handedOut) nodes handed out and \(free) free, but \(carved) carved"
        }
        return nil
    }
}
