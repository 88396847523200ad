// Checks for tests: they walk every record, under the lock.

import AllocatorCore
import Synchronization

extension PerThread {
    /// What is wrong with the records, or nil where nothing is. For a moment at which no other thread uses the
    /// allocator.
    package func brokenInvariant() -> String? {
        depot.lock.acquire()
        defer { depot.lock.release() }
        return depot.brokenInvariant()
    }

    /// How many threads have a cache.
    package var threadCount: Int {
        depot.lock.acquire()
        defer { depot.lock.release() }
        return depot.cacheCount
    }
}

extension Depot {
    fileprivate func brokenInvariant() -> String? {
        var seen: Set<UInt> = []
        func problem(_ magazine: Magazine, _ count: Int, _ place: String) -> String? {
            for block in 0..<count {
                let address = magazine[block]
                if !seen.insert(address).inserted { return "\(place) has a block that is elsewhere, too" }
                if address % UInt(alignment) != 0 { return "\(place) has a block that is not aligned" }
                let mark = UnsafeRawPointer(bitPattern: address)!.loadUnaligned(as: UInt.self)
                if mark != address ^ secret { return "M2: a block of \(place) is not marked" }
            }
            return nil
        }
        var threads = 0
        var next = caches
        while let cache = next {
            let count = cache.pointee.count.load(ordering: .relaxed)
            let spareCount = cache.pointee.spareCount.load(ordering: .relaxed)
            if spareCount != 0, spareCount != capacity { return "M1: a spare magazine has \(spareCount) blocks" }
            if !(0...capacity ~= count) { return "M1: a magazine has \(count) blocks" }
            if cache.lowest > cache.cached || cache.lowest < 0 { return "M4: lowest is \(cache.lowest)" }
            if let broken = problem(cache.pointee.loaded, count, "a thread's magazine") { return broken }
            if let broken = problem(cache.pointee.spare, spareCount, "a thread's spare magazine") { return broken }
            if let follower = cache.pointee.next, follower.pointee.previous != cache { return "the list is broken" }
            threads += 1
            next = cache.pointee.next
        }
        if threads != cacheCount { return "\(cacheCount) caches, \(threads) on the list" }
        for (list, count, blocks) in [(full, fullCount, capacity), (empty, emptyCount, 0)] {
            var found = 0
            var magazine = list
            while let current = magazine {
                if let broken = problem(current, blocks, "the depot") { return "D1: " + broken }
                found += 1
                magazine = Magazine(bitPattern: current[capacity])
            }
            if found != count { return "D1: \(count) magazines, \(found) on the list" }
        }
        if partialCount >= capacity, partialCount > 0 { return "D1: the partial magazine is full" }
        if let partial, let broken = problem(partial, partialCount, "the partial magazine") { return broken }
        if outstanding < cached { return "D2: more blocks in caches than have left the depot" }
        let account = statistics
        if account.liveBytes + account.overheadBytes + account.freeBytes != account.heldBytes {
            return "the account does not add up"
        }
        return account.peakBlocks < account.liveBlocks ? "D3: the peak is below what is live" : nil
    }
}
