// Locations: they find their chunk for as long as it lives, are found out afterwards, and may hold any bits.

import AllocatorTestKit
import Foundation
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

    // MARK: - Parts

    /// Every part of a small chunk, in every call that takes a pointer, a buffer or a location.
    @Test(arguments: [1, 2, 3, 7, 8, 16, 24]) func everyCallTakesAnyPart(chunkSize: Int) throws {
        let arena = try SlabArena(
            startChunkSize: chunkSize, slabSize: 96 * chunkSize, growthFactor: 200, alignment: 1,
            upstream: SystemAllocator())
        // Not the first of its slab.
        let others = try (0..<5).map { _ in try arena.allocateChunk(byteCount: chunkSize) }
        let chunk = try arena.allocateChunk(byteCount: chunkSize)
        let target = try arena.allocateChunk(byteCount: chunkSize)
        for index in chunk.indices { (chunk[index], target[index]) = (UInt8(index), UInt8(100 + index)) }
        let whole = arena.location(of: chunk)
        for offset in 0..<chunkSize {
            for count in 0...chunkSize - offset {
                let part = UnsafeMutableRawBufferPointer(rebasing: chunk[offset..<offset + count])
                let start = part.baseAddress!
                let location = arena.location(of: part)
                #expect(location == arena.location(of: UnsafeRawBufferPointer(part)))
                #expect(location == whole.slice(offset..<offset + count))
                #expect(!location.isNil && location.count == count && arena.isLive(location))
                let found = try #require(arena.buffer(at: location))
                #expect(found.baseAddress == start && found.count == count)
                #expect(found.elementsEqual((offset..<offset + count).map { UInt8($0) }))

                #expect(arena.owns(start) && arena.byteCount(of: start) == chunkSize)
                arena.addReference(part)
                arena.addReference(start)
                #expect(arena.addReference(at: location))
                #expect(arena.referenceCount(of: start) == 4)
                #expect(!arena.release(part) && !arena.release(start) && !arena.release(at: location))

                let other = UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + count])
                arena.setNext(other, of: part)
                #expect(arena.referenceCount(of: target.baseAddress!) == 2)
                let next = try #require(arena.next(of: part))
                #expect(next.baseAddress == other.baseAddress && next.count == count)
                #expect(arena.referenceCount(of: target.baseAddress!) == 3)
                arena.release(next)
                arena.setNext(nil, of: part)
                #expect(arena.referenceCount(of: target.baseAddress!) == 1 && arena.next(of: part) == nil)

                let stored = arena.store(part)
                #expect(stored == location)
                #expect(arena.take(whole.slice(0..<0))?.baseAddress == chunk.baseAddress)
                #expect(arena.take(stored) == nil)
                #expect(arena.store(part) == location)
                let taken = try #require(arena.take(stored))
                #expect(taken.baseAddress == start && taken.count == count)
                #expect(arena.referenceCount(of: start) == 1)
                arena.checkInvariants()
            }
            // Beyond the chunk.
            let beyond = UnsafeMutableRawBufferPointer(
                start: chunk.baseAddress! + offset, count: chunkSize - offset + 1)
            #expect(arena.location(of: beyond).isNil)
        }
        for count in 0..<chunkSize {
            let shortened = arena.location(of: UnsafeMutableRawBufferPointer(rebasing: chunk[..<count]))
            // An empty part at the end is still in the chunk.
            #expect(arena.buffer(at: shortened.slice(count..<count)) != nil)
        }
        // The last release by a part with an offset.
        arena.setNext(target, of: chunk)
        arena.release(target)
        #expect(arena.release(at: whole.slice(chunkSize - 1..<chunkSize)))
        #expect(!arena.isLive(whole) && arena.live == others.count)
        for other in others { #expect(arena.release(other.baseAddress! + (chunkSize - 1))) }
        try arena.close()
    }

    @Test func slicesOfSlices() throws {
        let arena = try SlabArena(startChunkSize: 64, slabSize: 4096, growthFactor: 2, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 50)
        for index in chunk.indices { chunk[index] = UInt8(index) }
        let location = arena.location(of: chunk)
        let inner = location.slice(10..<40).slice(5..<20).slice(0..<15)
        #expect(inner == location.slice(15..<30))
        #expect(arena.buffer(at: inner)!.elementsEqual((15..<30).map { UInt8($0) }))
        let empty = location.slice(50..<50)
        #expect(empty.count == 0 && arena.isLive(empty) && empty.slice(0..<0) == empty)
        #expect(SlabLocation.nil.slice(3..<10).isNil)
        arena.release(at: inner)
        #expect(!arena.isLive(inner) && !arena.isLive(empty))
        try arena.close()
    }

    // MARK: - What has no location

    @Test func nothingHappensToTheNilLocation() throws {
        let arena = try arena(firstGeneration: 1)
        // Chunks that were never used, in use, and retired, at the place where its zeros point to.
        for _ in 0..<2 {
            #expect(SlabLocation.nil.isNil && SlabLocation.nil.count == 0 && !arena.isLive(.nil))
            #expect(arena.buffer(at: .nil) == nil && arena.take(.nil) == nil && !arena.release(at: .nil))
            #expect(!arena.addReference(at: .nil))
            arena.slots[0].slab!.pointee.firstGeneration = ChunkRecord.lastGeneration
            let first = try arena.allocateChunk(byteCount: 1)
            #expect(!arena.isLive(.nil) && !arena.release(at: .nil))
            arena.release(first)
        }
        #expect(arena.slabStatistics.classes[0].chunksRetired > 0)
        #expect(arena.live == 0 && "\(SlabLocation.nil)" == "nil")
    }

    @Test func foreignAndFreeBuffersHaveTheNilLocation() throws {
        let arena = try SlabArena(startChunkSize: 64, slabSize: 4096, growthFactor: 2, upstream: SystemAllocator())
        let other = try SlabArena(startChunkSize: 64, slabSize: 4096, growthFactor: 2, upstream: SystemAllocator())
        func expectNil(_ start: UnsafeMutableRawPointer?, _ count: Int) {
            #expect(arena.location(of: UnsafeMutableRawBufferPointer(start: start, count: count)).isNil)
        }
        let foreign = try other.allocateChunk(byteCount: 64)
        let block = try SystemAllocator().allocate(byteCount: 64, alignment: 8)
        let chunk = try arena.allocateChunk(byteCount: 64)
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { expectNil($0.baseAddress, 64) }
        expectNil(nil, 0)
        expectNil(foreign.baseAddress, 64)
        expectNil(block.baseAddress, 64)
        for address in [1, 8, 4096, 1 << 46, Int(bitPattern: UInt.max), Int(bitPattern: UInt.max - 4095)] {
            expectNil(UnsafeMutableRawPointer(bitPattern: address), 10)
        }
        // Beyond the chunk, by much, and so much that the sum wraps.
        for count in [65, 128, 1 << 40, Int.max] { expectNil(chunk.baseAddress, count) }
        // A neighbour that is carved and free; one that was never used.
        expectNil(chunk.baseAddress! + 64, 1)
        expectNil(chunk.baseAddress! + 63 * 64, 64)
        let location = arena.location(of: chunk)
        arena.release(chunk)
        expectNil(chunk.baseAddress, 64)
        #expect(!arena.isLive(location))
        other.release(foreign)
        SystemAllocator().deallocate(block)
    }

    // MARK: - Made-up locations

    /// Any bits are refused, or name a part of a live chunk.
    @Test func madeUpLocationsAreHarmless() throws {
        let arena = try SlabArena(
            startChunkSize: 24, slabSize: 1000, growthFactor: 1.7, alignment: 1, upstream: SystemAllocator())
        var random = SeededGenerator(seed: 9)
        var live: [(chunk: UnsafeMutableRawBufferPointer, location: SlabLocation)] = []
        var known: [SlabLocation] = []
        for _ in 0..<150 {
            let chunk = try arena.allocate(byteCount: Int.random(in: 0...1000, using: &random), alignment: 1)
            live.append((chunk, arena.location(of: chunk)))
        }
        known = live.map(\.location)
        live.shuffle(using: &random)
        for (chunk, _) in live.prefix(70) { arena.release(chunk) }
        live.removeFirst(70)
        arena.trim()
        func field(_ known: UInt32) -> UInt32 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0: .random(in: 0 ... .max, using: &random)
            case 1: .max - .random(in: 0..<3, using: &random)
            case 2: .random(in: 0..<1100, using: &random)
            case 3: 1 << UInt32.random(in: 0..<32, using: &random)
            case 4: known &+ .random(in: 0..<30, using: &random) &- 15
            default: known
            }
        }
        var served = 0
        for _ in 0..<40_000 {
            let near = known.randomElement(using: &random)!
            let forged = SlabLocation(
                slab: field(near.slab), position: field(near.position), length: field(near.length),
                generation: field(near.generation))
            guard let memory = arena.buffer(at: forged) else {
                #expect(!arena.isLive(forged) && !arena.addReference(at: forged) && arena.take(forged) == nil)
                continue
            }
            served += 1
            let owner = live.first {
                $0.chunk.baseAddress! <= memory.baseAddress!
                    && memory.baseAddress! + memory.count <= $0.chunk.baseAddress! + $0.chunk.count
            }
            guard owner?.location.generation == forged.generation, memory.count == forged.count else {
                Issue.record("\(forged) is served")
                return
            }
            #expect(arena.location(of: memory) == forged)
            #expect(arena.addReference(at: forged))
            #expect(!arena.release(memory))
        }
        #expect(served > 100)
        arena.checkInvariants()
        #expect(live.allSatisfy { arena.referenceCount(of: $0.chunk.baseAddress!) == 1 })
    }

    @Test func locationsAreValues() throws {
        let arena = try arena(firstGeneration: 5)
        let chunk = try arena.allocateChunk(byteCount: 10)
        let location = arena.location(of: chunk)
        let decoded = try JSONDecoder().decode(SlabLocation.self, from: JSONEncoder().encode(location))
        #expect(decoded == location && arena.isLive(decoded))
        #expect(Set([location, decoded, location.slice(0..<10), location.slice(0..<9)]).count == 2)
        #expect("\(location)" == "slab 0, byte 0, 10 bytes, generation 5")
        arena.release(chunk)
    }

    @Test func everyLiveChunkIsVisited() throws {
        let arena = try SlabArena(startChunkSize: 16, slabSize: 1024, growthFactor: 2, upstream: SystemAllocator())
        arena.forEachLiveChunk { _ in Issue.record("there is none") }
        let chunks = try (0..<200).map { try arena.allocate(byteCount: $0 * 5, alignment: 1) }
        for chunk in chunks[50..<120] { arena.release(chunk) }
        var visited: Set<SlabLocation> = []
        arena.forEachLiveChunk { #expect(visited.insert($0).inserted) }
        #expect(visited == Set((chunks[..<50] + chunks[120...]).map { arena.location(of: $0) }))
        // The body's error ends it.
        var count = 0
        #expect(throws: CancellationError.self) {
            try arena.forEachLiveChunk { _ in
                count += 1
                if count == 3 { throw CancellationError() }
            }
        }
        #expect(count == 3)
        arena.freeAll()
        arena.forEachLiveChunk { _ in Issue.record("there is none") }
    }
}
