// The store's part of `stats`, `stats slabs` and `stats items`, under memcached's names where it has them.

import Mallow

public typealias StatisticsLines = [(name: String, value: String)]

extension CacheStore {
    public func statistics() -> StatisticsLines {
        lock.acquire()
        defer { lock.release() }
        let values: [(name: String, value: Int)] = [
            ("cmd_get", counters.getCommands), ("cmd_set", counters.setCommands),
            ("cmd_flush", counters.flushCommands), ("cmd_touch", counters.touchCommands),
            ("get_hits", counters.getHits), ("get_misses", counters.getMisses),
            ("get_expired", counters.getExpired), ("get_flushed", counters.getFlushed),
            ("delete_misses", counters.deleteMisses), ("delete_hits", counters.deleteHits),
            ("incr_misses", counters.incrementMisses), ("incr_hits", counters.incrementHits),
            ("decr_misses", counters.decrementMisses), ("decr_hits", counters.decrementHits),
            ("cas_misses", counters.casMisses), ("cas_hits", counters.casHits), ("cas_badval", counters.casMismatches),
            ("touch_hits", counters.touchHits), ("touch_misses", counters.touchMisses),
            ("store_too_large", counters.tooLarge), ("store_no_memory", counters.noMemory),
            ("limit_maxbytes", configuration.memoryLimit), ("hash_bytes", index.bucketCount * 4),
            ("bytes", counters.itemBytes), ("curr_items", index.count), ("total_items", counters.totalItems),
            ("evictions", counters.evictions), ("reclaimed", counters.reclaimed),
            ("crawler_reclaimed", counters.crawlerReclaimed),
            ("index_bytes", indexBytes), ("slab_bytes", quota.liveBytes), ("slabs_emptied", counters.slabsEmptied),
            ("chunks_moved", counters.chunksMoved),
        ]
        return values.map { ($0.name, "\($0.value)") }
    }

    /// The arena's slabs, a group of lines for each size of chunk that is in use.
    public func slabStatistics() -> StatisticsLines {
        locked {
            var lines: StatisticsLines = []
            var (number, slabs) = (0, 0)
            for (position, kind) in arena.slabStatistics.classes.enumerated() where kind.slabs > 0 {
                let id = position + 1
                lines.append(("\(id):chunk_size", "\(kind.chunkSize)"))
                lines.append(("\(id):chunks_per_page", "\(kind.chunks / kind.slabs)"))
                lines.append(("\(id):total_pages", "\(kind.slabs)"))
                lines.append(("\(id):total_chunks", "\(kind.chunks)"))
                lines.append(("\(id):used_chunks", "\(kind.chunksInUse)"))
                lines.append(("\(id):free_chunks", "\(kind.chunksFree)"))
                lines.append(("\(id):mem_requested", "\(kind.bytesRequested)"))
                (number, slabs) = (number + 1, slabs + kind.slabs)
            }
            lines.append(("active_slabs", "\(number)"))
            lines.append(("total_pages", "\(slabs)"))
            lines.append(("total_malloced", "\(quota.liveBytes)"))
            return lines
        }
    }

    /// Items are not kept by class here: one group of lines for all.
    public func itemStatistics() -> StatisticsLines {
        locked {
            guard index.count > 0 else { return [] }
            return [
                ("items:1:number", "\(index.count)"), ("items:1:mem_requested", "\(counters.itemBytes)"),
                ("items:1:evicted", "\(counters.evictions)"),
                ("items:1:reclaimed", "\(counters.reclaimed)"), ("items:1:outofmemory", "\(counters.noMemory)"),
            ]
        }
    }

    /// `stats reset`
    public func resetCounters() {
        locked {
            let itemBytes = counters.itemBytes
            counters = CacheCounters()
            counters.itemBytes = itemBytes
        }
    }
}
