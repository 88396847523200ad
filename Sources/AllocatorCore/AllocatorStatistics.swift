/// An allocator's account of its blocks and its memory. One meaning in every allocator:
///
/// - a block is live from its allocation to its freeing, and its bytes are its usable ones: the `count` of its buffer;
/// - held memory is all that the allocator has taken from upstream and not given back, its own records included;
/// - overhead is the part of it that no block can ever have: records, headers, guard pages, rounding.
///
/// So `liveBytes + overheadBytes + freeBytes == heldBytes`, in every allocator and at every moment.
public struct AllocatorStatistics: Codable, Equatable, Sendable {
    /// Blocks that are live now.
    public var liveBlocks: Int
    /// Usable bytes of the blocks that are live now.
    public var liveBytes: Int
    /// The most blocks that were ever live at once.
    public var peakBlocks: Int
    /// The most usable bytes that were ever live at once.
    public var peakBytes: Int
    /// Blocks allocated since the allocator was made. What is left of a block of which a part was freed is not
    /// allocated again: where parts are freed, `liveBlocks` and `peakBlocks` may be more than this.
    public var totalBlocks: Int
    /// Bytes allocated since the allocator was made: those of each block when it was allocated, and what blocks grew by
    /// in place.
    public var totalBytes: Int
    /// Bytes taken from upstream and not given back, the allocator's records included.
    public var heldBytes: Int
    /// Bytes held that no block can have.
    public var overheadBytes: Int

    /// Makes an account from its numbers, which are not checked; those left out are 0.
    public init(
        liveBlocks: Int = 0, liveBytes: Int = 0, peakBlocks: Int = 0, peakBytes: Int = 0, totalBlocks: Int = 0,
        totalBytes: Int = 0, heldBytes: Int = 0, overheadBytes: Int = 0
    ) {
        self.liveBlocks = liveBlocks
        self.liveBytes = liveBytes
        self.peakBlocks = peakBlocks
        self.peakBytes = peakBytes
        self.totalBlocks = totalBlocks
        self.totalBytes = totalBytes
        self.heldBytes = heldBytes
        self.overheadBytes = overheadBytes
    }

    /// Bytes held that a block could have and none has.
    public var freeBytes: Int { heldBytes - liveBytes - overheadBytes }

    /// Enters a block of so many usable bytes, behind so many of overhead, taken from upstream just now.
    @inlinable @inline(__always)
    package mutating func enter(byteCount: Int, overhead: Int) {
        liveBlocks &+= 1
        liveBytes &+= byteCount
        peakBlocks = max(peakBlocks, liveBlocks)
        peakBytes = max(peakBytes, liveBytes)
        totalBlocks &+= 1
        totalBytes &+= byteCount
        heldBytes &+= byteCount &+ overhead
        overheadBytes &+= overhead
    }

    /// Takes such a block out again.
    @inlinable @inline(__always)
    package mutating func remove(byteCount: Int, overhead: Int) {
        liveBlocks &-= 1
        liveBytes &-= byteCount
        heldBytes &-= byteCount &+ overhead
        overheadBytes &-= overhead
    }

    /// Adds the account of a part, such as a shard: the peaks become the sums of the parts' own, which is at least the
    /// most that was ever live at once.
    package mutating func add(_ part: AllocatorStatistics) {
        liveBlocks += part.liveBlocks
        liveBytes += part.liveBytes
        peakBlocks += part.peakBlocks
        peakBytes += part.peakBytes
        totalBlocks += part.totalBlocks
        totalBytes += part.totalBytes
        heldBytes += part.heldBytes
        overheadBytes += part.overheadBytes
    }
}

extension AllocatorStatistics: CustomStringConvertible {
    public var description: String {
        """
        live \(liveBlocks) blocks, \(liveBytes) bytes; peak \(peakBlocks) blocks, \(peakBytes) bytes; \
        in all \(totalBlocks) blocks, \(totalBytes) bytes; held \(heldBytes) bytes, overhead \(overheadBytes)
        """
    }
}
