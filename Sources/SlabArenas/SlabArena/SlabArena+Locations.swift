// Locations: names for chunks that are found out when they outlive them.

public import AllocatorCore

extension SlabArena {
    /// The location of a buffer: of a chunk, or of a part of one. It holds no reference.
    ///
    /// - Returns: `.nil` for a buffer that is not inside one live chunk of this arena.
    /// - Complexity: O(1).
    @inlinable
    public func location(of buffer: UnsafeRawBufferPointer) -> SlabLocation {
        guard let pointer = buffer.baseAddress, let slab = findSlab(UInt(bitPattern: pointer)) else { return .nil }
        let offset = UInt(bitPattern: pointer) & ~baseMask
        let index = slab.chunkIndex(offset: offset)
        guard index < Int(slab.pointee.carved) else { return .nil }
        let record = slab.records + index
        let end = UInt(bitPattern: index &+ 1) &* UInt(slab.pointee.chunkSize)
        guard record.pointee.references != 0, UInt(bitPattern: buffer.count) <= end &- offset else { return .nil }
        return SlabLocation(
            slab: slab.pointee.number, position: UInt32(truncatingIfNeeded: offset),
            length: UInt32(truncatingIfNeeded: buffer.count), generation: record.pointee.generation)
    }

    /// The location of a buffer: of a chunk, or of a part of one. It holds no reference.
    @inlinable @inline(__always)
    public func location(of buffer: UnsafeMutableRawBufferPointer) -> SlabLocation {
        location(of: UnsafeRawBufferPointer(buffer))
    }

    /// The chunk of a location; nil for the nil location, one that outlived its chunk, and one that is none of this
    /// arena's.
    @inlinable @inline(__always)
    func chunk(
        at location: SlabLocation
    ) -> (slab: SlabReference, record: UnsafeMutablePointer<ChunkRecord>)? {
        guard let slab = slots.find(location.slab) else { return nil }
        let index = slab.chunkIndex(offset: UInt(location.position))
        guard index < Int(slab.pointee.carved) else { return nil }
        let record = slab.records + index
        // A free chunk's generation is its next life's, which a location of the future could not have: but one that was
        // made up could.
        guard record.pointee.generation == location.generation, record.pointee.references != 0,
            UInt(location.position) &+ UInt(location.length)
                <= UInt(bitPattern: index &+ 1) &* UInt(slab.pointee.chunkSize)
        else { return nil }
        return (slab, record)
    }

    @inlinable @inline(__always)
    func memory(of location: SlabLocation, in slab: SlabReference) -> UnsafeMutableRawBufferPointer {
        buffer(UInt(bitPattern: slab) &- headerOffset &+ UInt(location.position), Int(location.length))
    }

    /// The memory that a location stands for; adds no reference.
    ///
    /// - Returns: nil for the nil location, and for one that outlived its chunk.
    /// - Complexity: O(1).
    @inlinable
    public func buffer(at location: SlabLocation) -> UnsafeMutableRawBufferPointer? {
        guard let found = chunk(at: location) else { return nil }
        return memory(of: location, in: found.slab)
    }

    /// Whether the location's chunk is live. False for the nil location. O(1).
    @inlinable
    public func isLive(_ location: SlabLocation) -> Bool { chunk(at: location) != nil }

    /// Adds a reference to a location's chunk.
    ///
    /// - Returns: false, and nothing has happened, for the nil location and for one that outlived its chunk.
    /// - Complexity: O(1).
    @inlinable @discardableResult
    public func addReference(at location: SlabLocation) -> Bool {
        guard let found = chunk(at: location) else { return false }
        addReference(
            to: found.record, UnsafeRawPointer(memory(of: location, in: found.slab).baseAddress.unsafelyUnwrapped))
        return true
    }

    /// Releases the reference that the location holds, where ``store(_:)`` gave it one; else one of the caller's.
    ///
    /// A reference that ``addReference(at:)`` added to a chunk that a location holds is released by the buffer.
    /// Nothing happens to the nil location. Traps where the location outlived its chunk.
    ///
    /// - Returns: whether it was the last.
    /// - Complexity: as ``release(_:)``.
    @inlinable @discardableResult
    public func release(at location: SlabLocation) -> Bool {
        if location.isNil { return false }
        guard let found = chunk(at: location) else { staleLocation(location) }
        // R2: references that are left over are buffers', which don't move.
        found.record.pointee.state &= ~ChunkRecord.heldByLocation
        return release(found.record, of: found.slab)
    }

    /// Makes the reference that the caller has of a chunk the location's: for items that are held in an index by their
    /// locations.
    ///
    /// From here on the chunk may be moved, whenever it has no other reference, by
    /// ``rebalance(to:policy:limit:moved:)`` or the automatic mode, which report its new location; a buffer of the
    /// chunk that was kept without a reference then dangles. A chunk holds at most one reference for a location:
    /// storing it again traps. Undone by ``take(_:)``, and ended by ``release(at:)``.
    ///
    /// Traps where the buffer is not inside one live chunk of this arena. O(1).
    @inlinable
    public func store(_ buffer: UnsafeMutableRawBufferPointer) -> SlabLocation {
        let pointer = UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped)
        let record = liveChunk(pointer).record
        let location = location(of: buffer)
        if location.isNil { misuse("SlabArena", pointer, "is a buffer that goes beyond its chunk") }
        if record.pointee.isHeldByLocation { misuse("SlabArena", pointer, "is held by a location already") }
        record.pointee.state |= ChunkRecord.heldByLocation
        return location
    }

    /// Makes the reference that a location holds the caller's again: the chunk stays where it is.
    ///
    /// - Returns: the memory, whose reference the caller releases; nil, and nothing has happened, where the location is
    ///   nil, outlived its chunk, or holds no reference.
    /// - Complexity: O(1).
    @inlinable
    public func take(_ location: SlabLocation) -> UnsafeMutableRawBufferPointer? {
        guard let found = chunk(at: location), found.record.pointee.isHeldByLocation else { return nil }
        found.record.pointee.state &= ~ChunkRecord.heldByLocation
        return memory(of: location, in: found.slab)
    }

    @usableFromInline @inline(never)
    func staleLocation(_ location: SlabLocation) -> Never {
        fatalError("SlabArena: the location (\(location)) is not live: it outlived its chunk, or is another arena's")
    }

    /// Visits the location of every live chunk, all of it, in no order; those that chains link to, too. The body must
    /// not allocate, release or move. ``chunkLocation(of:)`` gives the location that ``store(_:)`` gave.
    ///
    /// - Complexity: O(chunks).
    public func forEachLiveChunk<Failure: Error>(_ body: (SlabLocation) throws(Failure) -> Void) throws(Failure) {
        for number in 0..<slots.count {
            guard let slab = slots[number].slab else { continue }
            for index in 0..<Int(slab.pointee.carved) where slab.records[index].references != 0 {
                try body(
                    SlabLocation(
                        slab: number, position: UInt32(index) * slab.pointee.chunkSize, length: slab.pointee.chunkSize,
                        generation: slab.records[index].generation))
            }
        }
    }
}
