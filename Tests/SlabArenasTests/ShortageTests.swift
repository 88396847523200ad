// Upstream refuses: what is tried, in which order, how often, and that nothing is lost.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

@Suite struct ShortageTests {
    /// What malloc counts for a slab with so many chunks, or a little more.
    func slabBytes(_ chunkCount: Int, slabSize: Int = 16384) -> Int {
        SlabHeader.blockByteCount(headerOffset: slabSize, chunkCount: chunkCount) + 32
    }

    @Test func theHandlerIsToldWhichAttemptItIs() throws {
        let arena = try makeArena(FailingAllocator(plan: .after(1)))
        let first = try (0..<4).map { _ in try arena.allocateChunk(byteCount: 4096) }
        var left = first
        var told: [SlabShortage] = []
        arena.onShortage = { shortage in
            told.append(shortage)
            if told.count == 3 { arena.release(left.removeLast()) }
            return told.count < 6
        }
        let chunk = try arena.allocateChunk(byteCount: 4000)
        #expect(told.map(\.attempt) == [0, 1, 2] && told.allSatisfy { $0.chunkSize == 4096 })
        #expect(throws: AllocationError.self) { try arena.allocateChunk(byteCount: 4096) }
        #expect(told.map(\.attempt) == [0, 1, 2, 0, 1, 2])
        #expect(arena.tryAllocateChunk(byteCount: 16384) == nil)
        #expect(told.last == SlabShortage(chunkSize: 16384, attempt: 0))
        arena.onShortage = nil
        arena.release(chunk)
        for chunk in left { arena.release(chunk) }
        try arena.close()
    }

    @Test func aHandlerThatPromisesAndFreesNothingIsNotHeardForEver() throws {
        let arena = try makeArena(FailingAllocator(plan: .after(1)))
        let chunk = try arena.allocateChunk(byteCount: 4096)
        var calls = 0
        arena.onShortage = { _ in
            calls += 1
            // As much as is released is allocated again: nothing is gained.
            let other = try! arena.allocateChunk(byteCount: 4096)
            arena.release(other)
            return true
        }
        #expect(arena.tryAllocateChunk(byteCount: 16384) == nil)
        #expect(calls == SlabRelief.mostIdleCalls)
        arena.onShortage = nil
        arena.release(chunk)
        try arena.close()
    }

    @Test func memoryThatComesFromElsewhereEndsAShortage() throws {
        let upstream = try QuotaAllocator(limit: 0)
        let arena = try makeArena(upstream)
        #expect(throws: AllocationError.self) { try arena.allocateChunk(byteCount: 10) }
        arena.onShortage = { _ in
            upstream.limit += 1000
            return true
        }
        arena.release(try arena.allocateChunk(byteCount: 10))
        #expect(upstream.limit >= 16800 && upstream.limit < 18000)
        try arena.close()
    }

    @Test func aRequestInTheHandlerIsRefusedNotHandled() throws {
        let arena = try makeArena(FailingAllocator(plan: .after(1)))
        let chunk = try arena.allocateChunk(byteCount: 16384)
        var calls = 0
        arena.onShortage = { _ in
            calls += 1
            #expect(arena.tryAllocateChunk(byteCount: 1) == nil)
            return false
        }
        #expect(throws: AllocationError.self) { try arena.allocateChunk(byteCount: 1024) }
        #expect(calls == 1)
        arena.release(chunk)
        try arena.close()
    }

    @Test func theHandlerMayEndTheArenasLife() throws {
        for way in 0..<3 {
            let arena = try makeArena(try QuotaAllocator(limit: 3 * slabBytes(16)))
            let items = StoredItems(arena)
            for _ in 0..<48 { try items.add(1024) }
            arena.onShortage = { _ in
                switch way {
                case 0: arena.freeAll()
                case 1:
                    items.releaseAll()
                    arena.trim()
                default:
                    items.thin(to: 5)
                    return arena.rebalance(moved: items.follow).slabsEmptied == 2
                }
                return true
            }
            let chunk = try arena.allocateChunk(byteCount: 16384)
            arena.checkInvariants()
            if way == 2 { items.check() }
            arena.freeAll()
            _ = chunk
            try arena.close()
        }
    }

    @Test func emptyAndIdleSlabsOfOtherClassesComeFirst() throws {
        let arena = try makeArena(try QuotaAllocator(limit: 2 * slabBytes(16)))
        arena.emptySlabDelay = nil
        arena.onShortage = { _ in
            Issue.record("there was memory")
            return false
        }
        // An empty current slab; then an empty one that isn't current.
        arena.release(try arena.allocateChunk(byteCount: 1024))
        let chunks = try (0..<2).map { _ in try arena.allocateChunk(byteCount: 16384) }
        arena.release(chunks[0])
        let small = try arena.allocateChunk(byteCount: 8192)
        arena.checkInvariants()
        arena.onShortage = nil
        #expect(arena.tryAllocateChunk(byteCount: 2048) == nil)
        arena.release(small)
        arena.release(chunks[1])
        try arena.close()
    }

    @Test func whatIsPromisedToAClassStaysItsOwn() throws {
        let arena = try makeArena(try QuotaAllocator(limit: slabBytes(16)))
        try arena.prefill(byteCount: 1024, chunkCount: 16)
        #expect(throws: AllocationError.self) { try arena.allocateChunk(byteCount: 16384) }
        #expect(throws: AllocationError.self) { try arena.prefill(byteCount: 16384, chunkCount: 1) }
        let chunks = try (0..<16).map { _ in try arena.allocateChunk(byteCount: 1024) }
        for chunk in chunks { arena.release(chunk) }
        arena.release(try arena.allocateChunk(byteCount: 16384))
        try arena.close()
    }

    /// A block of a class with large chunks is too small for one with small chunks: two must go back. And back again.
    @Test func slabsOfClassesWithMoreRecords() throws {
        let limit = 4 * slabBytes(1, slabSize: 4096)
        let upstream = try QuotaAllocator(limit: limit)
        let arena = try SlabArena(startChunkSize: 16, slabSize: 4096, growthFactor: 2, upstream: upstream)
        arena.emptySlabDelay = nil
        let (most, least) = (slabBytes(256, slabSize: 4096), slabBytes(1, slabSize: 4096))
        #expect(most > 2 * least && most < 3 * least)
        for _ in 0..<3 {
            let large = try (0..<4).map { _ in try arena.allocateChunk(byteCount: 4096) }
            #expect(arena.tryAllocateChunk(byteCount: 4096) == nil)
            for chunk in large { arena.release(chunk) }
            let small = try (0..<256).map { _ in try arena.allocateChunk(byteCount: 16) }
            #expect(upstream.liveBytes <= limit && arena.slabStatistics.slabs <= 2)
            for chunk in small { arena.release(chunk) }
            arena.checkInvariants()
        }
        try arena.close()
        // The same by rebalancing: the live chunks of four slabs on one.
        let items = StoredItems(arena)
        for _ in 0..<8 { try items.add(2048) }
        items.thin(to: 1)
        let result = arena.rebalance(to: 16, moved: items.follow)
        #expect(result.slabsHandedOver == 0 && result.slabsEmptied == 2 && result.chunksMoved == 2)
        items.check()
        // Refused: two full slabs are left, and room for one and a half.
        #expect(arena.tryAllocateChunk(byteCount: 16) == nil)
        items.releaseAll()
        try items.add(16)
        items.releaseAll()
        try arena.close()
    }

    /// Upstream that gives nothing any more, whatever goes back to it: then slabs change their class as they are.
    @Test func anUpstreamThatNeverGivesAgainCostsOneSlab() throws {
        let arena = try SlabArena(
            startChunkSize: 16, slabSize: 4096, growthFactor: 2, upstream: FailingAllocator(plan: .after(4)))
        arena.emptySlabDelay = nil
        let small = try (0..<1024).map { _ in try arena.allocateChunk(byteCount: 16) }
        for chunk in small { arena.release(chunk) }
        let large = try (0..<3).map { _ in try arena.allocateChunk(byteCount: 4096) }
        #expect(arena.slabStatistics.slabsGivenBack == 1)
        for chunk in large { arena.release(chunk) }
        try arena.close()
    }

    /// Upstream fails at each n-th request, or by chance: what is live stays as it is, what was refused is served
    /// later.
    @Test(arguments: 0..<12)
    func nothingIsLostWhateverFails(number: Int) throws {
        let plan: FailurePlan = number < 8 ? .request(number + 1, count: 3) : .probability(0.3, seed: UInt64(number))
        let upstream = FailingAllocator(plan: plan)
        upstream.plan.byteLimit = 12 * slabBytes(16)
        let arena = try makeArena(upstream)
        arena.emptySlabDelay = number % 2 == 0 ? .zero : nil
        let items = StoredItems(arena)
        arena.automaticRebalancing = SlabAutomaticRebalancing(movesPerSecond: 1_000_000, burst: 100)
        arena.onMove = items.follow
        if number % 3 != 0 {
            arena.onShortage = { [unowned items] shortage in
                guard let oldest = items.order.first else { return false }
                items.release(oldest)
                return shortage.attempt < 40
            }
        }
        var random = SeededGenerator(seed: UInt64(number) + 100)
        var (served, refused) = (0, 0)
        for step in 0..<1500 {
            let byteCount = 1 << Int.random(in: 9...(step % 500 < 250 ? 11 : 14), using: &random)
            if let chunk = arena.tryAllocateChunk(byteCount: byteCount) {
                items.adopt(chunk)
                served += 1
            } else {
                refused += 1
                if let some = items.order.randomElement(using: &random) { items.release(some) }
            }
            if step % 20 == 0 { items.check() }
            #expect(upstream.statistics.liveBytes <= 12 * slabBytes(16))
            if let broken = arena.brokenInvariant() {
                Issue.record("after step \(step): \(broken)")
                return
            }
        }
        #expect(served > 500 && upstream.failureCount > 0)
        arena.onShortage = nil
        items.releaseAll()
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }
}

@Suite struct AutomaticRebalancingTests {
    /// An arena with no memory left, and 4 chunks on each of 6 slabs of 16.
    func fullArena() throws -> (SlabArena, StoredItems) {
        let arena = try makeArena(FailingAllocator(plan: .after(6)))
        let items = StoredItems(arena)
        for _ in 0..<96 { try items.add(1024) }
        items.thin(to: 4)
        return (arena, items)
    }

    @Test func withoutACallbackOrALimitNothingMoves() throws {
        let (arena, items) = try fullArena()
        arena.onMove = items.follow
        #expect(arena.tryAllocateChunk(byteCount: 4096) == nil)
        arena.onMove = nil
        arena.automaticRebalancing = SlabAutomaticRebalancing()
        #expect(arena.tryAllocateChunk(byteCount: 4096) == nil)
        arena.onMove = items.follow
        arena.automaticRebalancing = SlabAutomaticRebalancing(movesPerSecond: 0, burst: 0)
        #expect(arena.tryAllocateChunk(byteCount: 4096) == nil)
        arena.automaticRebalancing = SlabAutomaticRebalancing()
        try items.add(4096)
        #expect(arena.slabStatistics.chunksMoved == 4)
        items.check()
        items.releaseAll()
        try arena.close()
    }

    @Test func theRateIsKept() throws {
        let (arena, items) = try fullArena()
        var now: UInt = 5000
        arena.clock = { now }
        arena.onMove = items.follow
        arena.automaticRebalancing = SlabAutomaticRebalancing(movesPerSecond: 10, burst: 9)
        var handled = 0
        arena.onShortage = { _ in
            handled += 1
            return false
        }
        func moves(at time: UInt) -> Int {
            now = time
            let before = arena.slabStatistics.chunksMoved
            if arena.tryAllocateChunk(byteCount: 16384) == nil { handled += 100 }
            return arena.slabStatistics.chunksMoved - before
        }
        // The burst allows two slabs of 4 chunks, and leaves one move.
        #expect(moves(at: 5000) == 4 && moves(at: 5000) == 4 && handled == 0)
        #expect(moves(at: 5000) == 0 && handled == 101)
        #expect(moves(at: 5299) == 0 && handled == 202)
        #expect(moves(at: 5300) == 4 && handled == 202)
        // However long it was quiet, no more than the burst; and 24 chunks need two slabs.
        #expect(moves(at: 9_000_000) == 4)
        #expect(moves(at: 9_000_000) == 0)
        #expect(arena.slabStatistics.classes[0].slabs == 2)
        // A slab becomes cheaper when chunks of it are released: one move of credit is enough then.
        items.check()
        items.releaseAll()
        arena.freeAll()
        try arena.close()
    }

    @Test func whatIsReleasedMakesASlabAffordable() throws {
        let (arena, items) = try fullArena()
        arena.clock = { 7 }
        arena.onMove = items.follow
        arena.automaticRebalancing = SlabAutomaticRebalancing(movesPerSecond: 0, burst: 1)
        let slab = items.order[0].slab
        arena.onShortage = { _ in
            guard let location = items.order.first(where: { $0.slab == slab }) else { return false }
            items.release(location)
            return true
        }
        try items.add(16384)
        // Three were released, one was moved.
        #expect(arena.slabStatistics.chunksMoved == 1 && items.order.count == 22)
        items.check()
        items.releaseAll()
        try arena.close()
    }

    @Test func aSlabThatCannotBeEmptiedIsLeftForOneThatCan() throws {
        let (arena, items) = try fullArena()
        arena.onMove = items.follow
        arena.automaticRebalancing = SlabAutomaticRebalancing()
        let bySlab = Dictionary(grouping: items.order, by: \.slab)
        let pinned = bySlab.filter { $0.key != 3 }.values.map { $0[0] }
        for location in pinned { arena.addReference(at: location) }
        try items.add(16384)
        #expect(!items.order.contains { $0.slab == 3 && $0.count == 1024 })
        #expect(arena.tryAllocateChunk(byteCount: 16384) == nil)
        for location in pinned { arena.release(arena.buffer(at: location)!) }
        // They were found pinned, and nothing was released that lives on them alone: not looked at again yet.
        #expect(arena.tryAllocateChunk(byteCount: 16384) == nil)
        items.release(items.order.first { $0.slab == pinned[0].slab && $0.count == 1024 }!)
        try items.add(16384)
        #expect(arena.rebalance(to: 8192, moved: items.follow).slabsHandedOver == 1)
        items.check()
        items.releaseAll()
        try arena.close()
    }

    @Test func creditDoesNotOverflow() {
        var moving = SlabMoving()
        let most = SlabAutomaticRebalancing(movesPerSecond: .max, burst: .max)
        #expect(moving.credit(most, now: .max) == Int.max / 1000)
        moving.pay(5)
        moving.lastRefill = 0
        #expect(moving.credit(most, now: 1) == Int.max / 1000)
        #expect(moving.credit(SlabAutomaticRebalancing(movesPerSecond: 1, burst: 3), now: 1) == 3)
    }
}
