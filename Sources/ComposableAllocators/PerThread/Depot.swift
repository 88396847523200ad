// What the threads of one `PerThread` allocator share: upstream, and magazines of blocks that are on their way from
// threads that free to threads that allocate. Everything here is under one lock, taken once for a magazine of blocks.
//
// D1. `full` is a list of `fullCount` full magazines, `empty` one of `emptyCount` empty ones. `partial` holds
//     `partialCount` blocks of threads that ended; it is nil where there are none and none were.
// D2. `outstanding` blocks have left the depot: they are live or in a thread's cache. So live == outstanding - cached.
// D3. `peak` is at least the most that were ever live, and exact where one thread has a cache: before `outstanding`
//     changes, outstanding less what the caches held at least is entered.
// D4. Of the depot's blocks, no more than `limit` magazines are kept; upstream gets the others back.

import AllocatorCore

final class Depot<Upstream: Allocator>: AnyDepot {
    let lock = SharedLock()
    let upstream: Upstream
    let blockSize: Int
    let alignment: Int
    let capacity: Int
    let secret: UInt
    var generation: UInt64
    var caches: UnsafeMutablePointer<ThreadCache>?
    var cacheCount = 0
    var full: Magazine?
    var fullCount = 0
    var empty: Magazine?
    var emptyCount = 0
    var partial: Magazine?
    var partialCount = 0
    var outstanding = 0
    var peak = 0
    /// Blocks allocated by threads that ended, or without a cache.
    var allocatedByOthers = 0

    init(upstream: consuming sending Upstream, blockSize: Int, alignment: Int, capacity: Int, secret: UInt) {
        self.upstream = upstream
        self.blockSize = blockSize
        self.alignment = alignment
        self.capacity = capacity
        self.secret = secret
        generation = ThreadRegistry.shared.newGeneration()
    }

    deinit {
        lock.destroy()
    }

    var magazineSize: Int { (capacity + 1) * MemoryLayout<UInt>.stride }
    var limit: Int { 4 + 2 * cacheCount }

    // MARK: Lists of magazines

    private func makeMagazine() -> Magazine? {
        SystemAllocator().tryAllocate(byteCount: magazineSize, alignment: 8)?
            .baseAddress?.bindMemory(to: UInt.self, capacity: capacity + 1)
    }

    private func destroy(_ magazine: Magazine) { SystemAllocator().deallocate(UnsafeMutableRawPointer(magazine)) }

    private func push(_ magazine: Magazine, on list: inout Magazine?, _ count: inout Int) {
        magazine[capacity] = UInt(bitPattern: list)
        list = magazine
        count += 1
    }

    private func pop(from list: inout Magazine?, _ count: inout Int) -> Magazine? {
        guard let first = list else { return nil }
        list = Magazine(bitPattern: first[capacity])
        count -= 1
        return first
    }

    private func keepEmpty(_ magazine: Magazine) {
        if emptyCount < limit { push(magazine, on: &empty, &emptyCount) } else { destroy(magazine) }
    }

    /// Gives a magazine's blocks back to upstream. Their marks stay: a double free is found for as long as upstream
    /// does not use the memory.
    private func giveBack(_ magazine: Magazine, _ count: Int) {
        for block in 0..<count { giveBack(UnsafeMutableRawPointer(bitPattern: magazine[block])!) }
    }

    private func giveBack(_ block: UnsafeMutableRawPointer) {
        if upstream._tellsOwn, !upstream._owns(block) {
            misuse("PerThread", block, "was freed here, and upstream never handed it out")
        }
        upstream.deallocate(block)
    }

    /// Takes in a full magazine, whose memory becomes the depot's.
    private func takeFull(_ magazine: Magazine) {
        if fullCount < limit {
            push(magazine, on: &full, &fullCount)
        } else {
            giveBack(magazine, capacity)
            keepEmpty(magazine)
        }
    }

    // MARK: Accounts

    var cached: Int {
        var sum = 0
        var next = caches
        while let cache = next {
            sum += cache.cached
            next = cache.pointee.next
        }
        return sum
    }

    /// D3. The walk is taken only where the record could be broken.
    func notePeak(_ own: UnsafeMutablePointer<ThreadCache>?) {
        guard outstanding - (own?.lowest ?? 0) > peak else { return }
        var bound = outstanding
        var next = caches
        while let cache = next {
            bound -= cache.lowest
            next = cache.pointee.next
        }
        peak = max(peak, bound)
    }

    var statistics: AllocatorStatistics {
        notePeak(nil)
        var allocated = allocatedByOthers
        var next = caches
        while let cache = next {
            allocated += cache.pointee.allocated.load(ordering: .relaxed)
            next = cache.pointee.next
        }
        let live = outstanding - cached
        let magazines = 2 * cacheCount + fullCount + emptyCount + (partial == nil ? 0 : 1)
        let records = cacheCount * MemoryLayout<ThreadCache>.stride + magazines * magazineSize
        return AllocatorStatistics(
            liveBlocks: live, liveBytes: live * blockSize, peakBlocks: peak, peakBytes: peak * blockSize,
            totalBlocks: allocated, totalBytes: allocated * blockSize,
            heldBytes: (outstanding + inDepot) * blockSize + records, overheadBytes: records)
    }

    var inDepot: Int { fullCount * capacity + partialCount }

    /// Our live blocks; where there are none, those of upstream that are not ours.
    func findLeaks() -> LeakError? {
        let live = outstanding - cached
        if live != 0 { return LeakError(allocator: "PerThread", blocks: live, bytes: live * blockSize) }
        guard var leak = upstream.findLeaks(), leak.blocks > outstanding + inDepot else { return nil }
        leak.blocks -= outstanding + inDepot
        leak.bytes = max(0, leak.bytes - (outstanding + inDepot) * blockSize)
        return leak
    }

    // MARK: Exchange; each takes the lock

    /// Makes a cache for a thread, or nil where there is no memory for it.
    func attach() -> UnsafeMutablePointer<ThreadCache>? {
        lock.acquire()
        defer { lock.release() }
        guard let memory = SystemAllocator().tryAllocate(byteCount: MemoryLayout<ThreadCache>.stride, alignment: 128)
        else { return nil }
        guard let loaded = pop(from: &empty, &emptyCount) ?? makeMagazine() else {
            SystemAllocator().deallocate(memory)
            return nil
        }
        guard let spare = pop(from: &empty, &emptyCount) ?? makeMagazine() else {
            SystemAllocator().deallocate(memory)
            destroy(loaded)
            return nil
        }
        let cache = memory.baseAddress!.bindMemory(to: ThreadCache.self, capacity: 1)
        cache.initialize(to: ThreadCache(loaded: loaded, spare: spare))
        cache.pointee.next = caches
        caches?.pointee.previous = cache
        caches = cache
        cacheCount += 1
        return cache
    }

    /// Fills the loaded magazine, which is empty as the spare one is. False where upstream has no memory.
    func refill(_ cache: UnsafeMutablePointer<ThreadCache>) -> Bool {
        lock.acquire()
        defer { lock.release() }
        notePeak(cache)
        cache.beginEpoch()
        var count = 0
        if let magazine = pop(from: &full, &fullCount) {
            keepEmpty(cache.pointee.loaded)
            cache.pointee.loaded = magazine
            count = capacity
        } else if let magazine = partial, partialCount > 0 {
            partial = cache.pointee.loaded
            cache.pointee.loaded = magazine
            count = partialCount
            partialCount = 0
        } else {
            let wanted = min(cache.pointee.nextRequest, capacity)
            cache.pointee.nextRequest = min(2 * wanted, capacity)
            while count < wanted,
                let block = upstream.tryAllocate(byteCount: blockSize, alignment: alignment)?.baseAddress
            {
                let address = UInt(bitPattern: block)
                block.storeBytes(of: address ^ secret, as: UInt.self)
                cache.pointee.loaded[count] = address
                count += 1
            }
        }
        outstanding += count
        cache.set(count: count, spareCount: 0)
        return count > 0
    }

    /// Takes the spare magazine, which is full as the loaded one is, so that there is room.
    func drain(_ cache: UnsafeMutablePointer<ThreadCache>) {
        lock.acquire()
        defer { lock.release() }
        notePeak(cache)
        cache.beginEpoch()
        let given = cache.pointee.spare
        cache.pointee.spare = cache.pointee.loaded
        if fullCount < limit, let magazine = pop(from: &empty, &emptyCount) ?? makeMagazine() {
            push(given, on: &full, &fullCount)
            cache.pointee.loaded = magazine
        } else {
            giveBack(given, capacity)
            cache.pointee.loaded = given
        }
        outstanding -= capacity
        cache.set(count: 0, spareCount: capacity)
    }

    /// A block without a cache, where there was no memory for one.
    func allocateDirectly() -> UnsafeMutableRawPointer? {
        lock.acquire()
        defer { lock.release() }
        notePeak(nil)
        guard let block = upstream.tryAllocate(byteCount: blockSize, alignment: alignment)?.baseAddress else {
            return nil
        }
        block.storeBytes(of: 0, as: UInt.self)
        outstanding += 1
        allocatedByOthers += 1
        return block
    }

    func deallocateDirectly(_ block: UnsafeMutableRawPointer) {
        lock.acquire()
        defer { lock.release() }
        notePeak(nil)
        giveBack(block)
        outstanding -= 1
    }

    /// Takes a cache back from a thread that ends, unless it was freed with all others, T3.
    override func retire(_ cache: UnsafeMutablePointer<ThreadCache>, generation: UInt64) {
        lock.acquire()
        defer { lock.release() }
        guard generation == self.generation else { return }
        notePeak(cache)
        outstanding -= cache.cached
        allocatedByOthers += cache.pointee.allocated.load(ordering: .relaxed)
        let loaded = cache.pointee.loaded
        for block in 0..<cache.pointee.count.load(ordering: .relaxed) { keep(loaded[block]) }
        keepEmpty(loaded)
        if cache.pointee.spareCount.load(ordering: .relaxed) > 0 {
            takeFull(cache.pointee.spare)
        } else {
            keepEmpty(cache.pointee.spare)
        }
        cache.pointee.next?.pointee.previous = cache.pointee.previous
        if let previous = cache.pointee.previous {
            previous.pointee.next = cache.pointee.next
        } else {
            caches = cache.pointee.next
        }
        cacheCount -= 1
        destroy(cache)
    }

    /// Puts a block into the partial magazine.
    private func keep(_ address: UInt) {
        if partial == nil { partial = pop(from: &empty, &emptyCount) ?? makeMagazine() }
        guard let magazine = partial else { return giveBack(UnsafeMutableRawPointer(bitPattern: address)!) }
        magazine[partialCount] = address
        partialCount += 1
        if partialCount == capacity {
            partial = nil
            partialCount = 0
            takeFull(magazine)
        }
    }

    private func destroy(_ cache: UnsafeMutablePointer<ThreadCache>) {
        cache.deinitialize(count: 1)
        SystemAllocator().deallocate(UnsafeMutableRawPointer(cache))
    }

    /// Gives every block that is not live back to upstream and frees all records; what threads still have in their
    /// tables is of an old generation then. The lock is held.
    func dismissAll() {
        notePeak(nil)
        while let cache = caches {
            caches = cache.pointee.next
            outstanding -= cache.cached
            allocatedByOthers += cache.pointee.allocated.load(ordering: .relaxed)
            giveBack(cache.pointee.loaded, cache.pointee.count.load(ordering: .relaxed))
            giveBack(cache.pointee.spare, cache.pointee.spareCount.load(ordering: .relaxed))
            destroy(cache.pointee.loaded)
            destroy(cache.pointee.spare)
            destroy(cache)
        }
        cacheCount = 0
        while let magazine = pop(from: &full, &fullCount) {
            giveBack(magazine, capacity)
            destroy(magazine)
        }
        while let magazine = pop(from: &empty, &emptyCount) { destroy(magazine) }
        if let magazine = partial {
            giveBack(magazine, partialCount)
            destroy(magazine)
        }
        partial = nil
        partialCount = 0
        generation = ThreadRegistry.shared.newGeneration()
    }
}
