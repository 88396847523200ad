// The one interface for memory, and its contract.
//
// What every allocator promises:
// C1. A block that was handed out overlaps no other live block, and its contents stay as they are until it is freed.
// C2. The buffer that is returned holds at least `byteCount` bytes, its base is a multiple of `alignment`, and all of
//     its `count` bytes are the caller's.
// C3. Zero bytes is a valid request: its block has an address and wants to be freed as any other.
// C4. A request that cannot be served now (memory has run out) or ever (too large, an alignment that is not offered or
//     is no power of two) throws, and nothing has changed.
// C5. Misuse that would corrupt memory traps, and the message names the allocator, the pointer and what is wrong with
//     it. A negative size traps.
// C6. A capability that an allocator lacks is a protocol that it does not conform to: see Capabilities.swift.
//
// Thread-safety: none, unless the allocator says so; one that is thread-safe is `Sendable`.

/// A source of memory: takes requests for bytes, and takes the blocks back.
///
/// Use it as a generic parameter where speed counts (a composition of allocators then compiles to straight code), and
/// as `any Allocator` where the allocator is chosen at run time. State sits behind a reference: the requirements are
/// `borrowing`, so two live blocks of one allocator, and an allocator shared by several containers, are ordinary.
///
/// To make one, implement ``allocate(byteCount:alignment:)``, which says `throws(AllocationError)` and no less, and
/// ``deallocate(_:)``, and conform to the capabilities that it has. One that reuses memory only when it is closed or
/// reset counts its live blocks and has a ``close()`` of its own. `checkAllocator` of the module AllocatorTestKit then
/// holds it to the contract.
public protocol Allocator: ~Copyable {
    /// Allocates a block.
    ///
    /// - Parameters:
    ///   - byteCount: how many bytes are needed; zero is valid, and a negative number traps.
    ///   - alignment: what the address must be a multiple of: a power of two, in bytes.
    /// - Returns: the block, uninitialised. Its `count` is what may be used: `byteCount` or more.
    /// - Throws: ``AllocationError``, and nothing has changed.
    borrowing func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer

    /// Allocates a block as ``allocate(byteCount:alignment:)`` does, with nil in place of an error: what combinators
    /// call, since nil costs nothing.
    borrowing func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer?

    /// Frees a block that this allocator handed out and that has not been freed since. Anything else is misuse, which
    /// traps where the allocator can tell.
    ///
    /// - Parameter pointer: the base address of the block.
    borrowing func deallocate(_ pointer: UnsafeMutableRawPointer)

    /// How many bytes a request for `byteCount` bytes is given: a container that asks for this many wastes none.
    borrowing func goodSize(for byteCount: Int, alignment: Int) -> Int

    /// What is live now, or nil where nothing is, or where the allocator keeps no account.
    borrowing func findLeaks() -> LeakError?

    /// Ends a phase of use: throws where blocks are live, and then frees nothing, so that the leak can be looked at;
    /// otherwise gives all memory back to where it came from, and closes the parts that a combinator is made of. An
    /// `upstream` is left open, since others may share it. The allocator can be used again afterwards.
    borrowing func close() throws(LeakError)

    // What combinators ask, beside the capabilities: answers that are constants to the optimiser, so that a branch on
    // them costs nothing. The defaults below are right for every allocator that conforms to a capability outright; a
    // type that conforms conditionally states them.

    /// Whether ``_deallocateIfOwned(_:)`` can tell.
    var _tellsOwn: Bool { get }
    /// Whether the pointer is in memory of this allocator; only asked where `_tellsOwn`.
    borrowing func _owns(_ pointer: UnsafeRawPointer) -> Bool
    /// Frees the block if it is this allocator's, and says whether it was; only asked where `_tellsOwn`.
    borrowing func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool
    /// Whether ``_byteCount(of:)`` can tell.
    var _tellsSizes: Bool { get }
    /// The usable bytes of a live block; only asked where `_tellsSizes`.
    borrowing func _byteCount(of pointer: UnsafeRawPointer) -> Int

    // What combinators ask when they are made, to see whether their parts share memory.

    /// The objects in whose memory blocks of this allocator may lie: itself, if it is an object, and those of its
    /// upstreams and parts. Never changes. A value type that forwards to an object names it here, and in `_owners`.
    var _sources: [ObjectIdentifier] { get }
    /// The objects for all of whose blocks ``_owns(_:)`` is true: among `_sources`.
    var _owners: [ObjectIdentifier] { get }
}

extension Allocator where Self: ~Copyable {
    @inlinable
    public borrowing func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        do throws(AllocationError) { return try allocate(byteCount: byteCount, alignment: alignment) } catch {
            return nil
        }
    }

    @inlinable
    public borrowing func goodSize(for byteCount: Int, alignment: Int) -> Int { byteCount }

    @inlinable
    public borrowing func findLeaks() -> LeakError? { nil }

    @inlinable
    public borrowing func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
    }

    @inlinable @inline(__always)
    public var _tellsOwn: Bool { false }

    @inlinable
    public borrowing func _owns(_ pointer: UnsafeRawPointer) -> Bool { false }

    @inlinable
    public borrowing func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool { false }

    @inlinable @inline(__always)
    public var _tellsSizes: Bool { false }

    @inlinable
    public borrowing func _byteCount(of pointer: UnsafeRawPointer) -> Int { 0 }

    public var _sources: [ObjectIdentifier] { [] }

    public var _owners: [ObjectIdentifier] { [] }
}

extension Allocator where Self: AnyObject {
    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] }

    public var _owners: [ObjectIdentifier] { [ObjectIdentifier(self)] }
}

extension Allocator where Self: ~Copyable {
    /// How many bytes a request for `byteCount` bytes of the default alignment is given.
    @inlinable @inline(__always)
    public borrowing func goodSize(for byteCount: Int) -> Int {
        goodSize(for: byteCount, alignment: defaultAlignment(for: byteCount))
    }

    /// Allocates a block of ``defaultAlignment(for:)``.
    @inlinable @inline(__always)
    public borrowing func allocate(byteCount: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try allocate(byteCount: byteCount, alignment: defaultAlignment(for: byteCount))
    }

    /// Frees a block by the buffer that ``allocate(byteCount:alignment:)`` returned.
    ///
    /// All of the block is freed: the buffer's base address says which, and its count is not looked at. So a buffer of
    /// the block's first bytes frees the rest, too; a part is freed by `deallocate(part:)`, where the allocator is a
    /// `PartFreeingAllocator`.
    ///
    /// - Parameter block: a buffer that begins where the block does; one without an address is misuse.
    @inlinable @inline(__always)
    public borrowing func deallocate(_ block: UnsafeMutableRawBufferPointer) {
        deallocate(block.baseAddress.unsafelyUnwrapped)
    }

    /// Moves a block to one of another size: the contents are kept up to the smaller size. Where it throws, the old
    /// block is as it was. See ``ResizableAllocator`` for growing without moving.
    @inlinable
    public borrowing func reallocate(
        _ block: UnsafeMutableRawBufferPointer, byteCount: Int, alignment: Int? = nil
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let alignment = alignment ?? defaultAlignment(for: byteCount)
        let moved = try allocate(byteCount: byteCount, alignment: alignment)
        moved.copyMemory(from: UnsafeRawBufferPointer(rebasing: block.prefix(min(byteCount, block.count))))
        deallocate(block)
        return moved
    }
}

/// What malloc promises: 16 bytes, enough for every C type.
@inlinable @inline(__always)
public var mallocAlignment: Int { 16 }

/// The alignment of a request that names none: 8 bytes, and for fewer bytes than 8 the power of two that is not above
/// them. Enough for a value of any type that fits, but SIMD vectors and C's `long double`.
@inlinable @inline(__always)
public func defaultAlignment(for byteCount: Int) -> Int {
    byteCount >= 8 ? 8 : byteCount >= 4 ? 4 : byteCount >= 2 ? 2 : 1
}
