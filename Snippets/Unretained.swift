// A box for each of many nodes over one pool, which is not counted for each: it lives longer than they do.

import Mallow

let pool = try FixedBlockAllocator(blockSize: 32)
do {
    let first = try Box(1, in: UnretainedAllocator(pool))
    let second = try Box(2, in: UnretainedAllocator(pool))
    print(first.value + second.value, "from", pool.statistics.liveBlocks, "blocks")
}
try withExtendedLifetime(pool) { try pool.close() }
