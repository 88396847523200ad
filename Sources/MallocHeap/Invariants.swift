// Walks the whole heap and holds it to what its files promise. For tests: the library has no trace of it.
//
// The identity of a page (I1), in blocks: used + free + not yet carved = capacity, where `used` includes those on
// `remote`, and the current page carries one extra. To be called while no other thread is in the heap.

#if !hasFeature(Embedded)
    import Synchronization

    extension Malloc {
        /// The first broken invariant, in words; nil if all hold. O(blocks).
        public static func brokenInvariant() -> String? {
            Process.initializeIfNeeded()
            return brokenSegment() ?? brokenHeap() ?? brokenMapping() ?? brokenFirstClassHeap()
                ?? Hardened.brokenInvariant() ?? brokenGuardedPool()
        }

        // MARK: - Segments and pages

        private static func brokenSegment() -> String? {
            let pool = Process.poolPointer
            var used: UInt = 0
            var dirty: UInt = 0
            var count: UInt = 0
            var candidate = pool.pointee.segments
            while let segment = candidate {
                candidate = segment.pointee.next
                count += 1
                if let broken = brokenSets(of: segment) { return broken }
                used += UInt(segment.pointee.usableSliceCount - segment.pointee.freeCount)
                dirty += UInt(segment.pointee.recentlyFreed.count + segment.pointee.aged.count)
                if segmentMapEntry(segment.address) != segment.address { return "segment is not on the map" }
                var slice = Int(Layout.reservedSlices)
                let end = slice + Int(segment.pointee.usableSliceCount)
                if segment.pointee.tailCount > 0, let broken = brokenTails(of: segment) { return broken }
                while slice < end {
                    let page = Page(at: segment.address + UInt(slice) * Layout.recordByteCount)
                    let slices = page.pointee.kind == PageKind.none ? 1 : Int(page.pointee.sliceCount)
                    if page.pointee.kind != PageKind.none {
                        if segment.pointee.free.memberCount(slice, count: slices) != 0 {
                            return "slice \(slice) is free and in use"
                        }
                        if page.pointee.kind == PageKind.small, let broken = brokenPage(page) { return broken }
                        if page.pointee.kind == PageKind.hardened, let broken = page.brokenHardened { return broken }
                    }
                    slice += slices
                }
            }
            if used != pool.pointee.usedSlices { return "used slices: \(used), recorded \(pool.pointee.usedSlices)" }
            if dirty != pool.pointee.dirtySlices {
                return "dirty slices: \(dirty), recorded \(pool.pointee.dirtySlices)"
            }
            return count == pool.pointee.segmentCount ? nil : "segments: \(count)"
        }

        private static func brokenTails(of segment: Segment) -> String? {
            if !SliceSet.intersection(segment.tails.pointee.recent, segment.tails.pointee.aged).isEmpty { return "T1" }
            let tails = SliceSet.union(segment.tails.pointee.recent, segment.tails.pointee.aged)
            if tails.count != Int(segment.pointee.tailCount) {
                return "T2: \(tails.count) tails, \(segment.pointee.tailCount) counted"
            }
            var first = tails.firstMember(from: 0)
            while first < SliceSet.capacity {
                let page = Page(at: segment.address + UInt(first) * Layout.recordByteCount)
                if page.pointee.kind != PageKind.run { return "T1: a tail of no run" }
                first = tails.firstMember(from: first + 1)
            }
            return nil
        }

        private static func brokenSets(of segment: Segment) -> String? {
            let free = segment.pointee.free.count
            let recent = segment.pointee.recentlyFreed
            let aged = segment.pointee.aged
            if free != Int(segment.pointee.freeCount) {
                return "S3: \(free) free, \(segment.pointee.freeCount) counted"
            }
            if segment.pointee.isAvailable != (free > 0) { return "S3: availability" }
            if !SliceSet.intersection(recent, aged).isEmpty { return "S1: recent and aged overlap" }
            let dirty = SliceSet.union(recent, aged)
            if SliceSet.intersection(dirty, segment.pointee.free).count != dirty.count {
                return "S1: dirty but not free"
            }
            var first = segment.pointee.free.firstMember(from: 0)
            while first < SliceSet.capacity {
                let end = segment.pointee.free.firstNonMember(from: first)
                if end - first > Int(segment.pointee.longestRun) { return "S4: a run of \(end - first)" }
                first = segment.pointee.free.firstMember(from: end)
            }
            return nil
        }

        private static func brokenPage(_ page: Page) -> String? {
            let key = Process.state.pointee.linkKey
            let capacity = page.pointee.capacity
            var free: UInt32 = 0
            var foreign: UInt32 = 0
            var block = page.pointee.free
            while block != 0 {
                if block >> Layout.sliceShift == page.start >> Layout.sliceShift {
                    if !page.hasBlock(atOffset: block - page.start) { return "a link leads into the middle of a block" }
                    if page.isHollow(atOffset: block - page.start) { return "H1: a block on the list is hollow" }
                    free += 1
                } else {
                    foreign += 1
                }
                if free > capacity { return "a free list that does not end" }
                block = loadWord(block) ^ key
            }
            let word = page.pointee.remote.load(ordering: .acquiring)
            let remote = UInt32(RemoteWord.count(word))
            var walked: UInt32 = 0
            block = remote == 0 ? 0 : page.start + RemoteWord.offset(word)
            while block != 0, walked <= capacity {
                walked += 1
                block = loadWord(block) ^ key
            }
            if walked != remote { return "remote list of \(walked), counted \(remote)" }
            let bias: UInt32 = page.pointee.isCurrent ? 1 : 0
            let used = page.pointee.used &+ UInt32(page.pointee.reserve)
            let hollow = page.hollowBlocks
            let sum = used &- bias &+ free &+ hollow &+ (capacity - page.pointee.carved)
            if sum != capacity || remote > used || foreign > 0 {
                return "I1: used \(used), free \(free), remote \(remote), hollow \(hollow), carved "
                    + "\(page.pointee.carved) of \(capacity)"
            }
            if page.pointee.owner.load(ordering: .relaxed) != page.heap?.ownerWord(of: page) { return "I2: owner" }
            if Int(page.pointee.sizeClass) >= page.heap?.classEnd ?? 0 { return "B2: a page of no class of its heap" }
            if page.pointee.blockByteCount != BucketClasses.byteCount(of: Int(page.pointee.sizeClass)) {
                return "blocks of another size than their class"
            }
            guard let next = page.pointee.next, let previous = page.pointee.previous,
                next.pointee.previous == page, previous.pointee.next == page
            else { return "I2: the ring is not linked both ways" }
            return nil
        }

        // MARK: - Heaps and mappings

        private static func brokenHeap() -> String? {
            var candidate = Process.state.pointee.heaps
            while let heap = candidate {
                candidate = heap.pointee.nextInRegistry
                if let broken = brokenSparseList(heap) { return broken }
                for sizeClass in 0..<heap.classEnd {
                    if let broken = brokenRing(heap, sizeClass) { return "class \(sizeClass): \(broken)" }
                }
            }
            return nil
        }

        private static func brokenSparseList(_ heap: Heap) -> String? {
            var previous: Page?
            var next = heap.pointee.firstSparse
            while let page = next {
                if page.heap != heap || page.pointee.kind != PageKind.small { return "H3: not this heap's page" }
                if page.pointee.isCurrent || page.pointee.reserve != 0 || !page.isSparse { return "H3: not sparse" }
                if page.pointee.previousSparse != previous { return "H3: not linked both ways" }
                previous = page
                next = page.pointee.nextSparse
            }
            return heap.pointee.lastSparse == previous ? nil : "H3: the last one"
        }

        private static func brokenRing(_ heap: Heap, _ sizeClass: Int) -> String? {
            let current = heap.pages(sizeClass).pointee.current
            if current != Page.none {
                if !current.pointee.isCurrent { return "the current page does not know it" }
                var page = current
                repeat {
                    if page.heap != heap || Int(page.pointee.sizeClass) != sizeClass {
                        return "a page in the wrong ring"
                    }
                    if page.pointee.isCurrent != (page == current) { return "two current pages" }
                    page = page.pointee.next.unsafelyUnwrapped
                } while page != current
            }
            if heap.hasBucketTable {
                let entry = loadWord(heap.bucketTable + BucketTables.entryOffset(sizeClass))
                let target = heap.hitPage(sizeClass, current).address
                if entry != target, entry != Page.none.address { return "B1: the entry of buckets" }
            }
            for index in 0...(Layout.directLimit / 8) where SizeClasses.sizeClass(for: index * 8) == sizeClass {
                let entry = heap.directEntry(index).pointee
                let target = heap.hitPage(sizeClass, current).address
                if entry != target, entry != Page.none.address { return "direct entry \(index)" }
            }
            return nil
        }

        private static func brokenMapping() -> String? {
            let pool = Process.poolPointer
            var bytes: UInt = 0
            var candidate = pool.pointee.liveMappings
            while let page = candidate {
                candidate = page.pointee.next
                bytes += page.pointee.mappingByteCount
                if segmentMapEntry(page.pointee.mappingAddress) != page.address { return "mapping is not on the map" }
                if page.pointee.blockByteCount > page.pointee.mappingByteCount { return "mapping too small" }
            }
            if bytes != pool.pointee.mappingBytes {
                return "mappings hold \(bytes), counted \(pool.pointee.mappingBytes)"
            }
            var cached: UInt = 0
            var count = 0
            candidate = pool.pointee.cachedMappings
            while let page = candidate {
                candidate = page.pointee.next
                cached += page.pointee.mappingByteCount
                count += 1
                if page.pointee.kind != PageKind.none || page.pointee.mappingByteCount == 0 { return "not cached" }
            }
            if count != pool.pointee.cachedMappingCount { return "cached mappings: \(count)" }
            return cached == pool.pointee.cachedMappingBytes ? nil : "cached mappings hold \(cached)"
        }
    }
#endif
