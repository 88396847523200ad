// Which granules of a child begin and end a block: two bits a granule of 16 bytes, so a 64th of the memory, which lie
// apart from it.
//
//     granules   . [==] [] [======] . . . [=]
//     starts     0  10  1   1000    0 0 0  10
//     ends       0  01  1   0001    0 0 0  01
//
// G1. Bits alternate: after a start comes its end, at the same granule or a later one, before any other start.
// G2. Bits beyond the child's granules are 0.
//
// So a block is known from its first granule, and freeing a part of one sets bits where the rest begins and ends.
// Cost: a word to set a bit; finding the other end of a block reads a word for each KiB of it, eight at once.

/// The two bitmaps of a child, whose memory is its record's.
@frozen @usableFromInline
struct BlockBits: BitwiseCopyable {
    @usableFromInline let starts: UnsafeMutablePointer<UInt64>
    @usableFromInline let ends: UnsafeMutablePointer<UInt64>

    /// - Parameter words: enough for both bitmaps and `spareWords` behind them.
    init(words: UnsafeMutablePointer<UInt64>, granules: Int) {
        starts = words
        ends = words + Self.wordCount(granules)
    }

    /// The words of one bitmap.
    static func wordCount(_ granules: Int) -> Int { (granules + 63) / 64 }

    @inlinable @inline(__always)
    static func mask(_ granule: Int) -> UInt64 { 1 &<< UInt64(truncatingIfNeeded: granule) }

    /// Makes all bits 0, and the words behind them.
    func clear(granules: Int) { starts.update(repeating: 0, count: 2 * Self.wordCount(granules) + Self.spareWords) }

    /// Enters a block: `first...last`.
    @inlinable @inline(__always)
    func insert(_ first: Int, _ last: Int) {
        starts[first &>> 6] |= Self.mask(first)
        ends[last &>> 6] |= Self.mask(last)
    }

    @inline(__always)
    func remove(_ first: Int, _ last: Int) {
        starts[first &>> 6] &= ~Self.mask(first)
        ends[last &>> 6] &= ~Self.mask(last)
    }

    /// Takes `lower...upper` out of the block `first...last`: what is left of it are blocks. How many.
    @inline(__always)
    func cut(_ lower: Int, _ upper: Int, from first: Int, _ last: Int) -> Int {
        remove(first, last)
        if lower > first { insert(first, lower &- 1) }
        if upper < last { insert(upper &+ 1, last) }
        return (lower > first ? 1 : 0) &+ (upper < last ? 1 : 0)
    }

    @inline(__always)
    func isStart(_ granule: Int) -> Bool { starts[granule &>> 6] & Self.mask(granule) != 0 }

    /// The last granule of the block that begins at `first`.
    @inline(__always)
    func last(of first: Int) -> Int {
        var word = first &>> 6
        var bits = ends[word] & (~0 &<< UInt64(truncatingIfNeeded: first & 63))
        if bits == 0 {
            word &+= 1
            bits = ends[word]
            // G1: there is an end.
            while bits == 0 {
                if Self.eightAreZero(ends + word) {
                    word &+= 8
                } else {
                    while ends[word] == 0 { word &+= 1 }
                }
                bits = ends[word]
            }
        }
        return word &<< 6 &+ bits.trailingZeroBitCount
    }

    /// Whether eight words are 0: those behind the bitmaps are read, and are the record's too.
    @inline(__always)
    private static func eightAreZero(_ words: UnsafeMutablePointer<UInt64>) -> Bool {
        UnsafeRawPointer(words).loadUnaligned(as: SIMD8<UInt64>.self) == .zero
    }

    /// Words that the record has behind the bitmaps.
    static var spareWords: Int { 8 }

    /// The block that the granule is of, or nil.
    func block(containing granule: Int) -> (first: Int, last: Int)? {
        var word = granule &>> 6
        var bits = starts[word] & (~0 &>> UInt64(truncatingIfNeeded: 63 &- (granule & 63)))
        while bits == 0 {
            if word == 0 { return nil }
            word &-= 1
            bits = starts[word]
        }
        let first = word &<< 6 &+ (63 &- bits.leadingZeroBitCount)
        let last = last(of: first)
        return last >= granule ? (first, last) : nil
    }

    /// Removes all blocks that end before a granule; none begins before and ends there or later.
    func removeAll(from lower: Int = 0, before upper: Int) {
        guard lower < upper else { return }
        let first = lower &>> 6
        let count = (upper &+ 63) &>> 6 &- first
        (starts + first).update(repeating: 0, count: count)
        (ends + first).update(repeating: 0, count: count)
    }
}
