// A request goes to the side of its size, and a free finds the side that the block is of.

import Mallow
import Testing

@testable import ComposableAllocators

@Suite struct ThresholdAllocatorTests {
    @Test func aRequestGoesToItsSide() throws {
        let small = PlainSource()
        let large = PlainSource()
        let allocator = try ThresholdAllocator(threshold: 64, small: small, large: large)
        let blocks = try [0, 64, 65, 4096].map { try allocator.allocate(byteCount: $0) }
        #expect(small.live.count == 2 && large.live.count == 2)
        for block in blocks { allocator.deallocate(block) }
        #expect(small.live.isEmpty && large.live.isEmpty)
    }

    @Test(arguments: 1...3) func aFreeFindsItsSideHoweverItIsComposed(_ seed: UInt64) throws {
        func run<Small: Allocator, Large: Allocator>(
            _ small: Small, _ smallSource: PlainSource, _ large: Large, _ largeSource: PlainSource
        ) throws {
            let allocator = try ThresholdAllocator(threshold: 100, small: small, large: large)
            let check = { (blocks: Int, _: Int) in smallSource.live.count + largeSource.live.count == blocks }
            exercise(allocator, seed: seed, check: check)
            exercise(AnyAllocator(allocator), seed: seed + 100, check: check)
            #expect(allocator.findLeaks() == nil)
            try allocator.close()
        }
        for granularity in [1, 16] {
            let (plain, otherPlain) = (PlainSource(granularity: granularity), PlainSource())
            let (able, otherAble) = (AbleSource(granularity: granularity), AbleSource())
            try run(plain, plain, otherPlain, otherPlain)
            try run(able, able.source, plain, plain)
            try run(plain, plain, able, able.source)
            try run(able, able.source, otherAble, otherAble.source)
            try run(AnyAllocator(able), able.source, AnyAllocator(plain), plain)
            try run(AnyAllocator(plain), plain, AnyAllocator(otherPlain), otherPlain)
        }
    }

    @Test func threeLevels() throws {
        let pool = try FixedBlockAllocator(blockSize: 64, alignment: 16)
        let nested = try ThresholdAllocator(
            threshold: 200, small: FallbackAllocator(primary: pool, secondary: SystemAllocator()),
            large: ThresholdAllocator(threshold: 250, small: PlainSource(), large: SystemAllocator()))
        exercise(nested, seed: 7, givesGoodSize: false) { _, _ in pool.brokenInvariant() == nil }
        try nested.close()
    }

    @Test func itCanDoWhatBothCan() throws {
        let both = try ThresholdAllocator(threshold: 32, small: AbleSource(), large: AbleSource(granularity: 128))
        let owning: any OwningAllocator = both
        let sized: any SizeReportingAllocator = both
        let small = try both.allocate(byteCount: 20)
        let large = try both.allocate(byteCount: 100)
        var foreign = 0
        #expect(owning.owns(small.baseAddress!) && owning.owns(large.baseAddress!) && !owning.owns(&foreign))
        #expect(both._tellsOwn && both._tellsSizes && !both._deallocateIfOwned(&foreign))
        #expect(sized.byteCount(of: small.baseAddress!) == 20 && sized.byteCount(of: large.baseAddress!) == 128)
        #expect(both.resize(large.baseAddress!, byteCount: 4)?.count == 128)
        #expect(both.resize(small.baseAddress!, byteCount: 21) == nil)
        #expect(both.goodSize(for: 32) == 32 && both.goodSize(for: 33) == 128)
        let leak = LeakError(allocator: "PlainSource, PlainSource", blocks: 2, bytes: 148)
        #expect(both.findLeaks() == leak)
        #expect(throws: leak) { try both.close() }
        both.freeAll()
        try both.close()
        #expect(both.small.source.live.isEmpty && both.large.source.live.isEmpty)
        let half = try ThresholdAllocator(threshold: 32, small: AbleSource(), large: PlainSource())
        #expect(!half._tellsOwn && !half._tellsSizes)
    }

    @Test func prefixedBlocksAreResizedAndMeasured() throws {
        let source = ResizingSource(granularity: 64)
        let allocator = try ThresholdAllocator(threshold: 32, small: source, large: ResizingSource(granularity: 256))
        let block = try allocator.allocate(byteCount: 10, alignment: 32)
        #expect(block.count == 32 && allocator.goodSize(for: 10, alignment: 32) == 32)
        #expect(allocator.resize(block.baseAddress!, byteCount: 32)?.count == 32)
        #expect(allocator.resize(block.baseAddress!, byteCount: 33) == nil)
        #expect(allocator.resize(block.baseAddress!, byteCount: .max) == nil)
        allocator.deallocate(block)
        let system = try ThresholdAllocator(threshold: 32, small: SystemAllocator(), large: SystemAllocator())
        let measured = try system.allocate(byteCount: 100, alignment: 64).baseAddress!
        #expect(system.byteCount(of: measured) >= 100)
        system.deallocate(measured)
    }

    @Test func aGoodSizeStaysOnItsSide() throws {
        let pool = try FixedBlockAllocator(blockSize: 64)
        let allocator = try ThresholdAllocator(threshold: 48, small: pool, large: SystemAllocator())
        #expect(allocator.goodSize(for: 10) == 48 && allocator.goodSize(for: 49) == 49)
        let block = try allocator.allocate(byteCount: 48)
        #expect(block.count == 64 && pool.owns(block.baseAddress!))
        allocator.deallocate(block)
    }

    @Test func whatCannotBeServedThrowsAndNothingIsLost() throws {
        let small = PlainSource()
        let large = PlainSource()
        small.largest = 40
        let allocator = try ThresholdAllocator(threshold: 64, small: small, large: large)
        // With the prefix 33 bytes are 41.
        #expect(reason(allocator, 32) == nil && reason(allocator, 33) == .tooLarge(limit: 40))
        #expect(reason(allocator, .max) == .outOfMemory && reason(allocator, .max - 7) == .outOfMemory)
        #expect(reason(allocator, 1 << 62) == .outOfMemory)
        #expect(reason(allocator, 8, 3) == .invalidAlignment && reason(allocator, 100, 0) == .invalidAlignment)
        #expect(reason(allocator, 100, -8) == .invalidAlignment)
        large.failingRequest = large.requests
        #expect(allocator.tryAllocate(byteCount: 100, alignment: 8) == nil)
        #expect(small.live.isEmpty && large.live.isEmpty)
        #expect(reason(allocator, 100, 4096) == nil)
    }

    @Test func theThresholdIsValidated() throws {
        let error = ConfigurationError(
            allocator: "ThresholdAllocator", argument: "threshold", value: -1, requirement: "at least 0")
        #expect(throws: error) {
            try ThresholdAllocator(threshold: -1, small: SystemAllocator(), large: SystemAllocator())
        }
        let none = try ThresholdAllocator(threshold: 0, small: PlainSource(), large: PlainSource())
        #expect(reason(none, 0) == nil && none.small.requests == 1 && none.large.requests == 0)
    }

    @Test func anExistentialServes() throws {
        let allocator: any Allocator = try ThresholdAllocator(
            threshold: 8, small: SystemAllocator(), large: SystemAllocator())
        let block = try allocator.allocate(byteCount: 9)
        #expect(block.count == 9)
        allocator.deallocate(block)
        try allocator.close()
    }

    @Test func aDoubleFreeOfAPrefixedBlockTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            // A source that keeps the memory readable.
            let pool = try FixedBlockAllocator(blockSize: 64)
            let plain = Unknowing(pool: pool)
            let allocator = try ThresholdAllocator(threshold: 32, small: plain, large: plain)
            let block = try allocator.allocate(byteCount: 8)
            allocator.deallocate(block)
            allocator.deallocate(block)
        }
        let output = result?.standardErrorContent
        #expect(says(output, "ThresholdAllocator: 0x"))
        #expect(says(output, "is not live: it was freed already, or never allocated"))
    }

    @Test func aNegativeSizeTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = try ThresholdAllocator(threshold: 32, small: PlainSource(), large: PlainSource())
            _ = allocator.tryAllocate(byteCount: -1, alignment: 8)
        }
        #expect(
            says(result?.standardErrorContent, "ThresholdAllocator: a request for a negative number of bytes (-1)"))
    }
}

/// A pool that can do nothing but allocate and free: its freed memory stays readable.
struct Unknowing: Allocator {
    let pool: FixedBlockAllocator<SystemAllocator>
    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try pool.allocate(byteCount: byteCount, alignment: alignment)
    }
    func deallocate(_ pointer: UnsafeMutableRawPointer) { pool.deallocate(pointer) }
}
