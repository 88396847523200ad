// What the primary does not serve goes to the secondary, and a free finds the part that the block is of.

import Mallow
import Testing

@testable import ComposableAllocators

@Suite struct FallbackAllocatorTests {
    @Test func theSecondaryServesWhatThePrimaryDoesNot() throws {
        let source = PageSource(room: 1)
        let pool = try FixedBlockAllocator(blockSize: 64, pageSize: 128, upstream: source)
        let rest = PlainSource()
        let allocator = FallbackAllocator(primary: pool, secondary: rest)
        let blocks = try [64, 0, 64, 65].map { try allocator.allocate(byteCount: $0) }
        // Two in the only page; then no memory; then too large.
        #expect(pool.statistics.liveBlocks == 2 && rest.live.count == 2)
        for block in blocks.reversed() { allocator.deallocate(block) }
        #expect(pool.statistics.liveBlocks == 0 && rest.live.isEmpty)
        try allocator.close()
        #expect(source.live.isEmpty)
    }

    @Test(arguments: 1...3) func aFreeFindsItsPartHoweverItIsComposed(_ seed: UInt64) throws {
        func run<Primary: Allocator, Secondary: Allocator>(
            _ primary: Primary, _ primarySource: PlainSource, _ secondary: Secondary, _ other: PlainSource
        ) throws {
            primarySource.largest = 90
            let allocator = FallbackAllocator(primary: primary, secondary: secondary)
            let check = { (blocks: Int, _: Int) in primarySource.live.count + other.live.count == blocks }
            exercise(allocator, seed: seed, givesGoodSize: false, check: check)
            exercise(AnyAllocator(allocator), seed: seed + 100, givesGoodSize: false, check: check)
            try allocator.close()
            primarySource.largest = .max
        }
        let (plain, otherPlain) = (PlainSource(granularity: 32), PlainSource())
        let (able, otherAble) = (AbleSource(granularity: 32), AbleSource())
        try run(plain, plain, otherPlain, otherPlain)
        try run(able, able.source, plain, plain)
        try run(plain, plain, able, able.source)
        try run(able, able.source, otherAble, otherAble.source)
        try run(AnyAllocator(plain), plain, AnyAllocator(able), able.source)
    }

    @Test func aLadderOfPools() throws {
        let pools = try [8, 32, 128].map { try FixedBlockAllocator(blockSize: $0, pageSize: $0 * 16) }
        let ladder = FallbackAllocator(
            primary: pools[0],
            secondary: FallbackAllocator(
                primary: pools[1], secondary: FallbackAllocator(primary: pools[2], secondary: SystemAllocator())))
        exercise(ladder, seed: 3, givesGoodSize: false) { _, _ in pools.allSatisfy { $0.brokenInvariant() == nil } }
        let blocks = try [8, 9, 32, 33, 128, 129].map { try ladder.allocate(byteCount: $0) }
        #expect(blocks.map(\.count) == [8, 32, 32, 128, 128, 129])
        #expect(pools.map(\.statistics.liveBlocks) == [1, 2, 2])
        #expect([0, 8, 9, 32, 33, 128, 129].map { ladder.goodSize(for: $0) } == [8, 8, 32, 32, 128, 128, 129])
        for block in blocks { ladder.deallocate(block) }
        // The other way round, where the part that is asked is a fallback that owns.
        let left = FallbackAllocator(
            primary: FallbackAllocator(primary: pools[0], secondary: pools[1]), secondary: SystemAllocator())
        #expect(left.primary._tellsOwn && !left._tellsOwn)
        exercise(left, seed: 4, givesGoodSize: false) { _, _ in pools.allSatisfy { $0.brokenInvariant() == nil } }
        try ladder.close()
        try left.close()
        #expect(pools.allSatisfy { $0.pageCount == 0 })
    }

    @Test func anyFailureLosesNothing() throws {
        for failing in 0..<6 {
            let primary = PlainSource()
            let secondary = PlainSource()
            let allocator = FallbackAllocator(primary: primary, secondary: secondary)
            primary.failingRequest = failing
            let blocks = try (0..<6).map { try allocator.allocate(byteCount: $0 * 10, alignment: 1 << $0) }
            #expect(primary.live.count == 5 && secondary.live.count == 1)
            for block in blocks { allocator.deallocate(block) }
            #expect(primary.live.isEmpty && secondary.live.isEmpty)
        }
    }

    @Test func theErrorIsTheSecondarys() throws {
        let primary = AbleSource()
        primary.source.largest = 10
        let secondary = AbleSource()
        secondary.source.largest = 50
        let allocator = FallbackAllocator(primary: primary, secondary: secondary)
        #expect(reason(allocator, 51) == .tooLarge(limit: 50) && reason(allocator, .max) == .tooLarge(limit: 50))
        #expect(reason(allocator, 11) == nil && reason(allocator, 8, 6) == .invalidAlignment)
        #expect(allocator.findLeaks() == nil)
        let prefixed = FallbackAllocator(primary: PlainSource(), secondary: PlainSource())
        #expect(reason(prefixed, .max) == .outOfMemory && reason(prefixed, 1, 5) == .invalidAlignment)
    }

    @Test func itCanDoWhatBothCan() throws {
        let both = FallbackAllocator(primary: AbleSource(granularity: 64), secondary: AbleSource(granularity: 16))
        both.primary.source.largest = 64
        let owning: any OwningAllocator = both
        let first = try both.allocate(byteCount: 20)
        let second = try both.allocate(byteCount: 65)
        #expect(first.count == 64 && second.count == 80 && both.goodSize(for: 20) == 64)
        #expect(owning.owns(first.baseAddress!) && owning.owns(second.baseAddress!))
        #expect(both.byteCount(of: first.baseAddress!) == 64 && both.byteCount(of: second.baseAddress!) == 80)
        #expect(both.resize(first.baseAddress!, byteCount: 64)?.count == 64)
        #expect(both.resize(second.baseAddress!, byteCount: 81) == nil)
        let leak = LeakError(allocator: "PlainSource, PlainSource", blocks: 2, bytes: 144)
        #expect(throws: leak) { try both.close() }
        #expect(both.primary.source.live.count == 1)
        both.freeAll()
        try both.close()
    }

    @Test func closingClosesNoPartWhereOneLeaks() throws {
        let pools = try [16, 64].map { try FixedBlockAllocator(blockSize: $0) }
        let allocator = FallbackAllocator(primary: pools[0], secondary: pools[1])
        let small = try allocator.allocate(byteCount: 16)
        let large = try allocator.allocate(byteCount: 17)
        allocator.deallocate(small)
        #expect(throws: LeakError(allocator: "FixedBlockAllocator", blocks: 1, bytes: 64)) { try allocator.close() }
        #expect(pools.map(\.pageCount) == [1, 1])
        allocator.deallocate(large)
        try allocator.close()
        #expect(pools.map(\.pageCount) == [0, 0])
    }

    @Test func aForeignPointerTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = FallbackAllocator(primary: PlainSource(), secondary: PlainSource())
            let memory = try SystemAllocator().allocate(UInt.self, count: 8)
            memory.initialize(repeating: 0x1234_5678_9abc_def0)
            allocator.deallocate(UnsafeMutableRawPointer(memory.baseAddress! + 4))
        }
        #expect(says(result?.standardErrorContent, "is not of this allocator, or was freed already"))
    }
}
