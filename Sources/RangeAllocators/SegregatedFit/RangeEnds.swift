// Where a free range starts or ends: a hash table from offsets to nodes. Open addressing with linear probing; an entry
// that is removed leaves no mark behind, those after it move up.
//
//     entry   31 ──── 29   28         27 ─────── k   k-1 ─────── 0
//             distance     is upper   part of hash   node's number + 1, or 0: empty
//
// A table of 2^m entries has numbers of k = m - 1 bits, which suffice, since a range has two entries and at most 5/8 of
// the entries are used. The offset itself is in the node: what the part of the hash does not rule out is looked up
// there. The distance is from the place where the hash wants it; 7 stands for 7 and more, which is found out from the
// node.
//
// E1. Every live node is in the table twice, under its two ends, and nothing else is.
// E2. Between an entry's place and where its hash wants it no entry is empty.

struct RangeEnds: ~Copyable {
    enum End: UInt32, BitwiseCopyable {
        case lower = 0
        case upper = 0x1000_0000
    }

    /// What a search found: the node, and which end of it lies there.
    struct Found: BitwiseCopyable {
        let node: UInt32
        let end: End

        @inline(__always)
        var isFound: Bool { node != RangeNodes.none }
    }

    private var entries: UnsafeMutablePointer<UInt32>
    private var mask: Int
    /// From the hash to the place.
    private var shift: UInt64
    private var indexMask: UInt32

    private static var upperBit: UInt32 { End.upper.rawValue }
    private static var distanceShift: UInt32 { 29 }
    private static var manyBits: UInt32 { 7 }
    /// The bits of the hash and of the number.
    private static var hashBits: UInt32 { 0x0fff_ffff }

    init() { self.init(bits: 4) }

    private init(bits: Int) {
        let count = 1 << bits
        entries = .allocate(capacity: count)
        entries.initialize(repeating: 0, count: count)
        mask = count - 1
        shift = UInt64(64 - bits)
        indexMask = 1 << UInt32(bits - 1) - 1
    }

    deinit { entries.deallocate() }

    var byteCount: Int { (mask + 1) * 4 }

    /// Multiplies by 2^64 over the golden ratio: the upper bits are the place. What is folded in lets offsets that
    /// differ in high bits alone differ in all.
    @inline(__always)
    private func hash(_ key: Int) -> UInt64 {
        let key = UInt64(bitPattern: Int64(key))
        return (key ^ key &>> 32) &* 0x9e37_79b9_7f4a_7c15
    }

    @inline(__always)
    private func place(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash &>> shift) }

    /// The hash's bits of an entry: others than those that make the place.
    @inline(__always)
    private func tag(_ hash: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: hash &>> 4) & Self.hashBits & ~indexMask
    }

    /// The node that has an end at the offset.
    @inline(__always)
    func find(_ key: Int, _ nodes: borrowing RangeNodes) -> Found {
        let hash = hash(key)
        let tag = tag(hash)
        var place = place(hash)
        while true {
            let entry = entries[place]
            if entry == 0 { return Found(node: RangeNodes.none, end: .lower) }
            if (entry ^ tag) & Self.hashBits & ~indexMask == 0 {
                let node = entry & indexMask &- 1
                if entry & Self.upperBit == 0 {
                    if nodes[node].lower == key { return Found(node: node, end: .lower) }
                } else if nodes[node].upper == key {
                    return Found(node: node, end: .upper)
                }
            }
            place = (place &+ 1) & mask
        }
    }

    /// The node that has this end at the offset, or none.
    func node(under key: Int, _ end: End, _ nodes: borrowing RangeNodes) -> UInt32 {
        let found = find(key, nodes)
        return found.isFound && found.end == end ? found.node : RangeNodes.none
    }

    /// Enters a node's end, which is not in the table yet. There is room: see `reserve`.
    @inline(__always)
    mutating func insert(_ key: Int, _ end: End, of node: UInt32) {
        let hash = hash(key)
        let home = place(hash)
        var place = home
        while entries[place] != 0 { place = (place &+ 1) & mask }
        entries[place] = entry(node, end, tag(hash), distance: (place &- home) & mask)
    }

    @inline(__always)
    private func entry(_ node: UInt32, _ end: End, _ tag: UInt32, distance: Int) -> UInt32 {
        let distance = UInt32(truncatingIfNeeded: min(distance, Int(Self.manyBits)))
        return distance &<< Self.distanceShift | end.rawValue | tag | (node &+ 1)
    }

    /// Where an entry of a node is, which is in the table. The nodes need not be read for it.
    @inline(__always)
    private func place(of key: Int, _ end: End, _ node: UInt32) -> Int {
        let hash = hash(key)
        let wanted = end.rawValue | tag(hash) | (node &+ 1)
        var place = place(hash)
        while entries[place] & (Self.upperBit | Self.hashBits) != wanted { place = (place &+ 1) & mask }
        return place
    }

    /// Lets another node have an end.
    @inline(__always)
    mutating func replace(_ key: Int, _ end: End, of node: UInt32, with other: UInt32) {
        let place = place(of: key, end, node)
        entries[place] = entries[place] & ~indexMask | (other &+ 1)
    }

    /// Removes an end of a node. The nodes have the ends of all the other entries.
    @inline(__always)
    mutating func remove(_ key: Int, _ end: End, of node: UInt32, _ nodes: borrowing RangeNodes) {
        var hole = place(of: key, end, node)
        var place = (hole &+ 1) & mask
        // What comes after and may as well be in the hole moves there (E2).
        while entries[place] != 0 {
            let entry = entries[place]
            let distance = distance(of: entry, at: place, nodes)
            let step = (place &- hole) & mask
            if distance >= step {
                let moved = UInt32(truncatingIfNeeded: min(distance &- step, Int(Self.manyBits)))
                entries[hole] = entry & ~(Self.manyBits &<< Self.distanceShift) | moved &<< Self.distanceShift
                hole = place
            }
            place = (place &+ 1) & mask
        }
        entries[hole] = 0
    }

    @inline(__always)
    private func distance(of entry: UInt32, at place: Int, _ nodes: borrowing RangeNodes) -> Int {
        let distance = entry &>> Self.distanceShift
        return distance < Self.manyBits ? Int(distance) : longDistance(of: entry, at: place, nodes)
    }

    @inline(never)
    private func longDistance(of entry: UInt32, at place: Int, _ nodes: borrowing RangeNodes) -> Int {
        let node = entry & indexMask &- 1
        let key = entry & Self.upperBit == 0 ? nodes[node].lower : nodes[node].upper
        return (place &- self.place(hash(key))) & mask
    }

    /// Makes room for so many ranges.
    @inline(__always)
    mutating func reserve(rangeCount: Int, _ nodes: borrowing RangeNodes) {
        if rangeCount &* 16 > (mask &+ 1) &* 5 { grow(nodes) }
    }

    @inline(never)
    private mutating func grow(_ nodes: borrowing RangeNodes) {
        let bits = Int(64 - shift) + 1
        // 29 bits of places leave 28 for the number, and none for the hash.
        if bits > 29 { fatalError("RangeAllocator: SegregatedFit has room for 167 million free ranges and no more") }
        let old = entries
        let count = mask + 1
        let oldIndexMask = indexMask
        entries = .allocate(capacity: 1 << bits)
        entries.initialize(repeating: 0, count: 1 << bits)
        mask = 1 << bits - 1
        shift = UInt64(64 - bits)
        indexMask = 1 << UInt32(bits - 1) - 1
        for place in 0..<count where old[place] != 0 {
            let node = old[place] & oldIndexMask &- 1
            let end: End = old[place] & Self.upperBit == 0 ? .lower : .upper
            insert(end == .lower ? nodes[node].lower : nodes[node].upper, end, of: node)
        }
        old.deallocate()
    }

    mutating func removeAll() { entries.update(repeating: 0, count: mask + 1) }

    func brokenInvariant(_ nodes: borrowing RangeNodes) -> String? {
        var used = 0
        for place in 0...mask where entries[place] != 0 {
            used += 1
            let entry = entries[place]
            let node = entry & indexMask &- 1
            let end: End = entry & Self.upperBit == 0 ? .lower : .upper
            let key = end == .lower ? nodes[node].lower : nodes[node].upper
            let found = find(key, nodes)
            guard found.node == node, found.end == end else { return "E1: \(key) leads to another node than \(node)" }
            let real = (place - self.place(hash(key))) & mask
            guard Int(entry >> Self.distanceShift) == min(real, 7) else { return "E2: the distance of \(key)" }
        }
        return used == nodes.count * 2 ? nil : "E1: \(used) entries for \(nodes.count) ranges"
    }
}
