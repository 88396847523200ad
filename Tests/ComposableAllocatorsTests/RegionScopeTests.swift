// Checkpoints, children, and what ends the program.

import Mallow
import Testing

@Suite struct RegionScopeTests {
    struct Stop: Error {}

    @Test func aScopeIsRewoundAlsoWhereItThrows() throws {
        let source = PageSource()
        let gone = try RegionWitness.noted { diary in
            var region = Region(upstream: source)
            _ = try region.allocate(RegionWitness(diary, 1))
            let before = region.statistics
            let sum = try region.withCheckpoint { region in
                let span = try region.allocate(repeating: 5, count: 10_000)
                _ = try region.allocate(RegionWitness(diary, 2))
                return span[0] + span[9999]
            }
            #expect(sum == 10)
            #expect(diary.gone == [2])
            #expect(throws: Stop.self) {
                try region.withCheckpoint { region in
                    _ = try region.allocate(RegionWitness(diary, 3))
                    throw Stop()
                }
            }
            #expect(diary.gone == [2, 3])
            let after = region.statistics
            #expect(after.liveBlocks == before.liveBlocks && after.liveBytes == before.liveBytes)
            #expect(after.freeBytes >= before.freeBytes)
            // A scope that resets, or puts another region in the place of this one.
            region.withCheckpoint { $0.reset() }
            #expect(diary.gone == [2, 3, 1])
            try region.withCheckpoint { region in
                region = Region(upstream: source)
                _ = try region.allocate(RegionWitness(diary, 4))
            }
            #expect(diary.live == 1)
            var other = Region(upstream: source)
            try region.withCheckpoint { region in
                swap(&region, &other)
                _ = try other.allocate(RegionWitness(diary, 5))
            }
            #expect(diary.gone == [2, 3, 1, 5])
        }
        #expect(gone == [2, 3, 1, 5, 4])
        #expect(source.live.isEmpty)
    }

    @Test func aBlockOfBeforeDoesNotGrowIntoAScope() throws {
        var region = Region(upstream: PageSource())
        let allocator = region.unsafeAllocator
        let old = try allocator.allocate(byteCount: 32)
        // What a scope frees, its end frees again: a block of before must not have a part in it.
        let grown = region.withCheckpoint { _ in allocator.resize(old.baseAddress!, byteCount: 512) }
        #expect(grown == nil && allocator.byteCount(of: old.baseAddress!) == 32)
        let next = try allocator.allocate(byteCount: 64)
        #expect(next.baseAddress! >= old.baseAddress! + allocator.byteCount(of: old.baseAddress!))
        #expect(allocator.brokenInvariant() == nil)

        // Nor does freeing it move the region back beyond the scope, in a chunk with room and in a full one.
        for byteCount in [64, allocator.statistics.freeBytes - 16] {
            let block = try allocator.allocate(byteCount: byteCount)
            region.withCheckpoint { _ in
                allocator.deallocate(block)
                #expect(allocator.brokenInvariant() == nil)
            }
            #expect(allocator.brokenInvariant() == nil)
        }
    }

    @Test func aScopeOfAnEmptyRegionGoesBackToTheFirstChunk() throws {
        let source = PageSource()
        var region = try Region(initialChunkSize: 256, maximumChunkSize: 256, upstream: source)
        for _ in 0..<5 {
            try region.withCheckpoint { region in
                for _ in 0..<3 { _ = try region.allocate(repeating: UInt8(1), count: 80) }
            }
            let broken = region.unsafeAllocator.brokenInvariant()
            #expect(broken == nil)
            let statistics = region.statistics
            #expect(statistics.liveBlocks == 0 && statistics.overheadBytes == 32 * source.live.count)
        }
        #expect(source.requests == 2)
    }

    @Test func nestedCheckpointsInAnyOrder() throws {
        var region = Region()
        let first = try region.checkpoint()
        _ = try region.allocate(1)
        let second = try region.checkpoint()
        _ = try region.allocate(2)
        _ = try region.checkpoint()
        _ = try region.allocate(3)
        region.rewind(to: second)
        #expect(region.statistics.liveBlocks == 1)
        region.rewind(to: first)
        #expect(region.statistics.liveBlocks == 0)
    }

    @Test func aBlockThatWasFreedSinceIsNotLiveAfterRewinding() throws {
        var region = Region()
        let allocator = region.unsafeAllocator
        let early = try allocator.allocate(byteCount: 100)
        let kept = try allocator.allocate(byteCount: 50)
        let mark = try region.checkpoint()
        let late = try allocator.allocate(byteCount: 200)
        allocator.deallocate(early)
        allocator.deallocate(late)
        region.rewind(to: mark)
        let statistics = region.statistics
        #expect(statistics.liveBlocks == 1 && statistics.liveBytes == kept.count)
        allocator.deallocate(kept)
        #expect(region.statistics.liveBlocks == 0)
    }

    @Test func childrenTakeChunksFromTheirParentAndGiveThemBack() throws {
        let source = PageSource()
        let gone = try RegionWitness.noted { diary in
            var region = try Region(initialChunkSize: 256, maximumChunkSize: 4096, upstream: source)
            let before = try region.allocate(RegionWitness(diary, 1))
            var requests: [Int] = []
            for round in 0..<4 {
                let child = region.makeChild()
                do {
                    _ = try child.allocate(RegionWitness(diary, 10 + round))
                    let inner = try child.allocate(repeating: round, count: 200)
                    // The parent goes on meanwhile, and so does a child of the child.
                    var own = try region.allocate(round)
                    own.value += inner[199]
                    let total = own.value
                    #expect(total == 2 * round)
                    let grandchild = child.makeChild()
                    _ = try grandchild.allocate(RegionWitness(diary, 20 + round))
                }
                let (parts, whole) = (child.statistics, region.statistics)
                #expect(whole.liveBytes >= parts.heldBytes)
                #expect(whole.heldBytes == source.live.values.reduce(0, +))
                #expect(whole.liveBytes + whole.overheadBytes + whole.freeBytes == whole.heldBytes)
                let broken = (region.unsafeAllocator.brokenInvariant(), child.unsafeAllocator.brokenInvariant())
                #expect(broken == (nil, nil))
                requests.append(source.requests)
            }
            #expect(diary.gone == [20, 10, 21, 11, 22, 12, 23, 13])
            // Later children live on what earlier ones gave back.
            #expect(requests[1] == requests[3])
            let number = before.value.number
            #expect(number == 1)
            let statistics = region.statistics
            #expect(statistics.liveBlocks == 5)
            region.reset()
        }
        #expect(gone.last == 1)
        #expect(source.live.isEmpty)
    }

    @Test func aChildIsResetAndRewound() throws {
        let source = PageSource()
        let region = Region(upstream: source)
        var child = region.makeChild()
        _ = try child.allocate(repeating: 1, count: 100_000)
        let mark = try child.checkpoint()
        _ = try child.allocate(2)
        child.rewind(to: mark)
        let one = child.statistics.liveBlocks
        child.reset(keeping: 0)
        let none = child.statistics
        #expect(one == 1 && none.liveBlocks == 0 && none.heldBytes == 0)
    }

    @Test func aChildThatOutlivesItsParentsMemoryGivesItsChunksUpstream() throws {
        let source = PageSource()
        do {
            // The unsafe face can empty the parent while a child lives; the child's memory is its own.
            let region = Region(upstream: source)
            let child = region.makeChild()
            let value = try child.allocate(7)
            region.unsafeAllocator.freeAll()
            let kept = value.value
            #expect(kept == 7)
            #expect(throws: LeakError.self) { try region.unsafeAllocator.close() }
        }
        #expect(source.live.isEmpty)
    }

    // MARK: - Misuse

    @Test func aCheckpointOfAnotherRegionTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var one = Region()
            var other = Region()
            let mark = try one.checkpoint()
            _ = try other.checkpoint()
            other.rewind(to: mark)
            one.reset()
        }
        #expect(said(result, "Region: a checkpoint of another region"))
    }

    @Test func aCheckpointThatWasRewoundPastTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var region = Region()
            let first = try region.checkpoint()
            let second = try region.checkpoint()
            region.rewind(to: first)
            _ = try region.checkpoint()
            region.rewind(to: second)
        }
        #expect(said(result, "Region: a checkpoint from before the region was reset, or rewound to an older one"))
    }

    @Test func aCheckpointFromBeforeAResetTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var region = Region()
            let mark = try region.checkpoint()
            region.reset()
            region.rewind(to: mark)
        }
        #expect(said(result, "Region: a checkpoint from before the region was reset"))
    }

    @Test func negativeCountsTrap() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let region = Region()
            _ = try region.allocate(repeating: 1, count: -Int(CommandLine.argc))
        }
        #expect(said(result, "Region: a request for a negative number of bytes"))
    }
}

/// Whether a process that ended wrote so to standard error.
func said(_ result: ExitTest.Result?, _ message: String) -> Bool {
    result.map { String(decoding: $0.standardErrorContent, as: UTF8.self).contains(message) } ?? false
}
