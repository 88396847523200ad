// A reference to an allocator that does not keep it alive. Costs nothing: every call is the allocator's own.

public import AllocatorCore

/// An allocator by a reference that is not counted, for parts and upstreams that surely live longer.
///
/// A combinator, an arena or a `Box` over a pool keeps the pool alive, which costs an atomic retain and release, some
/// 10 ns, each time that one is made and destroyed. Where very many are made over one pool, such as a `Box` for each
/// node or an arena for each request, give them `UnretainedAllocator(pool)` instead.
///
/// **Unsafe**: the allocator must outlive every copy of this and whatever was made with it; the program's behaviour is
/// undefined otherwise, also where all blocks were freed before. Keep the allocator in a property of what owns the
/// others. Not thread-safe, and not `Sendable`.
@frozen
public struct UnretainedAllocator<Base: AnyObject & Allocator>: Allocator {
    @usableFromInline let base: Unmanaged<Base>

    /// Refers to an allocator without keeping it alive.
    @inlinable @inline(__always)
    public init(_ base: Base) { self.base = .passUnretained(base) }

    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            // Once more, for its error; upstream may have memory now.
            return try base.takeUnretainedValue().allocate(byteCount: byteCount, alignment: alignment)
        }
        return block
    }

    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        base._withUnsafeGuaranteedRef { $0.tryAllocate(byteCount: byteCount, alignment: alignment) }
    }

    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        base._withUnsafeGuaranteedRef { $0.deallocate(pointer) }
    }

    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        base._withUnsafeGuaranteedRef { $0.goodSize(for: byteCount, alignment: alignment) }
    }

    @inlinable
    public func findLeaks() -> LeakError? { base._withUnsafeGuaranteedRef { $0.findLeaks() } }

    @inlinable
    public func close() throws(LeakError) { try base.takeUnretainedValue().close() }

    @inlinable @inline(__always)
    public var _tellsOwn: Bool { base._withUnsafeGuaranteedRef { $0._tellsOwn } }

    @inlinable @inline(__always)
    public func _owns(_ pointer: UnsafeRawPointer) -> Bool { base._withUnsafeGuaranteedRef { $0._owns(pointer) } }

    @inlinable @inline(__always)
    public func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        base._withUnsafeGuaranteedRef { $0._deallocateIfOwned(pointer) }
    }

    @inlinable @inline(__always)
    public var _tellsSizes: Bool { base._withUnsafeGuaranteedRef { $0._tellsSizes } }

    @inlinable @inline(__always)
    public func _byteCount(of pointer: UnsafeRawPointer) -> Int {
        base._withUnsafeGuaranteedRef { $0._byteCount(of: pointer) }
    }

    public var _sources: [ObjectIdentifier] { base._withUnsafeGuaranteedRef { $0._sources } }

    public var _owners: [ObjectIdentifier] { base._withUnsafeGuaranteedRef { $0._owners } }
}

extension UnretainedAllocator: OwningAllocator where Base: OwningAllocator {
    @inlinable
    public func owns(_ pointer: UnsafeRawPointer) -> Bool { base._withUnsafeGuaranteedRef { $0.owns(pointer) } }
}

extension UnretainedAllocator: ResettableAllocator where Base: ResettableAllocator {
    @inlinable
    public func freeAll() { base._withUnsafeGuaranteedRef { $0.freeAll() } }
}

extension UnretainedAllocator: ResizableAllocator where Base: ResizableAllocator {
    @inlinable
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        base._withUnsafeGuaranteedRef { $0.resize(pointer, byteCount: byteCount) }
    }
}

extension UnretainedAllocator: SizeReportingAllocator where Base: SizeReportingAllocator {
    @inlinable
    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        base._withUnsafeGuaranteedRef { $0.byteCount(of: pointer) }
    }
}

extension UnretainedAllocator: MeasuredAllocator where Base: MeasuredAllocator {
    @inlinable
    public var statistics: AllocatorStatistics { base._withUnsafeGuaranteedRef { $0.statistics } }
}
