// A set of a segment's 512 slices: eight words. Finding a run walks from edge to edge of the runs, by counting zeros.

/// A set of slice numbers from 0 to 511.
struct SliceSet {
    private var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)

    static let capacity = 512

    @inline(__always)
    private subscript(word index: Int) -> UInt64 {
        get {
            withUnsafeBytes(of: words) { $0.loadUnaligned(fromByteOffset: index &* 8, as: UInt64.self) }
        }
        set {
            withUnsafeMutableBytes(of: &words) {
                $0.storeBytes(of: newValue, toByteOffset: index &* 8, as: UInt64.self)
            }
        }
    }

    var isEmpty: Bool {
        (words.0 | words.1 | words.2 | words.3 | words.4 | words.5 | words.6 | words.7) == 0
    }

    var count: Int {
        var total = 0
        for index in 0..<8 { total &+= self[word: index].nonzeroBitCount }
        return total
    }

    func contains(_ slice: Int) -> Bool {
        self[word: slice &>> 6] &>> UInt64(slice & 63) & 1 != 0
    }

    /// Adds or removes `count` slices from `first` on. O(words).
    mutating func set(_ first: Int, count: Int, to isMember: Bool) {
        var slice = first
        let end = first &+ count
        while slice < end {
            let index = slice &>> 6
            let upper = min(end, (index &+ 1) &<< 6)
            let mask = Self.mask(from: slice & 63, count: upper &- slice)
            self[word: index] = isMember ? self[word: index] | mask : self[word: index] & ~mask
            slice = upper
        }
    }

    /// How many of `count` slices from `first` on are members.
    func memberCount(_ first: Int, count: Int) -> Int {
        var slice = first
        var total = 0
        let end = first &+ count
        while slice < end {
            let index = slice &>> 6
            let upper = min(end, (index &+ 1) &<< 6)
            total &+= (self[word: index] & Self.mask(from: slice & 63, count: upper &- slice)).nonzeroBitCount
            slice = upper
        }
        return total
    }

    /// The first member at or after `slice`, or 512.
    func firstMember(from slice: Int) -> Int { firstBit(from: slice, flip: 0) }

    /// The first non-member at or after `slice`, or 512.
    func firstNonMember(from slice: Int) -> Int { firstBit(from: slice, flip: .max) }

    private func firstBit(from slice: Int, flip: UInt64) -> Int {
        guard slice < Self.capacity else { return Self.capacity }
        var index = slice &>> 6
        var word = (self[word: index] ^ flip) & (.max &<< UInt64(slice & 63))
        while word == 0 {
            index &+= 1
            if index == 8 { return Self.capacity }
            word = self[word: index] ^ flip
        }
        return index &<< 6 &+ word.trailingZeroBitCount
    }

    /// The shortest run of members that holds `count` of them, the first at a multiple of `alignment`, and the lowest of
    /// the shortest. A run of just that length ends the search: then it is not told how long the longest run is, else it
    /// is. O(runs): two bits to find for each, its edges.
    @inline(__always)
    func shortestRun(holding count: Int, alignment: Int) -> (first: Int, longest: Int?) {
        var best = Self.capacity
        var bestLength = Int.max
        var longest = 0
        var start = -1
        var last: UInt64 = 0
        for index in 0...8 {
            let word = index == 8 ? 0 : self[word: index]
            var edges = word ^ (word &<< 1 | last)
            last = word &>> 63
            while edges != 0 {
                let edge = index &<< 6 &+ edges.trailingZeroBitCount
                edges &= edges &- 1
                if start < 0 {
                    start = edge
                    continue
                }
                let length = edge &- start
                if length > longest { longest = length }
                if length >= count, length < bestLength {
                    let aligned = (start &+ alignment &- 1) & ~(alignment &- 1)
                    if edge &- aligned >= count {
                        if length == count { return (aligned, nil) }
                        best = aligned
                        bestLength = length
                    }
                }
                start = -1
            }
        }
        return (best, longest)
    }

    /// How long the run is that `first` is in, which is a member. O(words).
    func runLength(around first: Int) -> Int {
        var start = first
        while start > 0 {
            // The members just below, from the highest bit down.
            let index = (start &- 1) &>> 6
            let below = self[word: index] &<< UInt64(63 &- ((start &- 1) & 63))
            let members = (~below).leadingZeroBitCount
            start &-= members
            if members <= (start &+ members &- 1) & 63 { break }
        }
        return firstNonMember(from: first) &- start
    }

    private static func mask(from bit: Int, count: Int) -> UInt64 {
        (count == 64 ? .max : (1 &<< UInt64(count)) &- 1) &<< UInt64(bit)
    }

    static func intersection(_ a: borrowing SliceSet, _ b: borrowing SliceSet) -> SliceSet {
        var result = SliceSet()
        for index in 0..<8 { result[word: index] = a[word: index] & b[word: index] }
        return result
    }

    static func union(_ a: borrowing SliceSet, _ b: borrowing SliceSet) -> SliceSet {
        var result = SliceSet()
        for index in 0..<8 { result[word: index] = a[word: index] | b[word: index] }
        return result
    }
}
