// Locations: they find their chunk for as long as it lives, are found out afterwards, and may hold any bits.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabLocationTests {
    /// An arena with one slab of four chunks, whose generations begin at the given one.
    private func arena(firstGeneration: UInt32, emptySlabDelay: Duration? = nil) throws -> SlabArena {
        let arena = try SlabArena(startChunkSize: 16, slabSize: 64, growthFactor: 4, upstream: SystemAllocator())
        arena.emptySlabDelay = emptySlabDelay
        try arena.prefill(byteCount: 16, chunkCount: 4)
        arena.slots[0].slab!.pointee.firstGeneration = firstGeneration
        return arena
    }

    @Test func aChunkWhoseGenerationsAreUsedUpIsRetired() throws {
        let last = ChunkRecord.lastGeneration
        let arena = try arena(firstGeneration: last - 1)
        var stale: [SlabLocation] = []
        for _ in 0..<8 {
            let chunk = try arena.allocateChunk(byteCount: 10)
            let location = arena.location(of: chunk)
            #expect(!stale.contains(location))
            stale.append(location)
            arena.release(chunk)
            arena.checkInvariants()
            #expect(stale.allSatisfy { !arena.isLive($0) && arena.buffer(at: $0) == nil })
        }
        let kind = arena.slabStatistics.classes[0]
        #expect(kind.chunksRetired == 4 && kind.chunksFree == 0 && kind.chunks == 4)
        // The slab is of no more use; another comes.
        let chunk = try arena.allocateChunk(byteCount: 10)
        arena.checkInvariants()
        #expect(arena.location(of: chunk).slab == 1)
        // Nothing is left of the first one: trimming finds it, and its number is not given again.
        #expect(arena.slabStatistics.slabsEmpty == 1)
        #expect(arena.trim() > 0)
        #expect(arena.slabStatistics.slabs == 1)
        let others = try (0..<8).map { _ in try arena.allocateChunk(byteCount: 10) }
        #expect(others.allSatisfy { arena.location(of: $0).slab != 0 })
        #expect(stale.allSatisfy { !arena.isLive($0) })
        arena.checkInvariants()
        arena.release(chunk)
        for other in others { arena.release(other) }
        try arena.close()
    }

    @Test(arguments: [Duration.zero, .seconds(1), nil] as [Duration?])
    func aSlabWhoseChunksAreAllRetiredGoesBack(delay: Duration?) throws {
        let arena = try arena(firstGeneration: ChunkRecord.lastGeneration)
        arena.emptySlabDelay = delay
        for _ in 0..<4 { arena.release(try arena.allocateChunk(byteCount: 10)) }
        arena.release(try arena.allocateChunk(byteCount: 10))
        arena.checkInvariants()
        arena.trim()
        #expect(arena.slabStatistics.slabs == 0)
        try arena.close()
    }

    /// A live chunk of the last generation that `freeAll` takes uses up its slab's number.
    @Test func freeingAllUsesUpTheLastGeneration() throws {
        let arena = try arena(firstGeneration: ChunkRecord.lastGeneration)
        let chunks = try (0..<4).map { _ in try arena.allocateChunk(byteCount: 10) }
        let stale = chunks.map { arena.location(of: $0) }
        arena.freeAll()
        for _ in 0..<3 {
            for _ in 0..<8 { _ = try arena.allocateChunk(byteCount: 10) }
            #expect(stale.allSatisfy { !arena.isLive($0) })
            arena.checkInvariants()
            arena.freeAll()
        }
        try arena.close()
    }
}
