// Which ranges of a file are in use: those that are not, between the start and the end of what is, as a sorted list of
// holes. First fit, so that the file's end stays near. O(holes) for each call, which is made once a slab.
//
// E1. The holes are in order, none is empty, none touches another, and none touches `end`.

struct FileSpace: Equatable {
    /// Where the first range can begin.
    let start: UInt64
    /// Behind the last range in use.
    private(set) var end: UInt64
    private(set) var holes: [Range<UInt64>] = []

    init(start: UInt64) {
        self.start = start
        end = start
    }

    /// The space in which just these ranges are in use; nil where they overlap, or one is empty or before the start.
    init?(start: UInt64, inUse ranges: [Range<UInt64>]) {
        self.init(start: start)
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            guard range.lowerBound >= end, !range.isEmpty else { return nil }
            if range.lowerBound > end { holes.append(end..<range.lowerBound) }
            end = range.upperBound
        }
    }

    /// Where a range of so many bytes can be.
    func find(_ byteCount: UInt64) -> UInt64 {
        for hole in holes where hole.upperBound - hole.lowerBound >= byteCount { return hole.lowerBound }
        return end
    }

    /// Puts a range in use that `find` named.
    mutating func take(_ range: Range<UInt64>) {
        guard range.lowerBound < end else {
            end = range.upperBound
            return
        }
        let index = index(of: range.lowerBound)
        if holes[index].upperBound == range.upperBound {
            holes.remove(at: index)
        } else {
            holes[index] = range.upperBound..<holes[index].upperBound
        }
    }

    /// Puts a range out of use. Returns the hole that it is now part of; nil where it lay at the end, which has moved.
    mutating func giveBack(_ range: Range<UInt64>) -> Range<UInt64>? {
        var range = range
        let index = index(of: range.lowerBound)
        if index < holes.count, holes[index].lowerBound == range.upperBound {
            range = range.lowerBound..<holes.remove(at: index).upperBound
        }
        if index > 0, holes[index - 1].upperBound == range.lowerBound {
            range = holes.remove(at: index - 1).lowerBound..<range.upperBound
        }
        if range.upperBound == end {
            end = range.lowerBound
            return nil
        }
        holes.insert(range, at: self.index(of: range.lowerBound))
        return range
    }

    /// The first hole that begins at an offset or behind it.
    private func index(of offset: UInt64) -> Int {
        var (low, high) = (0, holes.count)
        while low < high {
            let middle = (low + high) / 2
            if holes[middle].lowerBound < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
