// Locations that outlived their chunks: found out whatever became of the slab, its class and its number.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabStaleLocationTests {
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

    private func expectStale(_ arena: SlabArena, _ locations: [SlabLocation], _ line: Int = #line) {
        for location in locations {
            let isFoundOut =
                !arena.isLive(location) && arena.buffer(at: location) == nil && arena.take(location) == nil
                && !arena.addReference(at: location)
            if !isFoundOut { Issue.record("line \(line): \(location) is served") }
        }
    }

    /// Slabs go and come back, with other classes, under the same numbers and at the same places.
    @Test(arguments: [Duration.zero, .seconds(1), nil] as [Duration?])
    func staleLocationsAreFoundOutWhateverHappened(delay: Duration?) throws {
        let arena = try SlabArena(
            startChunkSize: 16, slabSize: 256, growthFactor: 2, upstream: FailingAllocator(plan: .byteLimit(6000)))
        arena.emptySlabDelay = delay
        var time: UInt = 0
        arena.clock = { time }
        var random = SeededGenerator(seed: 77)
        var stale: [SlabLocation] = []
        var numbers: [UInt32: Set<Int>] = [:]
        for round in 0..<300 {
            var live: [UnsafeMutableRawBufferPointer] = []
            let size = [16, 32, 64, 128, 256][Int.random(in: 0..<5, using: &random)]
            for _ in 0..<Int.random(in: 1...20, using: &random) {
                guard let chunk = arena.tryAllocateChunk(byteCount: size) else { break }
                numbers[arena.location(of: chunk).slab, default: []].insert(size)
                live.append(chunk)
            }
            let locations = live.map { arena.location(of: $0) }
            #expect(Set(locations).isDisjoint(with: stale))
            expectStale(arena, stale)
            switch round % 10 {
            case 7: arena.freeAll()
            default:
                for (chunk, location) in zip(live, locations) {
                    if Bool.random(using: &random) { arena.release(chunk) } else { arena.release(at: location) }
                }
            }
            stale += locations
            expectStale(arena, stale)
            time += UInt(Int.random(in: 0..<1500, using: &random))
            if round % 5 == 0 { arena.trim() }
            if round % 9 == 0 { try arena.close() }
            if stale.count > 600 { stale.removeFirst(300) }
        }
        // Numbers were given to slabs of several classes.
        #expect(numbers.values.contains { $0.count > 2 })
        arena.checkInvariants()
    }

    @Test func numbersAreGivenAgainAboveTheirGenerations() throws {
        let arena = try SlabArena(startChunkSize: 64, slabSize: 64, growthFactor: 2, upstream: SystemAllocator())
        arena.emptySlabDelay = .zero
        var last: SlabLocation = .nil
        for _ in 0..<100 {
            let chunk = try arena.allocateChunk(byteCount: 64)
            let location = arena.location(of: chunk)
            #expect(location.slab == 0 && location.generation > last.generation && !arena.isLive(last))
            last = location
            arena.release(chunk)
        }
        try arena.close()
        let chunk = try arena.allocateChunk(byteCount: 64)
        #expect(arena.location(of: chunk).generation > last.generation && !arena.isLive(last))
        arena.release(chunk)
    }

    /// A number whose generations are used up is given no more; after closing, too.
    @Test func usedUpNumbersAreNotGivenAgain() throws {
        let arena = try SlabArena(startChunkSize: 64, slabSize: 64, growthFactor: 2, upstream: SystemAllocator())
        arena.emptySlabDelay = .zero
        var stale: [SlabLocation] = []
        for number in 0..<40 as Range<UInt32> {
            try arena.prefill(byteCount: 64, chunkCount: 1)
            arena.slots[number].slab!.pointee.firstGeneration = ChunkRecord.lastGeneration
            let chunk = try arena.allocateChunk(byteCount: 64)
            stale.append(arena.location(of: chunk))
            #expect(stale.last!.slab == number && stale.last!.generation == ChunkRecord.lastGeneration)
            arena.release(chunk)
            arena.checkInvariants()
            if number % 7 == 0 { try arena.close() }
            expectStale(arena, stale)
        }
        #expect(arena.slots.count == 40 && arena.slots.firstFree == noSlab)
    }

    @Test func noNumberIsLeft() throws {
        var slots = SlabSlots()
        #expect(slots.find(0) == nil && slots.find(.max) == nil)
        func expectNumber(_ number: UInt32, _ firstGeneration: UInt32) {
            let isReserved = slots.reserveOne()
            let taken = slots.take()
            #expect(isReserved && taken == (number, firstGeneration))
        }
        for number in 0..<100 as Range<UInt32> { expectNumber(number, 1) }
        slots.giveBack(40, firstGeneration: 8)
        slots.giveBack(41, firstGeneration: ChunkRecord.lastGeneration)
        slots.giveBack(42, firstGeneration: ChunkRecord.lastGeneration + 1)
        expectNumber(41, ChunkRecord.lastGeneration)
        expectNumber(40, 8)
        expectNumber(100, 1)
        // As many as there can be: no more room is made, and nothing is lost.
        let capacity = slots.capacity
        slots.capacity = 1 << 31
        slots.count = 1 << 31
        let isReserved = slots.reserveOne()
        #expect(!isReserved)
        slots.capacity = capacity
        slots.count = capacity
        slots.free()
    }
}
