// What is so now. Nothing is counted for it.

/// The account of a ``BuddyAllocator``. A value: it doesn't change.
public struct BuddyStatistics: Codable, Hashable, Sendable {
    /// The size of the space.
    public var size = 0
    /// The size of the smallest blocks.
    public var smallestBlock = 0
    /// How much is free.
    public var freeCount = 0
    /// How much is in use, in whole blocks: what callers didn't ask for is included, and not known.
    public var usedCount = 0
    /// The size of the largest free block.
    public var largestFree = 0
    /// The free blocks of each size: the smallest first, each next one twice as large.
    public var freeBlocks: [Int] = []
    /// The blocks in use of each size.
    public var usedBlocks: [Int] = []
    /// The bytes of memory that the bookkeeping takes.
    public var metadataByteCount = 0

    /// An account of nothing.
    public init() {}

    /// The part of what is free that is not in the largest free block: 0 where all of it is, or nothing is free.
    public var externalFragmentation: Double {
        freeCount == 0 ? 0 : 1 - Double(largestFree) / Double(freeCount)
    }
}

extension BuddyStatistics: CustomStringConvertible {
    public var description: String {
        """
        \(usedCount) of \(size) in use in \(usedBlocks.reduce(0, +)) blocks, \(freeCount) free in \
        \(freeBlocks.reduce(0, +)), the largest \(largestFree)
        """
    }
}

extension BuddyAllocator {
    /// The account as it is now.
    ///
    /// - Complexity: O(`size / smallestBlock`), though only a quarter of a byte is read for each.
    public var statistics: BuddyStatistics {
        joinHotBlocks()
        var statistics = BuddyStatistics()
        statistics.size = size
        statistics.smallestBlock = smallestBlock
        statistics.freeCount = freeCount
        statistics.usedCount = usedCount
        statistics.largestFree = largestFree
        statistics.metadataByteCount = metadataByteCount
        statistics.freeBlocks = (0...top).map { orders[$0].count }
        statistics.usedBlocks = [Int](repeating: 0, count: top + 1)
        for byte in 0..<(units + 3) / 4 where marks.bytes[byte] != 0 {
            for unit in byte * 4..<byte * 4 + 4 where marks[unit] >= 0 { statistics.usedBlocks[marks[unit]] += 1 }
        }
        return statistics
    }
}
