// The memory limit: what is evicted, what is moved, and what the index takes.

import Mallow

extension CacheStore {
    /// Called by the arena when a chunk is needed and the quota has no more.
    ///
    /// The item that was used longest ago goes, whatever its size: so the cache keeps what is used, not a fixed share
    /// for each size as where each class evicts its own. Most often that makes no room in the class that needs it; what
    /// is freed meanwhile serves other requests. When more has gathered than `slack`, the slab that is emptiest is
    /// emptied for the class in need: its chunks move to free ones of their class.
    func makeRoom(for shortage: SlabShortage) -> Bool {
        if freeBytes > slack, rebalance(to: shortage.chunkSize) { return true }
        return evict() || rebalance(to: shortage.chunkSize)
    }

    /// Evicts one item; false where there is none.
    func evict() -> Bool {
        index.shrinkProtected()
        let number = index.oldest
        guard number != 0 else { return false }
        let head = head(number)
        if isDead(index[number], head) { counters.reclaimed += 1 } else { counters.evictions += 1 }
        remove(number, hash(head.key))
        return true
    }

    /// Bytes in slabs that are no live chunk's.
    private var freeBytes: Int { quota.liveBytes - arena.statistics.liveBytes }

    /// How much may be free before slabs are emptied: the less, the more is moved for each byte that is gained.
    private var slack: Int { configuration.memoryLimit / 32 }

    private func rebalance(to byteCount: Int) -> Bool {
        let before = counters.chunksMoved
        let result = arena.rebalance(to: byteCount, limit: 1) { moved($0, $1) }
        _ = (before, result)
        return false
    }

    /// T1: enters the new location of a chunk, whose contents are already there.
    private func moved(_ old: SlabLocation, _ new: SlabLocation) {
        let head = ItemHead(arena.buffer(at: new).unsafelyUnwrapped.baseAddress.unsafelyUnwrapped)
        var number = index.bucket(hash(head.key)).pointee
        while number != 0, index[number].pointee.location != old { number = index[number].pointee.nextInBucket }
        precondition(number != 0, "a chunk was moved that no item has")
        index[number].pointee.location = new
        counters.chunksMoved += 1
    }

    // MARK: - The index

    /// Sees to it that the next insertion has an entry and, when it is due, a bucket. False where there is no room.
    func makeRoomForEntry() -> Bool {
        while index.isFull { if !evict() { return false } }
        if index.wantsBucket { index.addBucket { hash(of: $0) } }
        let bytes = index.touchedBytes(pageByteCount: indexPages.pageByteCount) + 4096
        if bytes != indexBytes { takeForIndex(bytes) }
        return true
    }

    /// T2: what the index takes, the slabs give back.
    private func takeForIndex(_ bytes: Int) {
        indexBytes = bytes
        quota.limit = configuration.memoryLimit - bytes
        while quota.liveBytes > quota.limit {
            if arena.trim() > 0 { continue }
            if freeBytes > slack, rebalance(to: 0) { continue }
            if !evict() { return }
        }
    }

    // MARK: - Crawling

    /// Looks at two entries for each item that is stored, and frees those that are dead: so that what nobody asks for
    /// again does not stay until it is evicted.
    func crawl() {
        for _ in 0..<2 {
            crawled += 1
            if crawled >= index.used { crawled = 1 }
            let number = UInt32(crawled)
            let entry = index[number]
            guard crawled < index.used, !entry.pointee.location.isNil else { continue }
            let expiry = entry.pointee.expiry
            if expiry != 0 && expiry <= now {
                remove(number, hash(of: number))
                counters.crawlerReclaimed += 1
            } else if flushedToCrawl > 0 {
                flushedToCrawl -= 1
                if isDead(entry, head(number)) {
                    remove(number, hash(of: number))
                    counters.crawlerReclaimed += 1
                }
            }
        }
    }
}
