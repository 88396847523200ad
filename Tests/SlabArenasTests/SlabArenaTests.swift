// A slab arena beside a simple model: what is live, what it holds, how many references it has.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabArenaTests {
    @Test func aChunkStartsWithOneReferenceAndTheLastReleaseRecyclesIt() throws {
        let arena = try SlabArena(startChunkSize: 16, slabSize: 4096, growthFactor: 2, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 20)
        #expect(chunk.count == 20)
        #expect(arena.byteCount(of: chunk.baseAddress!) == 32)
        #expect(arena.referenceCount(of: chunk.baseAddress!) == 1)
        arena.addReference(chunk)
        #expect(!arena.release(chunk))
        let location = arena.location(of: chunk)
        #expect(arena.isLive(location))
        #expect(arena.release(chunk))
        #expect(!arena.isLive(location))
        arena.checkInvariants()
        try arena.close()
    }

    @Test func keepsTheContract() throws {
        for (start, factor) in [(1, 1.05), (64, 1.25), (48, 2.0), (4096, 4.0)] {
            try checkAllocator(
                traits: .with {
                    $0.largestByteCount = 65536
                    $0.largestAlignment = 8
                }
            ) {
                try SlabArena(
                    startChunkSize: start, slabSize: 65536, growthFactor: factor, alignment: 8,
                    upstream: SystemAllocator())
            }
        }
    }

    /// Any part of a chunk may be given: what it can grow to is what is left of the chunk.
    @Test func resizesPartsOfAChunk() throws {
        let arena = try SlabArena(startChunkSize: 64, slabSize: 4096, growthFactor: 2, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 10)
        let start = chunk.baseAddress!
        for offset in 0..<64 {
            #expect(arena.resize(start + offset, byteCount: 65 - offset) == nil)
            let resized = arena.resize(start + offset, byteCount: 64 - offset)
            #expect(resized?.baseAddress == start + offset && resized?.count == 64 - offset)
            #expect(arena.slabStatistics.bytesRequested == 64)
        }
        #expect(arena.resize(start, byteCount: 3)?.count == 64)
        #expect(arena.slabStatistics.bytesRequested == 3)
        arena.checkInvariants()
        arena.release(chunk)
        #expect(arena.slabStatistics.bytesRequested == 0)
        try arena.close()
    }

    @Test func aSharedArenaResizesPartsOfAChunk() throws {
        let arena = try SharedSlabArena(
            startChunkSize: 64, slabSize: 4096, growthFactor: 2, upstream: SystemAllocator())
        let start = try arena.allocateChunk(byteCount: 10).baseAddress!
        for offset in 0..<64 {
            #expect(arena.resize(start + offset, byteCount: 65 - offset) == nil)
            #expect(arena.resize(start + offset, byteCount: 64 - offset)?.count == 64 - offset)
        }
        #expect(arena.tryAllocate(byteCount: 4097, alignment: 8) == nil)
        #expect(throws: AllocationError.self) { try arena.allocateChunk(byteCount: 4097) }
        #expect(arena.slabStatistics.requestsTooLarge == 2)
        arena.release(start)
        try arena.close()
    }
}
