// What is done to every shard: slabs that go back, come in advance, or change their class.

public import AllocatorCore

extension SharedSlabArena {
    /// How long a slab stays after its last chunk was recycled, for what comes next: a second, unless set. Zero: it
    /// goes back at once. Nil: it stays until ``trim()``.
    ///
    /// The arena has no thread of its own: what is due goes back when a call next takes a slow path in the slab's
    /// shard, at the latest by ``trim()``.
    public var emptySlabDelay: Duration? {
        get { shards.withLock { $0.emptySlabDelay } }
        set { for index in 0..<shardCount { (shards + index).withLock { $0.emptySlabDelay = newValue } } }
    }

    /// Gives every empty slab back to upstream, also those that were pre-filled and never used; one shard after the
    /// other.
    ///
    /// - Returns: the bytes that went back.
    /// - Complexity: O(slabs that have room).
    @discardableResult
    public func trim() -> Int {
        var sum = 0
        for index in 0..<shardCount { sum += (shards + index).withLock { $0.trim() } }
        return sum
    }

    /// Takes slabs until so many chunks of a class can be allocated without asking upstream, whichever threads ask for
    /// them evenly: each shard gets its part, in whole slabs.
    ///
    /// The slabs stay until they were used and are empty again, or until ``trim()``.
    ///
    /// - Parameters:
    ///   - byteCount: a request's bytes, from 0 to `slabSize`: which class is meant.
    ///   - chunkCount: how many chunks should be free.
    /// - Throws: ``AllocationError``: too large, or out of memory; the slabs that were taken before stay.
    /// - Complexity: O(slabs).
    public func prefill(byteCount: Int, chunkCount: Int) throws(AllocationError) {
        guard byteCount >= 0, byteCount <= slabSize else {
            if byteCount > slabSize { ownShard.withLock { $0.counters.tooLarge += 1 } }
            throw refused(byteCount, 1)
        }
        let part = (max(chunkCount, 0) + shardCount - 1) / shardCount
        for index in 0..<shardCount {
            let isDone = (shards + index).withLock { core in
                do throws(AllocationError) {
                    try core.prefill(byteCount: byteCount, chunkCount: part)
                    return true
                } catch { return false }
            }
            if !isDone { throw refused(byteCount, 1) }
        }
    }

    /// Frees every chunk, whoever has references, and gives all slabs back. For a moment at which no other thread uses
    /// the arena. Locations of before are found out; buffers and pointers dangle, and a ``SharedSlabBuffer`` of before
    /// ends the program when it ends. O(slabs).
    public func freeAll() {
        withAllShards { cores in
            for core in cores { core.freeAll() }
        }
    }

    /// Gives all slabs back where no chunk is live; throws ``LeakError`` and changes nothing where one is. For a moment
    /// at which no other thread uses the arena; it can be used again afterwards.
    public func close() throws(LeakError) {
        try withAllShards { cores throws(LeakError) in
            if let leak = leakInStatistics(statistics(of: cores)) { throw leak }
            for core in cores { try core.close() }
            bases.removeAll()
        }
    }

    /// What is live as of one moment, or nil. O(slabs).
    public func findLeaks() -> LeakError? { leakInStatistics(statistics) }

    private func leakInStatistics(_ account: AllocatorStatistics) -> LeakError? {
        guard account.liveBlocks > 0 else { return nil }
        return LeakError(allocator: "SharedSlabArena", blocks: account.liveBlocks, bytes: account.liveBytes)
    }

    /// The arena, and the objects in whose memory its slabs may lie.
    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + upstream._sources }
}
