// The account of a slab arena: each number in a small story, the identities between them, the named values.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabStatisticsTests {
    /// Classes 64, 128, …, 4096; a slab holds 64 chunks of the smallest.
    private func arena(_ upstream: any Allocator = SystemAllocator()) throws -> SlabArena {
        let arena = try SlabArena(startChunkSize: 64, slabSize: 4096, growthFactor: 2, upstream: upstream)
        arena.emptySlabDelay = nil
        return arena
    }

    /// What must hold at any moment, between the numbers of both accounts.
    private func expectIdentities(_ arena: SlabArena, _ location: SourceLocation = #_sourceLocation) {
        let all = arena.slabStatistics
        let account = arena.statistics
        #expect(
            account.liveBytes + account.overheadBytes + account.freeBytes == account.heldBytes,
            sourceLocation: location)
        #expect(account.freeBytes >= 0 && account.overheadBytes >= 0, sourceLocation: location)
        #expect(account.heldBytes == all.bytesHeld, sourceLocation: location)
        #expect(account.overheadBytes == all.bytesOverhead, sourceLocation: location)
        #expect(account.liveBytes == all.bytesGranted, sourceLocation: location)
        #expect(account.liveBlocks == all.classes.reduce(0) { $0 + $1.chunksInUse }, sourceLocation: location)
        #expect(account.freeBytes == all.classes.reduce(0) { $0 + $1.bytesFree }, sourceLocation: location)
        #expect(
            all.bytesHeld - all.bytesOverhead == all.classes.reduce(0) { $0 + $1.bytesGranted + $1.bytesFree },
            sourceLocation: location)
        #expect(account.totalBlocks == all.allocations, sourceLocation: location)
        #expect(all.slabs == all.slabAllocations - all.slabsGivenBack, sourceLocation: location)
        for kind in all.classes {
            #expect(
                kind.chunksFree + kind.chunksInUse + kind.chunksRetired == kind.chunks, sourceLocation: location)
        }
    }

    @Test func referencesAreCounted() throws {
        let arena = try arena()
        let first = try arena.allocateChunk(byteCount: 100)
        let second = try arena.allocateChunk(byteCount: 60)
        arena.addReference(first)
        arena.addReference(at: arena.location(of: second))
        var all = arena.slabStatistics
        #expect(all.allocations == 2 && all.referencesAdded == 2 && all.referencesReleased == 0)
        #expect(all.bytesRequested == 160 && all.bytesGranted == 192)
        arena.release(first)
        arena.release(at: arena.location(of: second))
        all = arena.slabStatistics
        #expect(all.referencesReleased == 2 && all.releasesToZero == 0)
        arena.release(first)
        arena.release(second)
        all = arena.slabStatistics
        #expect(all.referencesReleased == 4 && all.releasesToZero == 2)
        #expect(all.bytesRequested == 0 && all.bytesGranted == 0)
        // Nothing happens to the nil location, and a stale one gets no reference.
        arena.addReference(at: .nil)
        arena.release(at: .nil)
        #expect(arena.slabStatistics.referencesAdded == 2 && arena.slabStatistics.referencesReleased == 4)
        expectIdentities(arena)
        try arena.close()
    }

    @Test func chainsAreCounted() throws {
        let arena = try arena()
        let chunks = try (0..<4).map { _ in try arena.allocateChunk(byteCount: 64) }
        for index in 0..<3 { arena.setNext(chunks[index + 1], of: chunks[index]) }
        var all = arena.slabStatistics
        #expect(all.chainWrites == 3 && all.referencesAdded == 3)
        #expect(arena.next(of: chunks[3]) == nil)
        let next = try #require(arena.next(of: chunks[0]))
        all = arena.slabStatistics
        #expect(all.chainReads == 2 && all.referencesAdded == 4)
        arena.release(next)
        for chunk in chunks[1...] { arena.release(chunk) }
        #expect(arena.slabStatistics.releasesToZero == 0)
        arena.release(chunks[0])
        all = arena.slabStatistics
        #expect(all.releasesToZero == 4 && all.referencesReleased == all.allocations + all.referencesAdded)
        // Taking a link away is a write, too.
        let single = try arena.allocateChunk(byteCount: 64)
        arena.setNext(nil, of: single)
        #expect(arena.slabStatistics.chainWrites == 4)
        arena.release(single)
        try arena.close()
    }

    @Test func requestsThatAreTooLargeAreCounted() throws {
        let arena = try arena()
        #expect(arena.tryAllocate(byteCount: 4097, alignment: 8) == nil)
        #expect(arena.tryAllocateChunk(byteCount: .max) == nil)
        #expect(throws: AllocationError.self) { try arena.allocate(byteCount: 5000, alignment: 1) }
        #expect(throws: AllocationError.self) { try arena.allocateChunk(byteCount: 4097) }
        #expect(arena.slabStatistics.requestsTooLarge == 4)
        // What is wrong with these is the alignment.
        #expect(arena.tryAllocate(byteCount: 10, alignment: 16) == nil)
        #expect(throws: AllocationError.self) { try arena.allocate(byteCount: 4097, alignment: 3) }
        #expect(throws: AllocationError.self) { try arena.allocate(byteCount: 4097, alignment: 4096) }
        #expect(arena.slabStatistics.requestsTooLarge == 4)
        #expect(arena.slabStatistics.allocations == 0 && arena.slabStatistics.slabs == 0)
        try arena.close()
    }

    @Test func freeListsAreCounted() throws {
        let arena = try arena()
        // 64 chunks are carved by 32.
        let chunks = try (0..<40).map { _ in try arena.allocateChunk(byteCount: 1) }
        var all = arena.slabStatistics
        #expect(all.freeListPushes == 64 && all.freeListPops == 40 && all.freeListFailedPops == 2)
        for chunk in chunks { arena.release(chunk) }
        all = arena.slabStatistics
        #expect(all.freeListPushes == 104 && all.freeListPops == 40 && all.freeListFailedPops == 2)
        // 104 - 40: what is on the free list.
        #expect(all.classes[0].chunksFree == 64)
        try arena.close()
    }

    @Test func slabsAreCounted() throws {
        let source = FailingAllocator(upstream: SystemAllocator(), plan: .after(3))
        let arena = try arena(source)
        let large = try (0..<3).map { _ in try arena.allocateChunk(byteCount: 4096) }
        #expect(throws: AllocationError.self) { try arena.allocateChunk(byteCount: 4096) }
        var all = arena.slabStatistics
        #expect(all.slabs == 3 && all.slabAllocations == 3 && all.slabAllocationFailures == 1)
        #expect(all.classes.last?.slabs == 3 && all.classes.last?.chunksInUse == 3)
        #expect(arena.statistics.heldBytes >= source.statistics.liveBytes)
        for chunk in large { arena.release(chunk) }
        all = arena.slabStatistics
        // One stays the class's own.
        #expect(all.slabs == 3 && all.slabsEmpty == 2 && all.classes.last?.chunksFree == 3)
        expectIdentities(arena)
        arena.trim()
        all = arena.slabStatistics
        #expect(all.slabs == 0 && all.slabsGivenBack == 3 && all.classes.last?.slabs == 0)
        #expect(source.statistics.liveBlocks == 0)
        expectIdentities(arena)
        try arena.close()
    }

    @Test func retiredChunksAreCounted() throws {
        let arena = try arena()
        try arena.prefill(byteCount: 64, chunkCount: 64)
        arena.slots[0].slab!.pointee.firstGeneration = ChunkRecord.lastGeneration
        let kept = try arena.allocateChunk(byteCount: 64)
        for _ in 0..<10 { arena.release(try arena.allocateChunk(byteCount: 64)) }
        let all = arena.slabStatistics
        #expect(all.classes[0].chunksRetired == 10 && all.classes[0].chunksFree == 53)
        #expect(all.classes[0].bytesFree == 53 * 64)
        #expect(all.freeListPushes == 32 && all.freeListPops == 11)
        expectIdentities(arena)
        arena.release(kept)
        arena.trim()
        #expect(arena.slabStatistics.freeListPushes == 32)
        expectIdentities(arena)
        try arena.close()
    }

    /// What `freeAll` takes was not released, and is on no free list.
    @Test func freeingAllIsNoRelease() throws {
        let arena = try arena()
        let chunks = try (0..<10).map { _ in try arena.allocateChunk(byteCount: 50) }
        arena.release(chunks[0])
        arena.freeAll()
        let all = arena.slabStatistics
        #expect(all.releasesToZero == 1 && all.referencesReleased == 1)
        #expect(all.freeListPushes == 33 && all.freeListPops == 10)
        #expect(all.bytesRequested == 0 && all.bytesGranted == 0 && all.slabs == 0)
        #expect(arena.statistics.peakBlocks == 10 && arena.statistics.peakBytes == 640)
        expectIdentities(arena)
        try arena.close()
    }

    /// A move takes a place off one free list, puts another on one, and is no allocation.
    @Test func movesAreCounted() throws {
        let arena = try arena()
        let chunks = try (0..<192).map { _ in try arena.allocateChunk(byteCount: 64) }
        var held: Set<SlabLocation> = []
        for (index, chunk) in chunks.enumerated() {
            if index % 3 == 0 { held.insert(arena.store(chunk)) } else { arena.release(chunk) }
        }
        let before = arena.slabStatistics
        #expect(before.freeListPushes - before.freeListPops == before.classes[0].chunksFree)
        // Nothing goes back: the slab is another class's.
        let result = arena.rebalance(to: 64 * 64) { old, new in
            #expect(held.remove(old) != nil && !arena.isLive(old) && arena.isLive(new))
            held.insert(new)
        }
        #expect(result.chunksMoved > 0 && result.slabsHandedOver == 1)
        let after = arena.slabStatistics
        #expect(after.chunksMoved == result.chunksMoved)
        #expect(after.allocations == before.allocations && after.releasesToZero == before.releasesToZero)
        #expect(after.freeListPops == before.freeListPops + result.chunksMoved)
        #expect(after.freeListPushes == before.freeListPushes + result.chunksMoved)
        #expect(after.bytesRequested == before.bytesRequested)
        expectIdentities(arena)
        arena.checkInvariants()
        for location in held { #expect(arena.release(at: location)) }
        try arena.close()
    }

    @Test func thePeakIsTheMostThatWasEverLive() throws {
        let arena = try arena()
        var random = SeededGenerator(seed: 5)
        var live: [UnsafeMutableRawBufferPointer] = []
        var (bytes, peakBlocks, peakBytes) = (0, 0, 0)
        for step in 0..<3000 {
            if live.isEmpty || Int.random(in: 0..<100, using: &random) < (step / 500 % 2 == 0 ? 60 : 40) {
                let chunk = try arena.allocate(byteCount: Int.random(in: 0...700, using: &random), alignment: 1)
                live.append(chunk)
                bytes += chunk.count
                (peakBlocks, peakBytes) = (max(peakBlocks, live.count), max(peakBytes, bytes))
            } else {
                let chunk = live.remove(at: Int.random(in: live.indices, using: &random))
                bytes -= chunk.count
                arena.release(chunk)
            }
            let account = arena.statistics
            guard
                account.peakBlocks == peakBlocks, account.peakBytes == peakBytes, account.liveBytes == bytes,
                account.liveBlocks == live.count
            else {
                Issue.record("step \(step): \(account); the model has \(peakBlocks) and \(peakBytes)")
                break
            }
        }
        expectIdentities(arena)
        arena.freeAll()
        #expect(arena.statistics.peakBlocks == peakBlocks && arena.statistics.liveBlocks == 0)
    }

    @Test func fragmentationIsThePartThatNoRequestHas() throws {
        let arena = try arena()
        #expect(arena.slabStatistics.fragmentation == 0)
        let chunks = try (0..<64).map { _ in try arena.allocateChunk(byteCount: 48) }
        #expect(arena.slabStatistics.fragmentation == 0.25 && arena.slabStatistics.classes[0].fragmentation == 0.25)
        for chunk in chunks[32...] { arena.release(chunk) }
        #expect(arena.slabStatistics.classes[0].fragmentation == 0.625)
        #expect(arena.slabStatistics.classes[1].fragmentation == 0)
        for chunk in chunks[..<32] { arena.release(chunk) }
        #expect(arena.slabStatistics.classes[0].fragmentation == 1)
        try arena.close()
    }

    @Test func everyNumberHasAName() throws {
        let arena = try arena()
        let chunks = try (0..<100).map { try arena.allocateChunk(byteCount: $0 * 20) }
        for chunk in chunks[..<50] { arena.release(chunk) }
        let statistics = arena.slabStatistics
        let named = statistics.namedValues
        let values = Dictionary(uniqueKeysWithValues: named.map { ($0.name, $0.value) })
        // No stored property is forgotten, in the arena's account nor in a class's.
        for (label, value) in Mirror(reflecting: statistics).children {
            if let value = value as? Int { #expect(values[label!] == value, "\(label!)") }
        }
        for kind in statistics.classes {
            for (label, value) in Mirror(reflecting: kind).children {
                #expect(values["class.\(kind.chunkSize).\(label!)"] == value as? Int, "\(label!)")
            }
        }
        #expect(values["classes"] == 7)
        #expect(values["class.1024.chunksInUse"] == statistics.classes[4].chunksInUse)
        #expect(values["class.1024.chunksInUse"]! > 0)
        #expect(values["fragmentationInThousandths"] == Int((statistics.fragmentation * 1000).rounded()))
        #expect(named.count == 23 + 7 * 11)
        // The order is the same in another arena, whatever happened there.
        let other = try self.arena()
        #expect(other.slabStatistics.namedValues.map(\.name) == named.map(\.name))
        #expect(named.map(\.name).filter { $0.hasPrefix("class.") }.first == "class.64.chunkSize")
        for chunk in chunks[50...] { arena.release(chunk) }
    }

    @Test func theAccountCanBeEncoded() throws {
        let arena = try arena()
        _ = try (0..<100).map { try arena.allocateChunk(byteCount: $0 * 20) }
        let statistics = arena.slabStatistics
        let decoded = try JSONDecoder().decode(SlabStatistics.self, from: JSONEncoder().encode(statistics))
        #expect(decoded == statistics)
        #expect(decoded.namedValues.elementsEqual(statistics.namedValues) { $0 == $1 })
    }

    /// What the types say of a chunk's and a slab's metadata.
    @Test func metadataIsAsSmallAsPromised() {
        #expect(MemoryLayout<ChunkRecord>.stride == 24)
        #expect(MemoryLayout<SlabLocation>.size == 16 && MemoryLayout<SlabLocation>.stride == 16)
        #expect(MemoryLayout<SlabHeader>.size <= 128)
        #expect(MemoryLayout<SlabHeader>.size % 8 == 0)
    }
}
