// The account: the shards' together, as of one moment.

public import AllocatorCore

extension SharedSlabArena {
    /// The account that every allocator keeps: a block is a chunk, and its bytes are the chunk's.
    ///
    /// All of it is as of one moment, at which all shards' locks are held; but the peaks, which are the sums of the
    /// shards' own: at least the most that were ever live at once, and exact where one shard is used. A chunk that is
    /// being recycled at the moment still is live. O(slabs).
    public var statistics: AllocatorStatistics { withAllShards { statistics(of: $0) } }

    func statistics(of cores: [SlabArena]) -> AllocatorStatistics {
        let tables =
            bases.byteCount + ReferenceCounters.byteCount + shardCount * MemoryLayout<SlabShard>.stride
        var all = AllocatorStatistics(heldBytes: tables, overheadBytes: tables)
        for core in cores { all.add(core.statistics) }
        return all
    }

    /// The account in full, as of one moment, at which all shards' locks are held. References are added and released
    /// without a lock, so that their counts may be a moment older or newer than the rest. O(slabs + classes).
    public var slabStatistics: SlabStatistics {
        withAllShards { cores in
            var all = cores[0].slabStatistics
            for core in cores.dropFirst() { all.add(core.slabStatistics) }
            let sums = counters.sums
            all.referencesAdded = sums.added
            all.referencesReleased = sums.released
            let account = statistics(of: cores)
            all.bytesHeld = account.heldBytes
            all.bytesOverhead = account.overheadBytes
            return all
        }
    }
}

extension SlabStatistics {
    /// Adds the account of another arena with the same classes.
    mutating func add(_ other: SlabStatistics) {
        let fields: [WritableKeyPath<SlabStatistics, Int>] = [
            \.allocations, \.referencesAdded, \.referencesReleased, \.releasesToZero, \.chainReads, \.chainWrites,
            \.slabAllocations, \.slabAllocationFailures, \.slabsGivenBack, \.slabsReassigned, \.chunksMoved,
            \.requestsTooLarge, \.freeListPushes, \.freeListPops, \.freeListFailedPops, \.bytesRequested,
            \.bytesGranted, \.bytesHeld, \.bytesOverhead, \.slabs, \.slabsEmpty,
        ]
        for field in fields { self[keyPath: field] += other[keyPath: field] }
        for index in classes.indices { classes[index].add(other.classes[index]) }
    }
}

extension SlabClassStatistics {
    fileprivate mutating func add(_ other: SlabClassStatistics) {
        slabs += other.slabs
        chunks += other.chunks
        chunksFree += other.chunksFree
        chunksInUse += other.chunksInUse
        chunksRetired += other.chunksRetired
        allocations += other.allocations
        bytesRequested += other.bytesRequested
        bytesFree += other.bytesFree
    }
}
