// Two allocators, the second for what the first does not serve. How a free finds its part is in TwoParts.swift.
//
// Cost: to allocate, the primary's attempt; to free, what the first part that can tell its own blocks takes to tell, or
// a word in front of each block where neither can. Thread-safety: that of the parts.

public import AllocatorCore

/// Allocates from the primary where it serves the request and has memory, else from the secondary.
///
/// Use it to put a pool in front of a general allocator, or a bounded allocator in front of another. It stacks: a
/// secondary may be a fallback itself, and so on, and the whole compiles to straight code. ``TieredAllocator`` does the
/// same for pools of sizes known at run time. Where sizes alone decide, ``ThresholdAllocator`` asks less.
///
/// A free finds its part however the parts are composed: by asking `primary` whether the block is its own, else
/// `secondary`; where neither can tell, each block gets a word in front that says it, and the parts serve 8 bytes more
/// (or, beyond an alignment of 8, as many bytes as the alignment). So it is, too, where parts share memory so that
/// neither's answer is to be relied on, as a pool and an arena over the same pool do.
///
/// Thread-safe and `Sendable` if both parts are. It can own, report sizes, resize and free all where both parts can.
/// Where both refuse, the error is the secondary's. The idea is D's `std.experimental.allocator`'s.
@frozen
public struct FallbackAllocator<Primary: Allocator, Secondary: Allocator> {
    @usableFromInline let relation: PartRelation
    public let primary: Primary
    public let secondary: Secondary

    /// Composes two allocators: `secondary` serves what `primary` does not.
    @inlinable @inline(__always)
    public init(primary: Primary, secondary: Secondary) {
        relation = .between(primary, secondary)
        self.primary = primary
        self.secondary = secondary
    }

    @inlinable @inline(__always)
    var first: Primary { primary }

    @inlinable @inline(__always)
    var second: Secondary { secondary }
}

extension FallbackAllocator: Sendable where Primary: Sendable, Secondary: Sendable {}

extension FallbackAllocator: TwoPartAllocator {
    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        if let block = tryPrimary(byteCount: byteCount, alignment: alignment) { return block }
        return tryAllocate(
            from: secondary, noted: 1, "FallbackAllocator", byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if let block = tryPrimary(byteCount: byteCount, alignment: alignment) { return block }
        return try allocate(
            from: secondary, noted: 1, "FallbackAllocator", byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(__always)
    func tryPrimary(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        tryAllocate(
            from: primary, noted: 0, "FallbackAllocator", byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) { deallocate(pointer, "FallbackAllocator") }

    /// The primary's good size where it has one, else the secondary's: what is given while the primary has memory. A
    /// primary that rounds sizes up says by that which it serves.
    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        let good = goodSize(of: primary, for: byteCount, alignment: alignment)
        if good > byteCount { return good }
        // The size itself: what the primary rounds up to, or what it does not serve?
        if byteCount > 0,
            goodSize(of: primary, for: byteCount &- 1, alignment: alignment) == byteCount
        {
            return byteCount
        }
        return goodSize(of: secondary, for: byteCount, alignment: alignment)
    }

    /// What is live in both parts. Where neither part can tell its own blocks, the words in front of the blocks are
    /// left out, which is exact for alignments up to 8; beyond, the bytes are too many by what the alignment takes.
    /// What is live in a part is all that is, whoever allocated it: where one part is the other's upstream, what the
    /// other holds is counted too, also when it is free, and ``close()`` may succeed although this finds a leak.
    public func findLeaks() -> LeakError? { findLeaksOfParts() }

    /// Closes both parts, or none where either leaks. Where they share an upstream, or one is the other's, a part
    /// without leaks is closed first, since what it gives back may be all that is live in the other.
    public func close() throws(LeakError) { try closeParts() }

    public var _sources: [ObjectIdentifier] { primary._sources + secondary._sources }

    public var _owners: [ObjectIdentifier] { primary._owners + secondary._owners }

    @inlinable @inline(__always)
    public var _tellsOwn: Bool { bothTellOwn }

    @inlinable @inline(__always)
    public func _owns(_ pointer: UnsafeRawPointer) -> Bool { partsOwn(pointer) }

    @inlinable @inline(__always)
    public func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool { partsDeallocateIfOwned(pointer) }

    @inlinable @inline(__always)
    public var _tellsSizes: Bool { primary._tellsSizes && secondary._tellsSizes }

    @inlinable @inline(__always)
    public func _byteCount(of pointer: UnsafeRawPointer) -> Int { byteCount(of: pointer, "FallbackAllocator") }
}

extension FallbackAllocator: OwningAllocator where Primary: OwningAllocator, Secondary: OwningAllocator {
    @inlinable @inline(__always)
    public func owns(_ pointer: UnsafeRawPointer) -> Bool { _owns(pointer) }
}

extension FallbackAllocator: SizeReportingAllocator
where Primary: SizeReportingAllocator, Secondary: SizeReportingAllocator {
    @inlinable @inline(__always)
    public func byteCount(of pointer: UnsafeRawPointer) -> Int { _byteCount(of: pointer) }
}

extension FallbackAllocator: ResizableAllocator where Primary: ResizableAllocator, Secondary: ResizableAllocator {
    /// A block stays with its part, whatever its new size.
    @inlinable @inline(__always)
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        resize(pointer, byteCount: byteCount, "FallbackAllocator")
    }
}

extension FallbackAllocator: ResettableAllocator where Primary: ResettableAllocator, Secondary: ResettableAllocator {
    @inlinable
    public func freeAll() { freeAllParts() }
}
