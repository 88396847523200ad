// One slab in memory: a block from upstream, aligned to the least power of two that is not below the slab size.
//
//     base                                    base + headerOffset
//     | chunk 0 | chunk 1 | … | chunk n-1 |..| SlabHeader | ChunkRecord 0 | … | ChunkRecord n-1 | …
//     |<------------- slabSize ------------->|
//
// The chunks come first, so that their address alone leads to all that is known of them: the base by a mask, the header
// by adding, the chunk's index by a multiplication with a reciprocal, the record by the index. `slabSize` bytes are the
// chunks' own: a chunk of exactly that size fits.
//
// H1. A chunk is carved (index below `carved`) or has never been used; only the records of carved chunks are
//     meaningful.
// H2. The free list, from `freeHead` through the records' `linkPosition`, holds every carved chunk without references
//     that isn't retired, once.
// H3. live + retired + the length of the free list == carved.
// H4. While a chunk of the slab is live, the sizes, the number and the owner stay as they are, and `carved` only grows,
//     by atomic stores: of a shared arena's slab they are read without a lock.

public import Synchronization

/// Where a slab is in the lists of its arena.
@usableFromInline
enum SlabPlace: UInt32, BitwiseCopyable {
    /// Its class allocates from it.
    case current
    /// On its class's list of slabs with room.
    case partial
    /// On its class's list of slabs without.
    case full
    /// On the arena's list of empty slabs, which no class counts as its own.
    case empty
}

@usableFromInline
struct SlabHeader: BitwiseCopyable {
    /// The first free chunk, or `noChunk`.
    @usableFromInline var freeHead: UInt32
    /// While fewer chunks are live than this, a release looks what becomes of the slab (`settle`).
    @usableFromInline var settleBelow: UInt32 = 0
    /// Chunks with references, times 2^32, and the bytes that were asked for of them: both change at once.
    @usableFromInline var account: UInt64
    /// 2^63 / chunkSize, rounded up: a division is a multiplication.
    @usableFromInline var reciprocal: UInt
    /// Chunks that have been on the free list once (H1).
    @usableFromInline var carved: UInt32
    @usableFromInline var chunkSize: UInt32
    @usableFromInline var classIndex: UInt32
    /// Which slab of the arena this is: what locations and links name.
    @usableFromInline var number: UInt32
    /// What its arena says that a slab of it carries, for look-ups that ask no table; 0 once the slab has gone back.
    @usableFromInline var owner: UInt
    @usableFromInline var chunkCount: UInt32
    /// Chunks whose generations are used up (R3).
    @usableFromInline var retired: UInt32
    /// For how many records there is room behind this header.
    var recordCapacity: UInt32
    /// The generation of a chunk that is carved.
    var firstGeneration: UInt32
    var place: SlabPlace {
        didSet {
            // A slab that is full gets room by any release; the current one may stay empty.
            settleBelow = place == .full ? .max : place == .current ? 0 : 1
        }
    }
    /// When the slab came to its class, as a number that rises with each slab that does.
    var serial: UInt32 = 0
    /// How many chunks were live when one was found that could not be moved; 0: not known of any.
    var liveWhenPinned: UInt32 = 0
    /// Allocations of the class when the slab was found empty.
    var allocationsWhenEmpty: Int
    /// When the slab became empty, or was found so, in milliseconds; 0: not noted.
    var emptySince: UInt
    /// The neighbours in the list that it is on.
    var next: SlabReference?
    var previous: SlabReference?
    /// What upstream gave.
    var block: UnsafeMutableRawPointer
    var blockByteCount: Int
}

@usableFromInline typealias SlabReference = UnsafeMutablePointer<SlabHeader>

extension UnsafeMutablePointer where Pointee == SlabHeader {
    @inlinable @inline(__always)
    var records: UnsafeMutablePointer<ChunkRecord> {
        UnsafeMutableRawPointer(self + 1).assumingMemoryBound(to: ChunkRecord.self)
    }

    /// The chunk that an offset from the slab's base lies in: `carved` or more where it lies in none that was used.
    @inlinable @inline(__always)
    func chunkIndex(offset: UInt) -> Int {
        // Exact where offset * chunkSize < 2^63, as for offsets below 2^32 and chunks up to 2^31: the reciprocal is too
        // large by at most 1, so the quotient is by offset / 2^63, which is less than 1 / chunkSize.
        Int(bitPattern: (offset &* 2).multipliedFullWidth(by: pointee.reciprocal).high)
    }

    @inlinable @inline(__always)
    var atomicCarved: UnsafeMutablePointer<Atomic<UInt32>> {
        (UnsafeMutableRawPointer(self) + MemoryLayout<SlabHeader>.offset(of: \.carved).unsafelyUnwrapped)
            .assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// H4: the records below are written before.
    func publishCarved(_ count: UInt32) { atomicCarved.pointee.store(count, ordering: .releasing) }
}

extension SlabHeader {
    /// What a live chunk is in `account`.
    @inlinable @inline(__always)
    static func account(ofChunk requested: Int) -> UInt64 { UInt64(truncatingIfNeeded: requested) &+ 1 &<< 32 }

    /// Chunks with references.
    var live: UInt32 { UInt32(account >> 32) }
    /// Bytes that were asked for of them.
    var requestedBytes: Int { Int(UInt32(truncatingIfNeeded: account)) }

    static func reciprocal(of chunkSize: Int) -> UInt { (1 << 63) / UInt(chunkSize) + 1 }

    /// The bytes of a slab's block.
    static func blockByteCount(headerOffset: Int, chunkCount: Int) -> Int {
        headerOffset + MemoryLayout<SlabHeader>.size + chunkCount * MemoryLayout<ChunkRecord>.stride
    }

    /// The header that a class has in place of a current slab: it has no chunk. Never written.
    nonisolated(unsafe) static let none: SlabReference = {
        let header = SlabReference.allocate(capacity: 1)
        header.initialize(
            to: SlabHeader(
                freeHead: noChunk, account: 0, reciprocal: 0, carved: 0, chunkSize: 0, classIndex: 0, number: noSlab,
                owner: 0, chunkCount: 0, retired: 0, recordCapacity: 0, firstGeneration: 0, place: .full,
                allocationsWhenEmpty: 0, emptySince: 0, next: nil, previous: nil,
                block: UnsafeMutableRawPointer(header), blockByteCount: 0))
        return header
    }()
}

/// The slabs of one kind, linked through their headers.
struct SlabList {
    var first: SlabReference?
    var count = 0

    mutating func prepend(_ slab: SlabReference, as place: SlabPlace) {
        slab.pointee.place = place
        slab.pointee.previous = nil
        slab.pointee.next = first
        first?.pointee.previous = slab
        first = slab
        count += 1
    }

    mutating func remove(_ slab: SlabReference) {
        let (previous, next) = (slab.pointee.previous, slab.pointee.next)
        if let previous { previous.pointee.next = next } else { first = next }
        next?.pointee.previous = previous
        slab.pointee.next = nil
        slab.pointee.previous = nil
        count -= 1
    }

    /// Visits each slab; the body may remove the one that it is given.
    func visit<Failure: Error>(_ body: (SlabReference) throws(Failure) -> Void) throws(Failure) {
        var slab = first
        while let visited = slab {
            slab = visited.pointee.next
            try body(visited)
        }
    }
}
