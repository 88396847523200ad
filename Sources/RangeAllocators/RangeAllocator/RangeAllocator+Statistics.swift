// What is so now, as a value and in words. Nothing is counted for it.

/// The account of a ``RangeAllocator``. A value: it doesn't change.
public struct RangeStatistics: Codable, Hashable, Sendable {
    /// The size of the space.
    public var size = 0
    /// How much is free.
    public var freeCount = 0
    /// How much is allocated.
    public var usedCount: Int { size - freeCount }
    /// The number of free ranges.
    public var freeRanges = 0
    /// The number of ranges between them: each is one allocation, or several that touch.
    public var usedRanges = 0
    /// The count of the largest free range.
    public var largestFree = 0
    /// How much of the end of the space is free.
    public var freeAtEnd = 0
    /// The free ranges by size: entry k is how many have a count from 2^k to below 2^(k+1). The last is not 0.
    public var freeRangesByPowerOfTwo: [Int] = []
    /// The bytes of memory that the records take.
    public var metadataByteCount = 0

    /// An account of nothing.
    public init() {}

    /// The part of what is free that is not in the largest free range: 0 where all of it is, or nothing is free.
    public var externalFragmentation: Double {
        freeCount == 0 ? 0 : 1 - Double(largestFree) / Double(freeCount)
    }
}

extension RangeStatistics: CustomStringConvertible {
    public var description: String {
        let tenths = Int((externalFragmentation * 1000).rounded())
        var text = """
            \(usedCount) of \(size) used in \(usedRanges) ranges, \(freeCount) free in \(freeRanges), the largest \
            \(largestFree), at the end \(freeAtEnd), fragmentation \(tenths / 10).\(tenths % 10) %, \
            \(metadataByteCount) bytes of records
            """
        for (power, count) in freeRangesByPowerOfTwo.enumerated() where count > 0 {
            text += "\n  from \(1 << power): \(count)"
        }
        return text
    }
}

extension RangeAllocator where Strategy: ~Copyable {
    /// The account as it is now. O(n), or O(n log n) where the strategy keeps no order.
    public var statistics: RangeStatistics {
        let ranges = freeRanges
        var statistics = RangeStatistics()
        statistics.size = size
        statistics.freeCount = freeCount
        statistics.freeRanges = ranges.count
        statistics.freeAtEnd = freeAtEnd
        statistics.metadataByteCount = metadataByteCount
        var start = 0
        var histogram = [Int](repeating: 0, count: Int.bitWidth)
        for range in ranges {
            statistics.largestFree = max(statistics.largestFree, range.count)
            histogram[Int.bitWidth - 1 - range.count.leadingZeroBitCount] += 1
            if range.lowerBound > start { statistics.usedRanges += 1 }
            start = range.upperBound
        }
        if start < size { statistics.usedRanges += 1 }
        statistics.freeRangesByPowerOfTwo = histogram
        while statistics.freeRangesByPowerOfTwo.last == 0 { statistics.freeRangesByPowerOfTwo.removeLast() }
        return statistics
    }
}

// Reflection copies each stored property, and traps where one can't be copied, as a strategy can't: `dump`, debuggers
// and tests that fail are given this in its place.
extension RangeAllocator: CustomReflectable, CustomStringConvertible where Strategy: ~Copyable {
    /// The size and the counts.
    public var customMirror: Mirror {
        Mirror(
            self,
            children: ["size": size, "freeCount": freeCount, "freeRangeCount": freeRangeCount, "checks": checks],
            displayStyle: .class)
    }

    /// How much is used, in one line.
    public var description: String {
        "RangeAllocator(\(usedCount) of \(size) used, \(freeRangeCount) free ranges, the largest \(largestFree))"
    }
}
