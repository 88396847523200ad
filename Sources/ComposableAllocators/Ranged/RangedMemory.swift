// A buffer, out of which pieces are handed out and taken back by address. The state is in a class, RangedSpace, which
// a pool keeps for the next one: making a small one then costs no records.
//
// Not generic, so that its deinit runs in every build. Cost: that of RangeAllocator with first fit, O(log n) of the
// free ranges. Thread-safety: none, not even for reading, since a search moves the cursor of the ranges' tree.

public import AllocatorCore
public import RangeAllocators

/// A range allocator over one buffer of yours, which hands out pieces of it and takes them back: a mapping, shared
/// memory, the buffer of a device, a part of another allocator's block.
///
///     var memory = try RangedMemory(mapping, granule: 16)
///     if let piece = memory.allocate(byteCount: 4000, alignment: 64) {
///         guard memory.deallocate(UnsafeMutableRawBufferPointer(rebasing: piece[1024...])) else { … }
///     }
///
/// Pieces have no identity: **any part** of what is allocated can be given back, also one that spans several pieces,
/// and what is free is joined. It writes nothing into the buffer. Pieces have exactly the size that was asked for,
/// rounded up to the granule; the lowest that fits is taken, so that the buffer fills from its front.
///
/// **What is not its own is refused**: ``deallocate(_:)`` returns false, and nothing has changed, where a piece is not
/// or not wholly in the buffer, where it is not of whole granules, and where any part of it is free already.
///
/// The buffer must outlive the last use of its pieces, and nothing else may hand out parts of it; it is not freed.
/// Small memories that come and go are pooled: ``pooled(byteCount:)``, ``RangedMemoryPool``.
///
/// It is no `Allocator`: one frees by the pointer alone, and here no sizes are recorded. `ScalableAllocator` is the one
/// to use where an allocator is asked for, or where the memory may grow by more than one buffer.
///
/// All calls but the lists are O(log n) of the free ranges. Not thread-safe, and not `Sendable`; it can be sent to
/// another task as a whole (`sending`), whichever thread its pool is used by.
public struct RangedMemory: ~Copyable {
    /// One reference is ours.
    private let space: Unmanaged<RangedSpace>

    /// Makes a memory of a buffer, all of which is free.
    ///
    /// - Parameters:
    ///   - buffer: the bytes. They may hold anything, and are not touched.
    ///   - granule: what sizes are rounded up to, and what pieces begin and end at a multiple of: a power of two from 1
    ///     to 65536. Bytes before the first and behind the last multiple are left out.
    /// - Throws: ``ConfigurationError``.
    public init(_ buffer: UnsafeMutableRawBufferPointer, granule: Int = 1) throws(ConfigurationError) {
        try Self.check(granule, "RangedMemory")
        space = Unmanaged.passRetained(RangedSpace(buffer, granule: granule))
    }

    static func check(_ granule: Int, _ type: String) throws(ConfigurationError) {
        if isPowerOfTwo(granule), granule <= 65536 { return }
        throw ConfigurationError(
            allocator: type, argument: "granule", value: granule, requirement: "a power of two from 1 to 65536")
    }

    /// Takes over a reference.
    init(_ space: Unmanaged<RangedSpace>) { self.space = space }

    /// What is still allocated is no longer; the memory goes back to its pool, if it is of one.
    deinit {
        guard let pool = space._withUnsafeGuaranteedRef({ $0.pool }) else { return space.release() }
        // L2: it lives while this memory does.
        pool._withUnsafeGuaranteedRef { $0.takeBack(space) }
    }

    private func withSpace<Result>(_ body: (RangedSpace) -> Result) -> Result { space._withUnsafeGuaranteedRef(body) }
}

// MARK: - Pieces

extension RangedMemory {
    /// Allocates a piece.
    ///
    /// - Parameters:
    ///   - byteCount: how many bytes are needed; none give an empty piece, which needs not be freed. A negative number
    ///     traps.
    ///   - alignment: what the address must be a multiple of: a power of two, in bytes; anything else traps.
    /// - Returns: the piece, whose `count` is `byteCount` rounded up to the granule; nil where no free range has room,
    ///   and for an alignment above 1 GiB.
    public mutating func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        withSpace { space in
            guard let (count, alignment) = space.request(byteCount, alignment) else { return nil }
            return space.ranges.allocate(count, alignment: alignment).map(space.piece)
        }
    }

    /// Allocates a piece of ``defaultAlignment(for:)``.
    public mutating func allocate(byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        allocate(byteCount: byteCount, alignment: defaultAlignment(for: byteCount))
    }

    /// Allocates exactly this piece if all of it is free, and says whether it was: for what has its place already.
    /// False, too, where it is not in the buffer or not of whole granules.
    public mutating func allocate(_ piece: UnsafeMutableRawBufferPointer) -> Bool {
        withSpace { space in space.range(UnsafeRawBufferPointer(piece)).map(space.ranges.allocate) ?? false }
    }

    /// Frees a piece: one that was allocated, a part of one, or several that touch.
    ///
    /// - Returns: whether all of it was allocated. Otherwise nothing has changed: where a part of it is outside of the
    ///   buffer or free already, or where it does not begin and end at a multiple of the granule.
    public mutating func deallocate(_ piece: UnsafeMutableRawBufferPointer) -> Bool {
        withSpace { space in space.range(UnsafeRawBufferPointer(piece)).map(space.ranges.tryDeallocate) ?? false }
    }

    /// Where a request would go, without taking it: what ``allocate(byteCount:alignment:)`` would return now.
    public func find(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        withSpace { space in
            guard let (count, alignment) = space.request(byteCount, alignment) else { return nil }
            return space.ranges.find(count, alignment: alignment).map(space.piece)
        }
    }

    /// Frees everything. Pointers into pieces dangle.
    public mutating func freeAll() { withSpace { $0.freeAll() } }

    /// Goes on in a buffer that begins where this one does and is longer: a file's mapping that was extended in place.
    /// Traps where it is another buffer, or a shorter one, and where the memory is of a pool.
    public mutating func grow(to buffer: UnsafeMutableRawBufferPointer) { withSpace { $0.grow(to: buffer) } }
}

// MARK: - The state

extension RangedMemory {
    /// The buffer: whole granules of what was given. O(1).
    public var buffer: UnsafeMutableRawBufferPointer {
        withSpace { UnsafeMutableRawBufferPointer(start: $0.start, count: $0.byteCount) }
    }

    /// The bytes of the buffer. O(1).
    public var byteCount: Int { withSpace { $0.byteCount } }

    /// What sizes and addresses of pieces are multiples of, in bytes. O(1).
    public var granule: Int { withSpace { 1 << $0.shift } }

    /// How many bytes are free in all. O(1).
    public var freeByteCount: Int { withSpace { $0.ranges.freeCount << $0.shift } }

    /// How many bytes are allocated. O(1).
    public var usedByteCount: Int { withSpace { $0.byteCount - $0.ranges.freeCount << $0.shift } }

    /// Whether nothing is allocated. O(1).
    public var isEmpty: Bool { withSpace { $0.isEmpty } }

    /// The bytes of the largest free piece: a request for as many succeeds, without alignment.
    public var largestFree: Int { withSpace { $0.ranges.largestFree << $0.shift } }

    /// How many bytes at the end of the buffer are free: so much of a file could be cut off.
    public var freeAtEnd: Int { withSpace { $0.ranges.freeAtEnd << $0.shift } }

    /// Whether an address is in the buffer, free or not. O(1).
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        withSpace { UInt(bitPattern: pointer) &- UInt(bitPattern: $0.start) < UInt($0.byteCount) }
    }

    /// The free pieces, in order of their addresses. O(n).
    public var freePieces: [UnsafeMutableRawBufferPointer] { withSpace { $0.ranges.freeRanges.map($0.piece) } }

    /// What is allocated, in order of addresses; pieces that touch are one. O(n).
    public var usedPieces: [UnsafeMutableRawBufferPointer] {
        withSpace { $0.ranges.usedRanges.map($0.piece).filter { !$0.isEmpty } }
    }

    /// The account of the ranges, in granules. O(n).
    public var statistics: RangeStatistics { withSpace { $0.statistics } }

    /// What is free now, as a value that can be saved: offsets from the buffer's start, in granules. O(n).
    ///
    /// It says nothing about the buffer's contents: with a file or shared memory, it is the part that is not in there.
    public var snapshot: RangeSnapshot { withSpace { $0.snapshot } }

    /// Makes free what is free in a snapshot, and what lies behind it where the buffer has become longer; nothing else.
    ///
    /// - Throws: ``RangeSnapshotError``, also where the snapshot is of more granules; then nothing has changed.
    public mutating func restore(_ snapshot: RangeSnapshot) throws(RangeSnapshotError) {
        try space.takeUnretainedValue().restore(snapshot)
    }

    /// What is wrong with the records, or nil. Walks them all.
    package func brokenInvariant() -> String? {
        withSpace { space in
            if let broken = space.ranges.brokenInvariant() { return broken }
            let used = space.ranges.usedRanges
            if space.lead > 0, used.first.map({ $0.lowerBound > 0 || $0.upperBound < space.lead }) ?? true {
                return "M1: what lies before the buffer is not allocated"
            }
            return space.ranges.size == space.lead + space.byteCount >> space.shift ? nil : "M2: another size"
        }
    }
}
