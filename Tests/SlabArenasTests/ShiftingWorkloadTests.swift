// A cache in a full arena whose items change their sizes: it must keep working, in the memory that it has.
//
// Each item's chunk says which key and which version it is, so that a moved chunk is found again, and a chunk that was
// served twice, overwritten or lost shows. The least recently used item goes when memory is short: the list of keys by
// use is the model, and a clock for each key checks the list.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

#if DEBUG
    private let operationCount = 100_000
#else
    private let operationCount = 4_000_000
#endif

/// A cache with a least-recently-used list through an array of nodes, one a key; the last is the list's head.
private final class Cache {
    struct Node {
        var location = SlabLocation.nil
        var version = 0
        var lastUse = 0
        var next: Int
        var previous: Int
    }

    let arena: SlabArena
    var nodes: [Node]
    var head: Int { nodes.count - 1 }
    var count = 0
    var time = 0
    var evictions = 0
    /// Slabs that were emptied by moves, but for those that were it twice in a row.
    var slabsLeft = 0
    var lastSlab = noSlab

    init(_ arena: SlabArena, keys: Int) {
        self.arena = arena
        nodes = (0...keys).map { Node(next: $0, previous: $0) }
        arena.onShortage = { [unowned self] _ in evict() }
        arena.onMove = { [unowned self] in follow($0, $1) }
    }

    func unlink(_ key: Int) {
        nodes[nodes[key].next].previous = nodes[key].previous
        nodes[nodes[key].previous].next = nodes[key].next
    }

    func linkFirst(_ key: Int) {
        let first = nodes[head].next
        nodes[key].next = first
        nodes[key].previous = head
        nodes[first].previous = key
        nodes[head].next = key
        time += 1
        nodes[key].lastUse = time
    }

    func remove(_ key: Int) {
        unlink(key)
        count -= 1
        arena.release(at: nodes[key].location)
        nodes[key].location = .nil
    }

    func evict() -> Bool {
        let key = nodes[head].previous
        guard key != head else { return false }
        evictions += 1
        if evictions % 4096 == 0 {
            for other in 0..<head where !nodes[other].location.isNil {
                #expect(nodes[other].lastUse >= nodes[key].lastUse)
            }
        }
        remove(key)
        return true
    }

    func follow(_ old: SlabLocation, _ new: SlabLocation) {
        let key = arena.buffer(at: new)!.load(as: Int.self)
        #expect(nodes[key].location == old)
        nodes[key].location = new
        if old.slab != lastSlab { slabsLeft += 1 }
        lastSlab = old.slab
    }

    /// False where the cache is empty and there is still no memory.
    func set(_ key: Int, _ byteCount: Int) -> Bool {
        if !nodes[key].location.isNil { remove(key) }
        guard let chunk = arena.tryAllocateChunk(byteCount: byteCount) else { return false }
        nodes[key].version += 1
        chunk.storeBytes(of: key, as: Int.self)
        chunk.storeBytes(of: nodes[key].version, toByteOffset: 8, as: Int.self)
        if byteCount > 16 { chunk[byteCount - 1] = UInt8(truncatingIfNeeded: key ^ nodes[key].version) }
        nodes[key].location = arena.store(chunk)
        linkFirst(key)
        count += 1
        return true
    }

    func isRight(_ key: Int) -> Bool {
        guard let chunk = arena.buffer(at: nodes[key].location) else { return false }
        return chunk.load(as: Int.self) == key && chunk.load(fromByteOffset: 8, as: Int.self) == nodes[key].version
            && (chunk.count == 16 || chunk[chunk.count - 1] == UInt8(truncatingIfNeeded: key ^ nodes[key].version))
    }

    /// Whether the key is there; what is there is right.
    func get(_ key: Int) -> Bool {
        if nodes[key].location.isNil { return false }
        if !isRight(key) { Issue.record("key \(key) is wrong") }
        unlink(key)
        linkFirst(key)
        return true
    }

    func check() {
        #expect(arena.brokenInvariant() == nil)
        #expect(arena.statistics.liveBlocks == count)
        var seen = 0
        for key in 0..<head where !nodes[key].location.isNil {
            seen += 1
            if !isRight(key) { Issue.record("key \(key) is wrong") }
        }
        #expect(seen == count)
    }

    func removeAll() { for key in 0..<head where !nodes[key].location.isNil { remove(key) } }
}

@Suite struct ShiftingWorkloadTests {
    /// Upstream's limit sees to the slabs alone: what the arena holds has its tables, too. They may take a
    /// thirty-second more: 256 bytes a slab the map, which is at most a fourth of that, and a few KiB the others.
    private func expectHeld(by arena: SlabArena, within limit: Int, _ location: SourceLocation = #_sourceLocation) {
        let held = arena.statistics.heldBytes
        #expect(held <= limit + limit / 32, "\(held) bytes of \(limit)", sourceLocation: location)
    }

    /// Operations on random keys, one in three a set. Refused are those that were it though something could be evicted.
    private func run(
        _ cache: Cache, _ operations: Int, _ random: inout SeededGenerator, _ size: (inout SeededGenerator) -> Int
    ) -> (refused: Int, hits: Int, gets: Int) {
        var result = (refused: 0, hits: 0, gets: 0)
        for _ in 0..<operations {
            let key = Int(random.next() % UInt64(cache.head))
            if random.next() % 3 == 0 {
                if !cache.set(key, size(&random)), cache.count > 0 { result.refused += 1 }
            } else {
                result.gets += 1
                if cache.get(key) { result.hits += 1 }
            }
        }
        return result
    }

    @Test func fromOneKibibyteToTwoAndBack() throws {
        let limit = 4 << 20
        let upstream = try QuotaAllocator(limit: limit)
        let arena = try SlabArena(startChunkSize: 64, slabSize: 65536, growthFactor: 2, upstream: upstream)
        arena.automaticRebalancing = SlabAutomaticRebalancing(movesPerSecond: .max, burst: .max)
        let cache = Cache(arena, keys: 8000)
        var random = SeededGenerator(seed: 11)
        for size in [1024, 2048, 1024, 2048] {
            let before = (moves: arena.slabStatistics.chunksMoved, slabs: cache.slabsLeft, evicted: cache.evictions)
            let result = run(cache, operationCount / 4, &random) { size - 100 + Int($0.next() % 101) }
            #expect(result.refused == 0)
            cache.check()
            expectHeld(by: arena, within: limit)
            let statistics = arena.slabStatistics
            // The memory is the size's that is asked for: its items take nine tenths of it.
            #expect(statistics.bytesRequested > limit * 8 / 10)
            let moves = statistics.chunksMoved - before.moves
            let slabs = cache.slabsLeft - before.slabs
            #expect(cache.evictions > before.evicted)
            // A slab is emptied as soon as it can be: that is while nearly all of its chunks are live, and not only
            // when evictions have nearly emptied it.
            if slabs > 0 { #expect(moves / slabs > 65536 / size / 3) }
            print(
                "shift to \(size) bytes: \(cache.count) items, \(statistics.slabs) slabs, \(slabs) emptied by \(moves)",
                "moves (\(moves / max(slabs, 1)) each), \(cache.evictions - before.evicted) evicted in",
                "\(operationCount / 4) operations, \(result.hits * 100 / result.gets) of 100 gets hit")
        }
        cache.removeAll()
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }

    @Test(arguments: [1, 2, 3])
    func amongManySizesUpAndDown(seed: UInt64) throws {
        let limit = 2 << 20
        let upstream = try QuotaAllocator(limit: limit)
        let arena = try SlabArena(
            startChunkSize: 48, slabSize: 32768, growthFactor: [1.1, 1.5, 2][Int(seed) - 1], upstream: upstream)
        arena.emptySlabDelay = seed == 1 ? .zero : .milliseconds(5)
        var now: UInt = 1
        arena.clock = { now }
        arena.automaticRebalancing = SlabAutomaticRebalancing(
            movesPerSecond: 200_000, burst: 1500,
            policy: [SlabRebalancePolicy.emptiest, .oldest, .mostFree][Int(seed) - 1])
        let cache = Cache(arena, keys: 20_000)
        var random = SeededGenerator(seed: seed)
        for phase in 0..<40 {
            // Up by powers of two from 16 bytes to 32 KiB, and down; every fourth phase is a mix of them all.
            let step = phase % 22
            let shift = step < 12 ? step : 22 - step
            let result = run(cache, operationCount / 80, &random) {
                let shift = phase % 4 == 3 ? Int($0.next() % 12) : shift
                return max(16, (16 << shift) - Int($0.next() % UInt64(8 << shift)))
            }
            now += 3
            #expect(result.refused == 0)
            cache.check()
            expectHeld(by: arena, within: limit)
        }
        #expect(arena.slabStatistics.chunksMoved > 0)
        cache.removeAll()
        try arena.close()
        #expect(upstream.statistics.liveBlocks == 0)
    }

    /// Upstream also fails by chance.
    @Test func whileUpstreamFailsByChance() throws {
        let upstream = FailingAllocator(plan: .probability(0.4, seed: 5))
        upstream.plan.byteLimit = 1 << 20
        let arena = try SlabArena(startChunkSize: 64, slabSize: 32768, growthFactor: 1.3, upstream: upstream)
        arena.automaticRebalancing = SlabAutomaticRebalancing(movesPerSecond: .max, burst: .max)
        let cache = Cache(arena, keys: 4000)
        var random = SeededGenerator(seed: 6)
        for phase in 0..<12 {
            let size = [100, 3000, 400, 1500][phase % 4]
            let result = run(cache, operationCount / 60, &random) { size / 2 + Int($0.next() % UInt64(size)) }
            #expect(result.refused == 0)
            cache.check()
            expectHeld(by: arena, within: 1 << 20)
        }
        #expect(upstream.failureCount > 100)
        cache.removeAll()
        try arena.close()
    }
}
