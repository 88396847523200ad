// Which bin a count belongs to, as one number: counts below 64 have a bin each; from there on each power of two has 32
// bins of equal width, so that a bin's counts differ by less than a 32nd.
//
//     count            1 … 63    64, 66, …, 126    128, 132, …, 252    …
//     bin              1 … 63    64, 65, …,  95     96,  97, …, 127    …

/// A bin: counts that differ little.
struct BinNumber: Equatable, BitwiseCopyable {
    /// The bins whose bits are in one word.
    static let binsPerLevel = 32
    /// Counts go up to 2^63 - 1.
    static let levelCount = 59

    let number: Int

    @inline(__always)
    init(_ number: Int) { self.number = number }

    /// The bin of a count, which is at least 1.
    @inline(__always)
    init(holding count: Int) {
        let shift = 58 &- (UInt64(bitPattern: Int64(count)) | 32).leadingZeroBitCount
        number = shift &<< 5 &+ count &>> shift
    }

    @inline(__always)
    var level: Int { number &>> 5 }

    /// Its bit in the word of its level.
    @inline(__always)
    var bit: UInt32 { 1 &<< (UInt32(truncatingIfNeeded: number) & 31) }

    /// The bin above.
    @inline(__always)
    var next: BinNumber { BinNumber(number &+ 1) }
}
