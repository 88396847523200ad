// The items of the server: one store for all connections, behind one lock that is held for well under a microsecond.
//
//     key -> ItemIndex (bucket, entry) -> SlabLocation -> chunk in the SlabArena: header, key, value (ItemLayout.swift)
//
// T1. Every entry's location holds a reference (`store`) to the first chunk of its item, so that the arena may move the
//     chunk when slabs are rebalanced; `onMove` then enters the new location. Whoever uses the item's memory after the
//     lock is let go has a reference of its own, and a chunk with two is not moved and not changed.
// T2. The bytes of all slabs and of the touched pages of the index are at most the memory limit: the arena's upstream
//     is a quota, whose limit is what the index leaves.
// T3. An item whose `unique` is not above `flushedUnique` was flushed, and is as good as gone.
//
// Thread-safety: all that is public. What is not public expects the lock to be held.

public import Mallow

/// An in-memory cache with a memory limit.
public final class CacheStore: @unchecked Sendable {
    public let configuration: CacheConfiguration
    let lock = StoreLock()
    package let arena: SlabArena
    package let quota: QuotaAllocator<PageAllocator>
    let indexPages = PageAllocator()
    let hash = KeyHash()
    /// The bytes of each part of an item in a chain, but the first.
    package let partSize: Int
    @exclusivity(unchecked) package var index: ItemIndex
    @exclusivity(unchecked) package var indexBytes = 0
    /// The last number given to a change of a value.
    @exclusivity(unchecked) var lastUnique: UInt64 = 0
    @exclusivity(unchecked) var flushedUnique: UInt64 = 0
    /// When the flush that was asked for is due, or 0.
    @exclusivity(unchecked) var flushDue: UInt32 = 0
    /// Seconds since the start, and 2: so that 1 is in the past.
    @exclusivity(unchecked) var now: UInt32 = 2
    let startOfClock: ContinuousClock.Instant
    /// What the wall clock showed when this one showed 0.
    let wallClockStart: Int
    /// The entry that the crawler looks at next, and how many it has still to look at for flushed items.
    @exclusivity(unchecked) var crawled = 1
    @exclusivity(unchecked) var flushedToCrawl = 0
    @exclusivity(unchecked) var counters = CacheCounters()

    /// Makes an empty store.
    ///
    /// - Throws: `ConfigurationError`, `AllocationError` where there is no address space for the index.
    public init(_ configuration: CacheConfiguration) throws {
        self.configuration = configuration
        quota = try QuotaAllocator(limit: configuration.memoryLimit, upstream: PageAllocator())
        arena = try SlabArena(
            startChunkSize: configuration.startChunkSize, slabSize: configuration.slabSize,
            growthFactor: configuration.growthFactor, alignment: 8, upstream: quota)
        partSize = CacheStore.partSize(arena)
        let capacity = configuration.largestItemCount
        let entries = try indexPages.allocate(byteCount: ItemIndex.byteCount(entries: capacity), alignment: 64)
        let buckets = try indexPages.allocate(byteCount: ItemIndex.byteCount(buckets: capacity), alignment: 64)
        index = ItemIndex(
            entries: entries.baseAddress.unsafelyUnwrapped.bindMemory(to: ItemEntry.self, capacity: capacity),
            buckets: buckets.baseAddress.unsafelyUnwrapped.bindMemory(to: UInt32.self, capacity: capacity),
            capacity: capacity)
        startOfClock = .now
        wallClockStart = wallClockSeconds() - 2
        indexBytes = index.touchedBytes(pageByteCount: indexPages.pageByteCount)
        quota.limit = configuration.memoryLimit - indexBytes
        arena.emptySlabDelay = nil
        arena.automaticRebalancing = SlabAutomaticRebalancing(movesPerSecond: 2_000_000, burst: 100_000)
        arena.onMove = { [unowned self] in moved($0, $1) }
        arena.onShortage = { [unowned self] _ in evictSome() }
    }

    deinit {
        index.destroy()
        indexPages.deallocate(index.entries)
        indexPages.deallocate(index.buckets)
        lock.destroy()
    }

    @inline(__always)
    package func locked<Result>(_ body: () -> Result) -> Result {
        lock.acquire()
        defer { lock.release() }
        return body()
    }

    // MARK: - Finding

    /// The live item of a key, or 0. One that has expired or was flushed is removed.
    func find(_ key: UnsafeRawBufferPointer, _ hash: UInt32) -> (number: UInt32, item: UnsafeMutableRawBufferPointer)? {
        var number = index.bucket(hash).pointee
        while number != 0 {
            let entry = index[number]
            let item = arena.buffer(at: entry.pointee.location).unsafelyUnwrapped
            let head = ItemHead(item.baseAddress.unsafelyUnwrapped)
            if isEqual(head.key, key) {
                if isDead(entry, head) {
                    if entry.pointee.expiry == 0 || entry.pointee.expiry > now {
                        counters.getFlushed += 1
                    } else {
                        counters.getExpired += 1
                    }
                    counters.reclaimed += 1
                    remove(number, hash)
                    return nil
                }
                return (number, item)
            }
            number = entry.pointee.nextInBucket
        }
        return nil
    }

    @inline(__always)
    func isDead(_ entry: UnsafeMutablePointer<ItemEntry>, _ head: ItemHead) -> Bool {
        let expiry = entry.pointee.expiry
        return expiry != 0 && expiry <= now || head.unique <= flushedUnique
    }

    /// Takes an item out of the index and releases it.
    func remove(_ number: UInt32, _ hash: UInt32) {
        let location = index[number].pointee.location
        counters.itemBytes -= head(number).byteCount
        index.remove(number, hash: hash)
        arena.release(at: location)
    }

    func head(_ number: UInt32) -> ItemHead {
        ItemHead(arena.buffer(at: index[number].pointee.location).unsafelyUnwrapped.baseAddress.unsafelyUnwrapped)
    }

    func hash(of number: UInt32) -> UInt32 { hash(head(number).key) }

    // MARK: - Time

    /// Brings the clock up to date, which a timer does every second: then a flush that is due happens.
    public func tick() { tick(to: UInt32(clamping: 2 + (.now - startOfClock).components.seconds)) }

    package func tick(to time: UInt32) {
        locked {
            now = max(now, time)
            if flushDue != 0, flushDue <= now { flush() }
        }
    }

    /// From what a client gives to the store's clock: up to 30 days are seconds from now, more is a date, and less than
    /// zero is in the past.
    func expiry(_ seconds: Int32) -> UInt32 {
        if seconds == 0 { return 0 }
        if seconds < 0 { return 1 }
        if seconds <= 30 * 24 * 60 * 60 { return now &+ UInt32(seconds) }
        return UInt32(max(1, Int(seconds) - wallClockStart))
    }

    /// Makes all items that are there now, or will be when the time has come, as good as gone.
    public func flushAll(after seconds: Int32) {
        locked {
            counters.flushCommands += 1
            let due = expiry(seconds)
            if due <= now { flush() } else { flushDue = due }
        }
    }

    private func flush() {
        flushDue = 0
        flushedUnique = lastUnique
        flushedToCrawl = index.used
    }

    // MARK: - The end

    /// Removes all items, and checks that no chunk is left.
    ///
    /// - Throws: `LeakError`.
    public func close() throws(LeakError) {
        lock.acquire()
        defer { lock.release() }
        while evict() {}
        try arena.close()
    }
}

@inline(__always)
func isEqual(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
    one.count == other.count
        && memcmp(one.baseAddress.unsafelyUnwrapped, other.baseAddress.unsafelyUnwrapped, one.count) == 0
}
