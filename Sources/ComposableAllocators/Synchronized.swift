// Any allocator, behind a lock.
//
// Layout: an object with the allocator and the address of a lock. Invariant: I1. the allocator is touched by the thread
// that holds the lock, and by no other; what it answers as constants (`_tellsOwn`, `_tellsSizes`) is asked without.
// Cost: two atomic exchanges a call, about 10 ns where nobody waits (the standard Mutex takes a little more, and several times
// as long where threads wait, since it hands itself over in the kernel). Thread-safe.

public import AllocatorCore

/// Makes any allocator thread-safe, and `Sendable`: each call holds a lock.
///
/// For allocators that several threads use now and then, or that must keep one exact account for all of them. Where many
/// threads allocate blocks of one size in a hurry, take ``PerThread``, which asks for a lock only once in a batch.
///
/// Takes the allocator away from whoever made it, so that nobody can use it around the lock; that is checked by the
/// compiler. Conforms to each capability that the allocator has. ``close()`` closes the allocator.
///
/// A block may be freed by another thread than the one that allocated it. Not for use in a child of `fork`, in which the
/// lock may be held by a thread that is no longer there.
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
    /// The closure must not let the allocator out, or a part of it that is a reference, such as an `upstream`: used without
    /// the lock, that is a data race, which the compiler does not see. Nor may it call this object, which waits for itself
    /// then. It should be short: other threads wait.
    @inlinable @inline(__always)
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (borrowing Base) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        lock.acquire()
        defer { lock.release() }
        return try body(base)
    }

    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        withLock { $0.tryAllocate(byteCount: byteCount, alignment: alignment) }
    }

    /// Allocates as the allocator behind the lock does, and throws its errors.
    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        lock.acquire()
        defer { lock.release() }
        return try base.allocate(byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        withLock { $0.deallocate(pointer) }
    }

    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        withLock { $0.goodSize(for: byteCount, alignment: alignment) }
    }

    public func findLeaks() -> LeakError? {
        withLock { $0.findLeaks() }
    }

    public func close() throws(LeakError) {
        lock.acquire()
        defer { lock.release() }
        try base.close()
    }

    // I1: constants of the allocator.
    @inlinable @inline(__always)
    public var _tellsOwn: Bool { base._tellsOwn }

    @inlinable @inline(__always)
    public var _tellsSizes: Bool { base._tellsSizes }

    @inlinable
    public func _owns(_ pointer: UnsafeRawPointer) -> Bool {
        withLock { $0._owns(pointer) }
    }

    @inlinable
    public func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        withLock { $0._deallocateIfOwned(pointer) }
    }

    @inlinable
    public func _byteCount(of pointer: UnsafeRawPointer) -> Int {
        withLock { $0._byteCount(of: pointer) }
    }
}

extension Synchronized: OwningAllocator where Base: OwningAllocator {
    @inlinable
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        withLock { $0.owns(pointer) }
    }
}

extension Synchronized: SizeReportingAllocator where Base: SizeReportingAllocator {
    @inlinable
    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        withLock { $0.byteCount(of: pointer) }
    }
}

extension Synchronized: ResizableAllocator where Base: ResizableAllocator {
    @inlinable
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        withLock { $0.resize(pointer, byteCount: byteCount) }
    }
}

extension Synchronized: ResettableAllocator where Base: ResettableAllocator {
    /// Frees every live block, whichever thread allocated it.
    public func freeAll() {
        withLock { $0.freeAll() }
    }
}

extension Synchronized: MeasuredAllocator where Base: MeasuredAllocator {
    /// The account as of one moment, exact also while other threads allocate.
    public var statistics: AllocatorStatistics {
        withLock { $0.statistics }
    }
}
