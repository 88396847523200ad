// What the strategies are compared with: free ranges in a sorted array, each question answered by looking at all.

import RangeAllocators

/// A space whose free ranges are a sorted array.
struct ModelSpace {
    let space: Range<Int>
    private(set) var free: [Range<Int>] = []

    /// A space none of which is free.
    init(_ space: Range<Int>) { self.space = space }

    /// Where a request fits in a free range, or nil.
    static func place(_ count: Int, _ alignment: Int, in range: Range<Int>) -> Int? {
        let rest = range.lowerBound % alignment
        let offset = rest == 0 ? range.lowerBound : range.lowerBound + alignment - rest
        return offset + count <= range.upperBound ? offset : nil
    }

    /// Every place that a request could have at the start of a free range, from the lowest on.
    func places(_ count: Int, _ alignment: Int) -> [(range: Range<Int>, offset: Int)] {
        free.compactMap { range in Self.place(count, alignment, in: range).map { (range, $0) } }
    }

    func firstFit(_ count: Int, _ alignment: Int) -> Int? { places(count, alignment).first?.offset }

    func bestFit(_ count: Int, _ alignment: Int) -> Int? {
        places(count, alignment).min { ($0.range.count, $0.offset) < ($1.range.count, $1.offset) }?.offset
    }

    func isFree(_ range: Range<Int>) -> Bool {
        free.contains { $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound }
    }

    func isUsed(_ range: Range<Int>) -> Bool { !free.contains { $0.overlaps(range) } }

    var largest: Int { free.map(\.count).max() ?? 0 }

    /// What lies between the free ranges.
    var used: [Range<Int>] {
        let ends = [space.lowerBound] + free.map(\.upperBound)
        let starts = free.map(\.lowerBound) + [space.upperBound]
        return zip(ends, starts).filter { $0 < $1 }.map { $0..<$1 }
    }

    /// Takes a range that is free.
    mutating func take(_ range: Range<Int>) {
        let index = free.firstIndex { $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound }!
        let around = free[index]
        let rest = [around.lowerBound..<range.lowerBound, range.upperBound..<around.upperBound]
        free.replaceSubrange(index...index, with: rest.filter { !$0.isEmpty })
    }

    /// Frees a range that is used.
    mutating func insert(_ range: Range<Int>) {
        let first = free.firstIndex { $0.upperBound >= range.lowerBound } ?? free.count
        let behind = free.firstIndex { $0.lowerBound > range.upperBound } ?? free.count
        let joined = free[first..<behind]
        let lower = min(range.lowerBound, joined.first?.lowerBound ?? range.lowerBound)
        let upper = max(range.upperBound, joined.last?.upperBound ?? range.upperBound)
        free.replaceSubrange(first..<behind, with: [lower..<upper])
    }
}

extension SeededRandom {
    /// A number in `0..<limit`.
    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

    /// True in so many of a hundred cases.
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    /// A part, which is not empty, of one of some ranges; nil if there is none.
    mutating func part(of ranges: [Range<Int>]) -> Range<Int>? {
        guard let whole = ranges.randomElement(using: &self) else { return nil }
        let lower = whole.lowerBound + below(whole.count)
        let most = whole.upperBound - lower
        return lower..<lower + 1 + below(chance(50) ? most : min(most, 8))
    }
}
