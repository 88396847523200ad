// Rebalancing of a shared arena: locations that name their shard, and threads that look up, replace and remove items
// meanwhile. For the thread sanitizer too.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

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
}
