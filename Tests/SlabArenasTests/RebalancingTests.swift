// Rebalancing: what moves, what is told of it, what stays, and who gets the slab.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

/// Items that are held by locations, with contents that can be recognised.
final class StoredItems {
    let arena: SlabArena
    var items: [SlabLocation: UInt8] = [:] {
        didSet { if items.isEmpty { order = [] } }
    }
    /// The items in an order that each run has.
    private(set) var order: [SlabLocation] = []
    private var added = 0

    init(_ arena: SlabArena) { self.arena = arena }

    @discardableResult
    func add(_ byteCount: Int) throws -> SlabLocation {
        adopt(try arena.allocateChunk(byteCount: byteCount))
    }

    @discardableResult
    func adopt(_ buffer: UnsafeMutableRawBufferPointer) -> SlabLocation {
        let byte = UInt8(truncatingIfNeeded: added &* 37)
        added += 1
        for index in buffer.indices { buffer[index] = byte }
        let location = arena.store(buffer)
        items[location] = byte
        order.append(location)
        return location
    }

    func release(_ location: SlabLocation) {
        items[location] = nil
        if let index = order.firstIndex(of: location) { order.remove(at: index) }
        #expect(arena.release(at: location))
    }

    /// What to call for a move.
    func follow(_ old: SlabLocation, _ new: SlabLocation) {
        #expect(!arena.isLive(old) && arena.isLive(new) && old.count == new.count)
        #expect(arena.brokenInvariant() == nil)
        let byte = items.removeValue(forKey: old)
        #expect(byte != nil)
        items[new] = byte
        if let index = order.firstIndex(of: old) { order[index] = new }
    }

    /// Leaves so many items on each slab.
    func thin(to count: Int) {
        for locations in Dictionary(grouping: items.keys, by: \.slab).values {
            for location in locations.sorted(by: { $0.position < $1.position }).dropFirst(count) { release(location) }
        }
    }

    func check() {
        #expect(arena.brokenInvariant() == nil)
        for (location, byte) in items {
            #expect(arena.buffer(at: location).map { $0.allSatisfy { $0 == byte } } == true)
        }
    }

    func releaseAll() {
        for location in items.keys { arena.release(at: location) }
        items = [:]
    }
}

/// Chunks of 1, 2, 4, 8 and 16 KiB, in slabs of 16.
func makeArena(_ upstream: any Allocator = SystemAllocator()) throws -> SlabArena {
    try SlabArena(startChunkSize: 1024, slabSize: 16384, growthFactor: 2, upstream: upstream)
}

@Suite struct RebalancingTests {
    @Test(arguments: [SlabRebalancePolicy.emptiest, .oldest, .mostFree])
    func liveChunksMoveAndTheSlabIsTheOtherClasss(policy: SlabRebalancePolicy) throws {
        let upstream = TrackingAllocator(upstream: SystemAllocator())
        let arena = try makeArena(upstream)
        let items = StoredItems(arena)
        for _ in 0..<64 { try items.add(800) }
        items.thin(to: 5)
        let before = arena.statistics
        let result = arena.rebalance(to: 4000, policy: policy, moved: items.follow)
        #expect(result.slabsEmptied == 1 && result.slabsHandedOver == 1)
        #expect(result.chunksMoved == 5 && result.bytesMoved == 5 * 1024)
        #expect(arena.statistics.liveBytes == before.liveBytes && arena.statistics.totalBlocks == before.totalBlocks)
        #expect(arena.slabStatistics.chunksMoved == 5)
        let given = upstream.statistics.totalBlocks
        items.check()
        for _ in 0..<4 { try items.add(4000) }
        #expect(upstream.statistics.totalBlocks == given)
        items.check()
        items.releaseAll()
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }

    @Test func withoutAClassEverySlabThatCanBeEmptiedGoesBack() throws {
        let arena = try makeArena()
        arena.emptySlabDelay = nil
        let items = StoredItems(arena)
        for _ in 0..<160 { try items.add(800) }
        for _ in 0..<80 { try items.add(2000) }
        items.thin(to: 3)
        let held = arena.blockBytes
        let result = arena.rebalance(moved: items.follow)
        // 10 slabs with 3 chunks each of 16, and 10 with 3 of 8: 30 chunks fit on 2 slabs, and on 4.
        #expect(result.slabsEmptied == 14 && result.slabsHandedOver == 0)
        #expect(held - arena.blockBytes == result.bytesGivenBack && result.bytesGivenBack > 14 * 16384)
        #expect(arena.slabStatistics.slabs == 6)
        items.check()
        let nothing = arena.rebalance { _, _ in Issue.record("nothing can be gained") }
        #expect(nothing == SlabRebalanceResult())
        items.releaseAll()
    }

    @Test func aPolicyPicksItsSlab() throws {
        for policy in [SlabRebalancePolicy.emptiest, .oldest, .mostFree] {
            let arena = try makeArena()
            let items = StoredItems(arena)
            // Slabs 0 to 3 with chunks of 1024 bytes, 8 of 16 left, of one 7; 4 to 7 of 2048 bytes, 2 to 7 of 8 left.
            for _ in 0..<64 { try items.add(1024) }
            items.thin(to: 8)
            for _ in 0..<32 { try items.add(2048) }
            let left: [UInt32: Int] = [0: 8, 1: 8, 2: 8, 3: 7, 4: 6, 5: 2, 6: 5, 7: 7]
            for (slab, locations) in Dictionary(grouping: items.items.keys, by: \.slab) {
                for location in locations.dropFirst(left[slab]!) { items.release(location) }
            }
            let numbers = Set(items.items.keys.map(\.slab))
            #expect(numbers.count == 8)
            arena.rebalance(to: 8192, policy: policy, moved: items.follow)
            let emptied = numbers.subtracting(items.items.keys.map(\.slab))
            switch policy {
            // 2 × 2048 bytes are fewer than 7 × 1024.
            case .emptiest: #expect(emptied == [5])
            case .oldest: #expect(emptied == [0])
            // 33 × 1024 bytes are free of the one class, 12 × 2048 of the other.
            case .mostFree: #expect(emptied == [3])
            }
            items.check()
            items.releaseAll()
        }
    }

    @Test func aLimitIsKeptAndNoSlabIsBegunBeyondIt() throws {
        let arena = try makeArena()
        let items = StoredItems(arena)
        for _ in 0..<64 { try items.add(1024) }
        items.thin(to: 4)
        #expect(arena.rebalance(limit: 3, moved: items.follow) == SlabRebalanceResult())
        #expect(arena.rebalance(limit: 0, moved: items.follow) == SlabRebalanceResult())
        #expect(arena.rebalance(limit: 7, moved: items.follow).chunksMoved == 4)
        #expect(arena.rebalance(limit: 8, moved: items.follow).chunksMoved == 8)
        items.check()
        items.releaseAll()
    }

    @Test func whatHasAnotherOwnerStays() throws {
        let arena = try makeArena()
        let items = StoredItems(arena)
        for _ in 0..<48 { try items.add(1024) }
        items.thin(to: 3)
        let locations = Dictionary(grouping: items.items.keys, by: \.slab).values.map { $0.first! }
        func moves() -> Int { arena.rebalance(limit: 3, moved: items.follow).chunksMoved }
        // A handle on one chunk of each slab; then a link to it; then its reference is a buffer's.
        let handles = locations.map { location in
            arena.addReference(at: location)
            return arena.buffer(at: location)!
        }
        #expect(moves() == 0)
        let head = try arena.allocateChunk(byteCount: 16384)
        let second = try arena.allocateChunk(byteCount: 16384)
        let third = try arena.allocateChunk(byteCount: 16384)
        for (from, to) in zip([head, second, third], handles) {
            arena.setNext(to, of: from)
            arena.release(to)
        }
        #expect(moves() == 0)
        for location in locations { #expect(arena.take(location) != nil) }
        #expect(moves() == 0)
        for (from, handle) in zip([head, second, third], handles) {
            arena.setNext(nil, of: from)
            arena.release(from)
            #expect(items.items[arena.location(of: handle)] != nil)
            _ = arena.store(handle)
        }
        #expect(moves() == 3)
        items.check()
        items.releaseAll()
        try arena.close()
    }

    @Test func aLinkMovesWithTheChunkThatHasIt() throws {
        let arena = try makeArena()
        let items = StoredItems(arena)
        for _ in 0..<32 { try items.add(1024) }
        items.thin(to: 2)
        let tail = try arena.allocateChunk(byteCount: 16000)
        tail[39] = 7
        for location in items.items.keys {
            let part = UnsafeMutableRawBufferPointer(rebasing: tail[39..<50])
            arena.setNext(part, of: arena.buffer(at: location)!)
        }
        arena.release(tail)
        #expect(arena.referenceCount(of: tail.baseAddress!) == 4)
        #expect(arena.rebalance(moved: items.follow).chunksMoved == 2)
        items.check()
        for location in items.items.keys {
            let next = arena.next(of: arena.buffer(at: location)!)!
            #expect(next.count == 11 && next[0] == 7)
            arena.release(next)
        }
        items.releaseAll()
        try arena.close()
    }

    @Test func everyPartOfAChunkIsFollowed() throws {
        let arena = try makeArena()
        var slices: [Int: SlabLocation] = [:]
        for index in 0..<32 {
            // The whole chunk, though less was asked for; and then from its end, its start, its middle.
            let chunk = try arena.allocate(byteCount: 200, alignment: 8)
            for offset in chunk.indices { chunk[offset] = UInt8(truncatingIfNeeded: index * 7 + offset) }
            let range = [0..<0, 0..<200, 3..<90, 210..<256, 256..<256][index % 5]
            let stored = arena.store(UnsafeMutableRawBufferPointer(rebasing: chunk[0..<max(range.count, 1)]))
            slices[index] = arena.location(of: chunk).slice(range)
            #expect(arena.chunkLocation(of: slices[index]!) == arena.chunkLocation(of: stored))
            #expect(arena.chunkLocation(of: stored).count == 200)
        }
        for index in 0..<32 where index % 16 > 5 { arena.release(at: slices.removeValue(forKey: index)!) }
        let kept = slices
        let result = arena.rebalance { old, new in
            #expect(old.count == 200 && new.count == 200)
            #expect(arena.chunkLocation(of: new) == new && arena.chunkLocation(of: old).isNil)
            var found = 0
            for (index, location) in kept {
                guard let moved = arena.location(location, movedFrom: old, to: new) else { continue }
                found += 1
                slices[index] = moved
                #expect(arena.chunkLocation(of: moved) == new && moved.count == location.count)
            }
            #expect(found == 1)
            #expect(arena.location(.nil, movedFrom: old, to: new) == nil)
            #expect(arena.location(new, movedFrom: old, to: new) == nil)
        }
        #expect(result.chunksMoved == 6)
        for (index, location) in slices {
            #expect(arena.isLive(location))
            let start = [0, 0, 3, 210, 255][index % 5]
            for (offset, byte) in arena.buffer(at: location)!.enumerated() {
                #expect(byte == UInt8(truncatingIfNeeded: index * 7 + start + offset))
            }
            arena.release(at: location)
        }
        try arena.close()
    }

    @Test func theCallbackMayDoAnything() throws {
        for way in 0..<6 {
            let arena = try makeArena()
            arena.emptySlabDelay = way % 2 == 0 ? .zero : .seconds(1)
            let items = StoredItems(arena)
            for _ in 0..<64 { try items.add(1024) }
            items.thin(to: 6)
            var calls = 0
            arena.rebalance(to: 16384) { old, new in
                calls += 1
                items.follow(old, new)
                #expect(arena.rebalance { _, _ in } == SlabRebalanceResult())
                switch way {
                case 0: for location in items.items.keys.prefix(2) { items.release(location) }
                case 1: try! items.add(1024)
                case 2: items.release(new)
                case 3:
                    for location in items.items.keys where location.slab == old.slab { items.release(location) }
                    arena.trim()
                case 4:
                    arena.freeAll()
                    items.items = [:]
                default:
                    if calls == 3 { for location in items.items.keys { arena.addReference(at: location) } }
                }
                #expect(arena.brokenInvariant() == nil)
            }
            #expect(calls > 0)
            items.check()
            if way == 5 { for location in items.items.keys { arena.release(arena.buffer(at: location)!) } }
            items.releaseAll()
            try arena.close()
        }
    }

    @Test func aLastGenerationIsNotUsedAgain() throws {
        let arena = try makeArena()
        let items = StoredItems(arena)
        for _ in 0..<32 { try items.add(1024) }
        items.thin(to: 3)
        // As though each chunk of the slabs had been allocated 2^31 - 2 times.
        for number in 0..<arena.slots.count {
            let slab = arena.slots[number].slab!
            for index in 0..<Int(slab.pointee.carved) {
                let state = slab.records[index].state & (ChunkRecord.oneGeneration - 1)
                slab.records[index].state = state | UInt64(ChunkRecord.lastGeneration) << 33
            }
        }
        let before = items.items
        items.items = [:]
        for (location, byte) in before {
            let chunk = arena.slots[location.slab].slab!
            let index = Int(location.position) / 1024
            items.items[arena.location(ofChunk: index, of: chunk)] = byte
        }
        let emptied = arena.rebalance(to: 16384, moved: items.follow)
        // Its generations are used up: it went back, and its number with it.
        #expect(emptied.chunksMoved == 3 && emptied.bytesGivenBack > 16384 && emptied.slabsHandedOver == 1)
        items.check()
        #expect(Set(items.items.keys.map(\.slab)).count == 1 && arena.slots.count == 3)
        items.releaseAll()
        try arena.close()
    }

    /// Everything at once, beside a model.
    @Test(arguments: [1, 2, 3, 4, 5, 6])
    func randomSequences(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let arena = try SlabArena(
            startChunkSize: 32, slabSize: 2048, growthFactor: [1.3, 2, 3][Int(seed % 3)],
            upstream: TrackingAllocator(upstream: SystemAllocator()))
        arena.emptySlabDelay = seed % 2 == 0 ? .zero : nil
        let items = StoredItems(arena)
        var pinned: [SlabLocation] = []
        var stale: [SlabLocation] = []
        var moves = 0
        for step in 0..<3000 {
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<9: try items.add(Int.random(in: 0...(step % 5 == 0 ? 2048 : 200), using: &random))
            case 9..<17:
                guard let location = items.order.randomElement(using: &random), !pinned.contains(location) else {
                    continue
                }
                items.release(location)
                stale.append(location)
            case 17:
                guard let location = items.order.randomElement(using: &random) else { continue }
                if pinned.count < 6 {
                    arena.addReference(at: location)
                    pinned.append(location)
                } else {
                    arena.release(arena.buffer(at: pinned.removeFirst())!)
                }
            default:
                let target = Bool.random(using: &random) ? Int.random(in: 0...2048, using: &random) : nil
                let policy = [SlabRebalancePolicy.emptiest, .oldest, .mostFree].randomElement(using: &random)!
                arena.rebalance(to: target, policy: policy, limit: Int.random(in: 0...200, using: &random)) {
                    moves += 1
                    #expect(!pinned.contains($0))
                    items.follow($0, $1)
                    stale.append($0)
                }
            }
            if let broken = arena.brokenInvariant() {
                Issue.record("after step \(step): \(broken)")
                return
            }
        }
        #expect(moves > 50)
        items.check()
        for location in stale { #expect(!arena.isLive(location)) }
        for location in pinned { arena.release(arena.buffer(at: location)!) }
        items.releaseAll()
        try arena.close()
    }
}
