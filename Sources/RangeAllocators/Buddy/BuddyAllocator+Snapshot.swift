// Saving and restoring which blocks are in use.

/// Which blocks of a ``BuddyAllocator`` are in use: what is needed to make it again.
public struct BuddySnapshot: Codable, Hashable, Sendable {
    /// The size of the space.
    public var size: Int
    /// The size of the smallest blocks.
    public var smallestBlock: Int
    /// The blocks in use, in order of offsets.
    public var usedBlocks: [Range<Int>]

    /// Makes a snapshot of these parts. Whether they fit together is found out when an allocator is made of it.
    public init(size: Int, smallestBlock: Int, usedBlocks: [Range<Int>]) {
        self.size = size
        self.smallestBlock = smallestBlock
        self.usedBlocks = usedBlocks
    }
}

extension BuddyAllocator {
    /// The blocks in use, as a value that can be saved. O(blocks · log(`size / smallestBlock`)).
    public var snapshot: BuddySnapshot {
        BuddySnapshot(size: size, smallestBlock: smallestBlock, usedBlocks: usedBlocks)
    }

    /// Makes an allocator in which the snapshot's blocks are in use.
    ///
    /// The snapshot may come from anywhere: what is not possible in it is an error. Its size decides how much memory
    /// the bookkeeping takes, so one from a stranger should be looked at first.
    ///
    /// - Throws: what ``init(size:smallestBlock:)`` and ``allocate(_:)-(Range<Int>)`` throw.
    /// - Complexity: O(`size / smallestBlock`) and O(log(`size / smallestBlock`)) a block.
    public convenience init(_ snapshot: BuddySnapshot) throws(BuddyError) {
        try self.init(size: snapshot.size, smallestBlock: snapshot.smallestBlock)
        for block in snapshot.usedBlocks { try allocate(block) }
    }
}
