// Links: a chunk may hold a reference to a next one, of any shard. P5 and P6: the link is under the lock of the chunk
// that has it; the chunk that it leads to needs none, since the link's reference keeps it.

import AllocatorCore

extension SharedSlabArena {
    /// Links a chunk to the next one of its chain, or ends the chain there.
    ///
    /// The link holds a reference of its own to the next chunk, and keeps the buffer's offset and length as they are
    /// given. What was linked to before is released. A chain that is closed to a ring is never released: link no chunk
    /// to one before it; to itself traps. Threads may link and follow at once.
    ///
    /// - Parameters:
    ///   - next: a chunk of this arena, or a part of one, of which the caller has a reference; nil ends the chain.
    ///   - pointer: in the chunk that gets the link, of which the caller has a reference.
    /// - Complexity: O(1), under the lock of the chunk's shard, and as ``release(_:)`` for what was linked to before.
    ///   Traps where either is not live.
    public func setNext(_ next: UnsafeRawBufferPointer?, of pointer: UnsafeRawPointer) {
        link(pointer, to: next, asHandle: false)
    }

    /// The same; a handle may only give a first link where the chunk has another reference: whether it does is looked
    /// at under the lock, so that of two handles that link at once one traps.
    func link(_ pointer: UnsafeRawPointer, to next: UnsafeRawBufferPointer?, asHandle: Bool) {
        let (slab, record) = ownLiveChunk(pointer)
        // A buffer that is nowhere ends the chain.
        let next = next?.baseAddress == nil ? nil : next
        if let next, let start = next.baseAddress {
            let target = ownLiveChunk(start)
            if target.record == record { misuse("SharedSlabArena", pointer, "is linked to itself") }
            checkEnd(of: next, start, target)
            addReference(to: target.record, start)
        }
        let shard = shard(of: slab)
        shard.pointee.lock.acquire()
        let old = record.link
        if asHandle, old != nil, ChunkRecord.references(record.currentState) > 1 {
            misuse("SharedSlabBuffer", pointer, "is linked anew while its chunk has other references")
        }
        record.setLink(next)
        shard.withCore { $0.counters.chainWrites += 1 }
        shard.pointee.lock.release()
        if let old { release(old) }
    }

    /// Links a chunk to the next one of its chain, or ends the chain there.
    public func setNext(_ next: UnsafeMutableRawBufferPointer?, of buffer: UnsafeMutableRawBufferPointer) {
        setNext(next.map { UnsafeRawBufferPointer($0) }, of: UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }

    private func checkEnd(
        of buffer: UnsafeRawBufferPointer, _ start: UnsafeRawPointer,
        _ chunk: (slab: SlabReference, record: UnsafeMutablePointer<ChunkRecord>)
    ) {
        let end = UInt(bitPattern: chunk.record - chunk.slab.records + 1) * UInt(chunk.slab.pointee.chunkSize)
        guard UInt(bitPattern: buffer.count) <= end - UInt(bitPattern: start) & ~baseMask else {
            misuse("SharedSlabArena", start, "is a buffer that goes beyond its chunk")
        }
    }

    /// The buffer that a chunk links to, with a reference added for the caller; nil at the end of a chain.
    ///
    /// - Complexity: O(1), under the lock of the chunk's shard. Traps where the pointer is not of a live chunk of this
    ///   arena.
    public func next(of pointer: UnsafeRawPointer) -> UnsafeMutableRawBufferPointer? {
        let (slab, record) = liveChunk(pointer)
        return shard(of: slab).withLock { core in
            core.counters.chainReads += 1
            guard let next = record.link else { return nil }
            addReference(to: chunk(next).record, next)
            return UnsafeMutableRawBufferPointer(
                start: UnsafeMutableRawPointer(mutating: next), count: Int(record.pointee.linkCount))
        }
    }

    /// The buffer that a chunk links to, with a reference added for the caller; nil at the end of a chain.
    public func next(of buffer: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer? {
        next(of: UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }

    /// The chunk size that ``allocateChain(byteCount:chunkSize:)`` takes where none is given: the same as
    /// ``SlabArena/defaultChainChunkSize``. Takes no lock.
    public var defaultChainChunkSize: Int { shards.withCore { $0.defaultChainChunkSize } }

    /// Allocates an item of any size as a chain of equal chunks, the last one shorter.
    ///
    /// - Parameters:
    ///   - byteCount: from 0. Traps where it is negative.
    ///   - chunkSize: bytes of each chunk but the last: from 1 to `slabSize`. Traps below 1; nil is what wastes little,
    ///     see ``defaultChainChunkSize``.
    /// - Returns: the first chunk's buffer, with one reference: releasing it releases all.
    /// - Throws: ``AllocationError``: `.tooLarge` where `chunkSize` is above `slabSize`, `.outOfMemory` where there is
    ///   not memory for all of it: what was allocated until then is released.
    /// - Complexity: O(chunks).
    public func allocateChain(
        byteCount: Int, chunkSize: Int? = nil
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if byteCount < 0 { negativeByteCount("SharedSlabArena", byteCount) }
        let chunkSize = chunkSize ?? defaultChainChunkSize
        if chunkSize <= 0 { fatalError("SharedSlabArena: a chain of chunks of \(chunkSize) bytes") }
        guard chunkSize <= slabSize else { throw refused(chunkSize, 1) }
        let head = try allocateChunk(byteCount: min(byteCount, chunkSize))
        var last = head
        var left = byteCount - head.count
        while left > 0 {
            let next: UnsafeMutableRawBufferPointer
            do throws(AllocationError) {
                next = try allocateChunk(byteCount: min(left, chunkSize))
            } catch {
                release(head)
                throw error
            }
            // The link takes over the reference. P5: who visits live chunks may follow the chain already.
            let (slab, record) = chunk(last.baseAddress.unsafelyUnwrapped)
            shard(of: slab).withLock { core in
                record.setLink(UnsafeRawBufferPointer(next))
                core.counters.chainWrites += 1
            }
            left -= next.count
            last = next
        }
        return head
    }

    /// The buffers of a chain in their order, without references: valid for as long as the caller has a reference to
    /// the head, and nobody links a chunk of the chain anew. For reading, writing and `writev`.
    ///
    /// - Complexity: O(length), under the lock of each chunk's shard in turn.
    public func segments(of head: UnsafeMutableRawBufferPointer) -> [UnsafeMutableRawBufferPointer] {
        var segments = [head]
        while let pointer = segments[segments.count - 1].baseAddress {
            let (slab, record) = liveChunk(pointer)
            let next: UnsafeMutableRawBufferPointer? = shard(of: slab).withLock { core in
                core.counters.chainReads += 1
                return record.link.map {
                    UnsafeMutableRawBufferPointer(
                        start: UnsafeMutableRawPointer(mutating: $0), count: Int(record.pointee.linkCount))
                }
            }
            guard let next else { break }
            segments.append(next)
        }
        return segments
    }
}
