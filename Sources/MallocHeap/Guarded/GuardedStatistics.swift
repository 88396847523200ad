// Guarded blocks in the figures of the heap, and the pool's invariants. A guarded block counts as one of the class that
// it would have been of without.

extension UnsafeMutablePointer where Pointee == SlotRecord {
    /// What the block is counted as holding.
    var countedBytes: UInt {
        pointee.sizeClass == SlotRecord.isLarge
            ? Malloc.goodSize(pointee.byteCount) : BucketClasses.byteCount(of: Int(pointee.sizeClass))
    }
}

extension GuardedPool {
    /// Calls `body` with every slot that holds a live block. Takes the lock: `body` must not allocate.
    static func forEachLiveSlot(_ body: (Slot) -> Void) {
        guard Process.state.pointee.guardedPool != nil else { return }
        Process.guardedLock.acquire()
        for index in 0..<tierCount {
            let tier = tier(index)
            for number in 0..<tier.pointee.fresh where tier.slot(number).pointee.state == .live {
                body(tier.slot(number))
            }
        }
        Process.guardedLock.release()
    }
}

extension HeapStatistics {
    /// Adds the guarded blocks to what the pages hold.
    mutating func addGuarded(_ classes: UnsafeMutablePointer<ClassStatistics>?) {
        guard let pool = Process.state.pointee.guardedPool else { return }
        guardedAllocations = pool.pointee.guardedCount
        // Captured by the closure as a pointer, so that nothing is boxed.
        withUnsafeMutablePointer(to: &self) { figures in
            GuardedPool.forEachLiveSlot { slot in
                figures.pointee.guardedBlocks &+= 1
                figures.pointee.liveBlocks &+= 1
                figures.pointee.liveBytes &+= slot.countedBytes
                figures.pointee.committedBytes &+= slot.osPages(pool.pointee.osPageByteCount).byteCount
                if slot.pointee.sizeClass == SlotRecord.isLarge {
                    figures.pointee.largeBlocks &+= 1
                    figures.pointee.largeBytes &+= slot.countedBytes
                } else if let classes {
                    classes[Int(slot.pointee.sizeClass)].liveBlocks &+= 1
                }
            }
        }
    }

    /// What lies in a heap's rations is free, though its pages count it as used.
    mutating func subtractRations(of heap: Heap, _ classes: UnsafeMutablePointer<ClassStatistics>?) {
        guard heap.pointee.sampler != nil else { return }
        for sizeClass in 0..<SamplerTables.rationCount {
            let count = heap.rationedBlocks(sizeClass)
            liveBlocks &-= count
            liveBytes &-= count &* SizeClasses.byteCount(of: sizeClass)
            freeBlocks &+= count
            guard let classes else { continue }
            classes[sizeClass].liveBlocks &-= count
            classes[sizeClass].freeBlocks &+= count
        }
    }
}

#if !hasFeature(Embedded)
    extension Malloc {
        /// G1 to G3 of GuardedPool.swift and R1 of Sampler.swift: the first that does not hold, in words.
        static func brokenGuardedPool() -> String? {
            var candidate = Process.state.pointee.heaps
            while let heap = candidate {
                candidate = heap.pointee.nextInRegistry
                if let broken = brokenRations(of: heap) { return broken }
            }
            guard Process.state.pointee.guardedPool != nil else { return nil }
            for index in 0..<GuardedPool.tierCount {
                if let broken = brokenTier(GuardedPool.tier(index)) { return "tier \(index): \(broken)" }
            }
            return nil
        }

        private static func brokenRations(of heap: Heap) -> String? {
            guard let sampler = heap.pointee.sampler else { return nil }
            for sizeClass in 0..<SamplerTables.rationCount {
                var count: UInt = 0
                var block = sampler.ration(sizeClass).pointee.free
                while block != 0 {
                    count += 1
                    let page = Page(at: recordAddress(entry: segmentMapEntry(block), of: block))
                    if page.heap != heap || Int(page.pointee.sizeClass) != sizeClass {
                        return "R1: a block of class \(sizeClass) is not of the heap's"
                    }
                    block = loadWord(block) ^ heap.pointee.linkKey
                }
                if count != heap.rationedBlocks(sizeClass) { return "R1: \(count) blocks of class \(sizeClass)" }
            }
            return nil
        }

        private static func brokenTier(_ tier: Tier) -> String? {
            var live: UInt32 = 0
            for number in 0..<tier.pointee.slotCount {
                let slot = tier.slot(number)
                if (slot.pointee.state == .unused) != (number >= tier.pointee.fresh) { return "G1: slot \(number)" }
                guard slot.pointee.state == .live else { continue }
                live += 1
                let start = tier.start(ofSlot: number)
                if slot.pointee.block < start
                    || slot.pointee.block + slot.pointee.byteCount > start + tier.pointee.slotByteCount
                {
                    return "G2: slot \(number)"
                }
            }
            if live != tier.pointee.live { return "G3: \(live) live, \(tier.pointee.live) counted" }
            var queued: UInt32 = 0
            var last: UInt32 = 0
            var number = tier.pointee.oldest
            while number != 0, queued <= tier.pointee.slotCount {
                if tier.slot(number - 1).pointee.state != .freed { return "G1: a queued slot is not free" }
                queued += 1
                last = number
                number = tier.slot(number - 1).pointee.next
            }
            if last != tier.pointee.newest { return "G1: the end of the queue" }
            return queued + live == tier.pointee.fresh ? nil : "G1: \(queued) queued and \(live) live"
        }
    }
#endif
