// A slab arena for many threads: several of them, each behind a lock, with references that ask for no lock.
//
//     thread ── its number ──► shard: lock + SlabArena      a chunk is allocated and recycled under its shard's lock
//     address ── arithmetic ─► slab's header ─► record      a reference is one atomic operation on the record's state
//
// P1. A shard's arena is touched by the thread that holds its lock, and by no other; but for the records' states of
//     live chunks and what of their slabs' headers does not change meanwhile (H4).
// P2. A live chunk's state changes by atomic operations alone. Whoever takes the last reference away has the record for
//     itself, until it has recycled it under the lock: the arena counts the chunk as live up to then, so its slab
//     stays.
// P3. References are never added to a chunk that has none: by a pointer that would be misuse, which traps; by a
//     location it is asked for in the same atomic operation.
// P4. Slabs have their shard's address as `owner`; their numbers are the shard's own, and carry its index in locations.
// P5. A link is an address, in the record's `linkSlab` (its higher half) and `linkPosition`; it is read and written
//     under the lock of the shard whose chunk has it, or by whoever has the record for itself.
// P6. No thread holds two shards' locks, but for `withAllShards`, which takes all in their order.
//
// Order of memory: adding is relaxed, as the caller has a reference already; releasing is acquire-release, so that the
// thread which recycles, or moves, or finds itself the only one, sees all that others wrote while they had references.
// Cost: an atomic addition to add or release a reference; a lock that is mostly open to allocate and to recycle.
// Thread-safety: all of it, but for what says otherwise.

public import AllocatorCore
import ComposableAllocators

/// A ``SlabArena`` for many threads: reference-counted chunks that one thread allocates, and others read, pass on and
/// release.
///
/// Adding a reference, and releasing one that isn't the last, takes no lock: one atomic operation on the chunk's own
/// record, which arithmetic finds from the address. Allocating and recycling lock one of several shards, each an arena
/// of its own: a thread allocates from its shard, and from the others where upstream refuses that one. A chunk goes
/// back to the shard it is of, whoever releases it.
///
/// Use it for items that threads share: a cache's values, messages with several readers. Where every thread keeps to
/// its own items, a ``SlabArena`` for each is faster, and one behind a lock of the program's own where all calls are
/// under that lock anyway. Each shard holds slabs of its own: with few items, take few shards, or small slabs.
///
/// **Buffers and locations** are a `SlabArena`'s; see there. A pointer is used by whoever has a reference. A location
/// is asked about by anybody at any time: ``bufferAddingReference(at:)`` gives the chunk with a reference, or nothing,
/// and never one that has been recycled or that is being so.
///
/// **Misuse.** Releasing what is free traps, also where two threads race to be the last, as does every use of such a
/// pointer, and of one that is of no slab of this arena. Unlike a `SlabArena`, `addReference`, `release`,
/// `referenceCount(of:)`, `next(of:)` and `segments(of:)` ask the slab's header alone, which is what makes them fast:
/// where a foreign pointer's header would lie in memory that is not mapped, they end the program by a signal without a
/// message. Not caught: a pointer to a chunk that was recycled and allocated again, as everywhere.
///
/// **What it has not** of a `SlabArena`: ``SlabItem`` and ``SlabChain``, so that an item larger than a chunk is read
/// and written by ``segments(of:)``; `tryAllocateChain` and `hasNext`; the automatic mode of rebalancing, in whose
/// place ``onShortage`` may call ``rebalance(to:policy:limit:moved:)``; a file; and what ``resize(_:byteCount:)`` asks
/// for is not counted as `bytesRequested`, which stays that of the allocation.
///
/// Not for use in a child of `fork`. The idea of shards is malloc's arenas'; the rest is `SlabArena`'s.
public final class SharedSlabArena: @unchecked Sendable {
    /// The bytes of the smallest chunks, before they are rounded up to `alignment`.
    public let startChunkSize: Int
    /// The bytes of a slab, and of the largest chunk.
    public let slabSize: Int
    /// By how much chunk sizes grow from class to class.
    public let growthFactor: Double
    /// What every chunk's address is a multiple of.
    public let alignment: Int
    /// How many shards there are: a power of two.
    public let shardCount: Int
    /// Where slabs come from.
    public let upstream: any Allocator & Sendable

    @usableFromInline let shards: UnsafeMutablePointer<SlabShard>
    // The cores', beside the shards, for look-ups without a lock.
    @usableFromInline let baseMask: UInt
    @usableFromInline let headerOffset: UInt
    @usableFromInline let ownersStart: UInt
    @usableFromInline let ownersByteCount: UInt
    @usableFromInline let counters: ReferenceCounters
    let bases: SlabBaseSet
    /// Guards what follows.
    let settingsLock = SharedLock()
    @exclusivity(unchecked) var shortageHandler: (@Sendable (SlabShortage) -> Bool)?
    /// The numbers of the threads that are in the handler.
    @exclusivity(unchecked) var threadsInShortage: [Int] = []
    /// Whether a thread moves chunks, or tells of those that it has moved.
    @exclusivity(unchecked) var isRebalancing = false

    /// Makes an arena that holds no slab yet.
    ///
    /// - Parameters:
    ///   - startChunkSize: bytes of the smallest chunk: at least 1; rounded up to `alignment`.
    ///   - slabSize: bytes of a slab, and of the largest chunk: a multiple of `alignment`, and at most 2^31. Each class
    ///     in use has a slab that is about half free, in each shard: where there is a limit, let `slabSize` times
    ///     the classes in use be a small part of it, such as 64 KiB for a limit of 8 MiB.
    ///   - growthFactor: above 1: each class's chunks are larger than the last one's by it, rounded up. One so near 1
    ///     that there would be more than 65,535 classes is refused.
    ///   - alignment: what chunks are aligned to: a power of two, and at most `slabSize`.
    ///   - shardCount: a power of two, and at most 256; nil stands for the least that is not below the number of
    ///     processors. A shard holds up to 2^24 slabs.
    ///   - upstream: where slabs come from, as for a ``SlabArena``. It is called under a shard's lock, by several
    ///     threads, and must not itself take memory from this arena. A limit is `Synchronized(QuotaAllocator(…))`.
    /// - Throws: ``ConfigurationError``, which names the argument.
    public init(
        startChunkSize: Int = 64, slabSize: Int = 1 << 20, growthFactor: Double = 1.25, alignment: Int = 8,
        shardCount: Int? = nil, upstream: any Allocator & Sendable
    ) throws(ConfigurationError) {
        let shardCount = shardCount ?? Self.defaultShardCount
        guard isPowerOfTwo(shardCount), shardCount <= SlabShard.largestCount else {
            throw ConfigurationError(
                allocator: "SharedSlabArena", argument: "shardCount", value: shardCount,
                requirement: "a power of two, and at most \(SlabShard.largestCount)")
        }
        let bases = SlabBaseSet()
        var cores: [SlabArena] = []
        do throws(ConfigurationError) {
            for _ in 0..<shardCount {
                let slabs = SlabShardUpstream(upstream, bases: bases, slabSize: slabSize)
                cores.append(
                    try SlabArena(
                        startChunkSize: startChunkSize, slabSize: slabSize, growthFactor: growthFactor,
                        alignment: alignment, upstream: slabs))
            }
        } catch {
            throw ConfigurationError(
                allocator: "SharedSlabArena", argument: error.argument, value: error.value,
                requirement: error.requirement)
        }
        self.startChunkSize = startChunkSize
        self.slabSize = slabSize
        self.growthFactor = growthFactor
        self.alignment = alignment
        self.shardCount = shardCount
        self.upstream = upstream
        self.bases = bases
        counters = ReferenceCounters()
        baseMask = cores[0].baseMask
        headerOffset = cores[0].headerOffset
        shards = .allocate(capacity: shardCount)
        ownersStart = UInt(bitPattern: shards)
        ownersByteCount = UInt(shardCount * MemoryLayout<SlabShard>.stride)
        for (index, core) in cores.enumerated() {
            core.owner = UInt(bitPattern: shards + index)
            core.slots.limit = SlabShard.numberMask + 1
            (shards + index).initialize(to: SlabShard(core: core, index: UInt32(index)))
        }
    }

    /// Makes an arena whose slabs come straight from the operating system.
    ///
    /// - Throws: ``ConfigurationError``, which names the argument.
    public convenience init(
        startChunkSize: Int = 64, slabSize: Int = 1 << 20, growthFactor: Double = 1.25, alignment: Int = 8,
        shardCount: Int? = nil
    ) throws(ConfigurationError) {
        try self.init(
            startChunkSize: startChunkSize, slabSize: slabSize, growthFactor: growthFactor, alignment: alignment,
            shardCount: shardCount, upstream: Synchronized(PageAllocator()))
    }

    deinit {
        for index in 0..<shardCount { shards[index].destroy() }
        shards.deinitialize(count: shardCount)
        shards.deallocate()
        counters.free()
        settingsLock.destroy()
    }

    /// The least power of two that is not below the number of processors, and at most 256.
    static var defaultShardCount: Int {
        let processors = min(max(processorCount(), 1), SlabShard.largestCount)
        return 1 << (Int.bitWidth - (processors - 1).leadingZeroBitCount)
    }

    /// The chunk sizes, rising; the last is `slabSize`.
    public var chunkSizes: [Int] { shards.withCore { $0.chunkSizes } }

    // MARK: - Shards

    /// The shard that this thread allocates from.
    var ownShard: UnsafeMutablePointer<SlabShard> { shards + ((ThreadNumbers.own() - 1) & (shardCount - 1)) }

    /// Does something with all shards' arenas, with no other thread's call between. P6.
    func withAllShards<Result, Failure: Error>(
        _ body: ([SlabArena]) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        for index in 0..<shardCount { shards[index].lock.acquire() }
        defer { for index in (0..<shardCount).reversed() { shards[index].lock.release() } }
        return try body((0..<shardCount).map { shards[$0].core._withUnsafeGuaranteedRef { $0 } })
    }

    /// The shard of a slab of this arena.
    @inline(__always)
    func shard(of slab: SlabReference) -> UnsafeMutablePointer<SlabShard> {
        UnsafeMutablePointer(bitPattern: slab.pointee.owner).unsafelyUnwrapped
    }
}
