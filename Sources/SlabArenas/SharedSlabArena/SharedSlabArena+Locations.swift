// Locations: looked up under the lock of the shard that they name, so that the slab stays meanwhile; and whether the
// chunk is live is part of the atomic operation that adds the reference (P3).

import AllocatorCore

extension SharedSlabArena {
    /// The location of a buffer of which the caller has a reference: of a chunk, or of a part of one. It holds none.
    ///
    /// - Returns: `.nil` for a buffer that is not inside one live chunk of this arena. Of an address of which the
    ///   caller has no reference this may be asked as long as no other thread gives a slab back meanwhile, by a release
    ///   or by ``trim()``: the slab's header is read. ``owns(_:)`` may be asked about any address at any time.
    /// - Complexity: O(1); takes no lock.
    public func location(of buffer: UnsafeRawBufferPointer) -> SlabLocation {
        guard let pointer = buffer.baseAddress, owns(pointer) else { return .nil }
        let slab = SlabReference(bitPattern: (UInt(bitPattern: pointer) & baseMask) &+ headerOffset).unsafelyUnwrapped
        let offset = UInt(bitPattern: pointer) & ~baseMask
        let index = slab.chunkIndex(offset: offset)
        guard index < Int(slab.atomicCarved.pointee.load(ordering: .acquiring)) else { return .nil }
        let state = (slab.records + index).currentState
        let end = UInt(bitPattern: index &+ 1) &* UInt(slab.pointee.chunkSize)
        guard ChunkRecord.references(state) != 0, UInt(bitPattern: buffer.count) <= end &- offset else {
            return .nil
        }
        return SlabLocation(
            slab: shard(of: slab).pointee.index << SlabShard.numberBits | slab.pointee.number,
            position: UInt32(truncatingIfNeeded: offset), length: UInt32(truncatingIfNeeded: buffer.count),
            generation: ChunkRecord.generation(state))
    }

    /// The location of a buffer of which the caller has a reference: of a chunk, or of a part of one. It holds none.
    public func location(of buffer: UnsafeMutableRawBufferPointer) -> SlabLocation {
        location(of: UnsafeRawBufferPointer(buffer))
    }

    /// A location's slab in its shard, whose lock is held, and its chunk's record, live or not.
    func find(
        _ location: SlabLocation, in shard: UnsafeMutablePointer<SlabShard>
    ) -> (slab: SlabReference, record: UnsafeMutablePointer<ChunkRecord>)? {
        guard let slab = shard.withCore({ $0.slots.find(location.slab & SlabShard.numberMask) }) else { return nil }
        let index = slab.chunkIndex(offset: UInt(location.position))
        guard index < Int(slab.pointee.carved),
            UInt(location.position) + UInt(location.length)
                <= UInt(bitPattern: index + 1) * UInt(slab.pointee.chunkSize)
        else { return nil }
        return (slab, slab.records + index)
    }

    func isLive(_ state: UInt64, _ location: SlabLocation) -> Bool {
        ChunkRecord.references(state) != 0 && ChunkRecord.generation(state) == location.generation
    }

    func shard(of location: SlabLocation) -> UnsafeMutablePointer<SlabShard>? {
        let index = Int(location.slab >> SlabShard.numberBits)
        return !location.isNil && index < shardCount ? shards + index : nil
    }

    /// Changes the state of a location's live chunk in one atomic operation, under its shard's lock. Nil where it is
    /// not live, or the closure says so.
    private func change(
        _ location: SlabLocation, _ newState: (UInt64) -> UInt64?
    ) -> UnsafeMutableRawBufferPointer? {
        guard let shard = shard(of: location) else { return nil }
        shard.pointee.lock.acquire()
        defer { shard.pointee.lock.release() }
        guard let found = find(location, in: shard) else { return nil }
        var state = found.record.currentState
        while true {
            guard isLive(state, location), let new = newState(state) else { return nil }
            if new == state { break }
            let (exchanged, seen) = found.record.atomicState.pointee.compareExchange(
                expected: state, desired: new, ordering: .acquiringAndReleasing)
            if exchanged { break }
            state = seen
        }
        return buffer(UInt(bitPattern: found.slab) - headerOffset + UInt(location.position), location.count)
    }

    /// The memory that a location stands for, with a reference added for the caller: what to read an item by, whatever
    /// other threads do meanwhile.
    ///
    /// - Returns: nil, and nothing has happened, for the nil location, and for one that outlived its chunk.
    /// - Complexity: O(1), under the lock of the location's shard.
    public func bufferAddingReference(at location: SlabLocation) -> UnsafeMutableRawBufferPointer? {
        addReference(to: location, onlyIfHeld: false)
    }

    /// The same; where it is asked for, of a chunk of which the location holds a reference, and else nil: whether it
    /// does is part of the atomic operation, so that a handle that has the only reference keeps it.
    func addReference(to location: SlabLocation, onlyIfHeld: Bool) -> UnsafeMutableRawBufferPointer? {
        let found = change(location) { state in
            if onlyIfHeld, state & ChunkRecord.heldByLocation == 0 { return nil }
            if ChunkRecord.references(state) == .max { tooManyReferences(location) }
            return state + 1
        }
        if found != nil { counters.countAdded() }
        return found
    }

    private func tooManyReferences(_ location: SlabLocation) -> Never {
        fatalError("SharedSlabArena: the chunk at (\(location)) has as many references as can be counted")
    }

    /// Adds a reference to a location's chunk.
    ///
    /// - Returns: false, and nothing has happened, for the nil location and for one that outlived its chunk.
    /// - Complexity: O(1), under the lock of the location's shard.
    @discardableResult
    public func addReference(at location: SlabLocation) -> Bool { bufferAddingReference(at: location) != nil }

    /// The memory that a location stands for; adds no reference. For callers who know that the chunk has one which is
    /// not released, nor its chunk moved, meanwhile: others take ``bufferAddingReference(at:)``.
    ///
    /// - Returns: nil for the nil location, and for one that outlived its chunk.
    /// - Complexity: O(1), under the lock of the location's shard.
    public func buffer(at location: SlabLocation) -> UnsafeMutableRawBufferPointer? { change(location) { $0 } }

    /// Whether the location's chunk is live, or was a moment ago. False for the nil location. O(1), under the lock of
    /// the location's shard.
    public func isLive(_ location: SlabLocation) -> Bool { buffer(at: location) != nil }

    /// Releases the reference that the location holds, where ``store(_:)`` gave it one; else one of the caller's.
    ///
    /// A reference that was added to a chunk that a location holds is released by the buffer. Nothing happens to the
    /// nil location. Traps where the location outlived its chunk: where threads race to remove an item, or any thread
    /// rebalances (the old location of a chunk that moves is stale before its new one is told), remove items by
    /// ``take(_:)``, which tells who has it, and ``release(_:)``.
    ///
    /// - Returns: whether it was the last.
    /// - Complexity: O(1), under the lock of the location's shard, and as ``release(_:)``.
    @discardableResult
    public func release(at location: SlabLocation) -> Bool {
        if location.isNil { return false }
        var references: UInt32 = 0
        guard let shard = shard(of: location) else { staleLocation(location) }
        shard.pointee.lock.acquire()
        guard let found = find(location, in: shard) else {
            staleLocation(location)
        }
        var state = found.record.currentState
        while true {
            guard isLive(state, location) else { staleLocation(location) }
            let new = (state & ~ChunkRecord.heldByLocation) - 1
            let (exchanged, seen) = found.record.atomicState.pointee.compareExchange(
                expected: state, desired: new, ordering: .acquiringAndReleasing)
            if exchanged {
                references = ChunkRecord.references(new)
                break
            }
            state = seen
        }
        counters.countReleased()
        guard references == 0 else {
            shard.pointee.lock.release()
            return false
        }
        recycle(found.record, of: found.slab, underLockOf: shard)
        return true
    }

    private func staleLocation(_ location: SlabLocation) -> Never {
        fatalError(
            "SharedSlabArena: the location (\(location)) is not live: it outlived its chunk, or is another arena's")
    }

    /// Makes the reference that the caller has of a chunk the location's: for items that are held in an index by their
    /// locations.
    ///
    /// From here on the chunk may be moved, whenever it has no other reference, by
    /// ``rebalance(to:policy:limit:moved:)``, which reports its new location; a buffer of the chunk that was kept
    /// without a reference then dangles. A chunk holds at most one reference for a location: storing it again traps.
    /// Undone by ``take(_:)``, and ended by ``release(at:)``. Where a thread rebalances, store under the lock of the
    /// index that gets the location, so that no move is told before the entry is there.
    ///
    /// Traps where the buffer is not inside one live chunk of this arena. O(1): an atomic operation; takes no lock.
    public func store(_ buffer: UnsafeMutableRawBufferPointer) -> SlabLocation {
        let pointer = UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped)
        let record = ownLiveChunk(pointer).record
        let location = location(of: buffer)
        if location.isNil { misuse("SharedSlabArena", pointer, "is a buffer that goes beyond its chunk") }
        let old = record.atomicState.pointee.bitwiseOr(
            ChunkRecord.heldByLocation, ordering: .acquiringAndReleasing
        ).oldValue
        if old & ChunkRecord.heldByLocation != 0 {
            misuse("SharedSlabArena", pointer, "is held by a location already")
        }
        return location
    }

    /// Makes the reference that a location holds the caller's again: the chunk stays where it is. Of threads that race
    /// to take one item out, one gets it.
    ///
    /// - Returns: the memory, whose reference the caller releases; nil, and nothing has happened, where the location is
    ///   nil, outlived its chunk, or holds no reference.
    /// - Complexity: O(1), under the lock of the location's shard.
    public func take(_ location: SlabLocation) -> UnsafeMutableRawBufferPointer? {
        change(location) { state in
            state & ChunkRecord.heldByLocation != 0 ? state & ~ChunkRecord.heldByLocation : nil
        }
    }

    /// Visits the location of every live chunk, all of it, in no order. The body is called with no lock held, and may
    /// call everything: what it is given may have been released, and be stale, by then.
    ///
    /// - Complexity: O(chunks).
    public func forEachLiveChunk<Failure: Error>(_ body: (SlabLocation) throws(Failure) -> Void) throws(Failure) {
        for index in 0..<shardCount {
            var number: UInt32 = 0
            while let locations = liveChunks(of: shards + index, slab: number) {
                number += 1
                for location in locations { try body(location) }
            }
        }
    }

    /// The live chunks of a shard's slab, or nil beyond the last number.
    private func liveChunks(of shard: UnsafeMutablePointer<SlabShard>, slab number: UInt32) -> [SlabLocation]? {
        shard.withLock { core in
            guard number < core.slots.count else { return nil }
            guard let slab = core.slots[number].slab else { return [] }
            var locations: [SlabLocation] = []
            for index in 0..<Int(slab.pointee.carved) {
                let state = (slab.records + index).currentState
                guard ChunkRecord.references(state) != 0 else { continue }
                locations.append(
                    SlabLocation(
                        slab: shard.pointee.index << SlabShard.numberBits | number,
                        position: UInt32(index) * slab.pointee.chunkSize, length: slab.pointee.chunkSize,
                        generation: ChunkRecord.generation(state)))
            }
            return locations
        }
    }
}
