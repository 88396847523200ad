// A name for a chunk or a part of one that is no pointer: 16 bytes, which can be kept for as long as one likes, written
// to a file, sent elsewhere. Invariant: L1. the nil location is all zeros, and no other has generation 0.

/// Stands for a chunk of a ``SlabArena``, or for a slice of one, without a pointer and without a reference.
///
/// Use it in indexes and tables that hold many items: it is small, a copy of it costs nothing, it still holds when the
/// arena is in a file that is opened at another address, and one that outlived its chunk is found out, since every life
/// of a chunk has a generation of its own: such a location is stale. It means nothing to another arena.
///
/// A location by itself keeps nothing alive. ``SlabArena/store(_:)`` makes it hold the caller's reference, and lets the
/// chunk move: rebalancing then reports the new location.
///
/// The idea is that of a Go slab allocator; the generation is ours.
@frozen
public struct SlabLocation: Hashable, Codable, Sendable, BitwiseCopyable {
    /// The slab's number in its arena.
    @usableFromInline var slab: UInt32
    /// Bytes from the slab's base.
    @usableFromInline var position: UInt32
    @usableFromInline var length: UInt32
    @usableFromInline var generation: UInt32

    @inlinable @inline(__always)
    init(slab: UInt32, position: UInt32, length: UInt32, generation: UInt32) {
        self.slab = slab
        self.position = position
        self.length = length
        self.generation = generation
    }

    /// The location of nothing.
    @inlinable @inline(__always)
    public static var `nil`: SlabLocation { SlabLocation(slab: 0, position: 0, length: 0, generation: 0) }

    /// Whether this is the location of nothing.
    @inlinable @inline(__always)
    public var isNil: Bool { generation == 0 }

    /// How many bytes it stands for.
    @inlinable @inline(__always)
    public var count: Int { Int(length) }

    /// A part of what this stands for. Of the nil location, the nil location.
    ///
    /// - Parameter range: bytes from this location's first; traps where it goes beyond `count`.
    @inlinable
    public func slice(_ range: Range<Int>) -> SlabLocation {
        if isNil { return self }
        guard range.lowerBound >= 0, range.upperBound <= count else { Self.beyond(range, count) }
        // An empty slice at the end stays inside the chunk: its position would be the next one's.
        let offset = range.isEmpty && range.lowerBound == count ? max(count - 1, 0) : range.lowerBound
        return SlabLocation(
            slab: slab, position: position &+ UInt32(offset), length: UInt32(range.count), generation: generation)
    }

    // A precondition would say nothing in a release build.
    @usableFromInline @inline(never)
    static func beyond(_ range: Range<Int>, _ count: Int) -> Never {
        fatalError("SlabLocation: a slice (\(range)) beyond what it stands for, \(count) bytes")
    }
}

extension SlabLocation: CustomStringConvertible {
    public var description: String {
        isNil ? "nil" : "slab \(slab), byte \(position), \(length) bytes, generation \(generation)"
    }
}
