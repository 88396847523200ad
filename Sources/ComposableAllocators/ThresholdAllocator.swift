// Two allocators, chosen between by the size of the request. How a free finds the side is in TwoParts.swift.
//
// Cost: a comparison to allocate; to free, what the first part that can tell its own blocks takes to tell, or a word in
// front of each block where neither can. Thread-safety: that of the parts.

public import AllocatorCore

/// Sends sizes up to and including a threshold to one allocator, larger ones to another.
///
/// Use it where small requests deserve a pool and the rest does not. A request up to the threshold that `small` refuses
/// is refused: where it should go on to `large`, that is a ``FallbackAllocator``.
///
/// A free finds its side however the parts are composed: by asking `small` whether the block is its own, else `large`;
/// where neither can tell, each block gets a word in front that says it, and the parts serve 8 bytes more (or, beyond
/// an alignment of 8, as many bytes as the alignment). So it is, too, where parts share memory so that neither's answer
/// is to be relied on, as a pool and an arena over the same pool do.
///
/// Thread-safe and `Sendable` if both parts are. It can own, report sizes, resize and free all where both parts can.
/// Errors and traps are the parts'. The idea is the `Segregator` of D's `std.experimental.allocator`.
@frozen
public struct ThresholdAllocator<Small: Allocator, Large: Allocator> {
    /// The largest request, in bytes, that goes to `small`.
    public let threshold: Int
    @usableFromInline let relation: PartRelation
    public let small: Small
    public let large: Large

    /// Composes two allocators.
    ///
    /// - Parameters:
    ///   - threshold: the largest size in bytes that `small` serves; not negative.
    ///   - small: serves requests of up to `threshold` bytes.
    ///   - large: serves the rest.
    /// - Throws: ``ConfigurationError`` where the threshold is negative.
    @inlinable
    public init(threshold: Int, small: Small, large: Large) throws(ConfigurationError) {
        guard threshold >= 0 else {
            throw ConfigurationError(
                allocator: "ThresholdAllocator", argument: "threshold", value: threshold, requirement: "at least 0")
        }
        self.threshold = threshold
        relation = .between(small, large)
        self.small = small
        self.large = large
    }

    @inlinable @inline(__always)
    var first: Small { small }

    @inlinable @inline(__always)
    var second: Large { large }
}

extension ThresholdAllocator: Sendable where Small: Sendable, Large: Sendable {}

extension ThresholdAllocator: TwoPartAllocator {
    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        byteCount <= threshold
            ? tryAllocate(
                from: small, noted: 0, "ThresholdAllocator", byteCount: byteCount, alignment: alignment)
            : tryAllocate(
                from: large, noted: 1, "ThresholdAllocator", byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if byteCount <= threshold {
            return try allocate(
                from: small, noted: 0, "ThresholdAllocator", byteCount: byteCount, alignment: alignment)
        }
        return try allocate(
            from: large, noted: 1, "ThresholdAllocator", byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) { deallocate(pointer, "ThresholdAllocator") }

    /// The side's good size, but for a small request never above the threshold: whoever then asks for so many is served
    /// by the same side.
    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        byteCount <= threshold
            ? min(goodSize(of: small, for: byteCount, alignment: alignment), threshold)
            : goodSize(of: large, for: byteCount, alignment: alignment)
    }

    /// What is live in both parts. Where neither part can tell its own blocks, the words in front of the blocks are
    /// left out, which is exact for alignments up to 8; beyond, the bytes are too many by what the alignment takes.
    /// What is live in a part is all that is, whoever allocated it: where one part is the other's upstream, what the
    /// other holds is counted too, also when it is free, and ``close()`` may succeed although this finds a leak.
    public func findLeaks() -> LeakError? { findLeaksOfParts() }

    /// Closes both parts, or none where either leaks. Where they share an upstream, or one is the other's, a part
    /// without leaks is closed first, since what it gives back may be all that is live in the other.
    public func close() throws(LeakError) { try closeParts() }

    public var _sources: [ObjectIdentifier] { small._sources + large._sources }

    public var _owners: [ObjectIdentifier] { small._owners + large._owners }

    @inlinable @inline(__always)
    public var _tellsOwn: Bool { bothTellOwn }

    @inlinable @inline(__always)
    public func _owns(_ pointer: UnsafeRawPointer) -> Bool { partsOwn(pointer) }

    @inlinable @inline(__always)
    public func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool { partsDeallocateIfOwned(pointer) }

    @inlinable @inline(__always)
    public var _tellsSizes: Bool { small._tellsSizes && large._tellsSizes }

    @inlinable @inline(__always)
    public func _byteCount(of pointer: UnsafeRawPointer) -> Int { byteCount(of: pointer, "ThresholdAllocator") }
}

extension ThresholdAllocator: OwningAllocator where Small: OwningAllocator, Large: OwningAllocator {
    @inlinable @inline(__always)
    public func owns(_ pointer: UnsafeRawPointer) -> Bool { _owns(pointer) }
}

extension ThresholdAllocator: SizeReportingAllocator
where Small: SizeReportingAllocator, Large: SizeReportingAllocator {
    @inlinable @inline(__always)
    public func byteCount(of pointer: UnsafeRawPointer) -> Int { _byteCount(of: pointer) }
}

extension ThresholdAllocator: ResizableAllocator where Small: ResizableAllocator, Large: ResizableAllocator {
    /// A block stays on its side, also where its new size would go to the other.
    @inlinable @inline(__always)
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        resize(pointer, byteCount: byteCount, "ThresholdAllocator")
    }
}

extension ThresholdAllocator: ResettableAllocator where Small: ResettableAllocator, Large: ResettableAllocator {
    @inlinable
    public func freeAll() { freeAllParts() }
}
