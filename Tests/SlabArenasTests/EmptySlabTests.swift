// Slabs on which nothing lives: at once, after a delay by the arena's clock, by trim(), and in whose hands they stay.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

@Suite struct EmptySlabTests {
    final class Clock { var now: UInt = 1_000_000 }

    func arenaWithClock(_ delay: Duration?) throws -> (SlabArena, Clock, TrackingAllocator<SystemAllocator>) {
        let upstream = TrackingAllocator(upstream: SystemAllocator())
        let arena = try makeArena(upstream)
        let clock = Clock()
        arena.clock = { clock.now }
        arena.emptySlabDelay = delay
        return (arena, clock, upstream)
    }

    func fill(_ arena: SlabArena, _ count: Int, _ byteCount: Int) throws -> [UnsafeMutableRawBufferPointer] {
        try (0..<count).map { _ in try arena.allocateChunk(byteCount: byteCount) }
    }

    @Test func withoutADelayASlabGoesWithItsLastChunk() throws {
        let (arena, _, upstream) = try arenaWithClock(.zero)
        let chunks = try fill(arena, 48, 1024)
        #expect(upstream.statistics.liveBlocks == 3)
        for (index, chunk) in chunks.enumerated() {
            arena.release(chunk)
            #expect(upstream.statistics.liveBlocks == 3 - (index + 1) / 16)
            #expect(arena.brokenInvariant() == nil)
        }
        #expect(arena.slabStatistics.slabsGivenBack == 3)
        try arena.close()
    }

    @Test func afterADelayASlabGoesWhenTheArenaIsNextUsed() throws {
        let (arena, clock, upstream) = try arenaWithClock(.milliseconds(800))
        let chunks = try fill(arena, 64, 1024)
        for chunk in chunks[0..<16] { arena.release(chunk) }
        clock.now += 500
        for chunk in chunks[16..<32] { arena.release(chunk) }
        #expect(upstream.statistics.liveBlocks == 4 && arena.slabStatistics.slabsEmpty == 2)
        clock.now += 299
        arena.sweepEmptySlabs()
        #expect(upstream.statistics.liveBlocks == 4)
        clock.now += 201
        // A slow path: this is the class's first request.
        let other = try arena.allocateChunk(byteCount: 16384)
        // The first slab went; the second was handed to the other class.
        #expect(upstream.statistics.liveBlocks == 3 && arena.slabStatistics.slabsEmpty == 0)
        arena.release(other)
        for chunk in chunks[32...] { arena.release(chunk) }
        #expect(arena.brokenInvariant() == nil)
        // Slabs that their classes allocate from go as well, when they were seen idle for the delay.
        for _ in 0..<3 {
            clock.now += 801
            arena.sweepEmptySlabs()
        }
        #expect(upstream.statistics.liveBlocks == 0)
        try arena.close()
    }

    @Test func aCurrentSlabThatIsUsedNowAndThenStays() throws {
        let (arena, clock, upstream) = try arenaWithClock(.milliseconds(100))
        for _ in 0..<50 {
            arena.release(try arena.allocateChunk(byteCount: 100))
            clock.now += 60
            arena.sweepEmptySlabs()
        }
        #expect(upstream.statistics.totalBlocks == 1 && upstream.statistics.liveBlocks == 1)
        clock.now += 60
        arena.sweepEmptySlabs()
        #expect(upstream.statistics.liveBlocks == 1)
        clock.now += 60
        arena.sweepEmptySlabs()
        #expect(upstream.statistics.liveBlocks == 0)
        try arena.close()
    }

    @Test func withNilASlabStaysUntilItIsTrimmed() throws {
        let (arena, clock, upstream) = try arenaWithClock(nil)
        let chunks = try fill(arena, 48, 1024)
        for chunk in chunks { arena.release(chunk) }
        clock.now += 1 << 40
        arena.release(try arena.allocateChunk(byteCount: 16384))
        arena.sweepEmptySlabs()
        #expect(upstream.statistics.liveBlocks == 3 && arena.slabStatistics.slabsReassigned == 1)
        let held = arena.blockBytes
        #expect(arena.trim() == held && arena.blockBytes == 0 && upstream.statistics.liveBlocks == 0)
        #expect(arena.trim() == 0)
        try arena.close()
    }

    @Test func preFilledSlabsStayUntilTheyWereUsed() throws {
        let (arena, clock, upstream) = try arenaWithClock(.milliseconds(10))
        try arena.prefill(byteCount: 1024, chunkCount: 40)
        try arena.prefill(byteCount: 1024, chunkCount: 48)
        #expect(upstream.statistics.liveBlocks == 3)
        clock.now += 1000
        arena.sweepEmptySlabs()
        arena.emptySlabDelay = .zero
        #expect(upstream.statistics.liveBlocks == 3)
        let chunks = try fill(arena, 32, 1024)
        #expect(upstream.statistics.totalBlocks == 3)
        for chunk in chunks { arena.release(chunk) }
        #expect(upstream.statistics.liveBlocks == 1)
        #expect(arena.rebalance(to: 16384) { _, _ in } == SlabRebalanceResult())
        #expect(upstream.statistics.liveBlocks == 1)
        #expect(arena.trim() > 16384 && upstream.statistics.liveBlocks == 0)
        #expect(throws: AllocationError.self) { try arena.prefill(byteCount: 16385, chunkCount: 1) }
        try arena.close()
    }

    @Test func aPrefillThatFindsNoMemoryKeepsWhatItTook() throws {
        let upstream = FailingAllocator(plan: .after(2))
        let arena = try makeArena(upstream)
        #expect(throws: AllocationError.self) { try arena.prefill(byteCount: 4096, chunkCount: 12) }
        #expect(arena.slabStatistics.classes[2].chunksFree == 8)
        for chunk in try fill(arena, 8, 4096) { arena.release(chunk) }
        try arena.close()
    }

    @Test func settingADelay() throws {
        let (arena, _, upstream) = try arenaWithClock(nil)
        #expect(arena.emptySlabDelay == nil)
        for (given, kept) in [
            (Duration.milliseconds(1500), Duration.milliseconds(1500)), (.microseconds(1999), .milliseconds(1)),
            (.microseconds(999), .zero), (.seconds(-5), .zero), (.milliseconds(-5), .zero),
            (.seconds(Int64.max), .seconds(1 << 45)), (.seconds(Int64.min), .zero),
        ] {
            arena.emptySlabDelay = given
            #expect(arena.emptySlabDelay == kept)
        }
        arena.emptySlabDelay = nil
        for chunk in try fill(arena, 48, 1024) { arena.release(chunk) }
        #expect(upstream.statistics.liveBlocks == 3)
        arena.emptySlabDelay = .zero
        #expect(upstream.statistics.liveBlocks == 0)
        try arena.close()
    }

    @Test func aSlabTakesWhatTheDocumentationSays() {
        #expect(SlabHeader.blockByteCount(headerOffset: 4096, chunkCount: 10) == 4096 + 128 + 10 * 24)
    }

    @Test func aNewArenaWaitsASecond() throws { #expect(try makeArena().emptySlabDelay == .seconds(1)) }

    /// Sets the generation of every chunk of the arena's slabs to the last.
    func useUpGenerations(_ arena: SlabArena) {
        for number in 0..<arena.slots.count {
            guard let slab = arena.slots[number].slab else { continue }
            for index in 0..<Int(slab.pointee.carved) {
                slab.records[index].state &= ChunkRecord.oneGeneration - 1
                slab.records[index].state |= UInt64(ChunkRecord.lastGeneration) << 33
            }
        }
    }

    @Test(arguments: [Duration.zero, .seconds(1), nil])
    func aSlabWhoseGenerationsAreUsedUpGoesBackAndItsNumberStaysUnused(delay: Duration?) throws {
        let (arena, clock, upstream) = try arenaWithClock(delay)
        let chunks = try fill(arena, 16, 1024)
        useUpGenerations(arena)
        let locations = chunks.map { arena.location(of: $0) }
        for chunk in chunks { arena.release(chunk) }
        #expect(arena.brokenInvariant() == nil)
        // The class's next request finds no chunk on it.
        let chunk = try arena.allocateChunk(byteCount: 1024)
        #expect(arena.location(of: chunk).slab == 1 && arena.brokenInvariant() == nil)
        arena.release(chunk)
        clock.now += 2000
        arena.trim()
        #expect(upstream.statistics.liveBlocks == 0)
        for location in locations { #expect(!arena.isLive(location)) }
        try arena.close()
    }

    @Test func freeAllUsesUpTheGenerationsOfLiveChunks() throws {
        let (arena, _, _) = try arenaWithClock(.zero)
        let chunks = try fill(arena, 16, 1024)
        useUpGenerations(arena)
        let locations = chunks.map { arena.location(of: $0) }
        arena.freeAll()
        for chunk in try fill(arena, 16, 1024) { #expect(arena.location(of: chunk).slab == 1) }
        for location in locations { #expect(!arena.isLive(location)) }
        arena.freeAll()
        try arena.close()
    }

    /// Chains that end on other slabs, in every order, with slabs going at once: what a release has in hand must stay.
    @Test func aChainThatEmptiesSlabsOnItsWay() throws {
        for delay in [Duration.zero, .milliseconds(1), nil] {
            let (arena, clock, upstream) = try arenaWithClock(delay)
            var random = SeededGenerator(seed: 3)
            for _ in 0..<20 {
                var chunks = try fill(arena, 60, 1024) + fill(arena, 20, 4096) + fill(arena, 5, 16384)
                chunks.shuffle(using: &random)
                for (chunk, next) in zip(chunks, chunks.dropFirst()) {
                    arena.setNext(next, of: chunk)
                    arena.release(next)
                }
                clock.now += 5
                #expect(arena.release(chunks[0]) && arena.statistics.liveBlocks == 0)
                #expect(arena.brokenInvariant() == nil)
            }
            if delay == .zero { #expect(upstream.statistics.liveBlocks == 0) }
            try arena.close()
        }
    }
}
