// What is free, what is in use, and taking one given block.

extension BuddyAllocator {
    /// How much is free. What is left below a smallest block at the end of the space is neither free nor in use. O(1).
    public var freeCount: Int { (units - usedUnits) << shift }

    /// How much is in use, in whole blocks. O(1).
    public var usedCount: Int { usedUnits << shift }

    /// Whether no block is in use. O(1).
    public var isEmpty: Bool { usedUnits == 0 }

    /// The size of the largest free block: what the largest request can be. 0 where nothing is free.
    ///
    /// - Complexity: O(1), but for joining what was freed last.
    public var largestFree: Int {
        joinHotBlocks()
        return occupied == 0 ? 0 : smallestBlock << (63 - occupied.leadingZeroBitCount)
    }

    /// The size of the largest block that the space has when nothing is in use: the largest power of two in it.
    public var largestBlock: Int { smallestBlock << top }

    /// The bytes of memory that the bookkeeping takes. O(1).
    public var metadataByteCount: Int { memoryByteCount }

    /// The size of the block that ``allocate(_:)`` would return for a count, or nil where it is larger than any. O(1).
    public func blockSize(for count: Int) -> Int? {
        if count < 0 { fatalError("BuddyAllocator: a negative count (\(count))") }
        let order = orderOf(count)
        return order > top ? nil : smallestBlock << order
    }

    /// The size of the block in use that starts at an offset, or nil where none does. O(1).
    public func blockSize(at offset: Int) -> Int? {
        let order = orderOfBlock(at: offset)
        return order < 0 ? nil : smallestBlock << order
    }

    /// The block that an offset is in, and whether it is free; nil outside of the blocks.
    ///
    /// - Complexity: O(log(`size / smallestBlock`)).
    public func block(containing offset: Int) -> (range: Range<Int>, isFree: Bool)? {
        let unit = offset >> shift
        guard unit >= 0, unit < units else { return nil }
        joinHotBlocks()
        for order in 0...top {
            let index = unit >> order
            let start = index << order
            let lower = start << shift
            if orders[order].contains(index) { return (lower..<lower + smallestBlock << order, true) }
            if marks[start] == order { return (lower..<lower + smallestBlock << order, false) }
        }
        fatalError("BuddyAllocator: offset \(offset) is in no block")
    }

    /// The free blocks, in order of offsets, joined as far as buddies can be. O(blocks · log(`size / smallestBlock`)).
    public var freeBlocks: [Range<Int>] { blocks(free: true) }

    /// The blocks in use, in order of offsets. O(blocks · log(`size / smallestBlock`)).
    public var usedBlocks: [Range<Int>] { blocks(free: false) }

    private func blocks(free: Bool) -> [Range<Int>] {
        var blocks: [Range<Int>] = []
        var offset = 0
        while let (range, isFree) = block(containing: offset) {
            if isFree == free { blocks.append(range) }
            offset = range.upperBound
        }
        return blocks
    }

    /// Allocates exactly this block.
    ///
    /// For what has its place already: areas that are reserved, a state to be restored.
    ///
    /// - Parameter range: a block: the smallest block's size times a power of two, at a multiple of itself.
    /// - Throws: ``BuddyError/notABlock(_:)``, ``BuddyError/outside(offset:size:)`` and ``BuddyError/isInUse(_:)``.
    /// - Complexity: O(log(`size / smallestBlock`)).
    public func allocate(_ range: Range<Int>) throws(BuddyError) {
        // Both ends are a multiple of the count, unless somebody made a range that overflows.
        let (count, overflow) = range.upperBound.subtractingReportingOverflow(range.lowerBound)
        guard !overflow, count >= smallestBlock, count & (count - 1) == 0, range.lowerBound & (count - 1) == 0 else {
            throw .notABlock(range)
        }
        guard range.lowerBound >= 0, range.upperBound <= units << shift else {
            throw .outside(offset: range.lowerBound, size: size)
        }
        joinHotBlocks()
        let unit = range.lowerBound >> shift
        let order = count.trailingZeroBitCount - shift
        guard let found = (order...top).first(where: { orders[$0].contains(unit >> $0) }) else {
            throw .isInUse(range)
        }
        _ = orders[found].remove(unit >> found)
        if orders[found].count == 0 { occupied &= ~(1 << UInt64(found)) }
        for half in stride(from: found - 1, through: order, by: -1) { insert(half, index: unit >> half ^ 1) }
        marks.insert(unit, order: order)
        usedUnits += 1 << order
    }
}
