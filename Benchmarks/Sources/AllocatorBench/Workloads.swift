// The workloads, and Mallow's allocators in them.

import AllocatorRivals
import BenchSupport
import Mallow

let composedWorkloads: [Workload] = [
    Workload(
        name: "temporary", title: "a block of 64 bytes, allocated and freed", kind: BENCH_TEMPORARY, count: 200_000,
        contestants: {
            Contestant.pair("FixedBlock", { try pool(of: 64) }, generic: temporary, any: temporary)
                + [
                    Contestant(name: "FixedBlock (any, opened)", isMallow: true) {
                        let allocator = hide(try pool(of: 64))
                        return { try temporaryOpened(allocator, $0) }
                    }
                ]
                + Contestant.pair("System", { SystemAllocator() }, generic: temporary, any: temporary)
        }),
    Workload(
        name: "grow-shrink", title: "a million blocks of 8 bytes, then freed in order; pages of 1 MiB",
        kind: BENCH_GROW_SHRINK, count: 1_000_000, runsPerRound: 3,
        contestants: {
            Contestant.pair(
                "FixedBlock", { try pool(of: 8, pageSize: 1 << 20) }, generic: growShrink, any: growShrink)
        }),
    Workload(
        name: "ladder", title: "4 bytes, every 10th 128, every 100th 512, freed at once; pages of 256 bytes and 2 KiB",
        kind: BENCH_LADDER, count: 200_000, sizes: ladderSizes(mediumEvery: 10, largeEvery: 100),
        contestants: {
            Contestant.pair(
                "Fallback", { try fallbackLadder(256, 2048) }, generic: ladder, any: ladder)
                + Contestant.pair("Tiered", { try tieredLadder(256, 2048) }, generic: ladder, any: ladder)
        }),
    Workload(
        name: "ladder-grow",
        title: "a million of 4 bytes, every 100th 128, every 1,000th 512, then freed; pages of 1 MiB and 32 MiB",
        kind: BENCH_LADDER_GROW, count: 1_000_000, runsPerRound: 3,
        sizes: ladderSizes(mediumEvery: 100, largeEvery: 1000),
        contestants: {
            Contestant.pair(
                "Fallback", { try fallbackLadder(1 << 20, 1 << 25) }, generic: ladderGrow, any: ladderGrow)
                + Contestant.pair(
                    "Tiered", { try tieredLadder(1 << 20, 1 << 25) }, generic: ladderGrow, any: ladderGrow)
        }),
    Workload(
        name: "arena-reused", title: "an arena over a pool: two blocks of 64 bytes, then all freed",
        kind: BENCH_ARENA_REUSED, count: 200_000, blocksPerStep: 2,
        contestants: {
            Contestant.resettablePair(
                "Arena over FixedBlock", { ArenaAllocator(upstream: try arenaPool()) }, generic: twoBlocks,
                any: twoBlocks)
                + Contestant.resettablePair(
                    "RegionAllocator", { try RegionAllocator() }, generic: twoBlocks, any: twoBlocks)
        }),
    Workload(
        name: "arena-new", title: "the same, with a new arena each time", kind: BENCH_ARENA_NEW, count: 200_000,
        blocksPerStep: 2,
        contestants: {
            [
                Contestant(name: "Arena over FixedBlock", isMallow: true) {
                    let pool = try arenaPool()
                    return { try twoBlocksInNew(pool, $0) }
                },
                Contestant(name: "Arena over unretained", isMallow: true) {
                    let pool = try arenaPool()
                    return { input in
                        try withExtendedLifetime(pool) { try twoBlocksInNew(UnretainedAllocator(pool), input) }
                    }
                },
                Contestant(name: "Arena over FixedBlock (any)", isMallow: true) {
                    let pool = hide(try arenaPool())
                    return { try twoBlocksInNewThroughAny(pool, $0) }
                },
            ]
        }),
    Workload(
        name: "random-order", title: "a million blocks of 64 bytes, then freed in random order",
        kind: BENCH_RANDOM_ORDER,
        count: 1_000_000, runsPerRound: 3,
        contestants: {
            var contestants = Contestant.pair(
                "FixedBlock", { try pool(of: 64) }, generic: randomOrder, any: randomOrder)
            contestants[0].bytesWhenFull = { try bytesWhenFull(pool(of: 64), $0) }
            return contestants
        }),
    Workload(
        name: "random-replace", title: "50,000 live blocks of 64 bytes, a random one replaced",
        kind: BENCH_RANDOM_REPLACE,
        count: 500_000, blockCount: 50_000,
        contestants: {
            Contestant.pair("FixedBlock", { try pool(of: 64) }, generic: randomReplace, any: randomReplace)
        }),
    Workload(
        name: "tree", title: "a tree of 10,000 nodes of 24 bytes, then all freed", kind: BENCH_TREE, count: 20,
        blocksPerStep: 10_000, blockCount: 10_000,
        contestants: {
            [
                Contestant(name: "Region", isMallow: true) {
                    let owner = RegionOwner()
                    return owner.run
                }
            ]
                + Contestant.resettablePair("RegionAllocator", { try RegionAllocator() }, generic: tree, any: tree)
        }),
]

/// Keeps a region from run to run: a closure cannot own one.
private final class RegionOwner {
    private var region = Region()

    func run(_ input: Input) throws -> UInt64 { try treeInRegion(&region, input) }
}

func pool(of blockSize: Int, pageSize: Int? = nil) throws -> Pool {
    try FixedBlockAllocator(blockSize: blockSize, pageSize: pageSize)
}

/// Requests of `small` bytes, every so many `medium`, and every so many `large`.
func ladderSizes(mediumEvery: Int, largeEvery: Int) -> [UInt32] {
    (1...largeEvery).map { $0 % largeEvery == 0 ? 512 : $0 % mediumEvery == 0 ? 128 : 4 }
}

typealias Pool = FixedBlockAllocator<SystemAllocator>

/// A pool for the blocks that an arena takes for its own of 64 bytes.
func arenaPool() throws -> Pool {
    try pool(of: ArenaAllocator<Pool>.upstreamByteCount(for: 64))
}

/// Blocks of 8 and of 256 bytes, in pages of so many bytes, and the system for what is larger.
func fallbackLadder(
    _ smallPage: Int, _ mediumPage: Int
) throws -> FallbackAllocator<Pool, FallbackAllocator<Pool, SystemAllocator>> {
    FallbackAllocator(
        primary: try pool(of: 8, pageSize: smallPage),
        secondary: FallbackAllocator(primary: try pool(of: 256, pageSize: mediumPage), secondary: SystemAllocator()))
}

func tieredLadder(_ smallPage: Int, _ mediumPage: Int) throws -> TieredAllocator<SystemAllocator> {
    try TieredAllocator(tiers: [
        BlockTier(blockSize: 8, pageSize: smallPage), BlockTier(blockSize: 256, pageSize: mediumPage),
    ])
}
