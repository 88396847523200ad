// The account, the children, and giving back what is not needed.

public import AllocatorCore
import RangeAllocators

/// What a ``ScalableAllocator`` took from its source at once.
public struct ScalableChild: Equatable, Sendable {
    /// The address of its first byte.
    public var address: UInt
    /// What the source gave, in bytes.
    public var byteCount: Int
    /// Bytes of live blocks.
    public var usedByteCount: Int
    /// The most bytes that lie together and are not used.
    public var largestFree: Int
    /// Whether it was made for one request, which was too large for the others.
    public var isAlone: Bool
}

extension ScalableAllocator: MeasuredAllocator {
    /// The account: held are the children and all records; overhead are the records, the 16 bytes at the end of each
    /// child, and what the source gave beyond multiples of 16. O(1).
    public var statistics: AllocatorStatistics {
        let records = recordBytes + free.metadataByteCount
        var statistics = account.statistics(overheadBytes: records + unusableBytes)
        statistics.heldBytes = heldBytes + records
        return statistics
    }

    /// What the source gave, in bytes; records come on top of it. O(1).
    public var heldByteCount: Int { heldBytes }

    /// Bytes of live blocks. O(1).
    public var usedByteCount: Int { account.liveBytes }

    /// Bytes that a block could have and none has. O(1).
    public var freeByteCount: Int { heldBytes - unusableBytes - account.liveBytes }

    /// How many children there are. O(1).
    public var childCount: Int { tree.count }

    /// Every child, in order of addresses. O(children), and a word a KiB of each.
    public var children: [ScalableChild] {
        enterLast()
        var children: [ScalableChild] = []
        tree.visit { child in
            if child.pointee.isBare { child.writeBits() }
            children.append(
                ScalableChild(
                    address: child.pointee.base, byteCount: child.pointee.heldByteCount,
                    usedByteCount: child.pointee.used &<< 4,
                    largestFree: child.pointee.bits.largestGap(granules: child.pointee.granules) &<< 4,
                    isAlone: child.pointee.isAlone))
        }
        return children
    }

    public func findLeaks() -> LeakError? { leakInStatistics(of: name) }

    /// Gives all children back, if no block is live.
    ///
    /// - Throws: ``LeakError`` where blocks are live; nothing has changed then.
    public func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        trim()
        empty = EmptyChildren()
        if source.isOwn { try source.allocator.close() }
    }

    /// Gives every child back in which nothing is live, and the records' memory that they leave unused. Children made
    /// after this are not held to be needed again.
    ///
    /// - Returns: how many bytes the source was given back.
    @discardableResult
    public func trim() -> Int {
        beginEvent()
        let held = heldBytes
        closeOpenRange()
        settleFreedLast()
        dropAllEmpties()
        empty.droppedBytes = 0
        empty.spareBytes = 0
        if tree.count == 0 { free = SegregatedFit() }
        return held - heldBytes
    }

    /// All children go back, whatever is live.
    func releaseEverything() {
        lent = nil
        tree.visit { child in
            source.allocator.deallocate(UnsafeMutableRawPointer(bitPattern: child.pointee.base).unsafelyUnwrapped)
            child.free()
        }
    }
}

extension BlockBits {
    /// The most granules that lie together and are of no block.
    func largestGap(granules: Int) -> Int {
        var largest = 0
        var granule = 0
        while let first = nextStart(from: granule, granules: granules) {
            largest = max(largest, first - granule)
            granule = last(of: first) + 1
        }
        return max(largest, granules - granule)
    }

    /// The first start at the granule or after it, or nil.
    func nextStart(from granule: Int, granules: Int) -> Int? {
        guard granule < granules else { return nil }
        var word = granule &>> 6
        var bits = starts[word] & (~0 &<< UInt64(truncatingIfNeeded: granule & 63))
        while bits == 0 {
            word += 1
            guard word < Self.wordCount(granules) else { return nil }
            bits = starts[word]
        }
        return word &<< 6 &+ bits.trailingZeroBitCount
    }
}
