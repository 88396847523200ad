// Combinators whose parts share memory: one is the other's upstream, or both have the same.

import AllocatorTestKit
import Mallow
import Testing

@testable import ComposableAllocators

@Suite struct SharedPartsTests {
    typealias Pool = FixedBlockAllocator<SystemAllocator>

    /// What the upstream part holds for the other is no leak, though it looks like one.
    private let shared = AllocatorTraits.with {
        $0.givesGoodSize = false
        $0.leakReporting = .nothing
    }

    private func pool(_ blockSize: Int) throws -> Pool { try Pool(blockSize: blockSize, alignment: 16) }

    private func check<A: Allocator>(_ seed: UInt64, _ make: () throws -> A) throws {
        try checkAllocator(seed: seed, traits: shared, make: make)
        let allocator = try make()
        exercise(allocator, seed: seed, largest: 200, givesGoodSize: false)
        try allocator.close()
        let any = AnyAllocator(allocator)
        exercise(any, seed: seed + 100, largest: 200, givesGoodSize: false)
        #expect(allocator.tryAllocate(byteCount: 1, alignment: 1).map { allocator.deallocate($0) } != nil)
        try any.close()
        // Behind a further combinator, which asks this one.
        let outer = FallbackAllocator(primary: allocator, secondary: ArenaAllocator())
        exercise(outer, seed: seed + 200, largest: 200, givesGoodSize: false)
        try outer.close()
    }

    @Test(arguments: [1, 2] as [UInt64]) func pagesAndAPoolOverThem(_ seed: UInt64) throws {
        try check(seed) {
            let pages = PageAllocator()
            return try ThresholdAllocator(
                threshold: 8192, small: pages, large: FixedBlockAllocator(blockSize: 16384, upstream: pages))
        }
        try check(seed) {
            let pages = PageAllocator()
            return try ThresholdAllocator(
                threshold: 64, small: FixedBlockAllocator(blockSize: 64, upstream: pages), large: pages)
        }
        try check(seed) {
            let pages = PageAllocator()
            return try ThresholdAllocator(
                threshold: 64, small: TieredAllocator(blockSizes: [16, 32], upstream: pages), large: pages)
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func aPoolAndAnArenaOverIt(_ seed: UInt64) throws {
        try check(seed) {
            let pool = try self.pool(512)
            return try ThresholdAllocator(threshold: 64, small: pool, large: ArenaAllocator(upstream: pool))
        }
        try check(seed) {
            let pool = try self.pool(512)
            return FallbackAllocator(primary: ArenaAllocator(upstream: pool), secondary: pool)
        }
        try check(seed) {
            let pool = try self.pool(512)
            return FallbackAllocator(
                primary: AnyAllocator(ArenaAllocator(upstream: UnretainedAllocator(pool))),
                secondary: AnyAllocator(pool))
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func aQuotaAndItsUpstream(_ seed: UInt64) throws {
        try check(seed) {
            let pool = try self.pool(512)
            return FallbackAllocator(primary: try QuotaAllocator(limit: 2048, upstream: pool), secondary: pool)
        }
        // Both know no more than the addresses of their blocks.
        try check(seed) {
            let pages = PageAllocator()
            return FallbackAllocator(primary: try QuotaAllocator(limit: 65536, upstream: pages), secondary: pages)
        }
        let pool = try self.pool(64)
        let quota = try QuotaAllocator(limit: 64, upstream: pool)
        let allocator = FallbackAllocator(primary: quota, secondary: pool)
        let blocks = try (0..<3).map { _ in try allocator.allocate(byteCount: 40) }
        #expect(quota.liveBytes == 64 && pool.statistics.liveBlocks == 3)
        #expect(blocks.allSatisfy { allocator.owns($0.baseAddress!) } && allocator.hasPrefix)
        for block in blocks.reversed() { allocator.deallocate(block) }
        #expect(quota.liveBytes == 0 && quota.brokenInvariant() == nil && pool.statistics.liveBlocks == 0)
        try allocator.close()
    }

    /// Parts over one upstream that is no part share nothing but what they hold of it: full-sized blocks, no prefix.
    @Test func poolsOverOneUpstreamStayAsTheyAre() throws {
        let pages = PageAllocator()
        let (small, large) = (
            try FixedBlockAllocator(blockSize: 64, upstream: pages),
            try FixedBlockAllocator(blockSize: 256, upstream: pages)
        )
        let allocator = try ThresholdAllocator(threshold: 64, small: small, large: large)
        #expect(allocator._tellsOwn && allocator.relation.isApart)
        let blocks = [try allocator.allocate(byteCount: 64), try allocator.allocate(byteCount: 256)]
        #expect(small.statistics.liveBlocks == 1 && large.statistics.liveBlocks == 1)
        for block in blocks { allocator.deallocate(block) }
        try allocator.close()
        // A pool before its upstream is asked first, and keeps its block size too.
        let before = FallbackAllocator(primary: small, secondary: pages)
        #expect(!before.hasPrefix && before.asksFirst)
        let after = FallbackAllocator(primary: pages, secondary: small)
        #expect(!after.hasPrefix && !after.asksFirst && after._tellsOwn)
        let same = FallbackAllocator(primary: small, secondary: small)
        #expect(!same.hasPrefix && same.asksFirst)
        for block in [try before.allocate(byteCount: 64), try before.allocate(byteCount: 4096)] {
            before.deallocate(block)
        }
        #expect(small.statistics.liveBlocks == 0)
        try before.close()
    }

    @Test func freeAllGoesDownstreamFirst() throws {
        let pages = PageAllocator()
        let pool = try FixedBlockAllocator(blockSize: 64, upstream: pages)
        for _ in 0..<2 {
            let before = FallbackAllocator(primary: pool, secondary: pages)
            let after = FallbackAllocator(primary: pages, secondary: pool)
            for _ in 0..<10 {
                _ = try before.allocate(byteCount: 64)
                _ = try after.allocate(byteCount: 5000)
            }
            before.freeAll()
            #expect(pool.brokenInvariant() == nil && pages.statistics.liveBlocks == 0)
            _ = try pool.allocate(byteCount: 8)
            _ = try after.allocate(byteCount: 5000)
            after.freeAll()
            #expect(pool.brokenInvariant() == nil && pages.statistics.liveBlocks == 0)
        }
    }

    @Test(arguments: [false, true]) func closingIsIndependentOfTheOrder(_ isSwapped: Bool) throws {
        let pages = PageAllocator()
        let pool = try FixedBlockAllocator(blockSize: 64, upstream: pages)
        func run<A: Allocator>(_ allocator: A) throws {
            let small = try #require(pool.tryAllocate(byteCount: 64, alignment: 8))
            small.initializeMemory(as: UInt8.self, repeating: 7)
            #expect(throws: LeakError.self) { try allocator.close() }
            // Nothing that is live was freed.
            #expect(small.allSatisfy { $0 == 7 } && pool.statistics.liveBlocks == 1)
            pool.deallocate(small)
            let page = try pages.allocate(byteCount: 10)
            let leak = LeakError(allocator: "PageAllocator", blocks: 1, bytes: page.count)
            #expect(throws: leak) { try allocator.close() }
            pages.deallocate(page)
            _ = try #require(pool.tryAllocate(byteCount: 64, alignment: 8)).baseAddress.map { pool.deallocate($0) }
            #expect(allocator.findLeaks() != nil)
            try allocator.close()
            #expect(allocator.findLeaks() == nil && pages.statistics.liveBlocks == 0)
        }
        if isSwapped {
            try run(FallbackAllocator(primary: pages, secondary: pool))
            try run(
                FallbackAllocator(
                    primary: FallbackAllocator(primary: pages, secondary: pool), secondary: SystemAllocator()))
        } else {
            try run(FallbackAllocator(primary: pool, secondary: pages))
            try run(
                try ThresholdAllocator(
                    threshold: 8, small: ArenaAllocator(), large: FallbackAllocator(primary: pool, secondary: pages)))
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func leaksDoNotCountThePrefix(_ seed: UInt64) throws {
        try checkAllocator(seed: seed, maximumAlignment: 8) {
            try ThresholdAllocator(threshold: 64, small: ArenaAllocator(), large: ArenaAllocator())
        }
        try checkAllocator(seed: seed, maximumAlignment: 8) {
            try ThresholdAllocator(threshold: 64, small: ArenaAllocator(), large: SystemAllocator())
        }
        try checkAllocator(seed: seed, maximumAlignment: 8, traits: .with { $0.givesGoodSize = false }) {
            FallbackAllocator(primary: try PerThread(blockSize: 64), secondary: ArenaAllocator())
        }
        let allocator = try ThresholdAllocator(threshold: 64, small: ArenaAllocator(), large: ArenaAllocator())
        let blocks = try [0, 10, 64, 65, 1000].map { try allocator.allocate(byteCount: $0) }
        let leak = LeakError(
            allocator: "ArenaAllocator, ArenaAllocator", blocks: 5, bytes: blocks.reduce(0) { $0 + $1.count })
        #expect(allocator.findLeaks() == leak)
        #expect(throws: leak) { try allocator.close() }
        for block in blocks { allocator.deallocate(block) }
        try allocator.close()
    }

    @Test(arguments: [1, 2] as [UInt64]) func widerAlignmentsBehindAPrefixToo(_ seed: UInt64) throws {
        let unknown = AllocatorTraits.with {
            $0.givesGoodSize = false
            $0.leakReporting = .nothing
        }
        try checkAllocator(seed: seed, traits: unknown) {
            try ThresholdAllocator(threshold: 64, small: ArenaAllocator(), large: ArenaAllocator())
        }
        try checkAllocator(seed: seed, traits: unknown) {
            FallbackAllocator(primary: try PerThread(blockSize: 64), secondary: ArenaAllocator())
        }
    }

    @Test func aQuotaTakesNoBlockThatItNeverGave() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let pool = try FixedBlockAllocator(blockSize: 64)
            let quota = try QuotaAllocator(limit: 1000, upstream: pool)
            quota.deallocate(try pool.allocate(byteCount: 64))
        }
        #expect(says(result?.standardErrorContent, "QuotaAllocator: 0x"))
        #expect(says(result?.standardErrorContent, "is not of this allocator: less is live than its block has"))
    }
}
