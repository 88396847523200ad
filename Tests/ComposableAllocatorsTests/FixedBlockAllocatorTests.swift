// Pools of one block size: which page is used, when a page goes back, what an upstream's failure leaves.

import Mallow
import Testing

/// Counts what is taken and given back, refuses beyond a number of blocks, and remembers where its blocks are.
final class PageSource: OwningAllocator {
    var live: [UnsafeMutableRawPointer: Int] = [:]
    var room: Int
    var requests = 0
    init(room: Int = .max) { self.room = room }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        requests += 1
        guard live.count < room else {
            throw AllocationError(
                allocator: "PageSource", byteCount: byteCount, alignment: alignment, reason: .outOfMemory)
        }
        let block = try SystemAllocator().allocate(byteCount: byteCount, alignment: alignment)
        live[block.baseAddress!] = byteCount
        return block
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        precondition(live.removeValue(forKey: pointer) != nil, "not the source's")
        SystemAllocator().deallocate(pointer)
    }

    func owns(_ pointer: UnsafeRawPointer) -> Bool {
        live.contains { $0.key <= pointer && pointer < $0.key + $0.value }
    }
}

@Suite struct FixedBlockAllocatorTests {
    struct Geometry: CustomTestStringConvertible {
        var blockSize: Int
        var blocks: Int
        var testDescription: String { "\(blocks) blocks of \(blockSize)" }
    }

    static let geometries = [
        Geometry(blockSize: 1, blocks: 70), Geometry(blockSize: 8, blocks: 32), Geometry(blockSize: 8, blocks: 64),
        Geometry(blockSize: 24, blocks: 65), Geometry(blockSize: 64, blocks: 300), Geometry(blockSize: 48, blocks: 1),
        Geometry(blockSize: 80, blocks: 7), Geometry(blockSize: 4096, blocks: 3),
        Geometry(blockSize: 2, blocks: 5000),
    ]

    @Test(arguments: geometries)
    func randomSequencesKeepAllInvariants(_ geometry: Geometry) throws {
        for seed in 1...4 {
            var random = SeededRandom(seed: UInt64(seed * 1000 + geometry.blockSize))
            let source = PageSource()
            let pool = try FixedBlockAllocator(
                blockSize: geometry.blockSize, pageSize: geometry.blockSize * geometry.blocks, upstream: source)
            var live: [(block: UnsafeMutableRawBufferPointer, mark: UInt8)] = []
            var addresses = Set<UnsafeMutableRawPointer>()
            var peak = 0
            var total = 0
            for step in 0..<1500 {
                // Long phases of growing and shrinking, so that pages fill, drain and go back.
                let grows = random.next() % 100 < (step / 250 % 2 == 0 ? 70 : 30)
                if grows || live.isEmpty {
                    let block = try pool.allocate(byteCount: Int(random.next() % UInt64(geometry.blockSize + 1)))
                    #expect(block.count == geometry.blockSize)
                    #expect(addresses.insert(block.baseAddress!).inserted)
                    #expect(source.owns(block.baseAddress!) && source.owns(block.baseAddress! + block.count - 1))
                    let mark = UInt8(truncatingIfNeeded: random.next())
                    block.initializeMemory(as: UInt8.self, repeating: mark)
                    live.append((block, mark))
                    total += 1
                    peak = max(peak, live.count)
                } else {
                    let (block, mark) = live.remove(at: Int(random.next() % UInt64(live.count)))
                    #expect(block.allSatisfy { $0 == mark })
                    addresses.remove(block.baseAddress!)
                    pool.deallocate(block.baseAddress!)
                    if random.next() % 2 == 0, source.room == .max {
                        // A block freed before the next one is allocated.
                        pool.deallocate(try pool.allocate(byteCount: 1))
                        total += 1
                    }
                }
                if let broken = pool.brokenInvariant() {
                    Issue.record("step \(step), seed \(seed): \(broken)")
                    return
                }
                let statistics = pool.statistics
                #expect(statistics.liveBlocks == live.count && statistics.peakBlocks == peak)
                #expect(statistics.totalBlocks == total && statistics.freeBytes >= 0)
                #expect(source.live.count == pool.pageCount)
            }
            for (block, _) in live { pool.deallocate(block.baseAddress!) }
            #expect(pool.brokenInvariant() == nil)
            #expect(pool.pageCount == 1)
            try pool.close()
            #expect(source.live.isEmpty)
        }
    }

    @Test func theOldestPageWithRoomIsUsedFirst() throws {
        let pool = try FixedBlockAllocator(blockSize: 64, pageSize: 64 * 4)
        let blocks = try (0..<12).map { _ in try pool.allocate(byteCount: 64).baseAddress! }
        #expect(pool.pageCount == 3)
        pool.deallocate(blocks[9])
        pool.deallocate(blocks[5])
        pool.deallocate(blocks[2])
        #expect(try pool.allocate(byteCount: 1).baseAddress == blocks[2])
        #expect(try pool.allocate(byteCount: 1).baseAddress == blocks[5])
        #expect(try pool.allocate(byteCount: 1).baseAddress == blocks[9])
        pool.freeAll()
    }

    @Test func aPageGoesBackOnlyWhenThreeQuartersAreFree() throws {
        let source = PageSource()
        let pool = try FixedBlockAllocator(blockSize: 32, pageSize: 32 * 8, upstream: source)
        let blocks = try (0..<32).map { _ in try pool.allocate(byteCount: 32).baseAddress! }
        #expect(pool.pageCount == 4)
        // The last page drains while three quarters are live: it stays.
        for block in blocks[24...] { pool.deallocate(block) }
        #expect(pool.pageCount == 4)
        // Three pages drained and the first is full: a quarter is live, so one goes back; then a third is.
        for block in blocks[8..<24] { pool.deallocate(block) }
        #expect(pool.pageCount == 3)
        // With two blocks of 24 live two more may go.
        for block in blocks[2..<8] { pool.deallocate(block) }
        #expect(pool.pageCount == 1)
        for block in blocks[..<2] { pool.deallocate(block) }
        #expect(pool.pageCount == 1 && source.live.count == 1)
        try pool.close()
        #expect(source.live.isEmpty)
        // It can be used again.
        pool.deallocate(try pool.allocate(byteCount: 3))
        #expect(pool.statistics.totalBlocks == 33)
    }

    @Test func aPageThatDrainedEarlierGoesBackWhenTheRestIsFreed() throws {
        let pool = try FixedBlockAllocator(blockSize: 16, pageSize: 16 * 4)
        let blocks = try (0..<16).map { _ in try pool.allocate(byteCount: 16).baseAddress! }
        for block in blocks[4..<8] { pool.deallocate(block) }
        #expect(pool.pageCount == 4)
        // One block of each other page stays: nothing else drains, and yet the drained page must go.
        for page in [0, 2, 3] { for block in blocks[(page * 4 + 1)..<(page * 4 + 4)] { pool.deallocate(block) } }
        #expect(pool.pageCount == 3)
        #expect(pool.brokenInvariant() == nil)
    }

    @Test func upstreamOutOfMemoryLosesNothing() throws {
        let source = PageSource(room: 2)
        let pool = try FixedBlockAllocator(blockSize: 8, pageSize: 8 * 10, upstream: source)
        var blocks = try (0..<20).map { _ in try pool.allocate(byteCount: 8) }
        let before = pool.statistics
        #expect(
            throws: AllocationError(
                allocator: "FixedBlockAllocator", byteCount: 8, alignment: 8, reason: .outOfMemory)
        ) { try pool.allocate(byteCount: 8, alignment: 8) }
        #expect(pool.tryAllocate(byteCount: 0, alignment: 1) == nil)
        #expect(pool.statistics == before && pool.brokenInvariant() == nil)
        pool.deallocate(blocks.removeFirst())
        blocks.append(try pool.allocate(byteCount: 8))
        source.room = 3
        blocks.append(try pool.allocate(byteCount: 8))
        #expect(throws: LeakError(allocator: "FixedBlockAllocator", blocks: 21, bytes: 168)) { try pool.close() }
        #expect(source.live.count == 3)
        for block in blocks { pool.deallocate(block) }
        try pool.close()
    }

    @Test func deinitGivesEverythingBack() throws {
        let source = PageSource()
        do {
            let pool = try FixedBlockAllocator(blockSize: 8, pageSize: 80, upstream: source)
            for _ in 0..<100 { _ = try pool.allocate(byteCount: 8) }
            #expect(source.live.count == 10)
        }
        #expect(source.live.isEmpty)
    }

    @Test func aPoolTakesItsPagesFromAnotherPool() throws {
        let large = try FixedBlockAllocator(blockSize: 8 * 120, pageSize: 960 * 8)
        let small = try FixedBlockAllocator(blockSize: 8, pageSize: 960, upstream: large)
        let blocks = try (0..<1000).map { _ in try small.allocate(byteCount: 8) }
        #expect(large.statistics.liveBlocks == small.pageCount)
        #expect(small.brokenInvariant() == nil && large.brokenInvariant() == nil)
        for block in blocks { small.deallocate(block) }
        try small.close()
        try large.close()
    }

    @Test func freeAllKeepsOnePage() throws {
        let source = PageSource()
        let pool = try FixedBlockAllocator(blockSize: 24, pageSize: 240, upstream: source)
        for round in 1...3 {
            for _ in 0..<55 { _ = try pool.allocate(byteCount: 20) }
            pool.freeAll()
            #expect(pool.brokenInvariant() == nil)
            #expect(pool.statistics.liveBlocks == 0 && pool.statistics.totalBlocks == 55 * round)
            #expect(pool.statistics.peakBlocks == 55 && source.live.count == 1)
        }
    }

    @Test func ownsRefusesForeignPointersWithoutTouchingThem() throws {
        let pool = try FixedBlockAllocator(blockSize: 16)
        let empty = try FixedBlockAllocator(blockSize: 16)
        let block = try pool.allocate(byteCount: 16).baseAddress!
        for address: UInt in [1, 4096, 0x7fff_ffff_f000, 1 << 63, .max, UInt(bitPattern: block) &- 65536 * 16] {
            #expect(!pool.owns(UnsafeRawPointer(bitPattern: address)!))
            #expect(!empty.owns(UnsafeRawPointer(bitPattern: address)!))
        }
        #expect(pool.owns(block) && pool.owns(block + 15) && !empty.owns(block))
        pool.deallocate(block)
    }

    @Test func argumentsAreValidated() {
        func argument(_ make: () throws -> FixedBlockAllocator<SystemAllocator>) -> String? {
            do { _ = try make() } catch let error as ConfigurationError { return error.argument } catch {}
            return nil
        }
        #expect(argument { try FixedBlockAllocator(blockSize: 0) } == "blockSize")
        #expect(argument { try FixedBlockAllocator(blockSize: -8) } == "blockSize")
        #expect(argument { try FixedBlockAllocator(blockSize: 24, alignment: 16) } == "blockSize")
        #expect(argument { try FixedBlockAllocator(blockSize: 24, alignment: 3) } == "alignment")
        #expect(argument { try FixedBlockAllocator(blockSize: 24, alignment: 0) } == "alignment")
        #expect(argument { try FixedBlockAllocator(blockSize: 24, pageSize: 100) } == "pageSize")
        #expect(argument { try FixedBlockAllocator(blockSize: 24, pageSize: 0) } == "pageSize")
        #expect(argument { try FixedBlockAllocator(blockSize: 24, pageSize: -24) } == "pageSize")
        #expect(argument { try FixedBlockAllocator(blockSize: 1 << 40, pageSize: 1 << 40) } == "pageSize")
        #expect(argument { try FixedBlockAllocator(blockSize: .max, pageSize: .max) } == "pageSize")
        #expect(argument { try FixedBlockAllocator(blockSize: 24) } == nil)
        let error = ConfigurationError(
            allocator: "FixedBlockAllocator", argument: "pageSize", value: 100,
            requirement: "a multiple of blockSize (24), and not 0")
        #expect(throws: error) { try FixedBlockAllocator(blockSize: 24, pageSize: 100) }
        #expect(
            "\(error)" == "FixedBlockAllocator: pageSize is 100 and must be a multiple of blockSize (24), and not 0")
    }

    @Test func requestsThatAreNeverServedThrow() throws {
        let pool = try FixedBlockAllocator(blockSize: 48)
        #expect(pool.alignment == 16)
        func reason(_ byteCount: Int, _ alignment: Int) -> AllocationError.Reason? {
            do throws(AllocationError) {
                pool.deallocate(try pool.allocate(byteCount: byteCount, alignment: alignment))
                return nil
            } catch { return error.reason }
        }
        #expect(reason(49, 16) == .tooLarge(limit: 48))
        #expect(reason(.max, 1) == .tooLarge(limit: 48))
        #expect(reason(8, 32) == .unsupportedAlignment(limit: 16))
        #expect(reason(8, 3) == .invalidAlignment)
        #expect(reason(8, 0) == .invalidAlignment)
        #expect(reason(8, -8) == .invalidAlignment)
        #expect(reason(0, 1) == nil && reason(48, 16) == nil)
        #expect(pool.goodSize(for: 1) == 48 && pool.goodSize(for: 49) == 49)
    }

    @Test func overheadIsUnderTwoPercentAt64Bytes() throws {
        let pool = try FixedBlockAllocator(blockSize: 64)
        for _ in 0..<100_000 { _ = try pool.allocate(byteCount: 64) }
        let statistics = pool.statistics
        #expect(Double(statistics.overheadBytes) < 0.02 * Double(statistics.liveBytes))
    }

    @Test func itWorksAsAnExistential() throws {
        let pool: any Allocator = try FixedBlockAllocator(blockSize: 64)
        let block = try pool.allocate(byteCount: 10)
        #expect(block.count == 64)
        pool.deallocate(block)
        try pool.close()
    }
}

@Suite struct FixedBlockAllocatorMisuseTests {
    private func expectTrap(_ message: String, _ output: [UInt8]?) {
        let text = String(decoding: output ?? [], as: UTF8.self)
        #expect(text.contains(message), "\(text)")
    }

    @Test func aDoubleFreeTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let pool = try FixedBlockAllocator(blockSize: 64)
            let block = try pool.allocate(byteCount: 64).baseAddress!
            for _ in 0..<2 { _ = try pool.allocate(byteCount: 64) }
            pool.deallocate(block)
            pool.deallocate(block)
        }
        expectTrap("is not live: it was freed already, or never allocated", result?.standardErrorContent)
    }

    @Test func aDoubleFreeOfTheLastBlockAllocatedTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let pool = try FixedBlockAllocator(blockSize: 64)
            let block = try pool.allocate(byteCount: 64).baseAddress!
            pool.deallocate(block)
            pool.deallocate(block)
        }
        expectTrap("was freed already", result?.standardErrorContent)
    }

    @Test func aPointerIntoABlockTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let pool = try FixedBlockAllocator(blockSize: 64)
            pool.deallocate(try pool.allocate(byteCount: 64).baseAddress! + 8)
        }
        expectTrap("FixedBlockAllocator: 0x", result?.standardErrorContent)
        expectTrap("points into a block, not to its start", result?.standardErrorContent)
    }

    @Test func aForeignPointerTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let pool = try FixedBlockAllocator(blockSize: 64)
            _ = try pool.allocate(byteCount: 64)
            pool.deallocate(UnsafeMutableRawPointer(bitPattern: 0x1000)!)
        }
        expectTrap("is not of this allocator", result?.standardErrorContent)
    }

    @Test func aNegativeSizeTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try FixedBlockAllocator(blockSize: 64).allocate(byteCount: -1)
        }
        expectTrap("FixedBlockAllocator: a request for a negative number of bytes (-1)", result?.standardErrorContent)
    }
}
