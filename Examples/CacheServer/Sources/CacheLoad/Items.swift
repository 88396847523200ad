// What the load consists of: items whose size and value follow from their number and a seed, so that every server gets
// the same ones and a value that comes back can be checked without a table of what was stored.

import ArgumentParser
import Glibc

/// Steele, Lea and Flood's SplitMix64.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// At least 0, below 1.
    mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}

struct Item: CustomStringConvertible {
    let number: Int
    let byteCount: Int

    var description: String { "\(number) of \(byteCount) bytes" }

    /// Random bytes, any stretch of which is some item's value.
    private static let pattern: [UInt8] = {
        var random = SplitMix64(seed: 0)
        return (0..<(2 << 20)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }()

    /// The item's value: up to 1 MiB of the pattern, from a place that the number tells.
    var value: ArraySlice<UInt8> {
        var random = SplitMix64(seed: UInt64(number))
        let start = Int(random.next() & 0xf_ffff)
        return Item.pattern[start..<start + byteCount]
    }

    /// Whether the first and the last 64 bytes of a value, and its length, are this item's.
    func hasEnds(of other: UnsafeRawBufferPointer) -> Bool {
        guard other.count == byteCount else { return false }
        return value.withUnsafeBytes { mine in
            let count = min(64, byteCount)
            return count == 0
                || memcmp(mine.baseAddress!, other.baseAddress!, count) == 0
                    && memcmp(mine.baseAddress! + byteCount - count, other.baseAddress! + byteCount - count, count) == 0
        }
    }
}

/// How large items are.
indirect enum Sizes {
    case exactly(Int)
    case uniform(ClosedRange<Int>)
    /// As many between 16 and 32 as between 16 KiB and 32 KiB.
    case logUniform(ClosedRange<Double>)
    /// The first with that probability, else the second.
    case either(Sizes, Double, or: Sizes)

    func draw(_ random: inout SplitMix64) -> Int {
        switch self {
        case .exactly(let byteCount): byteCount
        case .uniform(let range): Int.random(in: range, using: &random)
        case .logUniform(let range):
            Int(range.lowerBound * pow(range.upperBound / range.lowerBound, random.nextUnit()))
        case .either(let first, let probability, let second):
            random.nextUnit() < probability ? first.draw(&random) : second.draw(&random)
        }
    }
}

/// The mixes that servers are filled with.
enum SizeMix: String, ExpressibleByArgument {
    case wide, small

    var sizes: Sizes {
        switch self {
        case .wide: .logUniform(16...65_536)
        case .small: .either(.logUniform(16...512), 0.9, or: .logUniform(512...8192))
        }
    }

    var title: String {
        switch self {
        case .wide: "16 B to 64 KiB, log-uniform"
        case .small: "mostly small: 90 % 16 to 512 B"
        }
    }
}

/// Items by number.
struct ItemSequence {
    let seed: UInt64
    let sizes: Sizes
    var firstNumber = 0

    subscript(index: Int) -> Item {
        var random = SplitMix64(seed: seed &* 0x2545_f491_4f6c_dd1d ^ UInt64(index))
        return Item(number: firstNumber + index, byteCount: sizes.draw(&random))
    }

    /// How many items, from the first on, have so many bytes of values together.
    func count(filling byteCount: Int) -> Int {
        var total = 0
        var count = 0
        while total < byteCount {
            total += self[count].byteCount
            count += 1
        }
        return count
    }
}

/// Ranks that are asked for as often as words are used: the n-th in proportion to 1 / n^exponent.
struct Zipf {
    private var cumulative: [Double] = []

    init(count: Int, exponent: Double) {
        var sum = 0.0
        for rank in 1...count {
            sum += 1 / pow(Double(rank), exponent)
            cumulative.append(sum)
        }
    }

    /// A rank from 0 on. O(log n).
    func draw(_ random: inout SplitMix64) -> Int {
        let wanted = random.nextUnit() * cumulative.last!
        var range = 0..<cumulative.count - 1
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            range = cumulative[middle] <= wanted ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }
}

/// 100 B, 1 KiB, …
func shown(bytes: Int) -> String {
    bytes >= 1 << 10 && bytes % (1 << 10) == 0 ? "\(bytes >> 10) KiB" : "\(bytes) B"
}
