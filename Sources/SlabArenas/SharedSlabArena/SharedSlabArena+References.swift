// References, without a lock: from a pointer to its chunk's record by arithmetic, and one atomic operation there. The
// last release recycles under the lock of the chunk's shard.

public import AllocatorCore
public import Synchronization

extension SharedSlabArena {
    /// Whether the address is in a slab of this arena, at a place where chunks are. O(1); takes no lock, and touches no
    /// memory behind the address: any may be asked about.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        let address = UInt(bitPattern: pointer)
        return address & ~baseMask < UInt(bitPattern: slabSize) && bases.contains(address & baseMask)
    }

    /// The chunk that a pointer lies in, live or not, and its slab. Traps where the slab isn't this arena's.
    @inlinable @inline(__always)
    func chunk(_ pointer: UnsafeRawPointer) -> (slab: SlabReference, record: UnsafeMutablePointer<ChunkRecord>) {
        let address = UInt(bitPattern: pointer)
        let slab = SlabReference(bitPattern: (address & baseMask) &+ headerOffset).unsafelyUnwrapped
        // P4. The pointer's owner has a reference, so that the slab stays.
        guard slab.pointee.owner &- ownersStart < ownersByteCount else {
            misuse("SharedSlabArena", pointer, "is not of this arena")
        }
        let index = slab.chunkIndex(offset: address & ~baseMask)
        guard index < Int(slab.atomicCarved.pointee.load(ordering: .acquiring)) else {
            misuse("SharedSlabArena", pointer, "was never allocated")
        }
        return (slab, slab.records + index)
    }

    /// The chunk that a pointer lies in, and its slab; traps where it isn't live.
    func liveChunk(_ pointer: UnsafeRawPointer) -> (slab: SlabReference, record: UnsafeMutablePointer<ChunkRecord>) {
        let found = chunk(pointer)
        guard ChunkRecord.references(found.record.currentState) != 0 else {
            releasedAlready(pointer)
        }
        return found
    }

    /// The same, for calls that are not made for every reference: it traps with a message wherever the pointer leads,
    /// as the set of slabs is asked before the header.
    func ownLiveChunk(_ pointer: UnsafeRawPointer) -> (slab: SlabReference, record: UnsafeMutablePointer<ChunkRecord>) {
        guard owns(pointer) else { misuse("SharedSlabArena", pointer, "is not of this arena") }
        return liveChunk(pointer)
    }

    @usableFromInline @inline(never)
    func releasedAlready(_ pointer: UnsafeRawPointer) -> Never {
        misuse("SharedSlabArena", pointer, "is not live: its last reference was released already")
    }

    /// Adds a reference to the chunk that the pointer lies in, of which the caller has one.
    ///
    /// Traps where the pointer is not of a live chunk of this arena (as far as ``SharedSlabArena`` says), and where
    /// there would be 2^32 references. O(1): an atomic addition; takes no lock.
    @inlinable @inline(__always)
    public func addReference(_ pointer: UnsafeRawPointer) { addReference(to: chunk(pointer).record, pointer) }

    @inlinable @inline(__always)
    func addReference(to record: UnsafeMutablePointer<ChunkRecord>, _ pointer: UnsafeRawPointer) {
        let old = record.atomicState.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
        // Of 0 references, and of as many as can be counted: one less wraps.
        guard ChunkRecord.references(old) &- 1 < .max &- 1 else { refuseReference(old, pointer) }
        counters.countAdded()
    }

    @usableFromInline @inline(never)
    func refuseReference(_ state: UInt64, _ pointer: UnsafeRawPointer) -> Never {
        if ChunkRecord.references(state) == 0 { releasedAlready(pointer) }
        misuse("SharedSlabArena", pointer, "has as many references as can be counted")
    }

    /// Adds a reference to the chunk that the buffer lies in.
    @inlinable @inline(__always)
    public func addReference(_ buffer: UnsafeMutableRawBufferPointer) {
        addReference(UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }

    /// Releases one reference of the chunk that the pointer lies in; the last recycles it, and releases the chunk that
    /// it links to.
    ///
    /// Traps where the pointer is not of a live chunk of this arena (as far as ``SharedSlabArena`` says).
    ///
    /// - Returns: whether it was the last.
    /// - Complexity: O(1), an atomic subtraction; under the lock of the chunk's shard where it is the last, and
    ///   O(length) where a chain ends with it, without recursion and with one lock at a time.
    @inlinable @inline(__always) @discardableResult
    public func release(_ pointer: UnsafeRawPointer) -> Bool {
        let (slab, record) = chunk(pointer)
        let old = record.atomicState.pointee.wrappingSubtract(1, ordering: .acquiringAndReleasing).oldValue
        let references = ChunkRecord.references(old)
        if references == 0 { releasedAlready(pointer) }
        counters.countReleased()
        if references > 1 { return false }
        recycle(record, of: slab)
        return true
    }

    /// Releases one reference of the chunk that the buffer lies in.
    @inlinable @inline(__always) @discardableResult
    public func release(_ buffer: UnsafeMutableRawBufferPointer) -> Bool {
        release(UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }

    /// Releases the one reference that the caller has, as ``release(_:)`` does, but for the start of a chunk alone: a
    /// pointer inside one traps.
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        let (slab, record) = ownLiveChunk(pointer)
        let index = UInt(bitPattern: record - slab.records)
        guard UInt(bitPattern: pointer) & ~baseMask == index &* UInt(slab.pointee.chunkSize) else {
            misuse("SharedSlabArena", pointer, "points into a chunk, not to its start")
        }
        release(UnsafeRawPointer(pointer))
    }

    /// How many references the chunk has that the pointer lies in: a moment later it may be another number, unless it
    /// is 1 and the caller's. Traps where it is not live. O(1); takes no lock.
    public func referenceCount(of pointer: UnsafeRawPointer) -> Int {
        Int(ChunkRecord.references(liveChunk(pointer).record.currentState))
    }

    // MARK: - Recycling

    /// Recycles a chunk whose last reference the caller took away, and releases what it links to.
    @usableFromInline @inline(never)
    func recycle(_ record: UnsafeMutablePointer<ChunkRecord>, of slab: SlabReference) {
        // P2: the slab stays while the chunk is not recycled.
        let shard = shard(of: slab)
        shard.pointee.lock.acquire()
        recycle(record, of: slab, underLockOf: shard)
    }

    /// The same, with the lock of the chunk's shard held, which is let go.
    func recycle(
        _ record: UnsafeMutablePointer<ChunkRecord>, of slab: SlabReference,
        underLockOf shard: UnsafeMutablePointer<SlabShard>
    ) {
        var (record, slab, shard) = (record, slab, shard)
        var recycled = 0
        while true {
            let next = record.link
            record.pointee.linkSlab = noSlab
            shard.withCore {
                $0.recycle(record, of: slab)
                // For the rate of rebalancing alone.
                $0.referencesReleased &+= 1
            }
            recycled += 1
            guard let next else { break }
            // The link's own reference kept it alive: it is the caller's now.
            let found = chunk(next)
            counters.countReleased()
            let old = found.record.atomicState.pointee.wrappingSubtract(1, ordering: .acquiringAndReleasing).oldValue
            if ChunkRecord.references(old) > 1 { break }
            let nextShard = self.shard(of: found.slab)
            // One lock at a time, and others' turn now and then.
            if nextShard != shard || recycled % 64 == 0 {
                shard.pointee.lock.release()
                nextShard.pointee.lock.acquire()
            }
            (record, slab, shard) = (found.record, found.slab, nextShard)
        }
        shard.pointee.lock.release()
    }
}

// P5.
extension UnsafeMutablePointer where Pointee == ChunkRecord {
    /// Where the linked buffer begins, or nil.
    var link: UnsafeRawPointer? {
        // Not the record's `hasNext`, which may read the state, too.
        guard pointee.linkSlab != noSlab else { return nil }
        return UnsafeRawPointer(bitPattern: UInt(pointee.linkSlab) << 32 | UInt(pointee.linkPosition))
    }

    func setLink(_ buffer: UnsafeRawBufferPointer?) {
        let address = buffer.map { UInt(bitPattern: $0.baseAddress) }
        pointee.linkSlab = address.map { UInt32(truncatingIfNeeded: $0 >> 32) } ?? noSlab
        pointee.linkPosition = UInt32(truncatingIfNeeded: address ?? 0)
        pointee.linkCount = UInt32(buffer?.count ?? 0)
    }
}
