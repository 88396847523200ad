// Links, by which a chunk holds a reference to a next one; and items of any size, allocated as chains of chunks.
//
// An item is cut into equal chunks of one class, and its rest goes to the class that fits it. All large items so share
// a class: what one gives back, the next can use, whatever its size. Cost of a chain: what its chunks cost, and a dozen
// instructions for each link.

public import AllocatorCore

// MARK: - Items of any size

extension SlabArena {
    /// The chunk size that ``allocateChain(byteCount:chunkSize:)`` takes where none is given: that of the class of
    /// which an item of `slabSize` bytes is expected to waste least.
    public var defaultChainChunkSize: Int { sizes.chainChunkSize }

    /// Allocates an item of any size, larger than a slab too, as a chain of chunks, and gives its head; nil in place of
    /// an error.
    public func tryAllocateChain(byteCount: Int, chunkSize: Int? = nil) -> UnsafeMutableRawBufferPointer? {
        let chunkSize = chunkSize ?? defaultChainChunkSize
        if byteCount < 0 { negativeByteCount("SlabArena", byteCount) }
        if chunkSize <= 0 { fatalError("SlabArena: a chain of chunks of \(chunkSize) bytes") }
        guard chunkSize <= slabSize else { return nil }

        let headCount = min(byteCount, chunkSize)
        guard let address = takeChunk(headCount) else { return nil }
        let head = buffer(address, headCount)
        var last = UnsafeRawPointer(head.baseAddress.unsafelyUnwrapped)
        var rest = byteCount &- headCount
        while rest > 0 {
            let count = min(rest, chunkSize)
            guard let next = takeChunk(count) else {
                release(head)
                return nil
            }
            // R4: the reference that the chunk starts with is the link's. The last chunk is looked up anew, since a
            // handler of a shortage may have run.
            let record = liveChunk(last).record
            record.pointee.linkSlab = slab(ofChunkAt: next).pointee.number
            record.pointee.linkPosition = UInt32(truncatingIfNeeded: next & ~baseMask)
            record.pointee.linkCount = UInt32(truncatingIfNeeded: count)
            counters.chainWrites &+= 1
            last = UnsafeRawPointer(bitPattern: next).unsafelyUnwrapped
            rest &-= count
        }
        return head
    }

    /// Allocates an item of any size, larger than a slab too, as a chain of chunks: all of `chunkSize` bytes but the
    /// last, which has the rest, in a chunk of the first class that is large enough for it.
    ///
    /// The caller has one reference, to the head: its last release recycles the whole chain. ``chain(_:)`` reads and
    /// writes it, ``makeItem(byteCount:chunkSize:)`` is the same with an owner that the compiler checks.
    ///
    /// Give no `chunkSize` unless something outside asks for one, such as the size of a packet: the default wastes
    /// little, see ``defaultChainChunkSize``. An item of at most so many bytes is one chunk.
    ///
    /// - Parameters:
    ///   - byteCount: the item's bytes: from 0. Traps where it is negative.
    ///   - chunkSize: bytes of each chunk but the last: from 1 to `slabSize`. Traps below 1.
    /// - Returns: the head: the item's first bytes. Its `count` is at most `chunkSize`, not the item's.
    /// - Throws: ``AllocationError``: `.tooLarge` where `chunkSize` is above `slabSize`, `.outOfMemory` where there is
    ///   not memory for all of it: what was allocated until then is recycled.
    /// - Complexity: O(chunks).
    public func allocateChain(
        byteCount: Int, chunkSize: Int? = nil
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if let head = tryAllocateChain(byteCount: byteCount, chunkSize: chunkSize) { return head }
        if let chunkSize, chunkSize > slabSize { throw refused(chunkSize, 1) }
        throw AllocationError(allocator: "SlabArena", byteCount: byteCount, alignment: 1, reason: .outOfMemory)
    }

    /// The slab of a chunk of this arena, which is not checked.
    private func slab(ofChunkAt address: UInt) -> SlabReference {
        SlabReference(bitPattern: (address & baseMask) &+ headerOffset).unsafelyUnwrapped
    }
}

// MARK: - Links

extension SlabArena {
    /// Links a chunk to the next one of its chain, or ends the chain there.
    ///
    /// The link holds a reference of its own to the next chunk, and keeps the buffer's offset and length as they are
    /// given. What was linked to before is released. A chain that is closed to a ring is never released, and never ends
    /// for who follows it: link no chunk to one before it; to itself traps.
    ///
    /// - Parameters:
    ///   - next: a chunk of this arena, or a part of one; nil ends the chain.
    ///   - pointer: in the chunk that gets the link.
    /// - Complexity: O(1), and as ``release(_:)`` for what was linked to before. Traps where either is not live.
    public func setNext(_ next: UnsafeRawBufferPointer?, of pointer: UnsafeRawPointer) {
        let record = liveChunk(pointer).record
        counters.chainWrites &+= 1
        var link: SlabLocation?
        if let next, let start = next.baseAddress {
            let target = liveChunk(start).record
            if target == record { misuse("SlabArena", pointer, "is linked to itself") }
            let location = location(of: next)
            if location.isNil { misuse("SlabArena", start, "is a buffer that goes beyond its chunk") }
            addReference(to: target, start)
            link = location
        }
        let old = record.pointee.hasNext ? linkedChunk(record) : nil
        record.pointee.linkSlab = link?.slab ?? noSlab
        record.pointee.linkPosition = link?.position ?? 0
        record.pointee.linkCount = link?.length ?? 0
        if let old { _ = release(old.record, of: old.slab) }
    }

    /// Links a chunk to the next one of its chain, or ends the chain there.
    public func setNext(_ next: UnsafeMutableRawBufferPointer?, of buffer: UnsafeMutableRawBufferPointer) {
        setNext(next.map { UnsafeRawBufferPointer($0) }, of: UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }

    /// The buffer that a chunk links to, with a reference added for the caller; nil at the end of a chain.
    ///
    /// - Complexity: O(1). Traps where the pointer is not of a live chunk of this arena.
    public func next(of pointer: UnsafeRawPointer) -> UnsafeMutableRawBufferPointer? {
        guard let (record, next) = follow(liveChunk(pointer).record) else { return nil }
        addReference(to: record, UnsafeRawPointer(next.baseAddress.unsafelyUnwrapped))
        return next
    }

    /// The buffer that a chunk links to, with a reference added for the caller; nil at the end of a chain.
    public func next(of buffer: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer? {
        next(of: UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }

    /// Whether the chunk links to another. O(1). Traps where the pointer is not of a live chunk of this arena.
    public func hasNext(_ pointer: UnsafeRawPointer) -> Bool { liveChunk(pointer).record.pointee.hasNext }

    /// The chunk that a chunk links to and its buffer, without a reference, counted as a read of the chain; nil at its
    /// end.
    func follow(
        _ record: UnsafeMutablePointer<ChunkRecord>
    ) -> (record: UnsafeMutablePointer<ChunkRecord>, buffer: UnsafeMutableRawBufferPointer)? {
        counters.chainReads &+= 1
        guard record.pointee.hasNext else { return nil }
        // R4
        let slab = slots.find(record.pointee.linkSlab).unsafelyUnwrapped
        let position = UInt(record.pointee.linkPosition)
        let next = buffer(UInt(bitPattern: slab) &- headerOffset &+ position, Int(record.pointee.linkCount))
        return (slab.records + slab.chunkIndex(offset: position), next)
    }
}
