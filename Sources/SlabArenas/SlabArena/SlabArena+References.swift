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
        if base == lastBase || isBase(base) {
            return SlabReference(bitPattern: base &+ headerOffset)
        }
        return nil
    }

    @inlinable @inline(never)
    func isBase(_ base: UInt) -> Bool {
        guard base != 0, bases.find(base) != nil else { return false }
        lastBase = base
        return true
    }

    /// The chunk that a pointer lies in, and its slab; traps where it isn't live.
    @inlinable @inline(__always)
    func liveChunk(_ pointer: UnsafeRawPointer) -> (slab: SlabReference, record: UnsafeMutablePointer<ChunkRecord>) {
        guard let slab = findSlab(UInt(bitPattern: pointer)) else {
            misuse("SlabArena", pointer, "is not of this arena")
        }
        let index = slab.chunkIndex(offset: UInt(bitPattern: pointer) & ~baseMask)
        // H1
        guard index < Int(slab.pointee.carved) else { outsideChunks(pointer, index, of: slab) }
        let record = slab.records + index
        guard record.pointee.references != 0 else {
            misuse("SlabArena", pointer, "is not live: its last reference was released already")
        }
        return (slab, record)
    }

    /// What is wrong with a pointer that leads to a slab and to no chunk that was used: behind a slab's chunks may be
    /// somebody else's memory.
    @usableFromInline @inline(never)
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
        let (slab, record) = liveChunk(pointer)
        return release(record, of: slab)
    }

    /// Releases one reference of the chunk that the buffer lies in.
    @inlinable @inline(__always) @discardableResult
    public func release(_ buffer: UnsafeMutableRawBufferPointer) -> Bool {
        release(UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }

    @inlinable @inline(__always)
    func release(_ record: UnsafeMutablePointer<ChunkRecord>, of slab: SlabReference) -> Bool {
        referencesReleased &+= 1
        if record.pointee.references > 1 {
            record.pointee.state &-= 1
            return false
        }
        if record.pointee.hasNext {
            recycleChain(record, of: slab)
        } else {
            recycle(record, of: slab)
        }
        return true
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
        let kind = classes + Int(slab.pointee.classIndex)
        kind.pointee.recycled &+= 1
        kind.pointee.recycledBytes &+= Int(record.pointee.requested)
        if live > peak { peak = live }
        if liveBytes > peakBytes { peakBytes = liveBytes }
        live &-= 1
        liveBytes &-= kind.pointee.chunkSize
        let slabLive = slab.pointee.live &- 1
        slab.pointee.live = slabLive
        let head = slab.pointee.freeHead
        let generation = record.pointee.generation
        // R3: no reference, not held, the next generation.
        record.pointee.state = UInt64(generation &+ 1) &<< 33
        if generation == ChunkRecord.lastGeneration {
            retire(slab, record)
        } else {
            record.pointee.linkPosition = head
            slab.pointee.freeHead = UInt32(truncatingIfNeeded: record - slab.records)
        }
        if head == noChunk || slabLive == 0 { settle(slab, kind) }
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
