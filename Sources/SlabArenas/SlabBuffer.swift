// A reference to a chunk that releases itself, with memory that the compiler ties to it.
//
// B1. A handle has one reference of the chunk that its memory lies in. It is not a location's.
// B2. `arena.handles` counts the handles that live, and while it isn't 0 the arena has a reference to itself: handles
//     keep it alive without an atomic operation each. They are where the arena is, on one thread.
// B3. What may be read or followed through a handle that somebody else has does not change or go away: bytes are
//     written, and a link is replaced or taken away, only where the handle has the only reference to the chunk. (A
//     first link, at the end of a chain, takes nothing from anybody.) While it writes there comes no second: a handle
//     is made at a location only where the location holds a reference, so that there are two.
//
// Not generic, so that its deinit runs in every build; frozen and inlinable, so that it costs what its chunk costs, and
// a few instructions for B2. Thread-safety: none.

public import AllocatorCore

/// A buffer in a ``SlabArena`` that owns one reference of its chunk, and releases it when it ends.
///
/// The safe face of the arena: the compiler sees to it that the handle has one owner, that no span outlives it, and
/// that nothing reads through it what is being written through it. A second reference is made explicitly, by
/// ``duplicate()`` or ``slice(_:)``. Several handles may share a chunk and read it; writing asks for the only
/// reference, and traps otherwise (``copy()`` is the way out). The arena lives for as long as one of its handles does.
///
/// What the compiler does not see: what the raw face does with the same chunk. A reference that a handle owns must not
/// be released by the arena's own calls, nor by ``SlabArena/freeAll()``. The memory of a new chunk holds what it held
/// before, until it is written.
///
/// For items larger than a chunk there is ``SlabItem``; for C, the arena's calls with pointers. Not thread-safe, and
/// not `Sendable`: it belongs where its arena does.
@frozen
public struct SlabBuffer: ~Copyable {
    /// B2. Unmanaged, so that the handle can be taken apart without its deinit, and is not retained for each use.
    @usableFromInline let keptArena: Unmanaged<SlabArena>
    @usableFromInline let start: UnsafeMutableRawPointer
    @usableFromInline var byteCount: Int

    /// Takes over a reference that the caller has (B1).
    @inlinable @inline(__always)
    init(arena: SlabArena, adopting buffer: UnsafeMutableRawBufferPointer) {
        keptArena = Unmanaged.passUnretained(arena)
        start = buffer.baseAddress.unsafelyUnwrapped
        byteCount = buffer.count
        arena.handles &+= 1
        if arena.handles == 1 { arena.keepItself() }
    }

    @inlinable @inline(__always)
    deinit {
        let wasLastHandle = keptArena._withUnsafeGuaranteedRef { arena in
            _ = arena.release(start)
            arena.handles &-= 1
            return arena.handles == 0
        }
        if wasLastHandle { keptArena.release() }
    }

    /// Ends the handle without releasing its reference (B1), which is somebody else's from here on.
    @inlinable @inline(__always)
    consuming func relinquish() {
        let kept = keptArena
        discard self
        let wasLastHandle = kept._withUnsafeGuaranteedRef { arena in
            arena.handles &-= 1
            return arena.handles == 0
        }
        if wasLastHandle { kept.release() }
    }

    /// The arena that the memory is of.
    @inlinable
    public var arena: SlabArena { keptArena.takeUnretainedValue() }

    @inlinable @inline(__always)
    func withArena<Result>(_ body: (SlabArena) -> Result) -> Result { keptArena._withUnsafeGuaranteedRef(body) }
}

extension SlabArena {
    // B2
    @usableFromInline @inline(never)
    func keepItself() { _ = Unmanaged.passRetained(self) }
}

// MARK: - Bytes

extension SlabBuffer {
    /// How many bytes there are. O(1).
    @inlinable @inline(__always)
    public var count: Int { byteCount }

    /// The bytes, to read, for as long as the handle is not written, changed or given away. O(1).
    ///
    /// In a function that gives a handle away later (``store()``), Swift 6.3 refuses this of a handle in a `let`: use
    /// ``withSpan(_:)`` there.
    @inlinable
    public var span: RawSpan {
        @_lifetime(borrow self) @inline(__always)
        borrowing get {
            _overrideLifetime(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(unsafeBytes)), borrowing: self)
        }
    }

    /// Calls a closure with the bytes, to read. O(1).
    ///
    /// - Throws: what `body` throws.
    @inlinable @inline(__always)
    public borrowing func withSpan<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(span)
    }

    /// The bytes, to write. Traps where the chunk has another reference: somebody may be reading it. O(1).
    @inlinable
    public var mutableSpan: MutableRawSpan {
        @_lifetime(&self) @inline(__always)
        mutating get {
            if !isOnlyReference { sharedWrite() }
            return _overrideLifetime(MutableRawSpan(_unsafeBytes: unsafeBytes), mutating: &self)
        }
    }

    /// The memory, as C wants it. Unsafe: the compiler does not see that it dangles when the handle ends. Write only
    /// what nobody else reads.
    @inlinable @inline(__always)
    public var unsafeBytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: start, count: byteCount)
    }

    /// How many bytes the chunk has from this handle's first: how far ``extend(to:)`` can go. O(1).
    @inlinable
    public var capacity: Int {
        withArena { arena in
            let (slab, record) = arena.liveChunk(start)
            let end = UInt(bitPattern: record - slab.records + 1) &* UInt(slab.pointee.chunkSize)
            return Int(bitPattern: end &- (UInt(bitPattern: start) & ~arena.baseMask))
        }
    }

    /// Leaves out the bytes from `count` on. Traps where there are fewer. O(1).
    @inlinable
    public mutating func shorten(to count: Int) {
        if count < 0 || count > byteCount { wrongCount("shortened", count, byteCount) }
        byteCount = count
    }

    /// Goes on to bytes behind these that are the chunk's, too; they hold what was written there last, by whomever.
    /// Traps beyond ``capacity``, and where it is less than before. O(1).
    @inlinable
    public mutating func extend(to count: Int) {
        if count < byteCount || count > capacity { wrongCount("extended", count, byteCount) }
        byteCount = count
    }

    @usableFromInline @inline(never)
    func sharedWrite() -> Never {
        misuse("SlabBuffer", start, "is written while its chunk has other references: copy it first")
    }

    @usableFromInline @inline(never)
    func wrongCount(_ what: String, _ count: Int, _ old: Int) -> Never {
        fatalError("SlabBuffer: \(old) bytes \(what) to \(count), in a chunk with room for \(capacity)")
    }
}

// MARK: - References

extension SlabBuffer {
    /// Whether nothing else has a reference of the chunk: no handle, chain or location. O(1).
    @inlinable
    public var isOnlyReference: Bool { withArena { $0.liveChunk(start).record.pointee.references == 1 } }

    /// Another handle on the same bytes, with a reference of its own. O(1).
    @inlinable @inline(__always)
    public borrowing func duplicate() -> SlabBuffer {
        withArena { $0.addReference(UnsafeRawPointer(start)) }
        return SlabBuffer(arena: keptArena._withUnsafeGuaranteedRef { $0 }, adopting: unsafeBytes)
    }

    /// Another handle, on a part of the bytes, with a reference of its own. Traps where the range goes beyond `count`.
    /// O(1).
    @inlinable
    public borrowing func slice(_ range: Range<Int>) -> SlabBuffer {
        if range.lowerBound < 0 || range.upperBound > byteCount { wrongSlice(range) }
        withArena { $0.addReference(UnsafeRawPointer(start)) }
        // An empty slice at the end stays inside the chunk.
        let offset = range.isEmpty && range.lowerBound == byteCount ? max(byteCount - 1, 0) : range.lowerBound
        return SlabBuffer(
            arena: keptArena._withUnsafeGuaranteedRef { $0 },
            adopting: UnsafeMutableRawBufferPointer(start: start + offset, count: range.count))
    }

    /// Copies the bytes into a chunk of their own: what to do before writing to shared ones. A link is not copied.
    ///
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: O(count).
    public borrowing func copy() throws(AllocationError) -> SlabBuffer {
        let arena = arena
        let copy = try arena.allocateChunk(byteCount: count)
        copy.copyMemory(from: UnsafeRawBufferPointer(unsafeBytes))
        return SlabBuffer(arena: arena, adopting: copy)
    }

    /// The location of these bytes, which holds no reference: no handle is made at it before ``store()``. O(1).
    @inlinable
    public var location: SlabLocation { withArena { $0.location(of: unsafeBytes) } }

    /// Gives the reference to a location, which from here on holds the chunk: see ``SlabArena/store(_:)``. Traps where
    /// a location holds it already. Undone by ``SlabArena/takeBuffer(at:)``. O(1).
    @inlinable
    public consuming func store() -> SlabLocation {
        let location = withArena { $0.store(unsafeBytes) }
        relinquish()
        return location
    }

    /// Gives the reference to the caller, who releases it by the arena: the way to C. ``SlabArena/adopt(_:)`` is the
    /// way back. O(1).
    @inlinable
    public consuming func intoUnsafeBytes() -> UnsafeMutableRawBufferPointer {
        let bytes = unsafeBytes
        relinquish()
        return bytes
    }

    @usableFromInline @inline(never)
    func wrongSlice(_ range: Range<Int>) -> Never {
        fatalError("SlabBuffer: a slice of \(range) of \(byteCount) bytes")
    }
}

// MARK: - Chains

extension SlabBuffer {
    /// Links this chunk to the next one of its chain, which gets a reference of the link's own and is seen through it
    /// as long as it is now. What was linked to before is released.
    ///
    /// Traps where it is linked already and has another reference, since somebody may be reading what is behind it; and
    /// where both are parts of one chunk. Link no chunk to one before it: a ring is never released. O(1), and as
    /// ``SlabArena/release(_:)`` for what was linked to before.
    public mutating func setNext(_ next: borrowing SlabBuffer) {
        checkLink()
        arena.setNext(next.unsafeBytes, of: unsafeBytes)
    }

    /// Ends the chain with this chunk, and releases what was linked to. Traps as ``setNext(_:)`` does.
    public mutating func removeNext() {
        checkLink()
        arena.setNext(nil, of: unsafeBytes)
    }

    /// The next buffer of the chain, with a reference of its own; nil at the end. O(1).
    public borrowing func next() -> SlabBuffer? {
        guard let next = arena.next(of: unsafeBytes) else { return nil }
        return SlabBuffer(arena: arena, adopting: next)
    }

    /// B3
    private func checkLink() {
        let record = arena.liveChunk(start).record
        guard record.pointee.hasNext, record.pointee.references > 1 else { return }
        misuse("SlabBuffer", start, "is linked anew while its chunk has other references")
    }
}

// MARK: - Making

extension SlabArena {
    /// Allocates a chunk as a handle that releases it. It holds what the memory held before, until it is written.
    ///
    /// - Parameter byteCount: from 0 to `slabSize`. Traps where it is negative.
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: O(1), and a call of upstream where the class needs a slab.
    @inlinable
    public func makeBuffer(byteCount: Int) throws(AllocationError) -> SlabBuffer {
        guard let chunk = tryAllocateChunk(byteCount: byteCount) else { throw refused(byteCount, 1) }
        return SlabBuffer(arena: self, adopting: chunk)
    }

    /// Allocates a chunk with a copy of some bytes, as a handle that releases it.
    ///
    /// - Throws: ``AllocationError``, and nothing has changed.
    public func makeBuffer(copying bytes: borrowing RawSpan) throws(AllocationError) -> SlabBuffer {
        let chunk = try allocateChunk(byteCount: bytes.byteCount)
        bytes.withUnsafeBytes { chunk.copyMemory(from: $0) }
        return SlabBuffer(arena: self, adopting: chunk)
    }

    /// A handle on what a location holds, with a reference of its own; nil where the location is nil, outlived its
    /// chunk, or holds no reference. O(1).
    ///
    /// Only a chunk that was given to a location (``SlabBuffer/store()``) is served: where a handle has the only
    /// reference, it may be writing.
    @inlinable
    public func makeBuffer(at location: SlabLocation) -> SlabBuffer? {
        guard let found = chunk(at: location), found.record.pointee.isHeldByLocation else { return nil }
        let bytes = memory(of: location, in: found.slab)
        addReference(to: found.record, UnsafeRawPointer(bytes.baseAddress.unsafelyUnwrapped))
        return SlabBuffer(arena: self, adopting: bytes)
    }

    /// A handle that takes over the reference which a location holds; nil where it holds none, see ``take(_:)``. O(1).
    @inlinable
    public func takeBuffer(at location: SlabLocation) -> SlabBuffer? {
        guard let bytes = take(location) else { return nil }
        return SlabBuffer(arena: self, adopting: bytes)
    }

    /// A handle that takes over a reference that the caller has: the way back from C. Traps where the buffer is not
    /// inside one live chunk of this arena. O(1).
    public func adopt(_ buffer: UnsafeMutableRawBufferPointer) -> SlabBuffer {
        let pointer = UnsafeRawPointer(buffer.baseAddress.unsafelyUnwrapped)
        _ = liveChunk(pointer)
        guard !location(of: buffer).isNil else {
            misuse("SlabArena", pointer, "is a buffer that goes beyond its chunk")
        }
        return SlabBuffer(arena: self, adopting: buffer)
    }
}
