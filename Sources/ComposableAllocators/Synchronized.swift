// Any allocator, behind a lock.
//
// Layout: an object with the allocator and the address of a lock. Invariant: I1. the allocator is touched by the thread
// that holds the lock, and by no other; what it answers as constants (`_tellsOwn`, `_sources` and the like) is asked
// without.
// Cost: two atomic exchanges a call, about 10 ns where nobody waits (the standard Mutex takes a little more, and
// several times as long where threads wait, since it hands itself over in the kernel). Thread-safe.

public import AllocatorCore

/// Makes any allocator thread-safe, and `Sendable`: each call holds a lock.
///
/// For allocators that several threads use now and then, or that must keep one exact account for all of them. Where
/// many threads allocate blocks of one size in a hurry, take ``PerThread``, which asks for a lock only once in a
/// batch.
///
/// Takes the allocator away from whoever made it, so that nobody can use it around the lock; that is checked by the
/// compiler. Conforms to each capability that the allocator has. ``close()`` closes the allocator.
///
/// A block may be freed by another thread than the one that allocated it. Not for use in a child of `fork`, in which
/// the lock may be held by a thread that is no longer there.
public final class Synchronized<Base: Allocator>: Allocator, @unchecked Sendable {
    @usableFromInline let base: Base
    @usableFromInline let lock: SharedLock

    /// Puts an allocator behind a lock.
    public init(_ allocator: sending Base) {
        base = allocator
        lock = SharedLock()
    }

    deinit {
        lock.destroy()
    }

    /// Does several things with the allocator, with no other thread's call between them.
    ///
    /// **Unchecked.** The caller promises that the closure does not let the allocator out, neither a copy of it nor a
    /// part that is a reference, such as an `upstream`: used without the lock, that is a data race, which the compiler
    /// does not see. Nor may the closure call this object, which waits for itself then, for ever. It should be short:
    /// other threads wait.
    ///
    /// - Parameter body: gets the allocator for as long as it runs.
    /// - Returns: what the closure returns.
    /// - Throws: what the closure throws; the lock is let go.
    @inlinable @inline(__always)
    public func withLockUnchecked<Result: ~Copyable, Failure: Error>(
        _ body: (borrowing Base) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        lock.acquire()
        defer { lock.release() }
        return try body(base)
    }

    /// Allocates as the allocator behind the lock does, with nil in place of an error.
    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        withLockUnchecked { $0.tryAllocate(byteCount: byteCount, alignment: alignment) }
    }

    /// Allocates as the allocator behind the lock does, and throws its errors.
    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        lock.acquire()
        defer { lock.release() }
        return try base.allocate(byteCount: byteCount, alignment: alignment)
    }

    /// Frees a block, whichever thread allocated it. Traps where the allocator behind the lock does.
    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        withLockUnchecked { $0.deallocate(pointer) }
    }

    /// What the allocator behind the lock says.
    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        withLockUnchecked { $0.goodSize(for: byteCount, alignment: alignment) }
    }

    /// What is live as of one moment, whichever thread allocated it; nil where nothing is, or where the allocator keeps
    /// no account.
    public func findLeaks() -> LeakError? {
        withLockUnchecked { $0.findLeaks() }
    }

    /// Closes the allocator behind the lock. It can be used again afterwards.
    ///
    /// - Throws: ``LeakError`` where blocks are live; nothing has changed then.
    public func close() throws(LeakError) {
        lock.acquire()
        defer { lock.release() }
        try base.close()
    }

    // I1: constants of the allocator.
    /// Whether ``_deallocateIfOwned(_:)`` can tell: what the allocator says.
    @inlinable @inline(__always)
    public var _tellsOwn: Bool { base._tellsOwn }

    /// Whether ``_byteCount(of:)`` can tell: what the allocator says.
    @inlinable @inline(__always)
    public var _tellsSizes: Bool { base._tellsSizes }

    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + base._sources }

    public var _owners: [ObjectIdentifier] { [ObjectIdentifier(self)] + base._owners }

    /// Asks the allocator, under the lock.
    @inlinable
    public func _owns(_ pointer: UnsafeRawPointer) -> Bool {
        withLockUnchecked { $0._owns(pointer) }
    }

    /// Frees the block if it is the allocator's, with no other thread's call between asking and freeing.
    @inlinable
    public func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        withLockUnchecked { $0._deallocateIfOwned(pointer) }
    }

    /// Asks the allocator, under the lock.
    @inlinable
    public func _byteCount(of pointer: UnsafeRawPointer) -> Int {
        withLockUnchecked { $0._byteCount(of: pointer) }
    }
}

extension Synchronized: OwningAllocator where Base: OwningAllocator {
    /// Whether the address is in memory of the allocator behind the lock.
    @inlinable
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        withLockUnchecked { $0.owns(pointer) }
    }
}

extension Synchronized: SizeReportingAllocator where Base: SizeReportingAllocator {
    /// The usable bytes of a live block.
    @inlinable
    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        withLockUnchecked { $0.byteCount(of: pointer) }
    }
}

extension Synchronized: ResizableAllocator where Base: ResizableAllocator {
    /// Changes the size of a live block without moving it, or returns nil: nothing has changed then.
    @inlinable
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        withLockUnchecked { $0.resize(pointer, byteCount: byteCount) }
    }
}

extension Synchronized: ResettableAllocator where Base: ResettableAllocator {
    /// Frees every live block, whichever thread allocated it: no thread may use its own any more.
    public func freeAll() {
        withLockUnchecked { $0.freeAll() }
    }
}

extension Synchronized: MeasuredAllocator where Base: MeasuredAllocator {
    /// The account as of one moment, exact also while other threads allocate.
    public var statistics: AllocatorStatistics {
        withLockUnchecked { $0.statistics }
    }
}
