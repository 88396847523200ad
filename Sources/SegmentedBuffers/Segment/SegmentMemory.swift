// The memory behind segments: an object whose references are its owners, and which gives its bytes back when the last
// of them is gone. One allocation: what the memory needs for that, or the bytes themselves, lies behind the object.
//
//     own bytes         isa count base limit │ bytes …              malloc's, together with the object
//     an allocator's    isa count base limit │ any Allocator        the bytes are a block elsewhere
//     kept by a value   isa count base limit │ the value            an object, an array
//     a closure's       isa count base limit │ closure, byte count
//     unowned           isa count base limit │
//
// M1. The bytes from `base` on stay where they are until the object ends.
// M2. `limit` is the end of what the only owner may write, beyond its segment too. It is `base` where nobody may: the
//     bytes may be read only, or known to others.
//
// Cost: 32 bytes, and one allocation. Thread-safety: the counting is atomic; giving back happens on the thread that
// drops the last reference.

public import AllocatorCore

/// M1, M2.
@frozen
@usableFromInline
struct SegmentExtent {
    @usableFromInline let base: UnsafeMutableRawPointer
    @usableFromInline let limit: UnsafeMutableRawPointer

    @inlinable @inline(__always)
    init(base: UnsafeMutableRawPointer, limit: UnsafeMutableRawPointer) {
        self.base = base
        self.limit = limit
    }
}

/// 16 bytes: the unit of what lies behind the object, which makes it as aligned as malloc's memory.
@frozen
@usableFromInline
struct SegmentUnit {
    @usableFromInline let words: (UInt64, UInt64)
}

/// Memory that has its bytes behind it, or that nobody owns: there is nothing to do at its end.
@usableFromInline
class SegmentMemory: ManagedBuffer<SegmentExtent, SegmentUnit> {
    @inlinable @inline(__always)
    final var extent: SegmentExtent { withUnsafeMutablePointerToHeader { $0.pointee } }

    /// Room for `byteCount` bytes, rounded up to a unit. O(1): one allocation, which ends the program where it fails.
    @inlinable
    static func own(byteCount: Int) -> SegmentMemory {
        let units = (byteCount &+ 15) / 16
        let memory = create(minimumCapacity: units) { buffer in
            buffer.withUnsafeMutablePointerToElements {
                SegmentExtent(base: UnsafeMutableRawPointer($0), limit: UnsafeMutableRawPointer($0 + units))
            }
        }
        return unsafeDowncast(memory, to: SegmentMemory.self)
    }

    /// Memory that outlives all who use it, by the caller's promise.
    @inlinable
    static func unowned(base: UnsafeMutableRawPointer) -> SegmentMemory {
        let memory = create(minimumCapacity: 0) { _ in SegmentExtent(base: base, limit: base) }
        return unsafeDowncast(memory, to: SegmentMemory.self)
    }
}

/// Memory that needs a value until its end.
@usableFromInline
class KeepingMemory<Value>: SegmentMemory {
    @inlinable
    static func make(_ extent: SegmentExtent, keeping value: Value) -> SegmentMemory {
        if MemoryLayout<Value>.alignment > 16 { fatalError("Segment: a value aligned to more than 16 bytes is kept") }
        let units = (MemoryLayout<Value>.size + 15) / 16
        let memory = create(minimumCapacity: units) { _ in extent }
        memory.withUnsafeMutablePointerToElements { elements in
            _ = UnsafeMutableRawPointer(elements).initializeMemory(as: Value.self, to: value)
        }
        return unsafeDowncast(memory, to: SegmentMemory.self)
    }

    @inlinable @inline(__always)
    final var value: UnsafeMutablePointer<Value> {
        withUnsafeMutablePointerToElements { UnsafeMutableRawPointer($0).assumingMemoryBound(to: Value.self) }
    }

    @inlinable
    deinit { value.deinitialize(count: 1) }
}

/// Memory that is a block of an allocator.
@usableFromInline
final class AllocatedMemory: KeepingMemory<any Allocator> {
    @inlinable
    deinit { value.pointee.deallocate(extent.base) }
}

/// Whom to tell of the end, and of how many bytes.
@frozen
@usableFromInline
struct SegmentRelease {
    @usableFromInline let body: (UnsafeMutableRawBufferPointer) -> Void
    @usableFromInline let byteCount: Int

    @inlinable
    init(body: @escaping (UnsafeMutableRawBufferPointer) -> Void, byteCount: Int) {
        self.body = body
        self.byteCount = byteCount
    }
}

/// Memory that a closure gives back.
@usableFromInline
final class ReleasedMemory: KeepingMemory<SegmentRelease> {
    @inlinable
    deinit {
        value.pointee.body(UnsafeMutableRawBufferPointer(start: extent.base, count: value.pointee.byteCount))
    }
}
