// Every allocator, and compositions of three levels, held to the whole contract by AllocatorTestKit.

import AllocatorTestKit
import Mallow
import Testing

@Suite struct ConformanceTests {
    @Test(arguments: 1...3)
    func fixedBlockAllocator(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { try FixedBlockAllocator(blockSize: 64) }
        try checkAllocator(seed: seed) { try FixedBlockAllocator(blockSize: 24, pageSize: 240) }
        try checkAllocator(seed: seed) { try FixedBlockAllocator(blockSize: 1, pageSize: 100) }
        try checkAllocator(seed: seed) { try FixedBlockAllocator(blockSize: 4096, alignment: 4096, pageSize: 8192) }
    }

    @Test(arguments: 1...3)
    func tieredAllocator(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { try TieredAllocator(blockSizes: [8, 64, 500], pageSize: 2000) }
        try checkAllocator(seed: seed) {
            try TieredAllocator(blockSizes: [16, 48], pageSize: 480, upstream: PageAllocator())
        }
    }

    @Test(arguments: 1...3)
    func regionAllocator(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { try RegionAllocator() }
    }

    @Test(arguments: 1...3)
    func systemAllocator(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { SystemAllocator() }
        try checkAllocator(seed: seed) { AnyAllocator(SystemAllocator()) }
    }

    @Test(arguments: 1...3)
    func pageAllocator(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { PageAllocator() }
        try checkAllocator(seed: seed) { PageAllocator(guardPages: true) }
        try checkAllocator(seed: seed) { PageAllocator(hugePages: .advise) }
    }

    @Test(arguments: 1...3)
    func unretainedAllocator(_ seed: UInt64) throws {
        let pool = try FixedBlockAllocator(blockSize: 128)
        try checkAllocator(seed: seed) {
            try pool.close()
            return ArenaAllocator(upstream: UnretainedAllocator(pool))
        }
        try withExtendedLifetime(pool) { try pool.close() }
    }

    // MARK: - For threads

    @Test(arguments: 1...2)
    func synchronized(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { Synchronized(try FixedBlockAllocator(blockSize: 64)) }
        try checkAllocator(seed: seed) { Synchronized(ArenaAllocator()) }
        try checkSharedAllocator(seed: seed) { Synchronized(try TieredAllocator(blockSizes: [16, 64, 512])) }
        try checkSharedAllocator(seed: seed) { SystemAllocator() }
    }

    @Test(arguments: 1...2)
    func perThread(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) {
            try PerThread(blockSize: 64, upstream: FixedBlockAllocator(blockSize: 64))
        }
        try checkSharedAllocator(seed: seed, maximumByteCount: 64) {
            try PerThread(blockSize: 64, upstream: FixedBlockAllocator(blockSize: 64))
        }
    }

    // MARK: - Three levels

    static let anySize = AllocatorTraits.with { $0.givesGoodSize = false }

    @Test(arguments: 1...2)
    func fallbacksOfThreeLevels(_ seed: UInt64) throws {
        // A ladder by hand.
        try checkAllocator(seed: seed, traits: Self.anySize) {
            FallbackAllocator(
                primary: try FixedBlockAllocator(blockSize: 8, pageSize: 256),
                secondary: FallbackAllocator(
                    primary: try FixedBlockAllocator(blockSize: 256, pageSize: 2048), secondary: SystemAllocator()))
        }
        // Pools whose pages come from pools.
        try checkAllocator(seed: seed, traits: Self.anySize) {
            let pages = try FixedBlockAllocator(blockSize: 4096, alignment: 16)
            return FallbackAllocator(
                primary: try FixedBlockAllocator(blockSize: 64, pageSize: 4096, upstream: pages),
                secondary: ArenaAllocator(upstream: pages))
        }
        // A pool with a limit, and whole pages beyond it.
        try checkAllocator(seed: seed, traits: Self.anySize) {
            FallbackAllocator(
                primary: try FixedBlockAllocator(
                    blockSize: 128, pageSize: 128 * 8, upstream: QuotaAllocator(limit: 4096)),
                secondary: PageAllocator())
        }
        try checkAllocator(seed: seed, traits: Self.anySize) {
            try ThresholdAllocator(
                threshold: 100, small: RegionAllocator(upstream: FixedBlockAllocator(blockSize: 65536)),
                large: FallbackAllocator(
                    primary: try TieredAllocator(blockSizes: [256, 1024]), secondary: SystemAllocator()))
        }
    }

    @Test(arguments: 1...2)
    func arenasOfThreeLevels(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) {
            ArenaAllocator(
                upstream: try TieredAllocator(blockSizes: [64, 256], pageSize: 4096, upstream: PageAllocator()))
        }
        try checkAllocator(seed: seed) {
            ArenaAllocator(
                upstream: try ThresholdAllocator(
                    threshold: 88, small: FixedBlockAllocator(blockSize: 88), large: SystemAllocator()))
        }
        try checkAllocator(seed: seed) {
            ArenaAllocator(upstream: Synchronized(try FixedBlockAllocator(blockSize: 256, alignment: 32)))
        }
        // A threshold says no good size above itself.
        try checkAllocator(seed: seed, traits: Self.anySize) {
            ArenaAllocator(
                upstream: AnyAllocator(
                    try ThresholdAllocator(
                        threshold: 300, small: AnyAllocator(FixedBlockAllocator(blockSize: 304)),
                        large: AnyAllocator(SystemAllocator()))))
        }
    }

    @Test(arguments: 1...2)
    func metersOfThreeLevels(_ seed: UInt64) throws {
        try checkAllocator(seed: seed, traits: Self.anySize) {
            try QuotaAllocator(
                limit: 200_000,
                upstream: FallbackAllocator(
                    primary: FixedBlockAllocator(blockSize: 64), secondary: SystemAllocator()))
        }
        try checkAllocator(seed: seed, sequences: 4, traits: Self.anySize) {
            TrackingAllocator(
                upstream: try QuotaAllocator(
                    limit: 100_000, upstream: TieredAllocator(blockSizes: [32, 128])))
        }
        try checkAllocator(seed: seed) {
            Synchronized(
                try QuotaAllocator(limit: 1 << 20, upstream: TieredAllocator(blockSizes: [32, 128], pageSize: 1024)))
        }
        try checkAllocator(seed: seed) {
            try PerThread(
                blockSize: 48,
                upstream: QuotaAllocator(limit: 1 << 16, upstream: FixedBlockAllocator(blockSize: 48)))
        }
    }

    @Test(arguments: 1...2)
    func forDebuggingInThreeLevels(_ seed: UInt64) throws {
        try checkAllocator(seed: seed, sequences: 4, steps: 150, traits: Self.anySize) {
            TrackingAllocator(
                upstream: FallbackAllocator(
                    primary: try FixedBlockAllocator(blockSize: 64), secondary: GuardAllocator()))
        }
        try checkAllocator(seed: seed, sequences: 4) {
            Synchronized(TrackingAllocator(upstream: try TieredAllocator(blockSizes: [32, 128])))
        }
        try checkAllocator(seed: seed) {
            try TieredAllocator(
                blockSizes: [32, 128], pageSize: 4096,
                upstream: QuotaAllocator(limit: 1 << 22, upstream: PageAllocator(guardPages: true)))
        }
        try checkAllocator(seed: seed) {
            ArenaAllocator(
                upstream: try PerThread(blockSize: 160, upstream: FixedBlockAllocator(blockSize: 160)))
        }
    }

    @Test(arguments: 1...2)
    func compositionsOverAFailingUpstream(_ seed: UInt64) throws {
        let traits = AllocatorTraits.with {
            $0.refusesAtRandom = true
            $0.givesGoodSize = false
        }
        try checkAllocator(seed: seed, traits: traits) {
            try TieredAllocator(
                blockSizes: [32, 128], pageSize: 1024,
                upstream: FailingAllocator(upstream: SystemAllocator(), plan: .probability(0.2, seed: seed)))
        }
        try checkAllocator(seed: seed, traits: traits) {
            ArenaAllocator(
                upstream: try FixedBlockAllocator(
                    blockSize: 128, pageSize: 1024,
                    upstream: FailingAllocator(upstream: SystemAllocator(), plan: .probability(0.2, seed: seed))))
        }
    }
}
