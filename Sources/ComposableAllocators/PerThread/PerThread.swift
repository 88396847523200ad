// Blocks of one size for many threads: each thread keeps some, and asks for the lock once in a magazine of blocks.
//
// The design is that of magazines and a depot. A thread has two magazines of free blocks (ThreadCache.swift): one it
// allocates from and frees into, and a spare one, so that a thread that goes up and down around a boundary does not
// exchange each time. Full and empty magazines are exchanged at the depot (Depot.swift), which has upstream behind it.
// A block that another thread allocated goes into the magazine of the thread that frees it.
//
// Cost: a hit is a thread-local load, three dependent loads after it and some stores; no atomic read-modify-write, no
// lock. Thread-safety: all of it; closing is for a moment at which no other thread uses the allocator, but threads may
// end then.

public import AllocatorCore
public import CMallowShims
public import Synchronization

/// A pool of blocks of one size for many threads, each of which has a few of its own.
///
/// Use it where several threads allocate and free blocks of one size all the time: it scales with the threads, where
/// ``Synchronized`` makes them wait for each other. It is no use for a few blocks: a thread keeps up to two magazines
/// of free ones, which others see only when it gives them up. Where upstream is exhausted, a thread does not get what
/// others keep.
///
/// Upstream is used under a lock, need not be thread-safe, and belongs to this object: ``close()`` closes it. A
/// ``FixedBlockAllocator`` with the same block size serves best. Live blocks are upstream's when this object is
/// deinitialised: a pool gives their memory back with itself, malloc does not.
///
/// **Misuse.** A double free traps while the block is in a magazine or in the depot: its first word is marked then
/// with a secret. An address that is not aligned traps. Any other foreign pointer is found when its magazine goes back
/// to an upstream that knows its own (``OwningAllocator``); until then it may be handed out again. A block that was
/// written to after it was freed loses its mark, and with it the check.
///
/// Not for use in a child of `fork` of a program with several threads. The idea is from the slab allocator of Solaris
/// (Bonwick and Adams, 2001).
public final class PerThread<Upstream: Allocator>: @unchecked Sendable {
    /// The bytes of every block.
    public let blockSize: Int
    /// What every block's address is a multiple of.
    public let alignment: Int
    /// How many blocks a thread exchanges at once; it keeps up to twice as many.
    public let blocksPerMagazine: Int

    @usableFromInline let index: Int
    @usableFromInline let secret: UInt
    // Changes where the allocator is closed, when nobody else uses it.
    @exclusivity(unchecked) @usableFromInline var generation: UInt64
    let depot: Depot<Upstream>

    /// Makes an allocator that takes nothing from upstream before the first request.
    ///
    /// - Parameters:
    ///   - blockSize: bytes of a block, at least 8 and a multiple of `alignment`; larger requests throw.
    ///   - alignment: a power of two; nil stands for the largest up to 16 that `blockSize` is a multiple of.
    ///   - blocksPerMagazine: how many blocks a thread exchanges at once; nil stands for 64, and fewer where they
    ///     would be more than 32 KiB.
    ///   - upstream: where blocks come from; it is this object's from now on.
    /// - Throws: ``ConfigurationError``, which names the argument.
    public init(
        blockSize: Int, alignment: Int? = nil, blocksPerMagazine: Int? = nil, upstream: sending Upstream
    ) throws(ConfigurationError) {
        func wrong(_ argument: String, _ value: Int, _ requirement: String) -> ConfigurationError {
            ConfigurationError(allocator: "PerThread", argument: argument, value: value, requirement: requirement)
        }
        guard blockSize >= 8 else { throw wrong("blockSize", blockSize, "at least 8") }
        let alignment = alignment ?? min(16, 1 << blockSize.trailingZeroBitCount)
        guard isPowerOfTwo(alignment) else { throw wrong("alignment", alignment, "a power of two") }
        guard blockSize % alignment == 0 else {
            throw wrong("blockSize", blockSize, "a multiple of alignment (\(alignment))")
        }
        let capacity = blocksPerMagazine ?? max(4, min(64, 32768 / blockSize))
        guard 1...65536 ~= capacity else { throw wrong("blocksPerMagazine", capacity, "from 1 to 65536") }
        self.blockSize = blockSize
        self.alignment = alignment
        self.blocksPerMagazine = capacity
        secret = .random(in: .min ... .max)
        depot = Depot(
            upstream: upstream, blockSize: blockSize, alignment: alignment, capacity: capacity, secret: secret)
        generation = depot.generation
        index = ThreadRegistry.shared.add(depot)
    }

    deinit {
        ThreadRegistry.shared.remove(index)
        depot.lock.acquire()
        depot.dismissAll()
        depot.lock.release()
    }

    /// This thread's cache, or nil where it has none yet.
    @inlinable @inline(__always)
    func ownCache() -> UnsafeMutablePointer<ThreadCache>? {
        let table = mallow_magazine_slot().unsafelyUnwrapped
        guard index < table.pointee.count else { return nil }
        let entry = mallow_magazine_entries(table).unsafelyUnwrapped + index
        guard entry.pointee.generation == generation else { return nil }
        return entry.pointee.cache.unsafelyUnwrapped.assumingMemoryBound(to: ThreadCache.self)
    }

    private func ownCacheOrNew() -> UnsafeMutablePointer<ThreadCache>? {
        if let cache = ownCache() { return cache }
        guard let cache = depot.attach() else { return nil }
        if !ThreadRegistry.shared.enter(cache, index: index, generation: generation) {
            depot.retire(cache, generation: generation)
            return nil
        }
        return cache
    }

    @usableFromInline @inline(never)
    func allocateSlow() -> UnsafeMutableRawPointer? {
        guard let cache = ownCacheOrNew() else { return depot.allocateDirectly() }
        if cache.pointee.spareCount.load(ordering: .relaxed) > 0 {
            cache.exchangeMagazines(count: blocksPerMagazine, spareCount: 0)
        } else if !depot.refill(cache) {
            return nil
        }
        return take(from: cache)
    }

    @inlinable @inline(__always)
    func take(from cache: UnsafeMutablePointer<ThreadCache>) -> UnsafeMutableRawPointer? {
        let count = cache.pointee.count.load(ordering: .relaxed) &- 1
        if count < 0 { return nil }
        let block = UnsafeMutableRawPointer(bitPattern: cache.pointee.loaded[count]).unsafelyUnwrapped
        cache.pointee.count.store(count, ordering: .relaxed)
        if count < cache.pointee.low.load(ordering: .relaxed) { cache.pointee.low.store(count, ordering: .relaxed) }
        cache.pointee.allocated.store(cache.pointee.allocated.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
        block.storeBytes(of: 0, as: UInt.self)
        return block
    }

    @usableFromInline @inline(never)
    func deallocateSlow(_ block: UnsafeMutableRawPointer) {
        guard let cache = ownCacheOrNew() else { return depot.deallocateDirectly(block) }
        let count = cache.pointee.count.load(ordering: .relaxed)
        if count == blocksPerMagazine {
            if cache.pointee.spareCount.load(ordering: .relaxed) == 0 {
                cache.exchangeMagazines(count: 0, spareCount: blocksPerMagazine)
            } else {
                depot.drain(cache)
            }
        }
        put(block, into: cache)
    }

    @inlinable @inline(__always)
    func put(_ block: UnsafeMutableRawPointer, into cache: UnsafeMutablePointer<ThreadCache>) {
        let count = cache.pointee.count.load(ordering: .relaxed)
        let address = UInt(bitPattern: block)
        cache.pointee.loaded[count] = address
        cache.pointee.count.store(count &+ 1, ordering: .relaxed)
        block.storeBytes(of: address ^ secret, as: UInt.self)
    }
}

extension PerThread: SizeReportingAllocator, ResizableAllocator, MeasuredAllocator {
    /// Allocates a block as ``allocate(byteCount:alignment:)`` does, with nil in place of an error. Traps where the
    /// size is negative.
    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        // As unsigned, a negative size is large.
        guard UInt(bitPattern: byteCount) <= UInt(bitPattern: blockSize), isPowerOfTwo(alignment),
            alignment <= self.alignment
        else {
            if byteCount < 0 { negativeByteCount("PerThread", byteCount) }
            return nil
        }
        if let cache = ownCache(), let block = take(from: cache) {
            return UnsafeMutableRawBufferPointer(start: block, count: blockSize)
        }
        guard let block = allocateSlow() else { return nil }
        return UnsafeMutableRawBufferPointer(start: block, count: blockSize)
    }

    /// Allocates a block of ``blockSize`` bytes, from what this thread keeps, else from the depot or upstream.
    ///
    /// - Parameters:
    ///   - byteCount: at most ``blockSize``; a negative number traps.
    ///   - alignment: a power of two, at most ``alignment``.
    /// - Throws: ``AllocationError`` where the request does not fit a block, or upstream has none. Nothing has changed
    ///   then.
    /// - Complexity: O(1); once in a magazine of blocks, an exchange under the lock.
    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal(
                "PerThread", byteCount: byteCount, alignment: alignment, largest: blockSize,
                largestAlignment: self.alignment)
        }
        return block
    }

    /// Frees a block, whichever thread allocated it: this thread keeps it. Traps on the misuse that is found: see
    /// ``PerThread``.
    ///
    /// - Complexity: O(1); once in a magazine of blocks, an exchange under the lock.
    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        let address = UInt(bitPattern: pointer)
        if address & UInt(bitPattern: alignment &- 1) != 0 {
            misuse("PerThread", pointer, "is no block's address: it is not aligned")
        }
        // M2: no live block has its mark; one in 2^64 chances that a program writes it itself.
        if pointer.loadUnaligned(as: UInt.self) == address ^ secret {
            misuse("PerThread", pointer, "was freed already")
        }
        if let cache = ownCache(), cache.pointee.count.load(ordering: .relaxed) != blocksPerMagazine {
            put(pointer, into: cache)
        } else {
            deallocateSlow(pointer)
        }
    }

    /// ``blockSize`` for what a block can hold, else the request itself. Takes no lock.
    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        byteCount <= blockSize && isPowerOfTwo(alignment) && alignment <= self.alignment ? blockSize : byteCount
    }

    /// ``blockSize``, for every block. Takes no lock.
    @inlinable @inline(__always)
    public func byteCount(of pointer: UnsafeRawPointer) -> Int { blockSize }

    /// Succeeds for all that a block can hold, and returns nil for more. Takes no lock; traps where the size is
    /// negative.
    @inlinable
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("PerThread", byteCount) }
        return byteCount <= blockSize ? UnsafeMutableRawBufferPointer(start: pointer, count: blockSize) : nil
    }

    /// The account: exact where no other thread allocates or frees at the moment. The peak is exact where one thread
    /// uses the allocator; each further one can make it too high by as many blocks as it may keep.
    public var statistics: AllocatorStatistics {
        depot.lock.acquire()
        defer { depot.lock.release() }
        return depot.statistics
    }

    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + depot.upstream._sources }

    public var _owners: [ObjectIdentifier] { [ObjectIdentifier(self)] + depot.upstream._owners }

    /// The live blocks, or, where there are none, those of upstream that others have; exact as ``statistics`` is.
    public func findLeaks() -> LeakError? {
        depot.lock.acquire()
        defer { depot.lock.release() }
        return depot.findLeaks()
    }

    /// Gives every thread's free blocks back to upstream and closes it. For a moment at which no other thread uses the
    /// allocator; threads may end at the same time.
    ///
    /// - Throws: ``LeakError`` where blocks are live; nothing has changed then.
    public func close() throws(LeakError) {
        depot.lock.acquire()
        defer { depot.lock.release() }
        if let leak = depot.findLeaks() { throw leak }
        depot.dismissAll()
        generation = depot.generation
        try depot.upstream.close()
    }
}

extension PerThread: OwningAllocator where Upstream: OwningAllocator {
    /// Asks upstream, under the lock. True for blocks that threads keep, too.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        depot.lock.acquire()
        defer { depot.lock.release() }
        return depot.upstream.owns(pointer)
    }
}

extension PerThread where Upstream == SystemAllocator {
    /// Makes an allocator whose blocks come from the system's malloc. The arguments are those of the other initialiser.
    ///
    /// - Throws: ``ConfigurationError``, which names the argument.
    public convenience init(
        blockSize: Int, alignment: Int? = nil, blocksPerMagazine: Int? = nil
    ) throws(ConfigurationError) {
        try self.init(
            blockSize: blockSize, alignment: alignment, blocksPerMagazine: blocksPerMagazine,
            upstream: SystemAllocator())
    }
}
