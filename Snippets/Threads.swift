// A pool for many threads without a lock on the way: each keeps some blocks, and exchanges them in batches.

import Mallow

let nodes = try PerThread(blockSize: 64, upstream: FixedBlockAllocator(blockSize: 64))
await withTaskGroup(of: Void.self) { group in
    for _ in 1...4 {
        group.addTask {
            for _ in 0..<10_000 {
                guard let node = nodes.tryAllocate(byteCount: 64, alignment: 8) else { return }
                nodes.deallocate(node)
            }
        }
    }
}
try nodes.close()
print("all given back")
