// Reference-counted chunks of a few sizes, in slabs that come from upstream. Layout/ has the memory's layout.
//
// S1. `slots[n].slab` is the slab of number n, or nil; the set `bases` has exactly their bases. A slab is on exactly
//     one list, and its header says which: its class's `current`, `partial`, `full`, or `empty`.
// S2. A partial slab has a chunk that could be allocated; a full one has none, and a live one; an empty one has no live
//     chunk.
// S3. `last.chunk` is `noBase`, or the start of the carved chunk `last.index` of `last.slab`, a slab of this arena:
//     what was allocated last, which is likely to be used next.
// S4. Each slab's `account` is that of its live chunks; its `settleBelow` is 0 where it is current and stays when
//     empty, the most there is where it is full, and else 1.
// S5. A slab whose block goes back leaves `slots[n].firstGeneration` above each generation it had (R3).
// S6. `peak` is the most chunks that were ever live at once, and `belowPeak` by how many fewer are live now; the same
//     for their bytes.
// S7. Each entry of `map` is that of a slab, and says what its header says.
//
// Cost, as callgrind counts it in slab-bench, loops included: allocating from the current slab's free list and
// releasing take 86 instructions together, and 111 where another chunk was allocated in between (S3); adding a
// reference and releasing it 33, and 76 of another chunk than the last. What finds the list empty, or a slab full or
// empty before it, goes a slow path of a few dozen instructions more; a new slab costs a call of upstream and nothing
// for its chunks, which are carved, some at a time, when they are needed. Thread-safety: none. SharedSlabArena has it.

public import AllocatorCore

/// Chunks with reference counts, in size classes, for programs that hold many items in memory for long: caches,
/// databases, brokers.
///
/// A request takes a chunk of the first size that is large enough; chunks of one size are cut from slabs, which come
/// from `upstream`. A chunk starts with one reference; whoever passes it on adds one, and the last release recycles it.
/// An item that is larger than a chunk is a chain of chunks (``SlabChain``); a ``SlabLocation`` names a chunk in 16
/// bytes and without a pointer; a ``SlabBuffer`` is a reference that releases itself.
///
/// Slabs that are empty go back to upstream, at once, after a delay or by ``trim()``; and when the mix of sizes
/// changes, ``rebalance(to:policy:limit:moved:)`` empties slabs by moving chunks, for the class that needs them. So a
/// full arena keeps working.
///
/// Not for temporary memory of one function (``Region`` is faster) nor for objects of one size without references
/// (``FixedBlockAllocator`` has less overhead: 24 bytes a chunk and 128 a slab are this one's).
///
/// **Buffers.** Every call that takes a pointer or a buffer takes any part of a chunk: its start, a slice with an
/// offset, a shortened one. An empty buffer at the very end of a chunk is taken for the start of the next.
///
/// Releasing what is free, or another arena's, traps, as does every use of such a pointer. Allocating, adding a
/// reference and releasing are O(1). Not thread-safe, and not `Sendable`: ``SharedSlabArena`` is.
///
/// The idea is memcached's; references, chains and locations are those of a Go slab allocator.
public final class SlabArena {
    /// The bytes of the smallest chunks, before they are rounded up to `alignment`.
    public let startChunkSize: Int
    /// The bytes of a slab, and of the largest chunk.
    public let slabSize: Int
    /// By how much chunk sizes grow from class to class.
    public let growthFactor: Double
    /// What every chunk's address is a multiple of.
    public let alignment: Int

    @usableFromInline let classes: UnsafeMutablePointer<SlabClass>
    @usableFromInline let sizes: SlabSizes
    @usableFromInline let baseMask: UInt
    /// The bits that `baseMask` has not: an address's offset from its slab's base.
    @usableFromInline let offsetMask: UInt
    /// From a slab's base to its header, in bytes.
    @usableFromInline let headerOffset: UInt
    @exclusivity(unchecked) @usableFromInline var last: (chunk: UInt, slab: SlabReference, index: Int)
    // The account, in chunks and in their bytes (S6).
    @exclusivity(unchecked) @usableFromInline var peak = 0
    @exclusivity(unchecked) @usableFromInline var peakBytes = 0
    @exclusivity(unchecked) @usableFromInline var belowPeak = 0
    @exclusivity(unchecked) @usableFromInline var bytesBelowPeak = 0
    @exclusivity(unchecked) @usableFromInline var referencesAdded = 0
    @exclusivity(unchecked) @usableFromInline var referencesReleased = 0
    /// Handles that live: together they keep the arena, see SlabBuffer.swift.
    @exclusivity(unchecked) @usableFromInline var handles = 0
    @exclusivity(unchecked) @usableFromInline var slots = SlabSlots()
    @exclusivity(unchecked) @usableFromInline var bases = AddressTable<UInt>()
    @exclusivity(unchecked) @usableFromInline var map: SlabMap

    @exclusivity(unchecked) var empty = SlabList()
    @exclusivity(unchecked) var blockBytes = 0
    @exclusivity(unchecked) var counters = SlabCounters()
    /// What slabs carry as their owner.
    @exclusivity(unchecked) var owner: UInt = 0
    /// Milliseconds, or nil.
    @exclusivity(unchecked) var emptyDelay: UInt? = 1000
    @exclusivity(unchecked) var lastSweep: UInt = 0
    @exclusivity(unchecked) var shortageHandler: ((SlabShortage) -> Bool)?
    @exclusivity(unchecked) var isHandlingShortage = false
    @exclusivity(unchecked) var moving = SlabMoving()
    /// Milliseconds of a clock that never goes back; tests set their own.
    @exclusivity(unchecked) var clock: () -> UInt = systemMilliseconds
    /// Where slabs come from.
    public let upstream: any Allocator

    /// Makes an arena that holds no slab yet.
    ///
    /// - Parameters:
    ///   - startChunkSize: bytes of the smallest chunk: at least 1; rounded up to `alignment`.
    ///   - slabSize: bytes of a slab, and of the largest chunk: a multiple of `alignment`, and at most 2^31. Each class
    ///     in use has a slab that is about half free: where there is a limit, let `slabSize` times
    ///     the classes in use be a small part of it, such as 64 KiB for a limit of 8 MiB.
    ///   - growthFactor: above 1: each class's chunks are larger than the last one's by it, rounded up. One so near 1
    ///     that there would be more than 65,535 classes is refused.
    ///   - alignment: what chunks are aligned to: a power of two, and at most `slabSize`.
    ///   - upstream: where slabs come from: blocks of `slabSize` bytes, 128 more and 24 for each chunk, aligned to the
    ///     power of two that is not below `slabSize` (where upstream does not offer that, twice as much is asked for).
    ///     A limit must allow for at least one such block. It must not itself take memory from this arena.
    /// - Throws: ``ConfigurationError``, which names the argument.
    public init(
        startChunkSize: Int = 64, slabSize: Int = 1 << 20, growthFactor: Double = 1.25, alignment: Int = 8,
        upstream: any Allocator
    ) throws(ConfigurationError) {
        func wrong(_ argument: String, _ value: Int, _ requirement: String) -> ConfigurationError {
            ConfigurationError(allocator: "SlabArena", argument: argument, value: value, requirement: requirement)
        }
        guard isPowerOfTwo(alignment) else { throw wrong("alignment", alignment, "a power of two") }
        guard slabSize > 0, slabSize <= 1 << 31, slabSize % alignment == 0 else {
            throw wrong("slabSize", slabSize, "a multiple of alignment (\(alignment)), and from 1 to 2^31")
        }
        guard startChunkSize > 0, startChunkSize <= slabSize else {
            throw wrong("startChunkSize", startChunkSize, "from 1 to slabSize (\(slabSize))")
        }
        guard growthFactor > 1, growthFactor.isFinite else {
            throw wrong("growthFactor", Int(exactly: growthFactor.rounded()) ?? 0, "above 1: it is \(growthFactor)")
        }
        guard
            let sizes = SlabSizes(
                startChunkSize: startChunkSize, slabSize: slabSize, growthFactor: growthFactor, alignment: alignment)
        else {
            throw wrong(
                "growthFactor", 1, "so large that there are at most \(SlabSizes.largestClassCount) chunk sizes")
        }
        self.startChunkSize = startChunkSize
        self.slabSize = slabSize
        self.growthFactor = growthFactor
        self.alignment = alignment
        self.upstream = upstream
        self.sizes = sizes
        headerOffset = UInt((slabSize + 15) & ~15)
        baseMask = ~((1 << UInt(UInt.bitWidth - (Int(headerOffset) - 1).leadingZeroBitCount)) - 1)
        offsetMask = ~baseMask
        last = (noBase, SlabHeader.none, 0)
        map = SlabMap(slabAlignment: ~baseMask + 1)
        classes = .allocate(capacity: sizes.sizes.count)
        for (index, size) in sizes.sizes.enumerated() {
            (classes + index).initialize(to: SlabClass(chunkSize: size, slabSize: slabSize))
        }
    }

    /// Makes an arena whose slabs come straight from the operating system.
    ///
    /// - Throws: ``ConfigurationError``, which names the argument.
    public convenience init(
        startChunkSize: Int = 64, slabSize: Int = 1 << 20, growthFactor: Double = 1.25, alignment: Int = 8
    ) throws(ConfigurationError) {
        try self.init(
            startChunkSize: startChunkSize, slabSize: slabSize, growthFactor: growthFactor, alignment: alignment,
            upstream: PageAllocator())
    }

    deinit {
        saveFileAtEnd()
        giveBackAllSlabs()
        slots.free()
        bases.removeAll()
        map.removeAll()
        classes.deinitialize(count: sizes.sizes.count)
        classes.deallocate()
        sizes.free()
    }

    /// The chunk sizes, rising; the last is `slabSize`.
    public var chunkSizes: [Int] { sizes.sizes }

    var live: Int { peak - belowPeak }
    var liveBytes: Int { peakBytes - bytesBelowPeak }

    /// The alignment of slabs, in bytes.
    var slabAlignment: Int { Int(~baseMask) + 1 }
}
