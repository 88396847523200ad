// The arena's account. What can be told from the classes is not counted twice.

public import AllocatorCore

/// What is counted on the slow paths and for chains.
struct SlabCounters {
    var chainReads = 0
    var chainWrites = 0
    var slabAllocations = 0
    var slabFailures = 0
    var slabsGivenBack = 0
    var slabsReassigned = 0
    var chunksMoved = 0
    var tooLarge = 0
    /// Chunks retired, also those whose slabs have gone back.
    var retired = 0
    /// Chunks that `freeAll` freed: no reference of theirs was released, and they came on no free list.
    var freedAtOnce = 0
}

/// A size class's part of ``SlabStatistics``.
public struct SlabClassStatistics: Codable, Equatable, Sendable {
    /// The bytes of a chunk.
    public var chunkSize = 0
    /// Slabs whose chunks are of this class, empty ones included.
    public var slabs = 0
    /// Chunks on those slabs.
    public var chunks = 0
    /// Chunks without references.
    public var chunksFree = 0
    /// Chunks with references.
    public var chunksInUse = 0
    /// Chunks that stay out of use, since their generations are used up, until their slab goes back.
    public var chunksRetired = 0
    /// Chunks allocated since the arena was made.
    public var allocations = 0
    /// Bytes that were asked for, of the chunks in use.
    public var bytesRequested = 0
    /// Bytes of the chunks in use.
    public var bytesGranted: Int { chunksInUse * chunkSize }
    /// Bytes in free chunks. Together with those granted, these are the bytes that the class's chunks can have.
    public var bytesFree = 0
    /// The part of those that no request has: 0 where every chunk is in use and full.
    public var fragmentation: Double {
        let all = bytesGranted + bytesFree
        return all == 0 ? 0 : 1 - Double(bytesRequested) / Double(all)
    }
}

/// The account of a ``SlabArena``, in full: counts since it was made, and what is so now. A value: it doesn't change.
public struct SlabStatistics: Codable, Equatable, Sendable {
    /// Chunks allocated.
    public var allocations = 0
    /// References added, the first one of a chunk not counted.
    public var referencesAdded = 0
    /// References released, the last ones included.
    public var referencesReleased = 0
    /// Chunks whose last reference was released.
    public var releasesToZero = 0
    /// Times that the next chunk of a chain was asked for, by a call or by a view that follows the chain.
    public var chainReads = 0
    /// Links that were made, replaced or taken away, those of a chain that was allocated as one included.
    public var chainWrites = 0
    /// Slabs that upstream gave.
    public var slabAllocations = 0
    /// Slabs that upstream refused.
    public var slabAllocationFailures = 0
    /// Slabs that went back to upstream.
    public var slabsGivenBack = 0
    /// Empty slabs that a class handed to another.
    public var slabsReassigned = 0
    /// Chunks that were moved to empty a slab.
    public var chunksMoved = 0
    /// Requests beyond the slab size, which were refused.
    public var requestsTooLarge = 0
    /// Chunks put on a free list: new ones, and those that were recycled.
    public var freeListPushes = 0
    /// Chunks taken off a free list.
    public var freeListPops = 0
    /// Requests that found the free list of their class's current slab empty.
    public var freeListFailedPops = 0
    /// Bytes that were asked for, of the chunks in use.
    public var bytesRequested = 0
    /// Bytes of the chunks in use.
    public var bytesGranted = 0
    /// Bytes taken from upstream and not given back, and the arena's own tables.
    public var bytesHeld = 0
    /// Bytes of it that no chunk can have.
    public var bytesOverhead = 0
    /// Slabs held.
    public var slabs = 0
    /// Slabs held on which no chunk is in use, and which no class has as its own.
    public var slabsEmpty = 0
    /// The classes, by rising chunk size.
    public var classes: [SlabClassStatistics] = []

    /// The part of the chunk bytes held that no request has.
    public var fragmentation: Double {
        let all = bytesHeld - bytesOverhead
        return all == 0 ? 0 : 1 - Double(bytesRequested) / Double(all)
    }
}

extension SlabArena {
    /// The account in full. O(slabs + classes).
    public var slabStatistics: SlabStatistics {
        var all = SlabStatistics()
        all.classes = (0..<sizes.sizes.count).map { statistics(of: classes + $0) }
        empty.visit { slab in
            let size = Int(slab.pointee.chunkSize)
            let index = Int(slab.pointee.classIndex)
            all.classes[index].slabs += 1
            all.classes[index].chunks += Int(slab.pointee.chunkCount)
            all.classes[index].chunksRetired += Int(slab.pointee.retired)
            all.classes[index].chunksFree += Int(slab.pointee.chunkCount - slab.pointee.retired)
            all.classes[index].bytesFree += Int(slab.pointee.chunkCount - slab.pointee.retired) * size
        }
        for index in all.classes.indices {
            let kind = all.classes[index]
            all.allocations += kind.allocations
            all.bytesRequested += kind.bytesRequested
            all.bytesGranted += kind.bytesGranted
            all.releasesToZero += classes[index].recycled
            all.freeListPushes += classes[index].carved + classes[index].recycled
            all.freeListFailedPops += classes[index].failedPops
            all.slabs += kind.slabs
        }
        // A move takes a place off one free list, and puts one on another.
        all.freeListPops = all.allocations + counters.chunksMoved
        all.freeListPushes += counters.chunksMoved - counters.retired - counters.freedAtOnce
        all.releasesToZero -= counters.freedAtOnce
        all.slabsEmpty = empty.count
        all.referencesAdded = referencesAdded
        all.referencesReleased = referencesReleased
        all.chainReads = counters.chainReads
        all.chainWrites = counters.chainWrites
        all.slabAllocations = counters.slabAllocations
        all.slabAllocationFailures = counters.slabFailures
        all.slabsGivenBack = counters.slabsGivenBack
        all.slabsReassigned = counters.slabsReassigned
        all.chunksMoved = counters.chunksMoved
        all.requestsTooLarge = counters.tooLarge
        let account = statistics
        all.bytesHeld = account.heldBytes
        all.bytesOverhead = account.overheadBytes
        return all
    }

    private func statistics(of kind: UnsafeMutablePointer<SlabClass>) -> SlabClassStatistics {
        var all = SlabClassStatistics()
        let size = kind.pointee.chunkSize
        all.chunkSize = size
        all.slabs = kind.pointee.slabCount
        all.chunks = all.slabs * kind.pointee.chunkCount
        all.chunksInUse = kind.pointee.liveCount
        all.chunksRetired = kind.pointee.retired
        all.chunksFree = all.chunks - all.chunksInUse - all.chunksRetired
        all.allocations = kind.pointee.allocations
        all.bytesRequested = kind.pointee.requestedBytes
        all.bytesFree = all.chunksFree * size
        return all
    }

    /// The account that every allocator keeps: a block is a chunk, and its bytes are the chunk's. O(slabs).
    public var statistics: AllocatorStatistics {
        var chunkBytes = 0
        for index in 0..<sizes.sizes.count {
            chunkBytes += classes[index].slabCount * classes[index].chunkCount * classes[index].chunkSize
            chunkBytes -= classes[index].retired * classes[index].chunkSize
        }
        empty.visit { slab in
            chunkBytes += Int(slab.pointee.chunkCount - slab.pointee.retired) * Int(slab.pointee.chunkSize)
        }
        let tables =
            slots.byteCount + bases.byteCount + map.byteCount + sizes.byteCount
            + sizes.sizes.count * MemoryLayout<SlabClass>.stride
        var (blocks, bytes) = (0, 0)
        for index in 0..<sizes.sizes.count {
            blocks &+= classes[index].allocations
            bytes &+= classes[index].allocations &* classes[index].chunkSize
        }
        return AllocatorStatistics(
            liveBlocks: live, liveBytes: liveBytes, peakBlocks: peak, peakBytes: peakBytes,
            totalBlocks: blocks, totalBytes: bytes, heldBytes: blockBytes + tables,
            overheadBytes: blockBytes + tables - chunkBytes)
    }

    /// What is live, or nil. O(slabs).
    public func findLeaks() -> LeakError? { leakInStatistics(of: "SlabArena") }

    /// The arena, and the objects in whose memory its slabs may lie.
    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + upstream._sources }

    /// Gives all slabs back where no chunk is live; throws ``LeakError`` and changes nothing where one is.
    public func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        giveBackAllSlabs()
        slots.forget()
        bases.removeAll()
        map.removeAll()
    }
}
