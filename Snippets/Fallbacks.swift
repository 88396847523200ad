// A pool that may hold 4 KiB at most, and malloc for what it cannot serve: requests never fail because the pool is
// full.

import Mallow

let budget = try QuotaAllocator(limit: 4096)
let allocator = FallbackAllocator(
    primary: try FixedBlockAllocator(blockSize: 128, pageSize: 1024, upstream: budget),
    secondary: SystemAllocator())
let blocks = try (0..<100).map { _ in try allocator.allocate(byteCount: 100) }
print("\(allocator.primary.statistics.liveBlocks) blocks in the pool, the others from malloc")
for block in blocks { allocator.deallocate(block) }
try allocator.close()
