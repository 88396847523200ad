// Links: a chunk may hold a reference to a next one.

import AllocatorCore

extension SlabArena {
    /// Links a chunk to the next one of its chain, or ends the chain there.
    ///
    /// The link holds a reference of its own to the next chunk, and keeps the buffer's offset and length as they are
    /// given. What was linked to before is released. A chain that is closed to a ring is never released: link no chunk
    /// to one before it; to itself traps.
    ///
    /// - Parameters:
    ///   - next: a chunk of this arena, or a part of one; nil ends the chain.
    ///   - pointer: in the chunk that gets the link.
    /// - Complexity: O(1), and as ``release(_:)`` for what was linked to before. Traps where either is not live.
    public func setNext(_ next: UnsafeRawBufferPointer?, of pointer: UnsafeRawPointer) {
        let record = liveChunk(pointer).record
        counters.chainWrites += 1
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
        let record = liveChunk(pointer).record
        counters.chainReads += 1
        guard let next = linkedBuffer(record) else { return nil }
        addReference(to: linkedChunk(record).record, UnsafeRawPointer(next.baseAddress.unsafelyUnwrapped))
        return next
    }

    /// The buffer that a chunk links to, with a reference added for the caller; nil at the end of a chain.
    public func next(of buffer: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer? {
        next(of: UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }

    /// The buffer that a record links to, without a reference.
    func linkedBuffer(_ record: UnsafeMutablePointer<ChunkRecord>) -> UnsafeMutableRawBufferPointer? {
        guard record.pointee.hasNext, let slab = slots.find(record.pointee.linkSlab) else { return nil }
        return buffer(
            UInt(bitPattern: slab) &- headerOffset &+ UInt(record.pointee.linkPosition), Int(record.pointee.linkCount))
    }
}
