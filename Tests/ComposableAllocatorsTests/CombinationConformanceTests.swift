// The combinators held to the whole contract, alone and in each other.

import AllocatorTestKit
import Mallow
import Testing

@Suite struct CombinationConformanceTests {
    @Test(arguments: [1, 2] as [UInt64]) func thresholds(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) {
            try ThresholdAllocator(threshold: 64, small: SystemAllocator(), large: SystemAllocator())
        }
        try checkAllocator(seed: seed) {
            try ThresholdAllocator(
                threshold: 64, small: FixedBlockAllocator(blockSize: 64), large: SystemAllocator())
        }
        try checkAllocator(seed: seed) {
            try ThresholdAllocator(
                threshold: 64, small: FixedBlockAllocator(blockSize: 64, alignment: 16),
                large: FixedBlockAllocator(blockSize: 4096, alignment: 16))
        }
        try checkAllocator(seed: seed) {
            try ThresholdAllocator(
                threshold: 104, small: FixedBlockAllocator(blockSize: 104), large: ArenaAllocator())
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func fallbacks(_ seed: UInt64) throws {
        let anySize = AllocatorTraits.with { $0.givesGoodSize = false }
        try checkAllocator(seed: seed) {
            FallbackAllocator(primary: SystemAllocator(), secondary: SystemAllocator())
        }
        try checkAllocator(seed: seed, traits: anySize) {
            FallbackAllocator(primary: try FixedBlockAllocator(blockSize: 64), secondary: SystemAllocator())
        }
        try checkAllocator(seed: seed, traits: anySize) {
            FallbackAllocator(
                primary: try FixedBlockAllocator(blockSize: 16),
                secondary: FallbackAllocator(
                    primary: try FixedBlockAllocator(blockSize: 64), secondary: try FixedBlockAllocator(blockSize: 512))
            )
        }
        try checkAllocator(seed: seed, traits: anySize) {
            FallbackAllocator(
                primary: try QuotaAllocator(limit: 2000, upstream: FixedBlockAllocator(blockSize: 100)),
                secondary: ArenaAllocator())
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func arenas(_ seed: UInt64) throws {
        try checkAllocator(seed: seed) { ArenaAllocator() }
        try checkAllocator(seed: seed) {
            ArenaAllocator(upstream: try FixedBlockAllocator(blockSize: 128, alignment: 16))
        }
        try checkAllocator(seed: seed) { ArenaAllocator(upstream: ArenaAllocator()) }
        try checkAllocator(seed: seed) { ArenaAllocator(upstream: AnyAllocator(SystemAllocator())) }
    }

    @Test(arguments: [1, 2] as [UInt64]) func quotas(_ seed: UInt64) throws {
        // malloc gives more than it says beforehand.
        let anySize = AllocatorTraits.with { $0.givesGoodSize = false }
        try checkAllocator(seed: seed, traits: anySize) { try QuotaAllocator(limit: .max) }
        try checkAllocator(seed: seed, traits: anySize) { try QuotaAllocator(limit: 100_000) }
        try checkAllocator(seed: seed) {
            try QuotaAllocator(limit: 10_000, upstream: FixedBlockAllocator(blockSize: 48))
        }
        try checkAllocator(seed: seed, traits: anySize) {
            try QuotaAllocator(
                limit: 100_000,
                upstream: ThresholdAllocator(
                    threshold: 64, small: SystemAllocator(), large: ArenaAllocator(upstream: SystemAllocator())))
        }
        try checkAllocator(seed: seed) {
            try QuotaAllocator(
                limit: .max,
                upstream: QuotaAllocator(limit: .max, upstream: ArenaAllocator(upstream: SystemAllocator())))
        }
    }
}
