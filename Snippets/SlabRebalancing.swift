// A cache whose items grow from 1 KiB to 2 in a full arena: slabs of the small ones are emptied for the large ones.

import Mallow

// All the memory that there is: 1 MiB.
let memory = try QuotaAllocator(limit: 1 << 20, upstream: PageAllocator())
let arena = try SlabArena(startChunkSize: 1024, slabSize: 65536, growthFactor: 2, upstream: memory)

/// Where each item is. Its chunk begins with its key, by which a chunk that was moved is found again.
var items: [Int: SlabLocation] = [:]
var oldest = 0

// The oldest item goes when memory is short. A free chunk among live ones is of no use for larger items: so what lives
// on a slab may move to others of its size, at most so many chunks a second.
arena.automaticRebalancing = SlabAutomaticRebalancing(movesPerSecond: 100_000, burst: 10_000)
arena.onMove = { old, new in
    let key = arena.buffer(at: new)!.load(as: Int.self)
    guard items[key] == old else { fatalError("item \(key) was not where it moved from") }
    items[key] = new
}
arena.onShortage = { _ in
    while oldest < Int.max, !items.isEmpty {
        oldest += 1
        if let location = items.removeValue(forKey: oldest) {
            arena.release(at: location)
            return true
        }
    }
    return false
}

for key in 1...6000 {
    let item = try arena.allocateChunk(byteCount: key <= 3000 ? 1000 : 2000)
    item.storeBytes(of: key, as: Int.self)
    items[key] = arena.store(item)
    // Every third is replaced later, so that slabs have holes.
    if key % 3 == 0, let location = items.removeValue(forKey: key / 3 * 2) { arena.release(at: location) }
}
let statistics = arena.slabStatistics
print("\(items.count) items; \(statistics.chunksMoved) chunks moved, \(statistics.slabsReassigned) slabs handed over")
guard items.count > 450, memory.statistics.peakBytes <= 1 << 20 else { fatalError("the arena is full of holes") }

// What is left can be gathered by hand, too: the slabs that become empty go back to where they came from.
for (key, location) in items where key % 4 != 0 {
    arena.release(at: location)
    items[key] = nil
}
let result = arena.rebalance { old, new in items[arena.buffer(at: new)!.load(as: Int.self)] = new }
print("\(result.slabsEmptied) slabs emptied by \(result.chunksMoved) moves, \(result.bytesGivenBack) bytes given back")

for location in items.values { arena.release(at: location) }
try arena.close()
