// Bump allocation that the compiler checks: results are bound to a borrow of the region, and what takes memory away
// (`reset`, `rewind`, the end) mutates or consumes it, which the compiler refuses while a result is in use.
//
// The state is in a class, `RegionAllocator`; the region owns it alone and empties it at its end, whoever else has a
// reference to the (then empty) allocator. Not generic: a generic noncopyable struct can lose its deinit in debug
// builds.
// Thread-safety: none, and it is not `Sendable`.

public import AllocatorCore

/// Memory for many values that die together: a request, a frame, a parsed file.
///
///     var region = Region()
///     for line in lines {
///         var words = try region.makeArray(of: Word.self)
///         …
///         region.reset()      // does not compile while `words` is used below
///     }
///
/// Allocating costs a few instructions, freeing nothing: ``reset()``, ``rewind(to:)`` and the end of the region free
/// everything at once, after deinitialising what needs it, the last first. Results are noncopyable or nonescapable, so
/// that they cannot outlive the region, and cannot be used after it was reset. What can be allocated is in
/// ``RegionMemory``.
///
/// Keep a region in a local variable, or in a noncopyable struct. Of one in a global variable or in a property of a
/// class the compiler cannot follow the borrows: a result cannot be kept in a global, and a reset while a result is in
/// use is found at run time, as simultaneous accesses. A function of yours can take a region (`borrowing Region`) and
/// use its results, but returns them only with `@_lifetime(borrow region)` and the experimental feature `Lifetimes`;
/// without it, let it take a closure.
///
/// It is the wrong choice where values die one by one: memory that is no longer used stays until the reset. Not
/// thread-safe.
///
/// The idea is bumpalo's, with the borrow checker of Swift in place of Rust's.
public struct Region: ~Copyable, RegionMemory {
    public let _handle: _RegionHandle

    /// Makes a region with the default sizes: a first chunk of 4 KiB, chunks up to 1 MiB, 16 MiB kept at a reset.
    ///
    /// - Parameter upstream: where chunks come from.
    public init(upstream: any Allocator = SystemAllocator()) {
        do throws(ConfigurationError) {
            _handle = try RegionAllocator(upstream: upstream).retained()
        } catch {
            fatalError("\(error)")
        }
    }

    /// Makes a region whose first chunk is taken when something is allocated.
    ///
    /// - Parameters:
    ///   - initialChunkSize: the bytes of the first chunk; each is twice the one before. A multiple of 16, at least
    ///     256.
    ///   - maximumChunkSize: the bytes at which chunks stop growing; a request for more than half has a chunk of its
    ///     own. A multiple of 16 from `initialChunkSize` up to 2^40.
    ///   - keptByteCount: how many bytes of chunks ``reset()`` keeps at most.
    ///   - upstream: where chunks come from.
    /// - Throws: ``ConfigurationError``.
    public init(
        initialChunkSize: Int, maximumChunkSize: Int = RegionAllocator.defaultMaximumChunkSize,
        keptByteCount: Int = RegionAllocator.defaultKeptByteCount, upstream: any Allocator = SystemAllocator()
    ) throws(ConfigurationError) {
        let allocator = try RegionAllocator(
            initialChunkSize: initialChunkSize, maximumChunkSize: maximumChunkSize, keptByteCount: keptByteCount,
            upstream: upstream)
        _handle = allocator.retained()
    }

    deinit { _handle.end() }

    /// Frees everything, after deinitialising what needs it, the last first, and keeps chunks of at most
    /// `keptByteCount` bytes, the largest first; those of large requests always go back. O(chunks + values to be
    /// deinitialised).
    public mutating func reset() { _allocator.freeAll() }

    /// Frees everything, and keeps chunks of at most so many bytes.
    public mutating func reset(keeping byteCount: Int) { _allocator.reset(keeping: byteCount) }

    /// Remembers where the region is. Costs 64 bytes of the region until it is rewound or reset.
    ///
    /// A checkpoint that is not used costs nothing else; see ``withCheckpoint(_:)`` for the form that cannot be
    /// forgotten.
    public borrowing func checkpoint() throws(AllocationError) -> RegionCheckpoint {
        guard let checkpoint = _allocator.setCheckpoint() else { throw RegionCheckpoint.refused }
        return checkpoint
    }

    /// Frees all that was allocated since the checkpoint, after deinitialising what needs it, the last first. Chunks
    /// that are no longer used are kept for what comes.
    ///
    /// As it mutates the region, no result may be in use, of before the checkpoint neither: where that is too much, a
    /// child region does it (``RegionMemory/makeChild()``). Traps where the checkpoint is another region's, or the
    /// region was since reset or rewound to an older one. O(values to be deinitialised).
    public mutating func rewind(to checkpoint: consuming RegionCheckpoint) { checkpoint.rewind(_allocator) }

    /// Calls a closure with this region, and frees all that the closure allocated, also where it throws.
    public mutating func withCheckpoint<Result: ~Copyable, Failure: Error>(
        _ body: (inout Region) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // The scope holds the allocator: the closure may put another region in this one's place.
        let scope = RegionScope(_allocator)
        defer { scope.end() }
        return try body(&self)
    }
}

/// A region inside another: its chunks come from its parent and go back there when it ends. See
/// ``RegionMemory/makeChild()``.
///
/// It cannot outlive its parent, and its parent cannot be reset or rewound while it lives; otherwise it is a
/// ``Region``.
public struct ChildRegion: ~Copyable, ~Escapable, RegionMemory {
    public let _handle: _RegionHandle

    @_lifetime(immortal)
    init(_ allocator: RegionAllocator) { _handle = allocator.retained() }

    deinit { _handle.end() }

    /// Frees everything, as ``Region/reset()`` does; chunks that are not kept go back to the parent.
    @_lifetime(self: copy self)
    public mutating func reset() { _allocator.freeAll() }

    /// Frees everything, and keeps chunks of at most so many bytes.
    @_lifetime(self: copy self)
    public mutating func reset(keeping byteCount: Int) { _allocator.reset(keeping: byteCount) }

    /// Remembers where the region is, as ``Region/checkpoint()`` does.
    public borrowing func checkpoint() throws(AllocationError) -> RegionCheckpoint {
        guard let checkpoint = _allocator.setCheckpoint() else { throw RegionCheckpoint.refused }
        return checkpoint
    }

    /// Frees all that was allocated since the checkpoint, as ``Region/rewind(to:)`` does.
    @_lifetime(self: copy self)
    public mutating func rewind(to checkpoint: consuming RegionCheckpoint) { checkpoint.rewind(_allocator) }
}
