// One ladder of pools for all tasks, behind a lock: `Synchronized` makes any allocator `Sendable`.

import Mallow

let ladder = Synchronized(try TieredAllocator(blockSizes: [32, 128, 512]))
await withTaskGroup(of: Void.self) { group in
    for task in 1...4 {
        group.addTask {
            for _ in 0..<1000 {
                guard let block = ladder.tryAllocate(byteCount: task * 100, alignment: 8) else { return }
                ladder.deallocate(block)
            }
        }
    }
}
try ladder.close()
print("all given back")
