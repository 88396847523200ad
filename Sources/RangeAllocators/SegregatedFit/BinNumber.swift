// Which bin a count belongs to. Level 0 has a bin for each count below 32; level n (from 1 on) has the counts from
// 2^(n+4) to 2^(n+5), in 32 bins of equal width: a bin's counts differ by less than a 32nd.

/// A bin: counts that differ little.
struct BinNumber: Equatable {
    static let binsPerLevel = 32
    /// Counts go up to 2^62.
    static let levelCount = 59

    let level: Int
    /// From 0 to 31.
    let position: UInt32

    @inline(__always)
    init(level: Int, position: UInt32) {
        self.level = level
        self.position = position
    }

    /// The bin of a count, which is at least 1 and at most 2^63 - 1.
    @inline(__always)
    init(holding count: Int) {
        // What is below 32 counts as 31 here, and has level 0.
        level = 59 &- (UInt64(bitPattern: Int64(count)) | 31).leadingZeroBitCount
        position = UInt32(truncatingIfNeeded: count &>> max(level &- 1, 0)) & 31
    }

    @inline(__always)
    var index: Int { level &* Self.binsPerLevel &+ Int(position) }

    /// The bin above, or nil for the last.
    @inline(__always)
    var next: BinNumber? {
        let next = index &+ 1
        return next < Self.levelCount &* Self.binsPerLevel
            ? BinNumber(level: next &>> 5, position: UInt32(truncatingIfNeeded: next) & 31) : nil
    }
}
