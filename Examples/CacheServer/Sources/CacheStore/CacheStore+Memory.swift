// The memory limit: what is evicted, what is moved, and what the index takes.
//
// When a chunk is needed and the quota has no more, the arena first empties a slab for it by moving what is on it, if
// the chunks of its class have as many free places elsewhere; else items go, of whatever class, until there is a place.
// So the cache keeps what is used, not a fixed share for each size as where each class evicts its own; and at most a
// slab's worth is free in each class.

import Mallow

extension CacheStore {
    /// Evicts items of half a slab's bytes, since each time that memory runs short the arena looks for a slab to empty.
    /// False where there are none.
    func evictSome() -> Bool {
        let enough = counters.itemBytes - arena.slabSize / 2
        guard evict() else { return false }
        while counters.itemBytes > enough, evict() {}
        return true
    }

    /// Evicts up to 8 items of one group; false where there is none.
    package func evict() -> Bool {
        guard let group = index.groupToEvict() else { return false }
        for _ in 0..<8 {
            let number = index.oldest(ofGroup: group)
            guard number != 0 else { break }
            let head = head(number)
            if isDead(index[number], head) { counters.reclaimed += 1 } else { counters.evictions += 1 }
            let isLarge = head.byteCount > 4096
            remove(number, hash(head.key))
            if isLarge { break }
        }
        return true
    }

    /// T1: enters the new location of a chunk, whose contents are already there.
    func moved(_ old: SlabLocation, _ new: SlabLocation) {
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
            if arena.rebalance(limit: 4096, moved: { moved($0, $1) }).bytesGivenBack > 0 { continue }
            if !evictSome() { return }
        }
    }

    // MARK: - Crawling

    /// Looks at two entries for each item that is stored, and frees those that are dead: so that what nobody asks for
    /// again does not stay until it is evicted. Those that live get no older than can be told (X4).
    func crawl() {
        for _ in 0..<2 {
            crawled += 1
            if crawled >= index.used { crawled = 1 }
            let number = UInt32(crawled)
            let entry = index[number]
            guard crawled < index.used, !entry.pointee.location.isNil else { continue }
            index.limitAge(number)
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
