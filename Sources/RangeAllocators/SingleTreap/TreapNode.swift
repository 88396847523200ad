// A node of a SingleTreap: 24 bytes.
//
//     0         8         16      20      24
//     +---------+---------+-------+-------+
//     |  start  |  count  | left  | right |
//     +---------+---------+-------+-------+

struct TreapNode {
    var start: Int
    var count: Int
    var left: UInt32
    var right: UInt32

    var end: Int {
        @inline(__always) get { start &+ count }
    }

    /// Whether it belongs above the other: it is larger, or as large and drawn before it.
    ///
    /// The draw, a hash of the start, makes of equal sizes a tree as of random order, about 2 ln n deep; by the start
    /// alone it would be a list.
    @inline(__always)
    func outranks(_ other: TreapNode) -> Bool {
        if count != other.count { return count > other.count }
        return Self.hash(start) > Self.hash(other.start)  // A bijection: never equal.
    }

    /// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014), so that starts which are multiples of something still
    /// look random.
    static func hash(_ start: Int) -> UInt {
        var bits = UInt(bitPattern: start)
        bits = (bits ^ (bits &>> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits &>> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits &>> 31)
    }
}

/// Where a node is linked: a left or right link of the node above it. Good until the pool hands out its next node.
typealias TreapLink = UnsafeMutablePointer<UInt32>

extension UnsafeMutablePointer<TreapNode> {
    var leftLink: TreapLink {
        @inline(__always) get { (UnsafeMutableRawPointer(self) + 16).assumingMemoryBound(to: UInt32.self) }
    }

    var rightLink: TreapLink {
        @inline(__always) get { (UnsafeMutableRawPointer(self) + 20).assumingMemoryBound(to: UInt32.self) }
    }
}
