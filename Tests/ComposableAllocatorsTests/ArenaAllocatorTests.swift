// An arena over an upstream that counts: random sequences with the invariants, what is left at the end, upstreams that
// fail.

import Mallow
import Testing

@testable import ComposableAllocators

@Suite struct ArenaAllocatorTests {
    /// What must hold of an arena at every moment.
    private func holds<A>(_ arena: ArenaAllocator<A>, _ blocks: Int, _ bytes: Int) -> Bool {
        let statistics = arena.statistics
        return arena.brokenInvariant() == nil && statistics.liveBlocks == blocks && statistics.liveBytes == bytes
            && statistics.freeBytes == 0 && statistics.overheadBytes >= 24 * blocks
            && statistics.peakBlocks >= blocks && statistics.totalBlocks >= statistics.peakBlocks
    }

    @Test(arguments: 1...3) func randomSequencesKeepAllInvariants(_ seed: UInt64) throws {
        for granularity in [1, 48] {
            let source = PlainSource(granularity: granularity)
            let arena = ArenaAllocator(upstream: source)
            exercise(arena, seed: seed) { blocks, bytes in
                holds(arena, blocks, bytes) && source.live.count == blocks
                    && source.live.values.reduce(0, +) == arena.statistics.heldBytes
            }
            exercise(AnyAllocator(arena), seed: seed) { blocks, bytes in holds(arena, blocks, bytes) }
            exercise(ArenaAllocator(upstream: AnyAllocator(arena)), seed: seed) { _, _ in
                arena.brokenInvariant() == nil
            }
            try arena.close()
        }
    }

    @Test func freeAllFreesWhatIsLeft() throws {
        let source = PlainSource()
        let arena = ArenaAllocator(upstream: source)
        for round in 1...3 {
            let blocks = try (0..<20).map { try arena.allocate(byteCount: $0, alignment: 1 << ($0 % 13)) }
            for index in stride(from: 0, to: 20, by: 3) { arena.deallocate(blocks[index]) }
            #expect(source.live.count == 13 && arena.brokenInvariant() == nil)
            arena.freeAll()
            #expect(source.live.isEmpty && holds(arena, 0, 0))
            #expect(arena.statistics.peakBlocks == 20 && arena.statistics.peakBytes == 190)
            #expect(arena.statistics.totalBlocks == 20 * round && arena.statistics.totalBytes == 190 * round)
            #expect(arena.statistics.heldBytes == 0 && arena.statistics.overheadBytes == 0)
        }
        arena.freeAll()
        try arena.close()
    }

    @Test func deinitFreesWhatIsLeft() throws {
        let source = PlainSource()
        do {
            let arena = ArenaAllocator(upstream: source)
            for size in 0..<10 { _ = try arena.allocate(byteCount: size) }
            #expect(source.live.count == 10)
        }
        #expect(source.live.isEmpty)
    }

    @Test func closingThrowsWhileBlocksAreLive() throws {
        let source = PlainSource()
        let arena = ArenaAllocator(upstream: source)
        let block = try arena.allocate(byteCount: 40)
        #expect(throws: LeakError(allocator: "ArenaAllocator", blocks: 1, bytes: 40)) { try arena.close() }
        #expect(source.live.count == 1)
        arena.deallocate(block)
        try arena.close()
        #expect(reason(arena, 1) == nil)
    }

    @Test func theSizeThatUpstreamNeeds() throws {
        typealias Arena = ArenaAllocator<FixedBlockAllocator<SystemAllocator>>
        #expect(Arena.upstreamByteCount(for: 64) == 88 && Arena.upstreamByteCount(for: 64, alignment: 16) == 96)
        #expect(Arena.upstreamByteCount(for: 0, alignment: 1) == 24)
        #expect(Arena.upstreamByteCount(for: 1, alignment: 4096) == 4097)
        #expect(Arena.upstreamByteCount(for: .max) == .max)
        let pool = try FixedBlockAllocator(blockSize: Arena.upstreamByteCount(for: 64))
        let arena = ArenaAllocator(upstream: pool)
        #expect(arena.goodSize(for: 3) == 64)
        for _ in 0..<3 {
            #expect(try arena.allocate(byteCount: 64).count == 64)
            #expect(try arena.allocate(byteCount: 1).count == 64)
            #expect(pool.statistics.liveBlocks == 2)
            arena.freeAll()
            #expect(pool.statistics.liveBlocks == 0 && pool.brokenInvariant() == nil)
        }
        #expect(reason(arena, 65) == .tooLarge(limit: 88))
        try pool.close()
    }

    @Test func upstreamsFailureLosesNothing() throws {
        for failing in 0..<5 {
            let source = PlainSource()
            source.failingRequest = failing
            let arena = ArenaAllocator(upstream: source)
            var served = 0
            for size in 0..<5 where arena.tryAllocate(byteCount: size * 100, alignment: 16) != nil { served += 1 }
            #expect(served == 4 && source.live.count == 4 && arena.brokenInvariant() == nil)
            #expect(arena.statistics.liveBlocks == 4 && arena.statistics.totalBlocks == 4)
            arena.freeAll()
            #expect(source.live.isEmpty)
        }
    }

    @Test func whatCanNeverBeServedThrows() {
        let arena = ArenaAllocator()
        let largest = 1 << 48 - 1
        #expect(reason(arena, .max) == .tooLarge(limit: largest))
        #expect(reason(arena, largest + 1) == .tooLarge(limit: largest))
        #expect(reason(arena, 8, 1 << 62) == .outOfMemory)
        #expect(reason(arena, 8, 0) == .invalidAlignment && reason(arena, 8, 24) == .invalidAlignment)
        #expect(reason(arena, 8, -8) == .invalidAlignment && reason(arena, 0, 1) == nil)
        #expect(arena.goodSize(for: .max) == .max && arena.goodSize(for: 5) == 5)
    }

    @Test func resizingInPlaceIsCounted() throws {
        let arena = ArenaAllocator(upstream: ResizingSource(granularity: 128))
        let block = try arena.allocate(byteCount: 10, alignment: 16)
        let pointer = block.baseAddress!
        #expect(block.count == 96 && arena.resize(pointer, byteCount: 96)?.count == 96)
        #expect(arena.resize(pointer, byteCount: 97) == nil && arena.resize(pointer, byteCount: .max) == nil)
        #expect(arena.byteCount(of: pointer) == 96 && holds(arena, 1, 96))
        arena.deallocate(pointer)
        let over = ArenaAllocator(upstream: SystemAllocator())
        let wide = try over.allocate(byteCount: 100).baseAddress!
        #expect(over.resize(wide, byteCount: 90)?.count == 90 && holds(over, 1, 90))
        #expect(over.resize(wide, byteCount: 100)?.count == 100 && holds(over, 1, 100))
        #expect(over.statistics.peakBytes == 100)
        over.deallocate(wide)
        #expect(holds(over, 0, 0))
    }

    @Test func itWorksAsAnExistential() throws {
        let arena: any ResettableAllocator = ArenaAllocator()
        let block = try arena.allocate(byteCount: 100, alignment: 64)
        #expect(block.count == 100)
        arena.deallocate(block)
        _ = try arena.allocate(byteCount: 1)
        arena.freeAll()
        try arena.close()
    }
}

@Suite struct ArenaAllocatorMisuseTests {
    @Test func aDoubleFreeTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = ArenaAllocator(upstream: try FixedBlockAllocator(blockSize: 64))
            let block = try arena.allocate(byteCount: 8)
            arena.deallocate(block)
            arena.deallocate(block)
        }
        let output = result?.standardErrorContent
        #expect(says(output, "ArenaAllocator: 0x"))
        #expect(says(output, "is not live: it was freed already, or never allocated"))
    }

    @Test func aFreeAfterFreeAllTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = ArenaAllocator(upstream: try FixedBlockAllocator(blockSize: 64))
            let block = try arena.allocate(byteCount: 8)
            arena.freeAll()
            arena.deallocate(block)
        }
        #expect(says(result?.standardErrorContent, "is not live: it was freed already, or never allocated"))
    }

    @Test func anotherArenasBlockTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arenas = [ArenaAllocator(), ArenaAllocator()]
            // Check bits agree by chance for one address in 512: not for four in a row, and a link would not either.
            let blocks = try (0..<4).map { _ in try arenas[0].allocate(byteCount: 8) }
            for block in blocks { arenas[1].deallocate(block) }
        }
        #expect(says(result?.standardErrorContent, "ArenaAllocator: 0x"))
        #expect(says(result?.standardErrorContent, "is not of this allocator"))
    }

    @Test func anOverwrittenLinkTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = ArenaAllocator()
            let first = try arena.allocate(byteCount: 8).baseAddress!
            let second = try arena.allocate(byteCount: 8).baseAddress!
            (second - 16).storeBytes(of: UInt(bitPattern: second), as: UInt.self)
            arena.deallocate(first)
        }
        #expect(!says(result?.standardErrorContent, "is not of this allocator, or was freed already"))
        #expect(says(result?.standardErrorContent, "or what is in front of it was overwritten"))
    }

    @Test func aNegativeSizeTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try ArenaAllocator().allocate(byteCount: -3)
        }
        #expect(
            says(result?.standardErrorContent, "ArenaAllocator: a request for a negative number of bytes (-3)"))
    }
}
