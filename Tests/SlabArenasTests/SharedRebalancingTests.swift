// Rebalancing of a shared arena: locations that name their shard, and threads that look up, replace and remove items
// meanwhile. For the thread sanitizer too.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

/// An index from ids to locations, with its lock held around every look-up and around rebalancing.
final class SharedIndex: Sendable {
    let arena: SharedSlabArena
    private let state = Guarded((locations: [UInt64: SlabLocation](), order: [UInt64](), moved: 0))

    init(_ arena: SharedSlabArena) { self.arena = arena }

    func insert(_ id: UInt64, _ buffer: UnsafeMutableRawBufferPointer) {
        buffer.mark(id)
        state.withLock {
            $0.locations[id] = arena.store(buffer)
            $0.order.append(id)
        }
    }

    func find(_ id: UInt64) -> (buffer: UnsafeMutableRawBufferPointer, location: SlabLocation)? {
        state.withLock {
            guard let location = $0.locations[id] else { return nil }
            // A location that the index has is live: whoever removes it does so under the lock.
            return (arena.bufferAddingReference(at: location)!, location)
        }
    }

    func remove(_ id: UInt64) -> UnsafeMutableRawBufferPointer? {
        state.withLock {
            guard let location = $0.locations.removeValue(forKey: id) else { return nil }
            return arena.take(location)!
        }
    }

    /// Takes the oldest item out: false where there is none.
    func evict() -> Bool {
        let oldest: UnsafeMutableRawBufferPointer? = state.withLock {
            while let id = $0.order.first {
                $0.order.removeFirst()
                if let location = $0.locations.removeValue(forKey: id) { return arena.take(location) }
            }
            return nil
        }
        guard let oldest else { return false }
        arena.release(oldest)
        return true
    }

    func rebalance(to byteCount: Int?) {
        state.withLock { state in
            let ids = Dictionary(uniqueKeysWithValues: state.locations.map { ($1, $0) })
            arena.rebalance(to: byteCount, limit: 500) { old, new in
                state.locations[ids[old]!] = new
                state.moved += 1
            }
        }
    }

    var ids: [UInt64] { state.withLock { Array($0.locations.keys) } }
    var moved: Int { state.withLock { $0.moved } }
}

@Suite struct SharedRebalancingTests {
    func makeShared(_ shards: Int) throws -> SharedSlabArena {
        try SharedSlabArena(
            startChunkSize: 64, slabSize: 4096, growthFactor: 2, shardCount: shards, upstream: SystemAllocator())
    }

    @Test func chunksOfEachShardMove() throws {
        let arena = try makeShared(4)
        arena.emptySlabDelay = nil
        let stored = Guarded<[(SlabLocation, UInt64)]>([])
        onSharingThreads(4) { thread in
            var released: [SlabLocation] = []
            for index in 0..<256 {
                let buffer = try! arena.allocateChunk(byteCount: 60)
                let id = UInt64(thread * 1000 + index)
                buffer.mark(id)
                let location = arena.store(buffer)
                #expect(arena.chunkLocation(of: location.slice(7..<20)) == location)
                // About ten of a slab's 64 stay.
                if index % 64 < 10 {
                    stored.withLock { $0.append((location, id)) }
                } else {
                    released.append(location)
                }
            }
            for location in released { arena.release(at: location) }
        }
        var items = stored.withLock { $0 }
        let slabs = Set(items.map(\.0.slab)).count
        var moves = 0
        let result = arena.rebalance { old, new in
            moves += 1
            #expect(arena.rebalance { _, _ in } == SlabRebalanceResult())
            #expect(!arena.isLive(old) && arena.chunkLocation(of: old).isNil)
            let index = items.firstIndex { $0.0 == old }!
            let part = items[index].0.slice(5..<9)
            #expect(arena.location(part, movedFrom: old, to: new) == new.slice(5..<9))
            #expect(arena.location(new, movedFrom: old, to: new) == nil)
            items[index].0 = new
        }
        #expect(result.chunksMoved == moves && moves > 0 && result.slabsEmptied > 0 && result.bytesGivenBack > 0)
        #expect(Set(items.map(\.0.slab)).count == slabs - result.slabsEmptied)
        let handed = arena.rebalance(to: 4096) { old, new in items[items.firstIndex { $0.0 == old }!].0 = new }
        #expect(handed.slabsHandedOver <= 1)
        for (location, id) in items {
            #expect(arena.buffer(at: location)!.hasMark(id))
            arena.release(at: location)
        }
        arena.checkInvariants()
        try arena.close()
    }

    /// The protocol that the documentation states: a look-up may miss an item that is being moved, and what was removed
    /// meanwhile is released by the callback.
    @Test func threadsUseTheItemsMeanwhile() throws {
        #if DEBUG
            let rounds = 4000
        #else
            let rounds = 100_000
        #endif
        let arena = try makeShared(2)
        arena.emptySlabDelay = .zero
        let index = Guarded<[Int: SlabLocation]>([:])
        let moves = Guarded((moved: 0, orphans: 0))
        onSharingThreads(3) { thread in
            var random = SeededGenerator(seed: UInt64(thread) + 40)
            for round in 0..<rounds {
                let key = Int.random(in: 0..<600, using: &random)
                if round % 200 == 199 {
                    let target = Bool.random(using: &random) ? 2000 : nil
                    arena.rebalance(to: target, limit: 300) { old, new in
                        let key = arena.buffer(at: new)!.load(as: Int.self)
                        let isThere = index.withLock { items in
                            guard items[key] == old else { return false }
                            items[key] = new
                            return true
                        }
                        moves.withLock { $0.moved += 1 }
                        if isThere { return }
                        moves.withLock { $0.orphans += 1 }
                        arena.release(at: new)
                    }
                    continue
                }
                switch Int.random(in: 0..<4, using: &random) {
                case 0, 1:
                    guard let location = index.withLock({ $0[key] }) else { continue }
                    guard let bytes = arena.bufferAddingReference(at: location) else { continue }
                    let id = bytes.load(as: Int.self)
                    let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[8...])
                    #expect(id == key && rest.hasMark(UInt64(key)))
                    arena.release(bytes)
                default:
                    var new: SlabLocation?
                    if Int.random(in: 0..<3, using: &random) > 0 {
                        let size = Int.random(in: 16...(round % 1000 < 500 ? 60 : 200), using: &random)
                        let bytes = try! arena.allocateChunk(byteCount: size)
                        bytes.storeBytes(of: key, as: Int.self)
                        UnsafeMutableRawBufferPointer(rebasing: bytes[8...]).mark(UInt64(key))
                        new = arena.store(bytes)
                    }
                    let old = index.withLock { items in
                        let old = items[key]
                        items[key] = new
                        return old
                    }
                    // Where it was moved a moment ago, the callback finds it gone.
                    if let old, let bytes = arena.take(old) { arena.release(bytes) }
                }
            }
        }
        #expect(moves.withLock { $0.moved } > 100)
        for location in index.withLock({ $0.values.map { $0 } }) { arena.release(at: location) }
        arena.checkInvariants()
        try arena.close()
    }

    @Test func chunksMoveAndTheirLocationsAreReported() throws {
        let upstream = Synchronized(TrackingAllocator(upstream: SystemAllocator()))
        let arena = try SharedSlabArena(
            startChunkSize: 64, slabSize: 1024, growthFactor: 2, shardCount: 4, upstream: upstream)
        arena.emptySlabDelay = .zero
        let index = SharedIndex(arena)
        // Slabs full of holes, in as many shards as threads were at it at once.
        onSharingThreads(4) { thread in
            for item in 0..<64 {
                let id = UInt64(thread * 64 + item + 1)
                index.insert(id, try! arena.allocateChunk(byteCount: 60))
            }
        }
        for id in index.ids where id % 4 != 0 { arena.release(index.remove(id)!) }
        #expect(arena.slabStatistics.slabs > 12)
        index.rebalance(to: nil)
        // 64 chunks, 16 to a slab, and each shard may have one that is not full.
        #expect(index.moved > 0 && arena.slabStatistics.slabs <= 8)
        #expect(arena.slabStatistics.chunksMoved == index.moved)
        arena.checkInvariants()
        for id in index.ids {
            let found = try #require(index.find(id))
            #expect(found.buffer.hasMark(id) && arena.chunkLocation(of: found.location.slice(3..<9)) == found.location)
            arena.release(found.buffer)
            arena.release(try #require(index.remove(id)))
        }
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }

    @Test func partsAreFoundAfterAMove() throws {
        let arena = try SharedSlabArena(startChunkSize: 64, slabSize: 1024, growthFactor: 2, shardCount: 1)
        var locations = try (0..<32).map { _ in arena.store(try arena.allocateChunk(byteCount: 50)) }
        for index in 0..<32 where index % 2 == 1 { arena.release(at: locations[index]) }
        locations = locations.filter { arena.isLive($0) }
        let parts = locations.map { $0.slice(10..<20) }
        var found = 0
        arena.rebalance { old, new in
            #expect(locations.contains(old))
            for part in parts {
                guard let moved = arena.location(part, movedFrom: old, to: new) else { continue }
                found += 1
                #expect(moved == new.slice(10..<20) && part == old.slice(10..<20))
            }
        }
        #expect(found == 8)
        arena.freeAll()
        try arena.close()
    }

    /// Readers, writers and rebalancing at once: an item is found as it was written, wherever it is by then.
    @Test func itemsAreFoundWhileTheyMove() throws {
        let upstream = Synchronized(TrackingAllocator(upstream: SystemAllocator()))
        let arena = try SharedSlabArena(
            startChunkSize: 64, slabSize: 1024, growthFactor: 2, shardCount: 2, upstream: upstream)
        arena.emptySlabDelay = .zero
        let index = SharedIndex(arena)
        let wrong = Guarded(0)
        let stale = Guarded(0)
        onSharingThreads(4) { thread in
            var random = SeededGenerator(seed: UInt64(thread) + 11)
            var remembered: [(id: UInt64, location: SlabLocation)] = []
            for step in 0..<2500 {
                let id = UInt64.random(in: 1...300, using: &random)
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<3:
                    // Of a thread's own ids, so that none is inserted twice.
                    let own = id * 4 + UInt64(thread)
                    guard index.find(own).map({ arena.release($0.buffer) }) == nil else { continue }
                    index.insert(own, try! arena.allocateChunk(byteCount: 60))
                case 3:
                    guard let id = index.ids.randomElement(using: &random), let old = index.remove(id) else { continue }
                    if !old.hasMark(id) { wrong.withLock { $0 += 1 } }
                    arena.release(old)
                case 4..<8:
                    guard let id = index.ids.randomElement(using: &random), let found = index.find(id) else { continue }
                    if !found.buffer.hasMark(id) { wrong.withLock { $0 += 1 } }
                    arena.release(found.buffer)
                    remembered.append((id, found.location))
                case 8:
                    // Without the index's lock: what it names, or nothing.
                    guard let old = remembered.randomElement(using: &random) else { continue }
                    if let buffer = arena.bufferAddingReference(at: old.location) {
                        if !buffer.hasMark(old.id) { wrong.withLock { $0 += 1 } }
                        arena.release(buffer)
                    } else {
                        stale.withLock { $0 += 1 }
                    }
                default: if step % 4 == 0 { index.rebalance(to: step % 8 == 0 ? nil : 100) }
                }
            }
        }
        #expect(wrong.withLock { $0 } == 0)
        #expect(index.moved > 0 && stale.withLock { $0 } > 0)
        if let broken = arena.brokenInvariant() { Issue.record("\(broken)") }
        for id in index.ids { arena.release(try #require(index.remove(id))) }
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }

    /// A full cache whose items become larger: threads evict and rebalance from the handler, and none is refused.
    @Test func aFullArenaKeepsWorkingAsItemsGrow() throws {
        let upstream = Synchronized(try QuotaAllocator(limit: 40 * 20_000, upstream: SystemAllocator()))
        let arena = try SharedSlabArena(
            startChunkSize: 1024, slabSize: 1 << 14, growthFactor: 2, shardCount: 2, upstream: upstream)
        let index = SharedIndex(arena)
        let refused = Guarded(0)
        arena.onShortage = { [unowned index] shortage in
            index.rebalance(to: shortage.chunkSize)
            for _ in 0..<4 where !index.evict() { return false }
            return true
        }
        for size in [1000, 2000, 1000] {
            onSharingThreads(3) { thread in
                for step in 0..<800 {
                    let id = UInt64((size == 1000 ? 1 : 2) * 10_000_000 + thread * 1_000_000 + step)
                    if let old = index.remove(id) { arena.release(old) }
                    guard let buffer = arena.tryAllocateChunk(byteCount: size) else {
                        refused.withLock { $0 += 1 }
                        continue
                    }
                    index.insert(id, buffer)
                }
            }
        }
        #expect(refused.withLock { $0 } == 0)
        if let broken = arena.brokenInvariant() { Issue.record("\(broken)") }
        let bytes = arena.slabStatistics.bytesGranted
        #expect(bytes > 40 * 16_384 / 2, "\(bytes) bytes in use")
        for id in index.ids {
            let buffer = try #require(index.remove(id))
            #expect(buffer.hasMark(id))
            arena.release(buffer)
        }
        arena.onShortage = nil
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }
}
