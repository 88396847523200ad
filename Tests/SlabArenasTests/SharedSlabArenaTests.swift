// A shared arena used by one thread at a time: the contract, a model, shards that help each other out, memory that runs
// out.

import AllocatorTestKit
import Foundation
import Mallow
import Synchronization
import Testing

@testable import SlabArenas

@Suite struct SharedSlabArenaTests {
    @Test func configurationIsValidated() throws {
        func argument(_ make: () throws(ConfigurationError) -> SharedSlabArena) -> String? {
            let made = Result { () throws(ConfigurationError) in try make() }
            guard case .failure(let error) = made else { return nil }
            return error.allocator + "." + error.argument
        }
        typealias Made = () throws(ConfigurationError) -> SharedSlabArena
        let wrong: [(String, Made)] = [
            ("shardCount", { () throws(ConfigurationError) in try SharedSlabArena(shardCount: 0) }),
            ("shardCount", { () throws(ConfigurationError) in try SharedSlabArena(shardCount: 3) }),
            ("shardCount", { () throws(ConfigurationError) in try SharedSlabArena(shardCount: 512) }),
            ("slabSize", { () throws(ConfigurationError) in try SharedSlabArena(slabSize: 0) }),
            ("slabSize", { () throws(ConfigurationError) in try SharedSlabArena(slabSize: .max) }),
            ("slabSize", { () throws(ConfigurationError) in try SharedSlabArena(slabSize: -1) }),
            ("startChunkSize", { () throws(ConfigurationError) in try SharedSlabArena(startChunkSize: 0) }),
            ("growthFactor", { () throws(ConfigurationError) in try SharedSlabArena(growthFactor: 1) }),
            ("alignment", { () throws(ConfigurationError) in try SharedSlabArena(alignment: 12) }),
        ]
        for (expected, make) in wrong { #expect(argument(make) == "SharedSlabArena." + expected) }
        for shards in [1, 2, 256] {
            let arena = try SharedSlabArena(slabSize: 5000, shardCount: shards)
            #expect(arena.shardCount == shards && arena.chunkSizes.last == 5000)
            try arena.close()
        }
        let shards = try SharedSlabArena().shardCount
        #expect(shards & (shards - 1) == 0 && shards >= processorCount() && shards < 2 * processorCount())
    }

    @Test func keepsTheContract() throws {
        for (start, factor, slabSize, shards) in [(1, 1.05, 65536, 1), (64, 1.25, 65536, 4), (48, 2.0, 60000, 2)] {
            for delay in [Duration.zero, .seconds(1)] {
                try checkAllocator(
                    traits: .with {
                        $0.largestByteCount = slabSize
                        $0.largestAlignment = 8
                    }
                ) {
                    let arena = try SharedSlabArena(
                        startChunkSize: start, slabSize: slabSize, growthFactor: factor, shardCount: shards,
                        upstream: SystemAllocator())
                    arena.emptySlabDelay = delay
                    return arena
                }
            }
        }
    }

    struct Item {
        var buffer: UnsafeMutableRawBufferPointer
        var references: Int
        var location: SlabLocation
        var isHeld = false
        /// Indices of items by their ids.
        var next: UInt64?
        var id: UInt64
    }

    /// References, locations and links beside a model, over an upstream that refuses now and then.
    @Test(arguments: [1.05, 1.25, 2, 4], [1, 24, 1000])
    func everythingIsTheModels(factor: Double, start: Int) throws {
        let upstream = Synchronized(
            FailingAllocator(plan: .probability(0.7, seed: UInt64(start) + UInt64(factor * 100))))
        let arena = try SharedSlabArena(
            startChunkSize: start, slabSize: 4096, growthFactor: factor, alignment: start % 8 == 0 ? 8 : 1,
            shardCount: 4, upstream: upstream)
        arena.emptySlabDelay = start == 24 ? .seconds(1) : .zero
        var random = SeededGenerator(seed: UInt64(start) &* 31 &+ UInt64(factor * 100))
        var items: [UInt64: Item] = [:]
        var stale: [SlabLocation] = []
        var refused = 0

        func release(_ id: UInt64, _ body: () -> Bool) {
            #expect(body() == (items[id]!.references == 1))
            forget(id)
        }
        /// One reference less, and what follows from that.
        func forget(_ id: UInt64) {
            items[id]!.references -= 1
            guard items[id]!.references == 0 else { return }
            let item = items.removeValue(forKey: id)!
            stale.append(item.location)
            if let next = item.next { forget(next) }
        }

        for step in 0..<1200 {
            let id = items.keys.sorted().randomElement(using: &random) ?? 0
            switch Int.random(in: 0..<12, using: &random) {
            case 0..<4:
                let size = Int.random(in: 0...(step % 3 == 0 ? 4096 : 300), using: &random)
                guard let buffer = arena.tryAllocateChunk(byteCount: size) else {
                    refused += 1
                    continue
                }
                let id = UInt64(step + 1)
                buffer.mark(id)
                items[id] = Item(buffer: buffer, references: 1, location: arena.location(of: buffer), id: id)
            case 4 where id != 0:
                arena.addReference(items[id]!.buffer)
                items[id]!.references += 1
            case 5 where id != 0:
                let item = items[id]!
                if item.isHeld {
                    #expect(arena.take(item.location)?.baseAddress == item.buffer.baseAddress)
                    #expect(arena.take(item.location) == nil)
                } else {
                    #expect(arena.store(item.buffer) == item.location)
                }
                items[id]!.isHeld.toggle()
            case 6 where id != 0:
                let other = items.keys.sorted().randomElement(using: &random)!
                // To a later one only: no rings.
                let next = other > id ? other : nil
                arena.setNext(next.map { items[$0]!.buffer }, of: items[id]!.buffer)
                let old = items[id]!.next
                items[id]!.next = next
                if let next { items[next]!.references += 1 }
                if let old { forget(old) }
            case 7 where id != 0:
                let next = arena.next(of: items[id]!.buffer)
                #expect(next?.baseAddress == items[id]!.next.map { items[$0]!.buffer.baseAddress! })
                #expect(next?.count == items[id]!.next.map { items[$0]!.buffer.count })
                if let next, let expected = items[id]!.next {
                    items[expected]!.references += 1
                    release(expected) { arena.release(next) }
                }
            case 8 where id != 0:
                let found = arena.bufferAddingReference(at: items[id]!.location)
                #expect(found?.baseAddress == items[id]!.buffer.baseAddress)
                items[id]!.references += 1
            case _ where id != 0:
                let item = items[id]!
                #expect(item.buffer.hasMark(item.id))
                #expect(arena.referenceCount(of: item.buffer.baseAddress!) == item.references)
                // A reference that a link holds is the link's.
                let links = items.values.count { $0.next == id }
                guard item.references > links else { continue }
                if item.isHeld {
                    items[id]!.isHeld = false
                    release(id) { arena.release(at: item.location) }
                } else {
                    release(id) { arena.release(item.buffer) }
                }
            default: break
            }
            if let broken = arena.brokenInvariant() {
                Issue.record("after step \(step): \(broken)")
                return
            }
        }
        #expect(refused > 0)
        var visited: Set<SlabLocation> = []
        arena.forEachLiveChunk { visited.insert($0) }
        #expect(visited.count == items.count && arena.statistics.liveBlocks == items.count)
        for item in items.values {
            let size = arena.byteCount(of: item.buffer.baseAddress!)
            let whole = UnsafeMutableRawBufferPointer(start: item.buffer.baseAddress, count: size)
            #expect(visited.contains(arena.location(of: whole)))
            #expect(item.references == arena.referenceCount(of: item.buffer.baseAddress!))
        }
        for location in stale {
            #expect(arena.buffer(at: location) == nil && !arena.addReference(at: location) && !arena.isLive(location))
            #expect(arena.take(location) == nil)
        }
        arena.freeAll()
        for item in items.values { #expect(!arena.isLive(item.location)) }
        try arena.close()
        #expect(upstream.withLockUnchecked { $0.findLeaks() } == nil)
    }

    @Test func chainsOfAnySizeAreAllocated() throws {
        let upstream = Synchronized(try QuotaAllocator(limit: 400_000, upstream: SystemAllocator()))
        let arena = try SharedSlabArena(startChunkSize: 16, slabSize: 4096, shardCount: 2, upstream: upstream)
        for (bytes, chunkSize) in [(0, 100), (1, 100), (100, 100), (101, 100), (99_999, 1000), (70_000, 4096)] {
            let head = try arena.allocateChain(byteCount: bytes, chunkSize: chunkSize)
            let segments = arena.segments(of: head)
            #expect(segments.reduce(0) { $0 + $1.count } == bytes)
            #expect(segments.count == max(1, (bytes + chunkSize - 1) / chunkSize))
            #expect(segments.dropLast().allSatisfy { $0.count == chunkSize })
            for (index, segment) in segments.enumerated() { segment.mark(UInt64(index + 1)) }
            for (index, segment) in arena.segments(of: head).enumerated() {
                #expect(segment.hasMark(UInt64(index + 1)))
            }
            #expect(arena.release(head) && arena.statistics.liveBlocks == 0)
        }
        #expect(throws: AllocationError.self) { try arena.allocateChain(byteCount: 1 << 20) }
        #expect(throws: AllocationError.self) { try arena.allocateChain(byteCount: 1 << 20, chunkSize: 8192) }
        #expect(arena.statistics.liveBlocks == 0)
        arena.checkInvariants()
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }

    /// Where upstream has no more, one shard's empty slabs and free chunks serve another's threads.
    @Test func shardsHelpEachOtherOut() throws {
        // Room for two slabs.
        let upstream = Synchronized(try QuotaAllocator(limit: 2 * 6000, upstream: SystemAllocator()))
        let arena = try SharedSlabArena(
            startChunkSize: 1024, slabSize: 4096, growthFactor: 4, shardCount: 2, upstream: upstream)
        arena.emptySlabDelay = nil
        onTwoShards { first, second in
            let chunks = first {
                (0..<8).map { _ in SharedChunk(buffer: try! arena.allocateChunk(byteCount: 1024), id: 0) }
            }
            // The last chunk of the first's shard serves the second thread; then there is none.
            #expect(first { arena.release(chunks[3].buffer) })
            let helped = second { SharedChunk(buffer: try! arena.allocateChunk(byteCount: 1000), id: 0) }
            #expect(helped.buffer.baseAddress == chunks[3].buffer.baseAddress)
            #expect(second { arena.tryAllocateChunk(byteCount: 1000) == nil })
            #expect(second { arena.release(helped.buffer) })
            // All of the first's are empty now, some kept as a current slab: they go back, for another class of the
            // second.
            for index in [0, 1, 2, 4, 5, 6, 7] { arena.release(chunks[index].buffer) }
            let whole = second {
                (0..<2).map { _ in SharedChunk(buffer: try! arena.allocateChunk(byteCount: 4096), id: 0) }
            }
            #expect(second { arena.tryAllocateChunk(byteCount: 1) == nil })
            for chunk in whole { arena.release(chunk.buffer) }
        }
        arena.checkInvariants()
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }

    @Test func aRefusalLosesNothing() throws {
        for failing in 1...12 {
            let upstream = Synchronized(FailingAllocator(plan: .request(failing, count: 3)))
            let arena = try SharedSlabArena(
                startChunkSize: 256, slabSize: 1024, growthFactor: 2, shardCount: 2, upstream: upstream)
            var live: [UnsafeMutableRawBufferPointer] = []
            var refusals = 0
            for step in 0..<40 {
                do throws(AllocationError) {
                    live.append(try arena.allocate(byteCount: step % 3 == 0 ? 1024 : 200, alignment: 8))
                } catch {
                    #expect(error.reason == .outOfMemory && error.allocator == "SharedSlabArena")
                    refusals += 1
                }
                arena.checkInvariants()
            }
            // Two shards ask once each before a request is refused, and once more on the second round.
            #expect(refusals == 1)
            #expect(arena.statistics.liveBlocks == live.count)
            for chunk in live { arena.release(chunk) }
            try arena.close()
        }
        let arena = try SharedSlabArena(slabSize: 1024, upstream: SystemAllocator())
        #expect(throws: AllocationError.self) { try arena.allocate(byteCount: 1025, alignment: 8) }
        #expect(throws: AllocationError.self) { try arena.allocate(byteCount: 8, alignment: 16) }
        #expect(throws: AllocationError.self) { try arena.prefill(byteCount: 1025, chunkCount: 1) }
        #expect(arena.slabStatistics.requestsTooLarge == 2)
    }

    @Test func theShortageHandlerIsAskedUntilItGivesUp() throws {
        let upstream = Synchronized(try QuotaAllocator(limit: 2000, upstream: SystemAllocator()))
        let arena = try SharedSlabArena(
            startChunkSize: 512, slabSize: 1024, growthFactor: 2, shardCount: 2, upstream: upstream)
        let attempts = Guarded<[Int]>([])
        arena.onShortage = { [unowned arena] shortage in
            attempts.withLock { $0.append(shortage.attempt) }
            // A request of its own is refused, and does not ask again.
            if arena.tryAllocateChunk(byteCount: 1000) != nil { attempts.withLock { $0.append(-1) } }
            return shortage.attempt < 2 && shortage.chunkSize == 1024
        }
        let first = try arena.allocateChunk(byteCount: 1024)
        #expect(arena.tryAllocateChunk(byteCount: 1024) == nil)
        #expect(attempts.withLock { $0 } == [0, 1, 2])
        arena.release(first)
        #expect(arena.onShortage != nil)
        arena.onShortage = nil
        try arena.close()
    }

    @Test func slabsComeInAdvanceAndGoBack() throws {
        let upstream = Synchronized(TrackingAllocator(upstream: SystemAllocator()))
        let arena = try SharedSlabArena(
            startChunkSize: 64, slabSize: 4096, growthFactor: 2, shardCount: 4, upstream: upstream)
        #expect(arena.emptySlabDelay == .seconds(1))
        arena.emptySlabDelay = nil
        #expect(arena.emptySlabDelay == nil)
        try arena.prefill(byteCount: 64, chunkCount: 200)
        #expect(upstream.statistics.liveBlocks == 4)
        let statistics = arena.slabStatistics
        #expect(statistics.classes[0].chunksFree == 256 && statistics.slabAllocations == 4)
        let chunk = try arena.allocateChunk(byteCount: 64)
        #expect(upstream.statistics.liveBlocks == 4)
        #expect(arena.trim() > 3 * 4096)
        #expect(upstream.statistics.liveBlocks == 1)
        arena.release(chunk)
        arena.emptySlabDelay = .zero
        #expect(upstream.statistics.liveBlocks == 0)
        let leaked = try arena.allocateChunk(byteCount: 64)
        #expect(throws: LeakError(allocator: "SharedSlabArena", blocks: 1, bytes: 64)) { try arena.close() }
        arena.release(leaked)
        try arena.close()
        #expect(arena.statistics.freeBytes == 0)
    }

    @Test func theEndGivesEverythingBack() throws {
        let upstream = Synchronized(TrackingAllocator(upstream: SystemAllocator()))
        do {
            let arena = try SharedSlabArena(slabSize: 4096, shardCount: 2, upstream: upstream)
            _ = try arena.allocateChain(byteCount: 100_000)
        }
        #expect(upstream.statistics.liveBlocks == 0)
    }

    @Test func countsAreExact() throws {
        let arena = try SharedSlabArena(startChunkSize: 64, slabSize: 4096, shardCount: 4, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 40)
        for _ in 0..<10 { arena.addReference(chunk) }
        for _ in 0..<4 { arena.release(chunk) }
        let next = try arena.allocateChunk(byteCount: 50)
        arena.setNext(next, of: chunk)
        arena.release(arena.next(of: chunk)!)
        arena.release(next)
        let statistics = arena.slabStatistics
        #expect(statistics.referencesAdded == 12 && statistics.referencesReleased == 6)
        #expect(statistics.chainWrites == 1 && statistics.chainReads == 1)
        #expect(statistics.bytesRequested == 90 && statistics.bytesGranted == 128)
        #expect(statistics.bytesHeld == arena.statistics.heldBytes)
        for _ in 0..<7 { arena.release(chunk) }
        #expect(arena.slabStatistics.referencesReleased == 14 && arena.slabStatistics.releasesToZero == 2)
        try arena.close()
    }
}
