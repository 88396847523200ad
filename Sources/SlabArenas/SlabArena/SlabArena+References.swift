// References: from a pointer to its chunk's record, and what adding and releasing do there.

public import AllocatorCore

extension SlabArena {
    /// Whether the address is in a chunk of this arena, live or not. O(1); never touches memory that isn't the arena's.
    @inlinable
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        guard let slab = findSlab(UInt(bitPattern: pointer)) else { return false }
        return slab.chunkIndex(offset: UInt(bitPattern: pointer) & ~baseMask) < Int(slab.pointee.chunkCount)
    }

    /// The slab that the address lies in, or nil. What lies behind the address is not touched before it is known to be
    /// a slab's.
    @inlinable @inline(__always)
    func findSlab(_ address: UInt) -> SlabReference? {
        let base = address & baseMask
        if map.find(address) != nil || isBase(base) {
            return SlabReference(bitPattern: base &+ headerOffset).unsafelyUnwrapped
        }
        return nil
    }

    @inlinable @inline(never)
    func isBase(_ base: UInt) -> Bool { base != 0 && bases.find(base) != nil }

    /// The chunk that a pointer lies in, and its slab; traps where it isn't live.
    @inlinable @inline(__always)
    func liveChunk(_ pointer: UnsafeRawPointer) -> (slab: SlabReference, record: UnsafeMutablePointer<ChunkRecord>) {
        let found = liveChunkIndex(pointer)
        return (found.slab, found.slab.records + found.index)
    }

    /// The same, by its index.
    @inlinable @inline(__always)
    func liveChunkIndex(_ pointer: UnsafeRawPointer) -> (slab: SlabReference, index: Int) {
        let (slab, index) = carvedChunk(pointer)
        let record = slab.records + index
        if record.pointee.references == 0 { releasedAlready(pointer) }
        return (slab, index)
    }

    @usableFromInline @inline(never)
    func releasedAlready(_ pointer: UnsafeRawPointer) -> Never {
        misuse("SlabArena", pointer, "is not live: its last reference was released already")
    }

    /// The chunk that a pointer lies in, and its slab; traps where no chunk was ever allocated there.
    @inlinable @inline(__always)
    func carvedChunk(_ pointer: UnsafeRawPointer) -> (slab: SlabReference, index: Int) {
        let address = UInt(bitPattern: pointer)
        // S3
        if address == last.chunk { return (last.slab, last.index) }
        guard let entry = map.find(address) else { return carvedChunkSlowly(pointer) }
        let offset = address & offsetMask
        let index = ((offset &* 2).multipliedFullWidth(by: entry.reciprocal)).high
        // H1, S7
        guard index < entry.carved else { return carvedChunkSlowly(pointer) }
        let slab = SlabReference(bitPattern: (address ^ offset) &+ headerOffset).unsafelyUnwrapped
        return (slab, Int(bitPattern: index))
    }

    /// The same for what is not in the map, and what is wrong with a pointer.
    @usableFromInline @inline(never)
    func carvedChunkSlowly(_ pointer: UnsafeRawPointer) -> (slab: SlabReference, index: Int) {
        guard let slab = findSlab(UInt(bitPattern: pointer)) else {
            misuse("SlabArena", pointer, "is not of this arena")
        }
        let index = slab.chunkIndex(offset: UInt(bitPattern: pointer) & offsetMask)
        // H1
        guard index < Int(slab.pointee.carved) else { outsideChunks(pointer, index, of: slab) }
        return (slab, index)
    }

    /// What is wrong with a pointer that leads to a slab and to no chunk that was used: behind a slab's chunks may be
    /// somebody else's memory.
    @inline(never)
    func outsideChunks(_ pointer: UnsafeRawPointer, _ index: Int, of slab: SlabReference) -> Never {
        if index < Int(slab.pointee.chunkCount) { misuse("SlabArena", pointer, "was never allocated") }
        misuse("SlabArena", pointer, "is not of this arena")
    }

    /// Adds a reference to the chunk that the pointer lies in.
    ///
    /// Traps where the pointer is not of a live chunk of this arena, and where there would be 2^32 references. O(1).
    @inlinable @inline(__always)
    public func addReference(_ pointer: UnsafeRawPointer) { addReference(to: liveChunk(pointer).record, pointer) }

    @inlinable @inline(__always)
    func addReference(to record: UnsafeMutablePointer<ChunkRecord>, _ pointer: UnsafeRawPointer) {
        let state = record.pointee.state &+ 1
        guard UInt32(truncatingIfNeeded: state) != 0 else {
            misuse("SlabArena", pointer, "has as many references as can be counted")
        }
        record.pointee.state = state
        referencesAdded &+= 1
    }

    /// Adds a reference to the chunk that the buffer lies in.
    @inlinable @inline(__always)
    public func addReference(_ buffer: UnsafeMutableRawBufferPointer) {
        addReference(UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }

    /// Releases one reference of the chunk that the pointer lies in; the last recycles it, and releases the chunk that
    /// it links to.
    ///
    /// Traps where the pointer is not of a live chunk of this arena.
    ///
    /// - Returns: whether it was the last.
    /// - Complexity: O(1), and O(length) where a chain ends with it, without recursion.
    @inlinable @inline(__always) @discardableResult
    public func release(_ pointer: UnsafeRawPointer) -> Bool {
        let (slab, index) = carvedChunk(pointer)
        let record = slab.records + index
        let state = record.pointee.state
        if UInt32(truncatingIfNeeded: state) == 0 { releasedAlready(pointer) }
        return release(index, state, of: slab)
    }

    /// Releases one reference of the chunk that the buffer lies in.
    @inlinable @inline(__always) @discardableResult
    public func release(_ buffer: UnsafeMutableRawBufferPointer) -> Bool {
        release(UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }

    @inlinable @inline(__always)
    func release(_ index: Int, _ state: UInt64, of slab: SlabReference) -> Bool {
        let record = slab.records + index
        referencesReleased &+= 1
        if UInt32(truncatingIfNeeded: state) > 1 {
            record.pointee.state &-= 1
            return false
        }
        if record.pointee.hasNext {
            recycleChain(record, of: slab)
        } else {
            recycle(index, state, of: slab)
        }
        return true
    }

    @inlinable @inline(__always)
    func release(_ record: UnsafeMutablePointer<ChunkRecord>, of slab: SlabReference) -> Bool {
        release(record - slab.records, record.pointee.state, of: slab)
    }

    /// Releases the one reference that the caller has, as ``release(_:)`` does, but for the start of a chunk alone: a
    /// pointer inside one traps.
    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        let (slab, record) = liveChunk(pointer)
        checkStart(pointer, slab, record)
        _ = release(record, of: slab)
    }

    /// Frees the block if it is this arena's.
    @inlinable @inline(__always)
    public func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        // Not any address near a slab: behind a slab's chunks may be somebody else's memory.
        guard owns(pointer) else { return false }
        deallocate(pointer)
        return true
    }

    @inlinable @inline(__always)
    func checkStart(
        _ pointer: UnsafeRawPointer, _ slab: SlabReference, _ record: UnsafeMutablePointer<ChunkRecord>
    ) {
        let index = UInt(bitPattern: record - slab.records)
        guard UInt(bitPattern: pointer) & ~baseMask == index &* UInt(slab.pointee.chunkSize) else {
            misuse("SlabArena", pointer, "points into a chunk, not to its start")
        }
    }

    /// How many references the chunk has that the pointer lies in. Traps where it is not live. O(1).
    public func referenceCount(of pointer: UnsafeRawPointer) -> Int {
        Int(liveChunk(pointer).record.pointee.references)
    }

    // MARK: - Recycling

    /// Puts a chunk whose last reference goes, and which links to nothing, on its slab's free list.
    @inlinable @inline(__always)
    func recycle(_ record: UnsafeMutablePointer<ChunkRecord>, of slab: SlabReference) {
        recycle(record - slab.records, record.pointee.state, of: slab)
    }

    @inlinable @inline(__always)
    func recycle(_ index: Int, _ state: UInt64, of slab: SlabReference) {
        let record = slab.records + index
        // S6
        belowPeak &+= 1
        bytesBelowPeak &+= Int(slab.pointee.chunkSize)
        let account = slab.pointee.account &- SlabHeader.account(ofChunk: Int(record.pointee.requested))
        slab.pointee.account = account
        // R3: no reference, not held, the next generation; behind the last one, 0.
        let next = (state | (ChunkRecord.oneGeneration &- 1)) &+ 1
        record.pointee.state = next
        if next == 0 {
            retire(slab, record)
        } else {
            record.pointee.linkPosition = slab.pointee.freeHead
            slab.pointee.freeHead = UInt32(truncatingIfNeeded: index)
        }
        // S4
        if UInt32(truncatingIfNeeded: account &>> 32) < slab.pointee.settleBelow { settle(slab) }
    }

    /// R3: the place is out of use until its slab goes back. Its state says generation 0, which no location has.
    @usableFromInline @inline(never)
    func retire(_ slab: SlabReference, _ record: UnsafeMutablePointer<ChunkRecord>) {
        record.pointee.state = 0
        slab.pointee.retired += 1
        counters.retired += 1
    }

    /// Recycles a chunk whose last reference goes, and releases the chunk that it links to, and so on.
    @usableFromInline @inline(never)
    func recycleChain(_ record: UnsafeMutablePointer<ChunkRecord>, of slab: SlabReference) {
        var (record, slab) = (record, slab)
        while true {
            let next = record.pointee.hasNext ? linkedChunk(record) : nil
            record.pointee.linkSlab = noSlab
            recycle(record, of: slab)
            guard let next else { return }
            referencesReleased &+= 1
            if next.record.pointee.references > 1 {
                next.record.pointee.state &-= 1
                return
            }
            (record, slab) = (next.record, next.slab)
        }
    }

    /// The chunk that a record with a link leads to (R4).
    func linkedChunk(
        _ record: UnsafeMutablePointer<ChunkRecord>
    ) -> (slab: SlabReference, record: UnsafeMutablePointer<ChunkRecord>) {
        let slab = slots.find(record.pointee.linkSlab).unsafelyUnwrapped
        return (slab, slab.records + slab.chunkIndex(offset: UInt(record.pointee.linkPosition)))
    }
}
