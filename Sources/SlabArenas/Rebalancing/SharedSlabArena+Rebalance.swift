// Rebalancing for many threads: shard by shard, each under its lock, and what moved is told with no lock held.
//
// A chunk that is moved has one reference, a location's, and locations are resolved under the lock of their shard:
// nobody else comes to it meanwhile. Between the move and the callback its old location is stale, and only the callback
// learns the new one. One thread rebalances at a time, its callbacks included, so that no chunk moves again before its
// first move was told.

extension SharedSlabArena {
    /// Empties slabs by moving the chunks on them, so that memory goes to another class, or back to upstream: as
    /// ``SlabArena/rebalance(to:policy:limit:moved:)`` does, in one shard after the other, beginning with this
    /// thread's.
    ///
    /// The callback is called for each chunk after a shard is done, on this thread and with no lock of the arena held:
    /// it may call everything of the arena. Until it has entered the new location, other threads find the old one
    /// stale: to a look-up the item is missing, and ``take(_:)`` takes nothing. So where the callback finds that nobody
    /// has the old location any more, since the item was removed meanwhile, it releases the chunk at the new one.
    ///
    /// - Parameters:
    ///   - byteCount: a request's bytes: the class that gets one slab, of another class of the same shard. Nil: every
    ///     slab that can be emptied is, and goes back to upstream. Traps where it is negative or above `slabSize`.
    ///   - policy: which slab of a shard is emptied first.
    ///   - limit: the most chunks that are moved.
    ///   - moved: called with a chunk's old and new location.
    /// - Returns: what was done: nothing where another thread does this at the moment, or the callback asks for it.
    /// - Complexity: for each slab that is emptied, O(slabs of the shard) and the bytes of the chunks that are moved,
    ///   under the shard's lock. Takes memory for the locations.
    @discardableResult
    public func rebalance(
        to byteCount: Int? = nil, policy: SlabRebalancePolicy = .emptiest, limit: Int = .max,
        moved: (SlabLocation, SlabLocation) -> Void
    ) -> SlabRebalanceResult {
        // A precondition would say nothing in a release build.
        if let byteCount, byteCount < 0 || byteCount > slabSize {
            fatalError("SharedSlabArena: rebalance to \(byteCount) bytes, for which there is no class")
        }
        var sum = SlabRebalanceResult()
        guard beginRebalancing() else { return sum }
        defer { endRebalancing() }
        let own = ownShard - shards
        for distance in 0..<shardCount where sum.slabsHandedOver == 0 {
            let shard = shards + ((own + distance) & (shardCount - 1))
            var moves: [(old: SlabLocation, new: SlabLocation)] = []
            var numbers: [SlabLocation: Int] = [:]
            let result = shard.withLock { core in
                core.rebalance(to: byteCount, policy: policy, limit: limit - sum.chunksMoved) {
                    let (old, new) = (outside($0, shard), outside($1, shard))
                    // What moves on has moved once, as far as anybody can tell.
                    if let number = numbers.removeValue(forKey: old) {
                        moves[number].new = new
                        numbers[new] = number
                    } else {
                        numbers[new] = moves.count
                        moves.append((old, new))
                    }
                }
            }
            sum.add(result)
            for (old, new) in moves { moved(old, new) }
        }
        return sum
    }

    /// The location of a whole chunk, as far as it was asked for, from the location of any part of it: what the
    /// callback of rebalancing reports.
    ///
    /// - Returns: `.nil` where the location is nil or outlived its chunk. O(1), under the lock of the location's shard.
    public func chunkLocation(of location: SlabLocation) -> SlabLocation {
        guard let shard = shard(of: location) else { return .nil }
        shard.pointee.lock.acquire()
        defer { shard.pointee.lock.release() }
        guard let found = find(location, in: shard),
            isLive(found.record.atomicState.pointee.load(ordering: .acquiring), location)
        else { return .nil }
        let index = UInt32(found.record - found.slab.records)
        return SlabLocation(
            slab: location.slab, position: index * found.slab.pointee.chunkSize, length: found.record.pointee.requested,
            generation: location.generation)
    }

    /// Where a part of a chunk is after the chunk was moved.
    ///
    /// - Parameters:
    ///   - part: the location of a chunk or of a part of one, from before the move.
    ///   - old: the first location that the callback was given.
    ///   - new: the second, whose chunk is live.
    /// - Returns: the same bytes at the new place; nil where `part` is not of the chunk that was moved. O(1), under the
    ///   lock of the new location's shard.
    public func location(_ part: SlabLocation, movedFrom old: SlabLocation, to new: SlabLocation) -> SlabLocation? {
        guard part.slab == old.slab, part.generation == old.generation, part.position >= old.position,
            let shard = shard(of: new)
        else { return nil }
        shard.pointee.lock.acquire()
        defer { shard.pointee.lock.release() }
        guard let found = find(new, in: shard),
            isLive(found.record.atomicState.pointee.load(ordering: .acquiring), new),
            part.position - old.position < found.slab.pointee.chunkSize
        else { return nil }
        return SlabLocation(
            slab: new.slab, position: new.position + (part.position - old.position), length: part.length,
            generation: new.generation)
    }

    /// A shard's location as the shared arena says it.
    private func outside(_ location: SlabLocation, _ shard: UnsafeMutablePointer<SlabShard>) -> SlabLocation {
        SlabLocation(
            slab: shard.pointee.index << SlabShard.numberBits | location.slab, position: location.position,
            length: location.length, generation: location.generation)
    }

    private func beginRebalancing() -> Bool {
        settingsLock.acquire()
        defer { settingsLock.release() }
        if isRebalancing { return false }
        isRebalancing = true
        return true
    }

    private func endRebalancing() {
        settingsLock.acquire()
        isRebalancing = false
        settingsLock.release()
    }
}

extension SlabRebalanceResult {
    fileprivate mutating func add(_ other: SlabRebalanceResult) {
        slabsEmptied += other.slabsEmptied
        chunksMoved += other.chunksMoved
        bytesMoved += other.bytesMoved
        slabsHandedOver += other.slabsHandedOver
        bytesGivenBack += other.bytesGivenBack
    }
}
