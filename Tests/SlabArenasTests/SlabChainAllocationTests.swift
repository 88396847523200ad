// Items of any size, allocated as chains.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import SlabArenas

@Suite struct ChainAllocationTests {
    @Test(arguments: [1, 7, 16, 100, 1000, 4096])
    func anItemIsEqualChunksAndARest(chunkSize: Int) throws {
        let arena = try makeSmallArena()
        for byteCount in [0, 1, 15, 16, 17, 99, 100, 4095, 4096, 4097, 12_288, 20_001] {
            let head = try arena.allocateChain(byteCount: byteCount, chunkSize: chunkSize)
            let counts = arena.chain(head).segments.map(\.count)
            let (full, rest) = byteCount.quotientAndRemainder(dividingBy: chunkSize)
            #expect(counts == Array(repeating: chunkSize, count: full) + (rest > 0 ? [rest] : []))
            #expect(arena.chain(head).count == byteCount && arena.chain(head).segmentCount == counts.count)
            #expect(arena.statistics.liveBlocks == max(counts.count, 1))
            // The rest is in a chunk of its own class.
            let last = arena.chain(head).last
            let count = rest > 0 || byteCount == 0 ? rest : chunkSize
            #expect(arena.byteCount(of: last.baseAddress!) == arena.goodSize(for: count, alignment: 1))
            arena.checkInvariants()
            #expect(arena.release(head))
            #expect(arena.statistics.liveBlocks == 0)
        }
        try arena.close()
    }

    @Test(arguments: [1.05, 1.1, 1.25, 2.0, 4.0, 16.7], [1, 64, 4096])
    func theDefaultChunkSizeWastesLittle(factor: Double, start: Int) throws {
        let arena = try SlabArena(
            startChunkSize: start, slabSize: 1 << 20, growthFactor: factor, upstream: SystemAllocator())
        #expect(arena.chunkSizes.contains(arena.defaultChainChunkSize))
        // The largest factor has no chunk between a 16th of the rest and the rest.
        #expect(try waste(arena, nil) < (factor > 4 ? 0.04 : factor > 2 ? 0.02 : 0.01))
        #expect(try waste(arena, arena.slabSize) > 0.1)
        try arena.close()
    }

    /// What items of 0.3 to 3 MB take beyond their bytes, as a part of these.
    private func waste(_ arena: SlabArena, _ chunkSize: Int?) throws -> Double {
        var (requested, held) = (0, 0)
        for byteCount in stride(from: 300_000, through: 3_000_000, by: 54_321) {
            let head = try arena.allocateChain(byteCount: byteCount, chunkSize: chunkSize)
            requested += byteCount
            for segment in arena.chain(head).segments {
                let chunk = arena.byteCount(of: segment.baseAddress!)
                // Its share of a slab.
                held += arena.slabSize / (arena.slabSize / chunk) + MemoryLayout<ChunkRecord>.stride
            }
            arena.release(head)
        }
        return Double(held) / Double(requested) - 1
    }

    @Test func anArenaOfFewClassesHasADefaultToo() throws {
        for (start, slab, factor) in [(1, 1, 2.0), (64, 64, 2), (1, 4096, 5000), (4096, 8192, 1.5)] {
            let arena = try SlabArena(
                startChunkSize: start, slabSize: slab, growthFactor: factor, alignment: 1, upstream: SystemAllocator())
            let head = try arena.allocateChain(byteCount: 50_000)
            #expect(arena.chain(head).count == 50_000)
            arena.release(head)
            try arena.close()
        }
    }

    @Test func whereUpstreamRefusesMidwayNothingIsLost() throws {
        for served in 0..<12 {
            let upstream = FailingAllocator(plan: .after(served))
            let arena = try makeSmallArena(upstream: upstream)
            let kept = served > 0 ? try arena.allocateChunk(byteCount: 4096) : nil
            // Each slab has four.
            do throws(AllocationError) {
                _ = try arena.allocateChain(byteCount: 50_000, chunkSize: 1024)
                Issue.record("\(served) slabs hold 49 chunks")
            } catch {
                #expect(error.reason == .outOfMemory && error.byteCount == 50_000)
            }
            #expect(arena.statistics.liveBlocks == (served > 0 ? 1 : 0))
            arena.checkInvariants()
            // What was given back can be had again.
            if let kept, served > 1 {
                let head = try arena.allocateChain(byteCount: (served - 1) * 4096, chunkSize: 1024)
                #expect(arena.chain(head).segmentCount == (served - 1) * 4)
                arena.release(head)
                arena.release(kept)
            } else if let kept {
                arena.release(kept)
            }
            try arena.close()
            #expect(upstream.statistics.liveBlocks == 0)
        }
    }

    @Test func aShortageInTheMidstOfAChainIsRelieved() throws {
        let arena = try makeSmallArena(upstream: FailingAllocator(plan: .byteLimit(4 * 5000)))
        var cached = try (0..<3).map { _ in try arena.allocateChunk(byteCount: 4096) }
        arena.onShortage = { _ in
            guard let chunk = cached.popLast() else { return false }
            return arena.release(chunk)
        }
        defer { arena.onShortage = nil }
        let head = try arena.allocateChain(byteCount: 12_000, chunkSize: 1000)
        #expect(arena.chain(head).count == 12_000)
        arena.release(head)
        #expect(cached.count < 2)
        for chunk in cached { arena.release(chunk) }
        try arena.close()
    }

    @Test func whatCanNeverBeServedThrows() throws {
        let arena = try makeSmallArena()
        #expect(throws: AllocationError.self) { try arena.allocateChain(byteCount: 10, chunkSize: 4097) }
        do throws(AllocationError) { _ = try arena.allocateChain(byteCount: 10, chunkSize: 4097) } catch {
            #expect(error.reason == .tooLarge(limit: 4096))
        }
        #expect(arena.slabStatistics.requestsTooLarge == 2)
        #expect(arena.tryAllocateChain(byteCount: 10, chunkSize: 4097) == nil)
        #expect(arena.statistics.totalBlocks == 0)
    }
}
