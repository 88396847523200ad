// Ladders of pools: which tier serves, which is next, and what traps.

import Mallow
import Testing

@Suite struct TieredAllocatorTests {
    @Test func eachSizeGoesToTheFirstTierThatServesIt() throws {
        let ladder = try TieredAllocator(tiers: [
            BlockTier(blockSize: 4), BlockTier(blockSize: 24), BlockTier(blockSize: 256, pageSize: 2048),
        ])
        for (byteCount, granted) in [(0, 4), (1, 4), (4, 4), (5, 24), (24, 24), (25, 256), (256, 256)] {
            let block = try ladder.allocate(byteCount: byteCount, alignment: 1)
            #expect(block.count == granted && ladder.goodSize(for: byteCount, alignment: 1) == granted)
            ladder.deallocate(block)
        }
        // What no tier aligns far enough goes a step further.
        let block = try ladder.allocate(byteCount: 20, alignment: 16)
        #expect(block.count == 256 && ladder.goodSize(for: 20, alignment: 16) == 256)
        ladder.deallocate(block)
        let large = try ladder.allocate(byteCount: 257, alignment: 4096)
        #expect(large.count >= 257 && Int(bitPattern: large.baseAddress) % 4096 == 0)
        #expect(ladder.findLeaks()?.blocks == 1)
        ladder.deallocate(large)
        try ladder.close()
    }

    @Test(arguments: 1...6)
    func randomSequencesAgreeWithAModel(_ seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let source = PageSource()
        let ladder = try TieredAllocator(blockSizes: [8, 32, 48, 200], pageSize: 1000, upstream: source)
        var live: [(block: UnsafeMutableRawBufferPointer, mark: UInt8)] = []
        for step in 0..<4000 {
            if random.next() % 100 < (step / 500 % 2 == 0 ? 65 : 35) || live.isEmpty {
                let byteCount = Int(random.next() % 260)
                let block = try ladder.allocate(byteCount: byteCount)
                #expect(block.count >= byteCount)
                let mark = UInt8(truncatingIfNeeded: random.next())
                block.initializeMemory(as: UInt8.self, repeating: mark)
                live.append((block, mark))
                #expect(ladder.owns(block.baseAddress!))
            } else {
                let (block, mark) = live.remove(at: Int(random.next() % UInt64(live.count)))
                #expect(block.allSatisfy { $0 == mark })
                ladder.deallocate(block.baseAddress!)
            }
            for pool in ladder.pools { #expect(pool.brokenInvariant() == nil) }
        }
        #expect(ladder.findLeaks()?.blocks == (live.isEmpty ? nil : live.count))
        #expect(throws: LeakError.self) { try ladder.close() }
        for (block, _) in live { ladder.deallocate(block) }
        try ladder.close()
        #expect(source.live.isEmpty)
    }

    @Test func aTierWithoutMemoryLeavesTheRequestToTheNext() throws {
        let source = PageSource(room: 1)
        let ladder = try TieredAllocator(
            tiers: [BlockTier(blockSize: 8, pageSize: 16), BlockTier(blockSize: 64, pageSize: 64 * 4)],
            upstream: source)
        let blocks = try (0..<4).map { _ in try ladder.allocate(byteCount: 64) }
        // The source has no second page for the small blocks.
        #expect(throws: AllocationError.self) { try ladder.allocate(byteCount: 8) }
        ladder.deallocate(blocks[0])
        #expect(try ladder.allocate(byteCount: 8).count == 64)
    }

    @Test func argumentsAreValidated() {
        func error(_ make: () throws -> Void) -> String? {
            do { try make() } catch { return "\(error)" }
            return nil
        }
        #expect(
            error { _ = try TieredAllocator(blockSizes: []) }
                == "TieredAllocator: tiers is 0 and must be 1 to 255 tiers")
        #expect(
            error { _ = try TieredAllocator(blockSizes: [16, 16]) }
                == "TieredAllocator: blockSize is 16 and must be above the tier's before it (16)")
        #expect(
            error { _ = try TieredAllocator(blockSizes: [0]) }
                == "FixedBlockAllocator: blockSize is 0 and must be at least 1")
        #expect(
            error { _ = try TieredAllocator(tiers: [BlockTier(blockSize: 24, pageSize: 100)]) }
                == "FixedBlockAllocator: pageSize is 100 and must be a multiple of blockSize (24), and not 0")
        #expect(
            error { _ = try TieredAllocator(blockSizes: [1, (1 << 20) + 1]) }
                == "TieredAllocator: blockSize is 1048577 and must be at most 2^20 times the power of two that divides "
                + "all block sizes")
    }

    @Test func aDoubleFreeTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let ladder = try TieredAllocator(blockSizes: [16, 64])
            let blocks = try (0..<3).map { _ in try ladder.allocate(byteCount: 16) }
            ladder.deallocate(blocks[0])
            ladder.deallocate(try ladder.allocate(byteCount: 64))
            ladder.deallocate(blocks[0])
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("FixedBlockAllocator: 0x") && text.contains("is not live"), "\(text)")
    }

    @Test(arguments: [64, 5000])
    func aForeignPointerTraps(_ byteCount: Int) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            [byteCount] in
            let ladder = try TieredAllocator(blockSizes: [16, 64])
            let other = try TieredAllocator(blockSizes: [16, 64])
            _ = try ladder.allocate(byteCount: byteCount)
            ladder.deallocate(try other.allocate(byteCount: byteCount))
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("TieredAllocator: 0x") && text.contains("is not of this allocator"), "\(text)")
    }

    @Test func deinitGivesEverythingBack() throws {
        let source = PageSource()
        do {
            let ladder = try TieredAllocator(blockSizes: [16, 64], upstream: source)
            for byteCount in [1, 60, 100, 5000] { _ = try ladder.allocate(byteCount: byteCount) }
            #expect(source.live.count == 4)
            #expect(throws: LeakError(allocator: "TieredAllocator", blocks: 4, bytes: 5180)) { try ladder.close() }
        }
        #expect(source.live.isEmpty)
    }

    @Test func aNegativeSizeTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try TieredAllocator(blockSizes: [16]).allocate(byteCount: -3)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("TieredAllocator: a request for a negative number of bytes (-3)"), "\(text)")
    }

    /// In an optimised build a ladder could end at the start of its last call, which then wrote into its freed pools.
    @Test func theLastCallKeepsTheLadder() throws {
        let freed = FreedMemory()
        try Self.freeLast(freed)
        #expect(!freed.blocks.isEmpty)
        #expect(freed.blocks.allSatisfy { $0.allSatisfy { $0 == 0 } })
        for block in freed.blocks { block.deallocate() }
    }

    @inline(never)
    private static func freeLast(_ freed: FreedMemory) throws {
        let ladder = try TieredAllocator(blockSizes: [16, 64], upstream: LastSource(freed))
        let block = try ladder.allocate(byteCount: 10)
        block[0] = 1
        ladder.deallocate(block.baseAddress!)
    }
}

/// Blocks in place of what was freed just before.
private final class FreedMemory {
    var blocks: [UnsafeMutableBufferPointer<UInt8>] = []

    func take() {
        for byteCount in stride(from: 16, through: 1024, by: 16) {
            for _ in 0..<3 {
                let block = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: byteCount)
                block.initialize(repeating: 0)
                blocks.append(block)
            }
        }
    }
}

/// Ends after the pools above it, and takes their memory.
private final class LastSource: Allocator {
    let freed: FreedMemory

    init(_ freed: FreedMemory) { self.freed = freed }

    deinit { freed.take() }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try SystemAllocator().allocate(byteCount: byteCount, alignment: alignment)
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) { SystemAllocator().deallocate(pointer) }
}
