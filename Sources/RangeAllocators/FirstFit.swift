public struct FirstFit: RangeStrategy, ~Copyable {
    var r: [Range<Int>] = []
    public init() {}
    public static var findsEveryOverlap: Bool { true }
    public var rangeCount: Int { r.count }
    public var metadataByteCount: Int { r.capacity * 16 }
    public func largestCount() -> Int { r.map(\.count).max() ?? 0 }
    public func find(count: Int, alignment: Int) -> Int? {
        for x in r where roundedUp(x.lowerBound, alignment) + count <= x.upperBound {
            return roundedUp(x.lowerBound, alignment)
        }
        return nil
    }
    public mutating func allocate(count: Int, alignment: Int) -> Int? {
        guard let l = find(count: count, alignment: alignment) else { return nil }
        _ = allocate(l, l + count)
        return l
    }
    public mutating func allocate(_ lower: Int, _ upper: Int) -> Bool {
        guard let i = r.firstIndex(where: { $0.lowerBound <= lower && upper <= $0.upperBound }) else { return false }
        let x = r[i]
        r.replaceSubrange(i...i, with: [x.lowerBound..<lower, upper..<x.upperBound].filter { !$0.isEmpty })
        return true
    }
    public mutating func insert(_ lower: Int, _ upper: Int) -> Bool {
        if r.contains(where: { $0.lowerBound < upper && lower < $0.upperBound }) { return false }
        var (l, u) = (lower, upper)
        if let i = r.firstIndex(where: { $0.upperBound == lower }) {
            l = r[i].lowerBound
            r.remove(at: i)
        }
        if let i = r.firstIndex(where: { $0.lowerBound == upper }) {
            u = r[i].upperBound
            r.remove(at: i)
        }
        r.insert(l..<u, at: r.firstIndex { $0.lowerBound > l } ?? r.count)
        return true
    }
    public func lowerEnd(ofRangeEndingAt upper: Int) -> Int? { r.first { $0.upperBound == upper }?.lowerBound }
    public func freeRanges() -> [Range<Int>] { r }
    public mutating func removeAll() { r = [] }
    public func brokenInvariant() -> String? { nil }
}
