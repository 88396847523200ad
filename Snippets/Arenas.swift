// An arena over a pool: a request's objects, some of them freed early, all others at its end.

import Mallow

typealias Pool = FixedBlockAllocator<SystemAllocator>

let pool = try Pool(blockSize: ArenaAllocator<Pool>.upstreamByteCount(for: 64))
let arena = ArenaAllocator(upstream: pool)
for request in 1...3 {
    let parts = try (0..<request * 10).map { _ in try arena.allocate(byteCount: 64) }
    arena.deallocate(parts[0])
    print("request \(request): \(arena.statistics.liveBlocks) blocks live")
    arena.freeAll()
}
try arena.close()
try pool.close()
