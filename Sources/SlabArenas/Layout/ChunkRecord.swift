// What the arena knows of one chunk: 24 bytes beside the slab's chunks (SlabHeader.swift has the picture).
//
// R1. The state's lowest 32 bits are the references. 0: the chunk is free, or retired.
// R2. Bit 32 is set where one of the references is a location's, which lets the chunk move (`store`).
// R3. The 31 bits above are the generation: from 1 up, one more each time the chunk is recycled. No two lives of a
//     place in memory, under one slab number, share a generation; a chunk that has reached `lastGeneration` is never on
//     the free list again (it is retired).
// R4. Of a live chunk, `linkSlab` is `noSlab`, or the link is to a live chunk, one of whose references it is. Of a free
//     one, `linkSlab` is `noSlab`, and `linkPosition` is the index of the next free chunk, or `noChunk`.

public import Synchronization

@usableFromInline
struct ChunkRecord: BitwiseCopyable {
    @usableFromInline var state: UInt64
    @usableFromInline var linkSlab: UInt32
    /// Bytes from the slab's base.
    @usableFromInline var linkPosition: UInt32
    /// Bytes of the linked buffer.
    @usableFromInline var linkCount: UInt32
    /// Bytes that were asked for.
    @usableFromInline var requested: UInt32

    @inlinable @inline(__always)
    init(state: UInt64, linkSlab: UInt32, linkPosition: UInt32, linkCount: UInt32, requested: UInt32) {
        self.state = state
        self.linkSlab = linkSlab
        self.linkPosition = linkPosition
        self.linkCount = linkCount
        self.requested = requested
    }

    @inlinable @inline(__always)
    static var heldByLocation: UInt64 { 1 << 32 }

    @inlinable @inline(__always)
    static var oneGeneration: UInt64 { 1 << 33 }

    @inlinable @inline(__always)
    static var lastGeneration: UInt32 { (1 << 31) - 1 }

    @inlinable @inline(__always)
    var references: UInt32 { Self.references(state) }

    @inlinable @inline(__always)
    var generation: UInt32 { Self.generation(state) }

    @inlinable @inline(__always)
    var isHeldByLocation: Bool { state & Self.heldByLocation != 0 }

    // The same of a state that was read by itself, from a record that other threads write.
    @inlinable @inline(__always)
    static func references(_ state: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: state) }

    @inlinable @inline(__always)
    static func generation(_ state: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: state &>> 33) }

    @inlinable @inline(__always)
    var hasNext: Bool { linkSlab != noSlab }
}

extension UnsafeMutablePointer where Pointee == ChunkRecord {
    /// The state, which threads that share an arena change and read without a lock. It comes first in the record.
    @inlinable @inline(__always)
    var atomicState: UnsafeMutablePointer<Atomic<UInt64>> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// The state as of now, whoever changes it.
    @inlinable @inline(__always)
    var currentState: UInt64 { atomicState.pointee.load(ordering: .acquiring) }
}

/// The slab number of no slab.
@usableFromInline var noSlab: UInt32 {
    @inlinable @inline(__always) get { .max }
}

/// The index of no chunk.
@usableFromInline var noChunk: UInt32 {
    @inlinable @inline(__always) get { .max }
}

/// No slab's base: slabs are aligned.
@usableFromInline var noBase: UInt {
    @inlinable @inline(__always) get { 1 }
}
