// Buckets: classes of exactly a type's size, beside the fixed ones, in every state that a heap can be in.

import CMallowShims
import Synchronization
import SystemMemory
import Testing

@testable import MallocHeap

/// A bucket for sizes that are known at run time. Its record stays.
private struct TestBucket: @unchecked Sendable {
    let record: UnsafeMutablePointer<BucketRecord>

    init(_ byteCount: Int, alignment: Int = 8) {
        record = .allocate(capacity: 1)
        record.initialize(to: BucketRecord(byteCount: UInt(byteCount), alignment: UInt(alignment)))
    }

    func allocate() -> UInt { UInt(bitPattern: Malloc.allocate(from: record)) }
}

private func usableSize(_ block: UInt) -> UInt { Malloc.usableSize(UnsafeMutableRawPointer(bitPattern: block)) }

private func sizeClass(_ block: UInt) -> UInt8 {
    Page(at: recordAddress(entry: segmentMapEntry(block), of: block)).pointee.sizeClass
}

private func free(_ block: UInt) { Malloc.deallocate(UnsafeMutableRawPointer(bitPattern: block)) }

/// Writes to the first and last word of a block what tells it from all others.
private func mark(_ block: UInt, _ byteCount: Int) {
    storeWord(block, block ^ 0x1234)
    storeWord(block + UInt(byteCount) - 8, block ^ 0x1234)
}

private func isMarked(_ block: UInt, _ byteCount: Int) -> Bool {
    loadWord(block) == block ^ 0x1234 && loadWord(block + UInt(byteCount) - 8) == block ^ 0x1234
}

extension HeapTests {
    @Suite(.serialized) struct Buckets {
        @Test func tablesFitTheShims() {
            #expect(BucketClasses.limit == 128)
            // A page's record has a byte for its class.
            #expect(BucketClasses.numberEnd <= 256)
            #expect(HeapTables.directOffset >= UInt(MemoryLayout<HeapRecord>.size) + 8)
            #expect(HeapTables.bucketsOffset >= UInt(MemoryLayout<HeapRecord>.size))
            #expect(UInt(MALLOW_HEAP_WORDS) * 8 >= HeapTables.byteCount)
            #expect(MemoryLayout<ProcessState>.size <= 512)
            for entry in 0..<Int(MALLOW_BUCKET_ENTRIES) {
                #expect(loadWord(UInt(bitPattern: mallow_no_buckets()) + UInt(entry) * 8) == Page.none.address)
            }
        }

        /// Bytes and alignment of a type, and what a block of its bucket has.
        @Test(
            arguments: [
                (24, 8, 24), (40, 8, 40), (240, 16, 240), (240, 8, 240), (1, 1, 8), (5, 1, 8), (12, 4, 16), (20, 4, 24),
                (0, 1, 8), (72, 8, 72), (192, 64, 192), (320, 64, 320), (24, 64, 64), (136, 8, 136), (1000, 8, 1000),
                (1040, 16, 1040), (4104, 8, 4104), (12_296, 8, 12_296), (32_760, 8, 32_760), (32_768, 8, 32_768),
                (4096, 4096, 4096), (5000, 4096, 8192),
            ] as [(Int, Int, UInt)])
        func blocksHaveTheirTypesSize(byteCount: Int, alignment: Int, granted: UInt) {
            let bucket = TestBucket(byteCount, alignment: alignment)
            var blocks: [UInt] = []
            for _ in 0..<600 {
                let block = bucket.allocate()
                if block == 0 || block % UInt(alignment) != 0 || usableSize(block) != granted {
                    Issue.record("a block of \(usableSize(block)) bytes at \(block)")
                }
                mark(block, Int(granted))
                blocks.append(block)
            }
            #expect(Malloc.brokenInvariant() == nil)
            #expect(Set(blocks).count == 600)
            #expect(blocks.allSatisfy { isMarked($0, Int(granted)) })
            let zeros = UInt(bitPattern: Malloc.allocateZeroed(from: bucket.record))
            #expect(
                (0..<UInt(byteCount)).allSatisfy {
                    rawPointer(zeros).load(fromByteOffset: Int($0), as: UInt8.self) == 0
                })
            free(zeros)
            for block in blocks { free(block) }
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
        }

        @Test func blocksAreNextToEachOther() {
            let bucket = TestBucket(24)
            let blocks = (0..<2000).map { _ in bucket.allocate() }.sorted()
            let neighbours = zip(blocks, blocks.dropFirst()).count { $1 - $0 == 24 }
            #expect(neighbours > 1990)
            for block in blocks { free(block) }
        }

        @Test func sizesOfFixedClassesAreSharedWithMalloc() {
            let before = BucketClasses.count
            for byteCount in [8, 16, 48, 240, 256, 320, 1024, 8192, 32_768] {
                let bucket = TestBucket(byteCount)
                let blocks = [bucket.allocate(), UInt(bitPattern: Malloc.allocate(UInt(byteCount)))]
                #expect(sizeClass(blocks[0]) == sizeClass(blocks[1]))
                for block in blocks { free(block) }
            }
            #expect(BucketClasses.count == before)
        }

        @Test func bucketsOfOneSizeAreOneClass() {
            let first = TestBucket(88)
            let second = TestBucket(88, alignment: 4)
            var blocks = [first.allocate()]
            let classes = BucketClasses.count
            blocks.append(second.allocate())
            #expect(sizeClass(blocks[0]) == sizeClass(blocks[1]))
            #expect(Malloc.bucketEntry(byteCount: 85, alignment: 1) == Malloc.bucketEntry(byteCount: 88, alignment: 8))
            #expect(BucketClasses.count == classes)
            for block in blocks { free(block) }
        }

        @Test func typesTooLargeForAClassAreServed() {
            for (byteCount, alignment) in [(32_776, 8), (1 << 20, 4096), (64, 1 << 16), (32_768, 1 << 16)] {
                let bucket = TestBucket(byteCount, alignment: alignment)
                let block = bucket.allocate()
                #expect(block != 0 && block % UInt(alignment) == 0 && usableSize(block) >= byteCount)
                free(block)
            }
            #expect(Malloc.brokenInvariant() == nil)
        }

        /// Steps of a random program over many sizes at once, fixed classes among them.
        @Test func keepEveryInvariant() {
            let sizes = [24, 40, 48, 56, 240, 264, 1000, 3000, 10_000]
            let buckets = sizes.map { TestBucket($0) }
            var random = SplitMix(seed: 7)
            var blocks: [(address: UInt, byteCount: Int)] = []
            let ordinary = Malloc.statistics().liveBlocks
            for step in 0..<1500 {
                if blocks.count < 200 || random.next() % 100 < 47 {
                    let index = Int(random.next() % UInt64(sizes.count))
                    let block = buckets[index].allocate()
                    mark(block, sizes[index])
                    blocks.append((block, sizes[index]))
                } else {
                    blocks.swapAt(Int(random.next() % UInt64(blocks.count)), blocks.count - 1)
                    let (block, byteCount) = blocks.removeLast()
                    if !isMarked(block, byteCount) { Issue.record("a block of \(byteCount) bytes was overwritten") }
                    free(block)
                }
                if step % 3 == 0, let broken = Malloc.brokenInvariant() {
                    Issue.record("after step \(step): \(broken)")
                    break
                }
                if step % 400 == 399 { Malloc.trim() }
            }
            for (block, byteCount) in blocks {
                if !isMarked(block, byteCount) { Issue.record("a block of \(byteCount) bytes was overwritten") }
                free(block)
            }
            #expect(Malloc.statistics().liveBlocks <= ordinary + 200)
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
        }

        @Test func reallocateKnowsTheSize() throws {
            let bucket = TestBucket(40)
            let block = bucket.allocate()
            mark(block, 40)
            #expect(Malloc.reallocate(rawPointer(block), 40) == rawPointer(block))
            let moved = UInt(bitPattern: Malloc.reallocate(rawPointer(block), 41))
            #expect(moved != block && loadWord(moved) == block ^ 0x1234)
            #expect(loadWord(moved + 32) == block ^ 0x1234)
            free(moved)
        }

        /// Holes between survivors go back to the kernel, blocks that straddle OS pages included, and are used again.
        @Test(arguments: [24, 1000]) func sparsePagesGoBack(byteCount: Int) {
            let bucket = TestBucket(byteCount)
            Malloc.trim()
            let count = 3 << 20 / byteCount
            let blocks = (0..<count).map { _ in bucket.allocate() }
            for block in blocks { mark(block, byteCount) }
            let full = Malloc.statistics().committedBytes
            var survivors: [UInt] = []
            for (index, block) in blocks.enumerated() {
                if index % (40_000 / byteCount) == 0 { survivors.append(block) } else { free(block) }
            }
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
            let held = full - Malloc.statistics().committedBytes
            #expect(held > 2 << 20)
            #expect(survivors.allSatisfy { isMarked($0, byteCount) })
            let more = (0..<count).map { _ in bucket.allocate() }
            for block in more { storeWord(block, 0) }
            #expect(survivors.allSatisfy { isMarked($0, byteCount) })
            #expect(Malloc.brokenInvariant() == nil)
            for block in survivors + more { free(block) }
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
        }

        @Test func aMillionSmallBlocksAreExact() {
            let bucket = TestBucket(24)
            Malloc.trim()
            let before = Malloc.statistics().committedBytes
            var last: UInt = 0
            // A list, so that nothing else is allocated meanwhile.
            for _ in 0..<1_000_000 {
                let block = bucket.allocate()
                storeWord(block, last)
                last = block
            }
            let held = Malloc.statistics().committedBytes - before
            #expect(held < 24_600_000, "\(held) bytes")
            while last != 0 {
                let next = loadWord(last)
                free(last)
                last = next
            }
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
        }

        // MARK: - Threads

        @Test func threadsFreeEachOthersBlocks() {
            Malloc.trim()
            let before = Malloc.statistics()
            let sizes = [24, 40, 240, 1000]
            let buckets = sizes.map { TestBucket($0) }
            let slots = (0..<256).map { _ in Slot() }
            let broken = Atomic<Int>(0)
            // Each round's threads inherit the heaps of the last one's.
            for round in 0..<4 {
                let starting = Atomic<Int>(5)
                onThreads(5) { thread in
                    // All have a heap before the first goes on: else one might inherit that of another.
                    free(buckets[0].allocate())
                    starting.wrappingSubtract(1, ordering: .acquiringAndReleasing)
                    while starting.load(ordering: .acquiring) > 0 { usleep(100) }
                    var random = SplitMix(seed: UInt64(round * 5 + thread))
                    for _ in 0..<8000 {
                        let index = Int(random.next() % 4)
                        let block = buckets[index].allocate()
                        mark(block, sizes[index])
                        let slot = slots[Int(random.next() % 256)]
                        let old = slot.address.exchange(block | UInt(index), ordering: .acquiringAndReleasing)
                        if old & ~7 != 0, !isMarked(old & ~7, sizes[Int(old & 7)]) {
                            broken.wrappingAdd(1, ordering: .relaxed)
                        }
                        free(old & ~7)
                    }
                }
                #expect(Malloc.brokenInvariant() == nil)
            }
            #expect(broken.load(ordering: .relaxed) == 0)
            #expect(Malloc.statistics().remoteFrees > before.remoteFrees)
            for slot in slots { free(slot.address.load(ordering: .relaxed) & ~7) }
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
            #expect(Malloc.statistics().liveBlocks <= before.liveBlocks + 20)
        }

        final class Slot: Sendable {
            let address = Atomic<UInt>(0)
        }

        /// Heaps are parked while their threads are on the hit paths of buckets, of added classes and of fixed ones.
        @Test func trimsWhileOthersAllocate() {
            let before = Malloc.statistics()
            let sizes = [24, 40, 240, 1000]
            let buckets = sizes.map { TestBucket($0) }
            let broken = Atomic<Int>(0)
            let left = Atomic<Int>(2)
            onThreads(3) { thread in
                if thread == 2 {
                    while left.load(ordering: .acquiring) > 0 { Malloc.trim() }
                    return
                }
                var blocks: [(address: UInt, byteCount: Int)] = []
                var random = SplitMix(seed: UInt64(thread))
                for _ in 0..<4 {
                    for _ in 0..<4000 {
                        let index = Int(random.next() % 4)
                        let block = buckets[index].allocate()
                        mark(block, sizes[index])
                        blocks.append((block, sizes[index]))
                    }
                    while blocks.count > 100 {
                        blocks.swapAt(Int(random.next() % UInt64(blocks.count)), blocks.count - 1)
                        let (block, byteCount) = blocks.removeLast()
                        if !isMarked(block, byteCount) { broken.wrappingAdd(1, ordering: .relaxed) }
                        free(block)
                    }
                }
                for (block, byteCount) in blocks {
                    if !isMarked(block, byteCount) { broken.wrappingAdd(1, ordering: .relaxed) }
                    free(block)
                }
                left.wrappingSubtract(1, ordering: .releasing)
            }
            #expect(broken.load(ordering: .relaxed) == 0)
            #expect(Malloc.brokenInvariant() == nil)
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
            #expect(Malloc.statistics().liveBlocks <= before.liveBlocks)
        }

        /// Many threads meet a bucket at its first use, and buckets of a size that none has used yet.
        @Test func firstUseByManyThreads() {
            let classes = BucketClasses.count
            let bucket = TestBucket(1_048)
            onThreads(8) { _ in
                let own = TestBucket(1_064)
                for _ in 0..<50 {
                    let blocks = [bucket.allocate(), own.allocate()]
                    if blocks.contains(0) || usableSize(blocks[0]) != 1048 || usableSize(blocks[1]) != 1064 {
                        Issue.record("blocks of another size")
                    }
                    for block in blocks { free(block) }
                }
            }
            #expect(BucketClasses.count == classes + 2)
            #expect(Malloc.brokenInvariant() == nil)
        }

        /// A thread that needs a page takes one of an ended thread's, whose heap may never have seen a bucket.
        @Test func pagesOfEndedThreadsAreTaken() {
            let bucket = TestBucket(200)
            let kept = Slot()
            onThreads(3) { thread in
                if thread == 0 { kept.address.store(bucket.allocate(), ordering: .relaxed) }
                free(UInt(bitPattern: Malloc.allocate(24)))
            }
            let blocks = (0..<4000).map { _ in bucket.allocate() }
            #expect(Malloc.brokenInvariant() == nil)
            for block in blocks { free(block) }
            free(kept.address.load(ordering: .relaxed))
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
        }

        /// While calls are watched, and when the watch ends, entries lead where they may (B1).
        @Test func watchedCallsComeToTheSlowPath() {
            let bucket = TestBucket(56)
            // Four pages in a row become sparse with no refill between.
            let blocks = (0..<40_000).map { _ in bucket.allocate() }
            for (index, block) in blocks.enumerated() where index % 64 != 0 { free(block) }
            #expect(Malloc.currentHeap.pointee.watchedCalls > 0)
            #expect(
                Malloc.currentHeap.bucketPage(bucket.record.pointee.entryOffset.load(ordering: .relaxed)) == Page.none)
            let (calls, next) = (Malloc.currentHeap.pointee.watchedCalls, Malloc.currentHeap.pointee.nextWatch)
            free(bucket.allocate())
            // It was noted: one less is left, or another period has begun.
            #expect(Malloc.currentHeap.pointee.watchedCalls != calls || Malloc.currentHeap.pointee.nextWatch != next)
            #expect(Malloc.brokenInvariant() == nil)
            for (index, block) in blocks.enumerated() where index % 64 == 0 { free(block) }
            Malloc.trim()
        }

        /// Beside more threads than get heaps at once, a thread's first blocks come from the nursery: they are as large
        /// and as aligned as others. In a process of its own: the heaps stay, and each check of the invariants of the
        /// tests that follow would walk them all.
        @Test func firstBlocksOfManyThreads() async {
            await #expect(processExitsWith: .success) {
                let threadCount = 200
                let bucket = TestBucket(24)
                let wide = TestBucket(40, alignment: 512)
                let broken = Atomic<Int>(0)
                let waiting = Atomic<Int>(threadCount)
                onThreads(threadCount) { _ in
                    var blocks: [UInt] = []
                    blocks.reserveCapacity(12)
                    for _ in 0..<3 {
                        blocks.append(bucket.allocate())
                        blocks.append(wide.allocate())
                        blocks.append(UInt(bitPattern: Malloc.allocate(100, alignment: 1024)))
                        if blocks.contains(0) || areMisaligned(blocks) { broken.wrappingAdd(1, ordering: .relaxed) }
                        for block in blocks.suffix(3) { mark(block, 24) }
                    }
                    waiting.wrappingSubtract(1, ordering: .acquiringAndReleasing)
                    while waiting.load(ordering: .acquiring) > 0 { usleep(100) }
                    if !blocks.allSatisfy({ isMarked($0, 24) }) { broken.wrappingAdd(1, ordering: .relaxed) }
                    for block in blocks { free(block) }
                }
                @Sendable func areMisaligned(_ blocks: [UInt]) -> Bool {
                    let last = blocks.suffix(3)
                    return last[last.startIndex + 1] % 512 != 0 || last[last.startIndex + 2] % 1024 != 0
                }
                #expect(broken.load(ordering: .relaxed) == 0)
                #expect(Malloc.brokenInvariant() == nil)
                Malloc.trim()
                #expect(Malloc.brokenInvariant() == nil)
            }
        }

        // MARK: - Limits

        @Test func refusedMemoryIsRefusedCleanly() {
            let bucket = TestBucket(344)
            var blocks: [UInt] = []
            blocks.reserveCapacity(100_000)
            var error: CInt = 0
            FaultInjection.fail(nth: 1, count: 1_000_000, of: [.map])
            // Until the segments that are there are full, which they are soon with runs of 8 MiB.
            var runs: [UnsafeMutableRawPointer] = []
            while let run = Malloc.allocate(8 << 20) { runs.append(run) }
            while error == 0 {
                let block = bucket.allocate()
                if block == 0 { error = mallow_errno() } else { blocks.append(block) }
            }
            FaultInjection.end()
            #expect(error == ENOMEM)
            for run in runs { Malloc.deallocate(run) }
            #expect(Malloc.brokenInvariant() == nil)
            let block = bucket.allocate()
            #expect(block != 0)
            for block in blocks + [block] { free(block) }
        }

        /// In a process of its own, since classes stay.
        @Test func whenTheTableIsFullTypesShareMallocsClasses() async {
            await #expect(processExitsWith: .success) {
                let early = TestBucket(24)
                free(early.allocate())
                var byteCount = 2056
                while BucketClasses.count < BucketClasses.limit {
                    let block = TestBucket(byteCount).allocate()
                    if usableSize(block) != byteCount { Issue.record("a block of \(usableSize(block)) bytes") }
                    free(block)
                    byteCount += byteCount % 16 == 0 ? 8 : 16
                }
                let bucket = TestBucket(30_008)
                let block = bucket.allocate()
                #expect(usableSize(block) == 30_720)
                let aligned = TestBucket(31_000, alignment: 64)
                let other = aligned.allocate()
                #expect(usableSize(other) == 32_768 && other % 64 == 0)
                for block in [block, other] { free(block) }
                // Those that were there still are.
                let small = early.allocate()
                #expect(usableSize(small) == 24)
                free(small)
                Malloc.trim()
                #expect(Malloc.brokenInvariant() == nil)
            }
        }
    }
}
