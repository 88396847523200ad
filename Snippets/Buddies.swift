// Blocks of powers of two: one space by itself, and a pool of spaces that several threads share.

import Mallow
import Synchronization

// 64 MiB in blocks of 1 KiB and more, aligned to their size.
let buddies = try BuddyAllocator(size: 64 << 20, smallestBlock: 1024)
let block = try buddies.allocate(300_000)
print("300,000 bytes are the block \(block), \(block.count) bytes")

// Its start is enough to free it; what is not a block is an error, and changes nothing.
do {
    try buddies.deallocate(block.lowerBound + 1024)
} catch {
    print("refused: \(error)")
}
do {
    _ = try buddies.allocate(100 << 20)
} catch .tooLarge(let count, let largestBlock) {
    print("refused: \(count) bytes, where a block has at most \(largestBlock)")
}
try buddies.deallocate(block.lowerBound)
guard buddies.isEmpty, buddies.largestFree == 64 << 20 else { fatalError("everything is one block again") }

// What stands behind a space, a mapping or a device's heap, comes and goes with it.
let heaps = Atomic<Int>(0)
let pool = try BuddyPool(
    buddySize: 1 << 20, smallestBlock: 4096, limit: 16,
    onAdd: { _ in
        heaps.wrappingAdd(1, ordering: .relaxed)
        return true
    },
    onDrop: { _ in heaps.wrappingSubtract(1, ordering: .relaxed) })

await withTaskGroup(of: Int.self) { group in
    for worker in 1...4 {
        group.addTask {
            var held: [BuddyBlock] = []
            var refused = 0
            for step in 0..<2000 {
                if held.count == 8 { try? pool.deallocate(held.remove(at: step % 8)) }
                // Nil in place of an error, where there may be none left.
                if let block = pool.tryAllocate(4096 * (1 + (step + worker) % 30)) {
                    held.append(block)
                } else {
                    refused += 1
                }
            }
            // Whole spaces are handed out as well, to be used without a lock.
            if let own = try? pool.take() {
                _ = own.tryAllocate(10_000)
                try? pool.giveBack(own)
            }
            for block in held { try? pool.deallocate(block) }
            return refused
        }
    }
    for await refused in group where refused > 0 { fatalError("\(refused) requests got no block") }
}
let statistics = pool.statistics
print(statistics)
guard statistics.usedCount == 0, statistics.takenBuddies == 0 else { fatalError("all blocks were given back") }
pool.trim()
guard heaps.load(ordering: .relaxed) == 0 else { fatalError("a heap was left") }
