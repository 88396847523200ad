// Threads on one arena: what they do is checked beside counts of their own, and contents tell which life of a chunk
// they are of. For the thread sanitizer too.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import ComposableAllocators
@testable import SlabArenas

@Suite struct SharedSlabArenaThreadTests {
    @Test(arguments: [1, 4]) func keepsTheContractOfSharedAllocators(shards: Int) throws {
        for delay in [Duration.zero, .seconds(1)] {
            try checkSharedAllocator(traits: .with { $0.largestByteCount = 4096 }) {
                let arena = try SharedSlabArena(
                    startChunkSize: 16, slabSize: 4096, growthFactor: 1.5, shardCount: shards,
                    upstream: SystemAllocator())
                arena.emptySlabDelay = delay
                return arena
            }
        }
    }

    /// Allocate, add references, pass each of them on, release on whichever thread.
    @Test(arguments: [1, 2, 8], [Duration.zero, .seconds(1)])
    func referencesArePassedOnAndCounted(shards: Int, delay: Duration) throws {
        let upstream = Synchronized(TrackingAllocator(upstream: SystemAllocator()))
        let arena = try SharedSlabArena(
            startChunkSize: 16, slabSize: 8192, growthFactor: 1.3, shardCount: shards, upstream: upstream)
        arena.emptySlabDelay = delay
        let mail = Guarded<[SharedChunk]>([])
        let counts = Guarded((allocated: 0, added: 0, released: 0, last: 0, wrong: 0))
        let steps = 2000
        @Sendable func release(_ chunk: SharedChunk, _ own: inout (Int, Int, Int, Int, Int)) {
            if !chunk.buffer.hasMark(chunk.id) { own.4 += 1 }
            own.2 += 1
            if arena.release(chunk.buffer) { own.3 += 1 }
        }
        onSharingThreads(4) { thread in
            var random = SeededGenerator(seed: UInt64(thread) + 1)
            var own = (0, 0, 0, 0, 0)
            for step in 0..<steps {
                if Int.random(in: 0..<5, using: &random) < 2 {
                    let size = Int.random(in: 0...200, using: &random)
                    let id = UInt64(thread * steps + step + 1)
                    let chunk = SharedChunk(buffer: try! arena.allocateChunk(byteCount: size), id: id)
                    chunk.buffer.mark(id)
                    own.0 += 1
                    let references = Int.random(in: 0...3, using: &random)
                    for _ in 0..<references {
                        arena.addReference(chunk.buffer)
                        own.1 += 1
                    }
                    mail.withLock { $0 += Array(repeating: chunk, count: references) }
                    release(chunk, &own)
                } else if let chunk = mail.withLock({ chunks in
                    chunks.isEmpty ? nil : chunks.remove(at: Int.random(in: chunks.indices, using: &random))
                }) {
                    release(chunk, &own)
                }
                if step % 500 == 0 { arena.trim() }
            }
            let sums = own
            counts.withLock {
                $0 = (
                    $0.allocated + sums.0, $0.added + sums.1, $0.released + sums.2, $0.last + sums.3,
                    $0.wrong + sums.4
                )
            }
        }
        if let broken = arena.brokenInvariant() { Issue.record("\(broken)") }
        var rest = (0, 0, 0, 0, 0)
        for chunk in mail.withLock({ $0 }) { release(chunk, &rest) }
        let sums = counts.withLock { $0 }
        let statistics = arena.slabStatistics
        #expect(sums.wrong + rest.4 == 0)
        #expect(sums.last + rest.3 == sums.allocated && statistics.releasesToZero == sums.allocated)
        #expect(statistics.allocations == sums.allocated)
        #expect(statistics.referencesAdded == sums.added)
        #expect(statistics.referencesReleased == sums.released + rest.2)
        #expect(sums.released + rest.2 == sums.allocated + sums.added)
        if let broken = arena.brokenInvariant() { Issue.record("\(broken)") }
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }

    /// All threads let go of the same chunks, in orders of their own: each has one last release.
    @Test func oneOfManyReleasesIsTheLast() throws {
        let arena = try SharedSlabArena(
            startChunkSize: 32, slabSize: 4096, growthFactor: 2, shardCount: 4, upstream: SystemAllocator())
        for round in 0..<20 {
            var chunks: [SharedChunk] = []
            for id in 0..<300 {
                chunks.append(SharedChunk(buffer: try arena.allocateChunk(byteCount: 24), id: UInt64(id)))
                for _ in 0..<3 { arena.addReference(chunks[id].buffer) }
            }
            let last = Guarded(0)
            let all = chunks
            onSharingThreads(4) { thread in
                var random = SeededGenerator(seed: UInt64(round * 4 + thread))
                var own = 0
                for chunk in all.shuffled(using: &random) where arena.release(chunk.buffer) { own += 1 }
                last.withLock { [own] in $0 += own }
            }
            #expect(last.withLock { $0 } == 300)
            #expect(arena.statistics.liveBlocks == 0)
        }
        if let broken = arena.brokenInvariant() { Issue.record("\(broken)") }
        try arena.close()
    }

    /// Threads look locations up that others replace, while slabs come and go: what they get is what the location was
    /// made of, or nothing.
    @Test(arguments: [1, 4], [Duration.zero, .seconds(1)])
    func aLocationIsLiveOrStaleNeverWrong(shards: Int, delay: Duration) throws {
        struct Slot {
            var location = SlabLocation.nil
            var id: UInt64 = 0
        }
        let upstream = Synchronized(TrackingAllocator(upstream: SystemAllocator()))
        let arena = try SharedSlabArena(
            startChunkSize: 16, slabSize: 1024, growthFactor: 2, shardCount: shards, upstream: upstream)
        arena.emptySlabDelay = delay
        let slots = (0..<24).map { _ in Guarded(Slot()) }
        let seen = Guarded((live: 0, stale: 0, wrong: 0))
        onSharingThreads(4) { thread in
            var random = SeededGenerator(seed: UInt64(thread) + 7)
            var own = (live: 0, stale: 0, wrong: 0)
            var remembered: [Slot] = []
            for step in 0..<5000 {
                let slot = slots[Int.random(in: slots.indices, using: &random)]
                if Int.random(in: 0..<3, using: &random) == 0 {
                    let id = UInt64(thread * 5000 + step + 1)
                    let buffer = try! arena.allocateChunk(byteCount: Int.random(in: 8...100, using: &random))
                    buffer.mark(id)
                    let new = Slot(location: arena.store(buffer), id: id)
                    let old = slot.withLock { slot in
                        defer { slot = new }
                        return slot
                    }
                    if step % 2 == 0 {
                        arena.release(at: old.location)
                    } else if !old.location.isNil {
                        if let taken = arena.take(old.location) {
                            if !taken.hasMark(old.id) { own.wrong += 1 }
                            arena.release(taken)
                        } else {
                            own.wrong += 1
                        }
                    }
                } else {
                    // From now, or from long ago.
                    let found = step % 2 == 0 ? slot.withLock { $0 } : remembered.randomElement(using: &random)
                    guard let found, !found.location.isNil else { continue }
                    remembered.append(found)
                    guard let buffer = arena.bufferAddingReference(at: found.location) else {
                        own.stale += 1
                        continue
                    }
                    own.live += 1
                    if !buffer.hasMark(found.id) || arena.location(of: buffer) != found.location { own.wrong += 1 }
                    arena.release(buffer)
                }
            }
            let sums = own
            seen.withLock {
                $0 = ($0.live + sums.live, $0.stale + sums.stale, $0.wrong + sums.wrong)
            }
        }
        let sums = seen.withLock { $0 }
        #expect(sums.wrong == 0)
        #expect(sums.live > 1000 && sums.stale > 1000)
        if let broken = arena.brokenInvariant() { Issue.record("\(broken)") }
        for slot in slots { arena.release(at: slot.withLock { $0.location }) }
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }

    /// Threads link shared chunks anew while others follow them, over all shards.
    @Test func chainsAreLinkedAndFollowedAtOnce() throws {
        let arena = try SharedSlabArena(
            startChunkSize: 16, slabSize: 1024, growthFactor: 2, shardCount: 4, upstream: SystemAllocator())
        arena.emptySlabDelay = .zero
        let heads = Guarded<[SharedChunk]>([])
        onSharingThreads(4) { thread in
            let own = (0..<4).map { _ in SharedChunk(buffer: try! arena.allocateChunk(byteCount: 16), id: 0) }
            heads.withLock { $0 += own }
        }
        let all = heads.withLock { $0 }
        let wrong = Guarded(0)
        onSharingThreads(4) { thread in
            var random = SeededGenerator(seed: UInt64(thread) + 3)
            for step in 0..<3000 {
                let head = all.randomElement(using: &random)!.buffer
                switch Int.random(in: 0..<4, using: &random) {
                case 0:
                    // A chain of a few, of one mark; the link has the only reference of its first.
                    let id = UInt64(thread * 3000 + step + 1)
                    var next: UnsafeMutableRawBufferPointer?
                    for _ in 0...Int.random(in: 0...5, using: &random) {
                        let chunk = try! arena.allocateChunk(byteCount: 40)
                        chunk.mark(id)
                        arena.setNext(next, of: chunk)
                        if let next { arena.release(next) }
                        next = chunk
                    }
                    arena.setNext(next, of: head)
                    arena.release(next!)
                case 1: arena.setNext(nil as UnsafeMutableRawBufferPointer?, of: head)
                default:
                    var chunk = arena.next(of: head)
                    var first: [UInt8] = []
                    while let visited = chunk {
                        let bytes = Array(visited)
                        if first.isEmpty { first = bytes }
                        if first != bytes { wrong.withLock { $0 += 1 } }
                        chunk = arena.next(of: visited)
                        arena.release(visited)
                    }
                }
            }
        }
        #expect(wrong.withLock { $0 } == 0)
        if let broken = arena.brokenInvariant() { Issue.record("\(broken)") }
        for head in all { arena.release(head.buffer) }
        #expect(arena.statistics.liveBlocks == 0)
        let statistics = arena.slabStatistics
        #expect(statistics.referencesReleased == statistics.allocations + statistics.referencesAdded)
        try arena.close()
    }

    /// A long chain whose chunks lie in all shards by turns goes without recursion and one lock at a time: others go on
    /// allocating meanwhile, and two such chains that cross each other's shards don't wait for each other.
    @Test func longChainsAcrossShardsAreReleased() throws {
        let length = 100_000
        let arena = try SharedSlabArena(
            startChunkSize: 16, slabSize: 1 << 16, growthFactor: 2, shardCount: 4, upstream: SystemAllocator())
        let parts = Guarded<[[SharedChunk]]>([])
        onSharingThreads(4) { _ in
            let own = (0..<length / 2).map { _ in
                SharedChunk(buffer: try! arena.allocateChunk(byteCount: 8), id: 0)
            }
            parts.withLock { $0.append(own) }
        }
        let chunks = parts.withLock { $0 }
        for pair in [(chunks[0], chunks[1]), (chunks[3], chunks[2])] {
            var previous: SharedChunk?
            for index in 0..<length / 2 {
                for chunk in [pair.0[index], pair.1[index]] {
                    if let previous {
                        arena.setNext(chunk.buffer, of: previous.buffer)
                        arena.release(chunk.buffer)
                    }
                    previous = chunk
                }
            }
        }
        #expect(arena.statistics.liveBlocks == 2 * length)
        let heads = [chunks[0][0], chunks[3][0]]
        onSharingThreads(4) { thread in
            if thread < 2 {
                arena.release(heads[thread].buffer)
            } else {
                for _ in 0..<2000 { arena.release(try! arena.allocateChunk(byteCount: 8)) }
            }
        }
        #expect(arena.statistics.liveBlocks == 0)
        if let broken = arena.brokenInvariant() { Issue.record("\(broken)") }
        try arena.close()
    }

    /// Accounts that are read while threads work add up at every moment.
    @Test func theAccountIsOfOneMoment() throws {
        let arena = try SharedSlabArena(
            startChunkSize: 16, slabSize: 4096, growthFactor: 2, shardCount: 4, upstream: SystemAllocator())
        arena.emptySlabDelay = .zero
        let wrong = Guarded<[String]>([])
        onSharingThreads(4) { thread in
            var random = SeededGenerator(seed: UInt64(thread))
            var live: [UnsafeMutableRawBufferPointer] = []
            for step in 0..<1500 {
                if live.isEmpty || Bool.random(using: &random) {
                    live.append(try! arena.allocateChunk(byteCount: Int.random(in: 0...4096, using: &random)))
                } else {
                    arena.release(live.removeLast())
                }
                guard thread == 0, step % 5 == 0 else { continue }
                let all = arena.slabStatistics
                let chunks = all.classes.reduce(0) { $0 + $1.chunks }
                let known = all.classes.reduce(0) { $0 + $1.chunksFree + $1.chunksInUse + $1.chunksRetired }
                let account = arena.statistics
                let isRight =
                    chunks == known && account.freeBytes >= 0 && all.freeListPops == all.allocations
                    && all.allocations - all.releasesToZero == all.classes.reduce(0) { $0 + $1.chunksInUse }
                    && all.slabAllocations - all.slabsGivenBack == all.slabs
                    && account.peakBlocks >= account.liveBlocks && account.liveBlocks >= live.count
                if !isRight { wrong.withLock { $0.append("\(all) \(account)") } }
            }
            for chunk in live { arena.release(chunk) }
        }
        #expect(wrong.withLock { $0 } == [])
        try arena.close()
    }

    /// In a full arena threads make room by the handler, which is called without a lock, and nothing is lost.
    @Test func threadsMakeRoomForEachOther() throws {
        let upstream = Synchronized(try QuotaAllocator(limit: 12 * 5000, upstream: SystemAllocator()))
        let arena = try SharedSlabArena(
            startChunkSize: 64, slabSize: 4096, growthFactor: 4, shardCount: 4, upstream: upstream)
        let items = Guarded<[SharedChunk]>([])
        let calls = Guarded(0)
        arena.onShortage = { [unowned arena] shortage in
            calls.withLock { $0 += 1 }
            // Everything of the arena may be called.
            _ = arena.slabStatistics
            guard let evicted = items.withLock({ $0.popLast() }) else { return shortage.attempt < 1000 }
            if !evicted.buffer.hasMark(evicted.id) { calls.withLock { $0 += 1_000_000 } }
            arena.release(evicted.buffer)
            return true
        }
        let refused = Guarded(0)
        onSharingThreads(4) { thread in
            var random = SeededGenerator(seed: UInt64(thread))
            for step in 0..<1500 {
                let size = Int.random(in: 0...3, using: &random) == 0 ? 4000 : 60
                guard let buffer = arena.tryAllocateChunk(byteCount: size) else {
                    refused.withLock { $0 += 1 }
                    continue
                }
                let id = UInt64(thread * 1500 + step)
                buffer.mark(id)
                items.withLock { $0.append(SharedChunk(buffer: buffer, id: id)) }
            }
        }
        #expect(refused.withLock { $0 } == 0)
        #expect(1..<1_000_000 ~= calls.withLock { $0 })
        if let broken = arena.brokenInvariant() { Issue.record("\(broken)") }
        for item in items.withLock({ $0 }) {
            #expect(item.buffer.hasMark(item.id))
            arena.release(item.buffer)
        }
        arena.onShortage = nil
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }

    /// Handles go from task to task.
    @Test func handlesAreSentAndEndAnywhere() async throws {
        let arena = try SharedSlabArena(
            startChunkSize: 64, slabSize: 4096, growthFactor: 2, shardCount: 2, upstream: SystemAllocator())
        var buffer = try arena.makeBuffer(byteCount: 100)
        do {
            var bytes = buffer.mutableSpan
            bytes.storeBytes(of: 77, toByteOffset: 40, as: UInt8.self)
        }
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                let bits = UInt(bitPattern: buffer.slice(40..<50).intoUnsafeBytes().baseAddress!)
                group.addTask {
                    let start = UnsafeMutableRawPointer(bitPattern: bits)!
                    let slice = arena.adopt(UnsafeMutableRawBufferPointer(start: start, count: 10))
                    let copy = try! slice.copy()
                    let twin = slice.duplicate()
                    return twin.span.unsafeLoad(as: UInt8.self) == 77 && copy.span.unsafeLoad(as: UInt8.self) == 77
                        && copy.isOnlyReference && !slice.isOnlyReference
                }
            }
            for await isRight in group { #expect(isRight) }
        }
        let isOnly = buffer.isOnlyReference
        #expect(isOnly)
        let location = buffer.store()
        let count = arena.makeBuffer(at: location)!.count
        #expect(count == 100)
        do {
            let taken = arena.takeBuffer(at: location)!
            let isRight = taken.capacity == 128 && taken.location == location
            #expect(isRight)
        }
        #expect(arena.take(location) == nil && arena.bufferAddingReference(at: location) == nil)
        try arena.close()
    }
}
