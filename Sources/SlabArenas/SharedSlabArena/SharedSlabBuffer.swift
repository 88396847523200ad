// A reference to a chunk of a shared arena that releases itself: SlabBuffer's twin, which threads may pass on.
//
// B1. The handle has one reference of the chunk that its memory lies in, and keeps the arena alive.
// B3. As SlabBuffer's: bytes are written, and a link is replaced or taken away, only where the handle has the only
//     reference to the chunk, and nobody gets another from a location that holds none.
//
// Not generic, so that its deinit runs in every build. Cost: what retaining and releasing the arena costs, an atomic
// count that all handles of the arena share, beside the chunk's own reference: where threads make and end handles by
// the million, use the raw face. Thread-safety: a handle is one thread's at a time, and may be sent to another; several
// handles on one chunk are independent.

public import AllocatorCore

/// A buffer in a ``SharedSlabArena`` that owns one reference of its chunk, and releases it when it ends, on whichever
/// thread.
///
/// The safe face of the arena: the compiler sees to it that the handle has one owner, that no span outlives it, and
/// that nothing reads what is being written through it. A second reference is made explicitly, by ``duplicate()`` or
/// ``slice(_:)``, and may go to another thread. Writing asks for the only reference, and traps otherwise: so threads
/// read what they share.
public struct SharedSlabBuffer: ~Copyable, @unchecked Sendable {
    /// B1: retained. Unmanaged, so that the handle can be taken apart without its deinit.
    private let retainedArena: Unmanaged<SharedSlabArena>
    private let start: UnsafeMutableRawPointer
    /// How many bytes there are. O(1).
    public private(set) var count: Int

    /// Takes over a reference that the caller has (B1).
    init(arena: SharedSlabArena, adopting buffer: UnsafeMutableRawBufferPointer) {
        retainedArena = Unmanaged.passRetained(arena)
        start = buffer.baseAddress.unsafelyUnwrapped
        count = buffer.count
    }

    deinit {
        retainedArena._withUnsafeGuaranteedRef { _ = $0.release(start) }
        retainedArena.release()
    }

    /// The arena that the memory is of.
    public var arena: SharedSlabArena { retainedArena.takeUnretainedValue() }

    /// The memory, as C wants it. Unsafe: the compiler does not see that it dangles when the handle ends. Write only
    /// what nobody else reads.
    public var unsafeBytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: start, count: count) }

    /// How many bytes the chunk has from this handle's first: how far ``extend(to:)`` can go. O(1).
    public var capacity: Int { arena.bytesToChunkEnd(start) }

    /// Whether nothing else has a reference of the chunk: no handle, chain or location. What other threads wrote while
    /// they had one is seen then. O(1).
    public var isOnlyReference: Bool { arena.referenceCount(of: start) == 1 }

    /// The bytes, to read, for as long as the handle is not written, changed or given away. O(1).
    public var span: RawSpan {
        @_lifetime(borrow self)
        borrowing get {
            _overrideLifetime(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(unsafeBytes)), borrowing: self)
        }
    }

    /// Calls a closure with the bytes, to read. O(1). For functions that give the handle away later: see
    /// ``SlabBuffer/span``.
    ///
    /// - Throws: what `body` throws.
    public borrowing func withSpan<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(span)
    }

    /// The bytes, to write. Traps where the chunk has another reference: somebody may be reading it. O(1).
    public var mutableSpan: MutableRawSpan {
        @_lifetime(&self)
        mutating get {
            guard isOnlyReference else {
                fatalError("SharedSlabBuffer: \(start) is written while its chunk has other references: copy it first")
            }
            return _overrideLifetime(MutableRawSpan(_unsafeBytes: unsafeBytes), mutating: &self)
        }
    }

    /// The location of these bytes, which holds no reference: no handle is made at it before ``store()``. O(1).
    public var location: SlabLocation { arena.location(of: unsafeBytes) }

    /// Another handle on the same bytes, with a reference of its own. O(1).
    public borrowing func duplicate() -> SharedSlabBuffer {
        arena.addReference(start)
        return SharedSlabBuffer(arena: arena, adopting: unsafeBytes)
    }

    /// Another handle, on a part of the bytes, with a reference of its own. Traps where the range goes beyond `count`.
    /// O(1).
    public borrowing func slice(_ range: Range<Int>) -> SharedSlabBuffer {
        guard range.lowerBound >= 0, range.upperBound <= count else {
            fatalError("SharedSlabBuffer: a slice of \(range) of \(count) bytes")
        }
        arena.addReference(start)
        // An empty slice at the end stays inside the chunk.
        let offset = range.isEmpty && range.lowerBound == count ? max(count - 1, 0) : range.lowerBound
        return SharedSlabBuffer(
            arena: arena, adopting: UnsafeMutableRawBufferPointer(start: start + offset, count: range.count))
    }

    /// Leaves out the bytes from `count` on. Traps where there are fewer. O(1).
    public mutating func shorten(to count: Int) {
        guard count >= 0, count <= self.count else {
            fatalError("SharedSlabBuffer: \(self.count) bytes shortened to \(count)")
        }
        self.count = count
    }

    /// Goes on to bytes behind these that are the chunk's, too; they hold what was written there last, by whomever.
    /// Traps beyond ``capacity``, and where it is less than before. O(1).
    public mutating func extend(to count: Int) {
        guard count >= self.count, count <= capacity else {
            fatalError("SharedSlabBuffer: \(self.count) bytes extended to \(count), with room for \(capacity)")
        }
        self.count = count
    }

    /// Copies the bytes into a chunk of their own: what to do before writing to shared ones. A link is not copied.
    ///
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: O(count).
    public borrowing func copy() throws(AllocationError) -> SharedSlabBuffer {
        let copy = try arena.allocateChunk(byteCount: count)
        copy.copyMemory(from: UnsafeRawBufferPointer(unsafeBytes))
        return SharedSlabBuffer(arena: arena, adopting: copy)
    }

    /// Gives the reference to a location, which from here on holds the chunk: see ``SharedSlabArena/store(_:)``. Traps
    /// where a location holds it already. Undone by ``SharedSlabArena/takeBuffer(at:)``. O(1).
    public consuming func store() -> SlabLocation {
        let location = arena.store(unsafeBytes)
        retainedArena.release()
        discard self
        return location
    }

    /// Gives the reference to the caller, who releases it by the arena: the way to C. ``SharedSlabArena/adopt(_:)`` is
    /// the way back. O(1).
    public consuming func intoUnsafeBytes() -> UnsafeMutableRawBufferPointer {
        let bytes = unsafeBytes
        retainedArena.release()
        discard self
        return bytes
    }

    /// Links this chunk to the next one of its chain, which gets a reference of the link's own and is seen through it
    /// as long as it is now. What was linked to before is released.
    ///
    /// Traps where it is linked already and has another reference, since somebody may be reading what is behind it; and
    /// where both are parts of one chunk. Link no chunk to one before it: a ring is never released. O(1), under the
    /// lock of the chunk's shard, and as ``SharedSlabArena/release(_:)`` for what was linked to before.
    public mutating func setNext(_ next: borrowing SharedSlabBuffer) {
        arena.link(start, to: UnsafeRawBufferPointer(next.unsafeBytes), asHandle: true)
    }

    /// Ends the chain with this chunk, and releases what was linked to. Traps as ``setNext(_:)`` does.
    public mutating func removeNext() { arena.link(start, to: nil, asHandle: true) }

    /// The next buffer of the chain, with a reference of its own; nil at the end. O(1), under the lock of the chunk's
    /// shard.
    public borrowing func next() -> SharedSlabBuffer? {
        guard let next = arena.next(of: unsafeBytes) else { return nil }
        return SharedSlabBuffer(arena: arena, adopting: next)
    }
}

extension SharedSlabArena {
    /// The bytes from a pointer to the end of the live chunk that it lies in.
    func bytesToChunkEnd(_ pointer: UnsafeRawPointer) -> Int {
        let (slab, record) = liveChunk(pointer)
        let end = UInt(bitPattern: record - slab.records + 1) * UInt(slab.pointee.chunkSize)
        return Int(bitPattern: end - UInt(bitPattern: pointer) & ~baseMask)
    }

    /// Allocates a chunk as a handle that releases it. It holds what the memory held before, until it is written.
    ///
    /// - Parameter byteCount: from 0 to `slabSize`. Traps where it is negative.
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: as ``allocate(byteCount:alignment:)``.
    public func makeBuffer(byteCount: Int) throws(AllocationError) -> SharedSlabBuffer {
        SharedSlabBuffer(arena: self, adopting: try allocateChunk(byteCount: byteCount))
    }

    /// Allocates a chunk with a copy of some bytes, as a handle that releases it.
    ///
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: O(bytes), and as ``makeBuffer(byteCount:)``.
    public func makeBuffer(copying bytes: borrowing RawSpan) throws(AllocationError) -> SharedSlabBuffer {
        let chunk = try allocateChunk(byteCount: bytes.byteCount)
        bytes.withUnsafeBytes { chunk.copyMemory(from: $0) }
        return SharedSlabBuffer(arena: self, adopting: chunk)
    }

    /// A handle on what a location holds, with a reference of its own; nil where the location is nil, outlived its
    /// chunk, or holds no reference. O(1), under the lock of the location's shard.
    ///
    /// Only a chunk that was given to a location (``SharedSlabBuffer/store()``) is served: where a handle has the only
    /// reference, it may be writing.
    public func makeBuffer(at location: SlabLocation) -> SharedSlabBuffer? {
        guard let bytes = addReference(to: location, onlyIfHeld: true) else { return nil }
        return SharedSlabBuffer(arena: self, adopting: bytes)
    }

    /// A handle that takes over the reference which a location holds; nil where it holds none, see ``take(_:)``. O(1),
    /// under the lock of the location's shard.
    public func takeBuffer(at location: SlabLocation) -> SharedSlabBuffer? {
        guard let bytes = take(location) else { return nil }
        return SharedSlabBuffer(arena: self, adopting: bytes)
    }

    /// A handle that takes over a reference that the caller has: the way back from C. Traps where the buffer is not
    /// inside one live chunk of this arena. O(1).
    public func adopt(_ buffer: UnsafeMutableRawBufferPointer) -> SharedSlabBuffer {
        let pointer = UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped)
        _ = ownLiveChunk(pointer)
        guard buffer.count <= bytesToChunkEnd(pointer) else {
            misuse("SharedSlabArena", pointer, "is a buffer that goes beyond its chunk")
        }
        return SharedSlabBuffer(arena: self, adopting: buffer)
    }
}
