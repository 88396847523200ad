// An allocator of a type that is known only at run time, where a generic parameter is asked for. Costs a call through a
// witness table, 3 to 5 ns; its answers to what combinators ask are no constants.

/// Any allocator, as a part of a composition that is put together at run time.
///
/// `any Allocator` is enough where memory is only allocated and freed; this is for generic types:
/// `ThresholdAllocator<AnyAllocator, AnyAllocator>`. Thread-safe if what it wraps is.
@frozen
public struct AnyAllocator: Allocator {
    /// The allocator that is wrapped.
    public let base: any Allocator
    // Asked once: a call through the witness table for each would cost as much as the allocation.
    public let _tellsOwn: Bool
    public let _tellsSizes: Bool

    /// Wraps an allocator.
    @inlinable
    public init(_ base: any Allocator) {
        self.base = base
        _tellsOwn = base._tellsOwn
        _tellsSizes = base._tellsSizes
    }

    @inlinable
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try base.allocate(byteCount: byteCount, alignment: alignment)
    }

    @inlinable
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        base.tryAllocate(byteCount: byteCount, alignment: alignment)
    }

    @inlinable
    public func deallocate(_ pointer: UnsafeMutableRawPointer) { base.deallocate(pointer) }

    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        base.goodSize(for: byteCount, alignment: alignment)
    }

    @inlinable
    public func findLeaks() -> LeakError? { base.findLeaks() }

    @inlinable
    public func close() throws(LeakError) { try base.close() }

    @inlinable
    public func _owns(_ pointer: UnsafeRawPointer) -> Bool { base._owns(pointer) }

    @inlinable
    public func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool { base._deallocateIfOwned(pointer) }

    @inlinable
    public func _byteCount(of pointer: UnsafeRawPointer) -> Int { base._byteCount(of: pointer) }

    public var _sources: [ObjectIdentifier] { base._sources }

    public var _owners: [ObjectIdentifier] { base._owners }
}
