// A segment is a part of some memory that counts its owners. Segments are what a SegmentedBuffer is a list of.
//
//     SegmentMemory   base ────────────────────────────────── base + byteCount
//     Segment                start ────────── start + count
//
// I1. A segment's bytes lie in its memory, whose bytes stay where they are until the last owner is gone.
//
// Thread-safety: the counting is atomic. The bytes, and whoever gets the memory back, are the caller's affair.

public import AllocatorCore

/// Memory that several segments share. When the last owner is gone, it goes back to where it came from.
public final class SegmentMemory {
    /// The first byte.
    public let base: UnsafeMutableRawPointer
    /// The bytes from `base` on.
    public let byteCount: Int
    @usableFromInline let origin: Origin

    /// Who gets the memory back.
    @usableFromInline
    enum Origin {
        /// Nobody: the caller sees to it that it lives long enough.
        case unowned
        /// An allocator, whose block it is.
        case allocator(any Allocator)
        /// An object whose life is that of the memory.
        case object(AnyObject)
        /// A closure, which is called once.
        case closure((UnsafeMutableRawBufferPointer) -> Void)
    }

    @inlinable
    init(base: UnsafeMutableRawPointer, byteCount: Int, origin: Origin) {
        self.base = base
        self.byteCount = byteCount
        self.origin = origin
    }

    @inlinable
    deinit {
        switch origin {
        case .unowned, .object: break
        case .allocator(let allocator): allocator.deallocate(base)
        case .closure(let release): release(UnsafeMutableRawBufferPointer(start: base, count: byteCount))
        }
    }
}

/// A part of some memory, and an owner of it.
@frozen
public struct Segment {
    /// What the bytes are a part of.
    public let memory: SegmentMemory
    /// The first byte.
    @usableFromInline let start: UnsafeMutableRawPointer
    /// The number of bytes.
    public let count: Int

    @inlinable @inline(__always)
    init(memory: SegmentMemory, start: UnsafeMutableRawPointer, count: Int) {
        self.memory = memory
        self.start = start
        self.count = count
    }
}
