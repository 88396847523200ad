// A limit is reached and not passed, whatever is allocated, freed, resized or refused.

import Mallow
import Testing

@testable import ComposableAllocators

@Suite struct QuotaAllocatorTests {
    private func holds<A>(_ quota: QuotaAllocator<A>, _ blocks: Int, _ bytes: Int) -> Bool {
        let statistics = quota.statistics
        return quota.brokenInvariant() == nil && statistics.liveBlocks == blocks && statistics.liveBytes == bytes
            && statistics.freeBytes == 0 && quota.liveBytes == bytes && bytes <= quota.limit
            && statistics.peakBytes >= bytes && statistics.totalBytes >= statistics.peakBytes
    }

    @Test(arguments: 1...3) func randomSequencesKeepTheLimit(_ seed: UInt64) throws {
        func run<A: Allocator>(_ upstream: A, _ source: PlainSource?) throws {
            for limit in [0, 500, 4000, .max] {
                let quota = try QuotaAllocator(limit: limit, upstream: upstream)
                let check = { (blocks: Int, bytes: Int) in
                    holds(quota, blocks, bytes) && (source.map { $0.live.count == blocks } ?? true)
                }
                exercise(quota, seed: seed, check: check)
                exercise(AnyAllocator(quota), seed: seed, check: check)
                try quota.close()
            }
        }
        let (plain, able) = (PlainSource(granularity: 24), AbleSource(granularity: 40))
        try run(plain, plain)
        try run(able, able.source)
        try run(AnyAllocator(able), able.source)
        try run(SystemAllocator(), nil)
        try run(ArenaAllocator(upstream: plain), plain)
    }

    @Test func theLimitIsReachedAndNotPassed() throws {
        for upstream in [AnyAllocator(PlainSource()), AnyAllocator(AbleSource())] {
            let quota = try QuotaAllocator(limit: 100, upstream: upstream)
            let first = try quota.allocate(byteCount: 60)
            #expect(reason(quota, 41) == .quotaExceeded(limit: 100) && reason(quota, 40) == nil)
            #expect(quota.tryAllocate(byteCount: 41, alignment: 1) == nil)
            #expect(reason(quota, .max) == .quotaExceeded(limit: 100) && reason(quota, 0) == nil)
            let second = try quota.allocate(byteCount: 40)
            #expect(reason(quota, 1) == .quotaExceeded(limit: 100) && reason(quota, 0) == nil)
            #expect(quota.statistics.peakBytes == 100 && quota.statistics.peakBlocks == 3)
            #expect(throws: LeakError(allocator: "QuotaAllocator", blocks: 2, bytes: 100)) { try quota.close() }
            quota.deallocate(first)
            quota.deallocate(second)
            try quota.close()
            #expect(upstream.findLeaks() == nil)
        }
    }

    @Test func whatIsGrantedCounts() throws {
        let pool = try FixedBlockAllocator(blockSize: 64)
        let quota = try QuotaAllocator(limit: 130, upstream: pool)
        let blocks = try (0..<2).map { _ in try quota.allocate(byteCount: 1) }
        #expect(quota.liveBytes == 128 && reason(quota, 2) == .quotaExceeded(limit: 130))
        #expect(pool.statistics.liveBlocks == 2 && quota.goodSize(for: 1) == 64)
        #expect(quota.owns(blocks[0].baseAddress!) && quota._tellsOwn)
        var foreign = 0
        #expect(!quota._deallocateIfOwned(&foreign) && quota._deallocateIfOwned(blocks[0].baseAddress!))
        #expect(quota.liveBytes == 64)
        quota.deallocate(blocks[1])
        try pool.close()
    }

    @Test func theLimitMayChange() throws {
        let quota = try QuotaAllocator(limit: 10)
        #expect(reason(quota, 2000) == .quotaExceeded(limit: 10))
        quota.limit = .max
        let block = try quota.allocate(byteCount: 2000)
        #expect(quota.liveBytes == block.count)
        quota.limit = 100
        #expect(quota.limit == 100 && reason(quota, 0) == .quotaExceeded(limit: 100))
        quota.deallocate(block)
        #expect(reason(quota, 8) == nil && quota.liveBytes == 0)
    }

    @Test func upstreamsFailureLosesNothing() throws {
        for able in [false, true] {
            for failing in 0..<4 {
                let source = AbleSource()
                source.source.failingRequest = failing
                let quota = try QuotaAllocator(
                    limit: 1000, upstream: able ? AnyAllocator(source) : AnyAllocator(source.source))
                let blocks = (0..<4).compactMap { quota.tryAllocate(byteCount: $0 * 10, alignment: 64) }
                #expect(blocks.count == 3 && quota.statistics.liveBlocks == 3)
                #expect(quota.liveBytes == 60 - failing * 10 && quota.brokenInvariant() == nil)
                for block in blocks { quota.deallocate(block) }
                #expect(quota.liveBytes == 0 && source.source.live.isEmpty)
            }
        }
    }

    @Test func resizingCounts() throws {
        let able = try QuotaAllocator(limit: 150, upstream: AbleSource(granularity: 100))
        let whole = try able.allocate(byteCount: 100).baseAddress!
        #expect(able.resize(whole, byteCount: 60)?.count == 100 && able.resize(whole, byteCount: 101) == nil)
        #expect(able.liveBytes == 100)
        able.deallocate(whole)
        let source = RegrowingSource()
        let quota = try QuotaAllocator(limit: 1000, upstream: source)
        let block = try quota.allocate(byteCount: 100).baseAddress!
        #expect(quota.resize(block, byteCount: 400)?.count == 400 && quota.liveBytes == 400)
        #expect(quota.resize(block, byteCount: 1001) == nil && quota.liveBytes == 400)
        #expect(quota.resize(block, byteCount: 50)?.count == 50 && quota.liveBytes == 50)
        #expect(quota.statistics.peakBytes == 400 && quota.statistics.totalBytes == 400)
        // Upstream rounds up beyond the limit: it is put back.
        source.rounding = 600
        #expect(quota.resize(block, byteCount: 700) == nil)
        #expect(quota.byteCount(of: block) == quota.liveBytes && quota.liveBytes <= 1000)
        quota.deallocate(block)
        #expect(quota.liveBytes == 0 && quota.statistics.overheadBytes == 0)
    }

    @Test func whatCanNeverBeServedThrows() throws {
        let meter = try QuotaAllocator(limit: .max, upstream: PlainSource())
        #expect(reason(meter, .max) == .tooLarge(limit: 1 << 48 - 1))
        #expect(reason(meter, 1 << 47, 1 << 20) == .outOfMemory)
        #expect(reason(meter, 1, 3) == .invalidAlignment && reason(meter, 1, 0) == .invalidAlignment)
        #expect(reason(try QuotaAllocator(limit: .max), .max) == .outOfMemory)
        #expect(reason(try QuotaAllocator(limit: .max), 1, 3) == .invalidAlignment)
        #expect(meter.liveBytes == 0 && meter.goodSize(for: .max) == .max)
        let error = ConfigurationError(
            allocator: "QuotaAllocator", argument: "limit", value: -1, requirement: "at least 0")
        #expect(throws: error) { try QuotaAllocator(limit: -1) }
    }

    @Test func itWorksAsAnExistential() throws {
        let quota: any MeasuredAllocator = try QuotaAllocator(limit: .max)
        let block = try quota.allocate(byteCount: 100, alignment: 4096)
        #expect(block.count >= 100 && quota.statistics.liveBytes == block.count)
        quota.deallocate(block)
        try quota.close()
    }

    @Test func aDoubleFreeBehindAPrefixTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let pool = try FixedBlockAllocator(blockSize: 64)
            let quota = try QuotaAllocator(limit: 100, upstream: Unknowing(pool: pool))
            let block = try quota.allocate(byteCount: 8)
            quota.deallocate(block)
            quota.deallocate(block)
        }
        #expect(says(result?.standardErrorContent, "QuotaAllocator: 0x"))
        #expect(says(result?.standardErrorContent, "is not live: it was freed already, or never allocated"))
    }

    @Test func aNegativeLimitTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            try QuotaAllocator(limit: 100).limit = -5
        }
        #expect(says(result?.standardErrorContent, "QuotaAllocator: limit is -5 and must be at least 0"))
    }
}

/// Blocks of 2,000 bytes that can be resized within them, and rounds what they are resized to.
final class RegrowingSource: ResizableAllocator {
    var rounding = 1
    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let block = try SystemAllocator().allocate(byteCount: 2000, alignment: alignment)
        return UnsafeMutableRawBufferPointer(start: block.baseAddress, count: byteCount)
    }
    func deallocate(_ pointer: UnsafeMutableRawPointer) { SystemAllocator().deallocate(pointer) }
    func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        let rounded = (byteCount + rounding - 1) / rounding * rounding
        return rounded > 2000 ? nil : UnsafeMutableRawBufferPointer(start: pointer, count: rounded)
    }
}
