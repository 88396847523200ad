// The allocator that is checked, with its capabilities found by casting, and a holder that makes a noncopyable one
// castable.

import AllocatorCore

struct Subject {
    let allocator: any Allocator
    let name: String
    let owning: (any OwningAllocator)?
    let resettable: (any ResettableAllocator)?
    let resizable: (any ResizableAllocator)?
    let sizing: (any SizeReportingAllocator)?
    let measured: (any MeasuredAllocator)?
    let tellsOwn: Bool
    let tellsSizes: Bool

    init(_ allocator: any Allocator) {
        self.allocator = allocator
        name = (allocator as? any NamedHolder)?.heldName ?? "\(type(of: allocator))"
        owning = allocator as? any OwningAllocator
        resettable = allocator as? any ResettableAllocator
        resizable = allocator as? any ResizableAllocator
        sizing = allocator as? any SizeReportingAllocator
        measured = allocator as? any MeasuredAllocator
        tellsOwn = allocator._tellsOwn
        tellsSizes = allocator._tellsSizes
    }

    /// What the block says of its size, or nil where nobody knows.
    func byteCount(of pointer: UnsafeMutableRawPointer) -> Int? {
        if let sizing { return sizing.byteCount(of: pointer) }
        return tellsSizes ? allocator._byteCount(of: pointer) : nil
    }
}

protocol NamedHolder {
    var heldName: String { get }
}

/// Holds an allocator that cannot be copied, and forwards what every allocator has. Capabilities beyond that cannot be
/// asked of a noncopyable type at run time; the answers that combinators ask for can.
final class Holder<A: Allocator & ~Copyable>: Allocator, NamedHolder {
    private let base: A

    init(_ base: consuming A) { self.base = base }

    var heldName: String { "\(A.self)" }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try base.allocate(byteCount: byteCount, alignment: alignment)
    }
    func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        base.tryAllocate(byteCount: byteCount, alignment: alignment)
    }
    func deallocate(_ pointer: UnsafeMutableRawPointer) { base.deallocate(pointer) }
    func goodSize(for byteCount: Int, alignment: Int) -> Int { base.goodSize(for: byteCount, alignment: alignment) }
    func findLeaks() -> LeakError? { base.findLeaks() }
    func close() throws(LeakError) { try base.close() }
    var _tellsOwn: Bool { base._tellsOwn }
    func _owns(_ pointer: UnsafeRawPointer) -> Bool { base._owns(pointer) }
    func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool { base._deallocateIfOwned(pointer) }
    var _tellsSizes: Bool { base._tellsSizes }
    func _byteCount(of pointer: UnsafeRawPointer) -> Int { base._byteCount(of: pointer) }
    var _sources: [ObjectIdentifier] { base._sources }
    var _owners: [ObjectIdentifier] { base._owners }
}
