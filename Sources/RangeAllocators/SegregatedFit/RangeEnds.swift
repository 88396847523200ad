// Where a free range starts or ends: a hash table from offsets to nodes.
//
//     bucket, 32 bytes   0 ─── 5   6          7   8 ──────── 31
//                        tags      overflow   -   6 numbers of nodes, with a bit that says which end of it
//
// A tag is a byte of the hash, at least 128, or 0: then the place is empty. An entry that finds the bucket which its
// hash wants full goes to the next that is not, and each bucket that it passes counts it as overflow. So a search ends
// at the first bucket without overflow, or where it began; nearly always that is the first. The offset itself is in the
// node: a tag that fits is looked up there. Nothing moves when an entry is removed, and there is no loop whose end a
// processor would have to guess: a search is one load of eight bytes, and what it finds.
//
// E1. Every live node is in the table twice, for its two ends, and nothing else is. The two entries may lie in buckets
//     that both ends' searches come by, with the same tag: so an entry says which end it is.
// E2. `overflow` of a bucket is the number of entries that passed it, or 255 if it ever was that many.
//
// Cost: at most 4 of a bucket's 6 places are used on average; buckets grow by a quarter: from 8 to 10 bytes an
// entry.
// The buckets are those of Folly's F14 (Bronson and Shi, 2019), without vector instructions.

struct RangeEnds: ~Copyable {
    /// Which end of a node an entry is for: its highest bit.
    enum End: UInt32, BitwiseCopyable {
        case lower = 0
        case upper = 0x8000_0000

        @inline(__always)
        static func | (node: UInt32, end: End) -> UInt32 { node | end.rawValue }
    }

    /// What a search found: the node, and the entry.
    struct Found: BitwiseCopyable {
        let node: UInt32
        /// Of the bucket, in bytes.
        let bucket: Int
        let place: Int
        /// The bucket that the hash wants.
        let home: Int

        @inline(__always)
        var isFound: Bool { node != RangeNodes.none }
    }

    private var buckets: UnsafeMutableRawPointer
    private var bucketCount: UInt64

    private static var bucketBytes: Int { 32 }
    private static var ones: UInt64 { 0x0101_0101_0101 }
    private static var marks: UInt64 { 0x8080_8080_8080 }
    private static var overflowShift: UInt64 { 48 }
    private static var mostOverflow: UInt64 { 255 }

    init() { self.init(bucketCount: 2) }

    private init(bucketCount: Int) {
        buckets = .allocate(byteCount: bucketCount * Self.bucketBytes, alignment: 64)
        buckets.initializeMemory(as: UInt64.self, repeating: 0, count: bucketCount * Self.bucketBytes / 8)
        self.bucketCount = UInt64(bucketCount)
    }

    deinit { buckets.deallocate() }

    var byteCount: Int { Int(bucketCount) * Self.bucketBytes }

    // MARK: A bucket

    /// Multiplies by 2^64 over the golden ratio. What is folded in lets offsets that differ in high bits alone differ
    /// in all.
    @inline(__always)
    private func hash(_ key: Int) -> UInt64 {
        let key = UInt64(bitPattern: Int64(key))
        return (key ^ key &>> 32) &* 0x9e37_79b9_7f4a_7c15
    }

    /// The bucket that the hash wants, by its upper bits.
    @inline(__always)
    private func home(_ hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash.multipliedFullWidth(by: bucketCount).high) &* Self.bucketBytes
    }

    /// Bits that the number of the bucket leaves unused, but in tables of many millions.
    @inline(__always)
    private func tag(_ hash: UInt64) -> UInt64 { hash &>> 24 & 0x7f | 0x80 }

    @inline(__always)
    private func tags(_ bucket: Int) -> UInt64 { buckets.load(fromByteOffset: bucket, as: UInt64.self) }

    @inline(__always)
    private mutating func setTags(_ bucket: Int, _ tags: UInt64) {
        buckets.storeBytes(of: tags, toByteOffset: bucket, as: UInt64.self)
    }

    /// A node's number, and which end of it.
    @inline(__always)
    private func entry(_ bucket: Int, _ place: Int) -> UInt32 {
        buckets.load(fromByteOffset: bucket &+ 8 &+ 4 &* place, as: UInt32.self)
    }

    /// The marks of the places whose tag is this one. Those above one that has it may be marked too and have another:
    /// what is marked is to be compared, but the lowest mark is right.
    @inline(__always)
    private func matches(_ tags: UInt64, _ tag: UInt64) -> UInt64 {
        let differences = tags ^ tag &* Self.ones
        return (differences &- Self.ones) & ~differences & Self.marks
    }

    @inline(__always)
    private func next(_ bucket: Int) -> Int {
        let next = bucket &+ Self.bucketBytes
        return next == byteCount ? 0 : next
    }

    // MARK: Searching

    /// The node that has an end at the offset.
    @inline(__always)
    func find(_ key: Int, _ nodes: borrowing RangeNodes) -> Found {
        let hash = hash(key)
        let home = home(hash)
        var bucket = home
        while true {
            let tags = tags(bucket)
            var matches = matches(tags, tag(hash))
            while matches != 0 {
                let place = matches.trailingZeroBitCount &>> 3
                let entry = entry(bucket, place)
                let node = entry & ~End.upper.rawValue
                if (entry == node ? nodes[node].lower : nodes[node].upper) == key {
                    return Found(node: node, bucket: bucket, place: place, home: home)
                }
                matches &= matches &- 1
            }
            if tags &>> Self.overflowShift == 0 { return Found(node: RangeNodes.none, bucket: 0, place: 0, home: 0) }
            bucket = next(bucket)
            // Entries may have passed every bucket, one after the other.
            if bucket == home { return Found(node: RangeNodes.none, bucket: 0, place: 0, home: 0) }
        }
    }

    /// Where an entry of a node is, which is in the table. The nodes are not read for it.
    @inline(__always)
    private func find(_ key: Int, _ end: End, of node: UInt32) -> Found {
        let hash = hash(key)
        let home = home(hash)
        var bucket = home
        while true {
            var matches = matches(tags(bucket), tag(hash))
            while matches != 0 {
                let place = matches.trailingZeroBitCount &>> 3
                if entry(bucket, place) == node | end {
                    return Found(node: node, bucket: bucket, place: place, home: home)
                }
                matches &= matches &- 1
            }
            bucket = next(bucket)
        }
    }

    // MARK: Changing

    /// Enters a node's end, which is not in the table yet. There is room: see `reserve`.
    @inline(__always)
    mutating func insert(_ key: Int, _ end: End, of node: UInt32) {
        let hash = hash(key)
        var bucket = home(hash)
        var tags = tags(bucket)
        var empty = matches(tags, 0)
        while empty == 0 {
            if tags &>> Self.overflowShift < Self.mostOverflow { setTags(bucket, tags &+ 1 &<< Self.overflowShift) }
            bucket = next(bucket)
            tags = self.tags(bucket)
            empty = matches(tags, 0)
        }
        let place = empty.trailingZeroBitCount &>> 3
        setTags(bucket, tags | tag(hash) &<< UInt64(truncatingIfNeeded: place &<< 3))
        buckets.storeBytes(of: node | end, toByteOffset: bucket &+ 8 &+ 4 &* place, as: UInt32.self)
    }

    /// Removes what a search found.
    @inline(__always)
    mutating func remove(_ found: Found) {
        setTags(found.bucket, tags(found.bucket) & ~(0xff &<< UInt64(truncatingIfNeeded: found.place &<< 3)))
        if found.home != found.bucket { uncount(from: found.home, to: found.bucket) }
    }

    /// Removes an end of a node.
    @inline(__always)
    mutating func remove(_ key: Int, _ end: End, of node: UInt32) { remove(find(key, end, of: node)) }

    /// Lets another node have an end.
    @inline(__always)
    mutating func replace(_ key: Int, _ end: End, of node: UInt32, with other: UInt32) {
        let found = find(key, end, of: node)
        buckets.storeBytes(of: other | end, toByteOffset: found.bucket &+ 8 &+ 4 &* found.place, as: UInt32.self)
    }

    /// An entry that passed these buckets is gone (E2).
    @inline(never)
    private mutating func uncount(from home: Int, to last: Int) {
        var bucket = home
        while bucket != last {
            let tags = tags(bucket)
            if tags &>> Self.overflowShift < Self.mostOverflow { setTags(bucket, tags &- 1 &<< Self.overflowShift) }
            bucket = next(bucket)
        }
    }

    /// Makes room for one more node's entries.
    @inline(__always)
    mutating func reserve(_ nodes: borrowing RangeNodes) {
        if UInt64(truncatingIfNeeded: nodes.count &+ 1) > bucketCount &* 2 { grow(nodes) }
    }

    @inline(never)
    private mutating func grow(_ nodes: borrowing RangeNodes) {
        let (old, oldCount) = (buckets, Int(bucketCount))
        let newCount = oldCount + max(oldCount / 4, 2)
        buckets = .allocate(byteCount: newCount * Self.bucketBytes, alignment: 64)
        buckets.initializeMemory(as: UInt64.self, repeating: 0, count: newCount * Self.bucketBytes / 8)
        bucketCount = UInt64(newCount)
        old.deallocate()
        for node in nodes.live() {
            insert(nodes[node].lower, .lower, of: node)
            insert(nodes[node].upper, .upper, of: node)
        }
    }

    mutating func removeAll() {
        buckets.initializeMemory(as: UInt64.self, repeating: 0, count: Int(bucketCount) * Self.bucketBytes / 8)
    }

    func brokenInvariant(_ nodes: borrowing RangeNodes) -> String? {
        var used = 0
        for bucket in stride(from: 0, to: byteCount, by: Self.bucketBytes) {
            used += (tags(bucket) & Self.marks).nonzeroBitCount
        }
        var passed = [Int](repeating: 0, count: Int(bucketCount))
        for node in nodes.live() {
            for key in [nodes[node].lower, nodes[node].upper] {
                let found = find(key, nodes)
                guard found.node == node else { return "E1: \(key) does not lead to its node" }
                var passing = home(hash(key))
                while passing != found.bucket {
                    passed[passing / Self.bucketBytes] += 1
                    passing = next(passing)
                }
            }
        }
        for (bucket, passed) in passed.enumerated() {
            let overflow = Int(tags(bucket * Self.bucketBytes) >> Self.overflowShift)
            guard overflow == passed || overflow == Int(Self.mostOverflow) else { return "E2: bucket \(bucket)" }
        }
        return used == nodes.count * 2 ? nil : "E1: \(used) entries for \(nodes.count) ranges"
    }
}
