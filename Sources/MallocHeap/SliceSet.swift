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
