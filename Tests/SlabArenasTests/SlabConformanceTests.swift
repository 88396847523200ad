// Slab arenas held to the contract of an allocator: many configurations, over many upstreams, and as parts of other
// allocators.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabConformanceTests {
    private func traits(_ largestByteCount: Int, _ largestAlignment: Int) -> AllocatorTraits {
        .with {
            $0.largestByteCount = largestByteCount
            $0.largestAlignment = largestAlignment
        }
    }

    @Test(arguments: [1.05, 1.1, 1.25, 2, 4, 16.7, 1e300], [1, 24, 64, 1000, 4096])
    func everyConfiguration(factor: Double, start: Int) throws {
        for (slabSize, alignment, delay) in [
            (65536, 8, .seconds(1)), (9000, 1, .zero), (12_288, 4096, nil),
        ] as [(Int, Int, Duration?)] {
            try checkAllocator(seed: UInt64(start), sequences: 4, steps: 150, traits: traits(slabSize, alignment)) {
                let arena = try SlabArena(
                    startChunkSize: start, slabSize: slabSize, growthFactor: factor, alignment: alignment,
                    upstream: SystemAllocator())
                arena.emptySlabDelay = delay
                return arena
            }
        }
    }

    @Test(arguments: [1, 2, 8, 16, 64, 512, 4096]) func everyAlignment(alignment: Int) throws {
        try checkAllocator(sequences: 4, traits: traits(16384, alignment)) {
            try SlabArena(startChunkSize: 32, slabSize: 16384, alignment: alignment)
        }
    }

    /// Slabs of a few bytes, of odd sizes, and of one chunk.
    @Test(arguments: [(1, 1), (1, 2), (8, 8), (1, 24), (24, 24), (5, 17), (100, 1000), (4096, 4096)])
    func smallSlabs(start: Int, slabSize: Int) throws {
        let alignment = slabSize % 8 == 0 ? 8 : 1
        try checkAllocator(sequences: 4, traits: traits(slabSize, alignment)) {
            try SlabArena(
                startChunkSize: start, slabSize: slabSize, growthFactor: 1.5, alignment: alignment,
                upstream: SystemAllocator())
        }
    }

    // MARK: - Over upstreams

    private func makeArena(over upstream: any Allocator) throws -> SlabArena {
        try SlabArena(startChunkSize: 48, slabSize: 8192, growthFactor: 1.6, upstream: upstream)
    }

    @Test func overUpstreams() throws {
        let makers: [() throws -> any Allocator] = [
            { PageAllocator() },
            { PageAllocator(guardPages: true) },
            { AnyAllocator(SystemAllocator()) },
            { Synchronized(SystemAllocator()) },
            { ArenaAllocator() },
            { GuardAllocator(catching: .overrun) },
            { GuardAllocator(catching: .underrun) },
            { TrackingAllocator() },
            { try QuotaAllocator(limit: 100 << 20) },
            { try FixedBlockAllocator(blockSize: 32768, alignment: 16) },
            { try FixedBlockAllocator(blockSize: 16384, alignment: 8192, upstream: PageAllocator()) },
            { try TieredAllocator(blockSizes: [10_000, 20_000, 40_000]) },
            { try ThresholdAllocator(threshold: 9000, small: SystemAllocator(), large: PageAllocator()) },
            { FallbackAllocator(primary: try FixedBlockAllocator(blockSize: 12_288), secondary: SystemAllocator()) },
            { FallbackAllocator(primary: ArenaAllocator(), secondary: try FixedBlockAllocator(blockSize: 30_000)) },
            { try SlabArena(startChunkSize: 4096, slabSize: 1 << 17, growthFactor: 1.3, alignment: 64) },
        ]
        for make in makers {
            try checkAllocator(sequences: 3, steps: 200, traits: traits(8192, 8)) { try makeArena(over: make()) }
            // Everything goes back.
            let upstream = try make()
            let arena = try makeArena(over: upstream)
            let chunks = try (0..<300).map { try arena.allocateChunk(byteCount: $0 * 27) }
            arena.checkInvariants()
            for chunk in chunks { arena.release(chunk) }
            try arena.close()
            try upstream.close()
        }
    }

    // MARK: - As a part

    private func arena(_ start: Int = 16, _ slabSize: Int = 4096, alignment: Int = 8) throws -> SlabArena {
        try SlabArena(
            startChunkSize: start, slabSize: slabSize, growthFactor: 1.5, alignment: alignment,
            upstream: SystemAllocator())
    }

    private let anySize = AllocatorTraits.with { $0.givesGoodSize = false }

    @Test(arguments: [1, 2] as [UInt64]) func inThresholds(_ seed: UInt64) throws {
        // A request below the threshold may be given more than it.
        try checkAllocator(seed: seed, traits: anySize) {
            try ThresholdAllocator(threshold: 1024, small: arena(), large: SystemAllocator())
        }
        try checkAllocator(seed: seed) {
            try ThresholdAllocator(threshold: 64, small: FixedBlockAllocator(blockSize: 64), large: arena())
        }
        try checkAllocator(seed: seed) {
            try ThresholdAllocator(threshold: 4096, small: arena(), large: arena(512, 16384))
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func inFallbacks(_ seed: UInt64) throws {
        try checkAllocator(seed: seed, traits: anySize) {
            FallbackAllocator(primary: try arena(), secondary: SystemAllocator())
        }
        // A slab whose block ends before the next multiple of its alignment has malloc's blocks behind it.
        try checkAllocator(seed: seed, traits: anySize) {
            FallbackAllocator(primary: try arena(16, 4112), secondary: SystemAllocator())
        }
        try checkAllocator(seed: seed, traits: anySize) {
            FallbackAllocator(primary: try FixedBlockAllocator(blockSize: 64), secondary: try arena(16, 8200))
        }
        try checkAllocator(seed: seed, traits: anySize) {
            FallbackAllocator(primary: try arena(16, 520), secondary: try arena(16, 4112))
        }
        try checkAllocator(seed: seed, traits: anySize) {
            FallbackAllocator(primary: AnyAllocator(try arena()), secondary: AnyAllocator(ArenaAllocator()))
        }
    }

    /// Parts that take their memory from one pool of pages, or one from the other.
    @Test(arguments: [1, 2] as [UInt64]) func withSharedMemory(_ seed: UInt64) throws {
        let shared = AllocatorTraits.with {
            $0.givesGoodSize = false
            $0.leakReporting = .nothing
        }
        try checkAllocator(seed: seed, traits: shared) {
            let pages = PageAllocator()
            let arena = try SlabArena(startChunkSize: 32, slabSize: 4096, upstream: pages)
            return FallbackAllocator(primary: arena, secondary: pages)
        }
        try checkAllocator(seed: seed, traits: shared) {
            let arena = try SlabArena(startChunkSize: 512, slabSize: 16384, alignment: 16, upstream: SystemAllocator())
            return try ThresholdAllocator(
                threshold: 64, small: FixedBlockAllocator(blockSize: 64, pageSize: 640, upstream: arena), large: arena)
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func underCombinators(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { try QuotaAllocator(limit: 100_000, upstream: arena()) }
        try checkAllocator(seed: seed) { TrackingAllocator(upstream: try arena(16, 16384)) }
        try checkAllocator(seed: seed) { ArenaAllocator(upstream: try arena()) }
        try checkAllocator(seed: seed) { AnyAllocator(try arena()) }
        try checkAllocator(seed: seed) { Synchronized(try arena()) }
        try checkSharedAllocator(seed: seed) { Synchronized(try arena()) }
        try checkAllocator(seed: seed) {
            try TieredAllocator(blockSizes: [16, 48, 200], pageSize: 2000, upstream: arena(16, 16384, alignment: 16))
        }
    }
}
