// A region as an allocator: blocks that are freed one by one, against a model, and chunks that go back.

import AllocatorTestKit
import Mallow
import Testing

@Suite struct RegionAllocatorTests {
    struct Block {
        var bytes: UnsafeMutableRawBufferPointer
        var mark: UInt8
    }

    @Test(arguments: 1...10)
    func randomSequencesKeepAllInvariants(_ seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed) * 77)
        let source = PageSource()
        let region = try RegionAllocator(initialChunkSize: 256, maximumChunkSize: 8192, upstream: source)
        var live: [Block] = []
        var (total, peakBlocks, peakBytes) = (0, 0, 0)
        for step in 0..<2500 {
            switch random.next() % 100 {
            case 0..<55 where live.count < 300:
                let size = Int(random.next() % (random.next() % 30 == 0 ? 9000 : 200))
                let alignment = 1 << Int(random.next() % 9)
                let bytes = try region.allocate(byteCount: size, alignment: alignment)
                #expect(bytes.count >= size && bytes.count == region.goodSize(for: size, alignment: alignment))
                #expect(Int(bitPattern: bytes.baseAddress!) % alignment == 0)
                #expect(bytes.count % 16 == 0 && bytes.count < max(size, 1) + 16)
                live.append(Block(bytes: bytes, mark: UInt8(truncatingIfNeeded: step)))
                for index in bytes.indices { bytes[index] = live.last!.mark }
                total += 1
            case 55..<75:
                guard !live.isEmpty else { break }
                // Often the last, for that one gives its memory back.
                let index = random.next() % 2 == 0 ? live.count - 1 : Int(random.next() % UInt64(live.count))
                let block = live.remove(at: index)
                #expect(block.bytes.allSatisfy { $0 == block.mark })
                region.deallocate(block.bytes)
            case 75..<98:
                guard !live.isEmpty else { break }
                let index = random.next() % 2 == 0 ? live.count - 1 : Int(random.next() % UInt64(live.count))
                let old = live[index].bytes
                let size = Int(random.next() % 400)
                if let bytes = region.resize(old.baseAddress!, byteCount: size) {
                    #expect(bytes.count >= size && bytes.baseAddress == old.baseAddress)
                    #expect(bytes.prefix(old.count).allSatisfy { $0 == live[index].mark })
                    for position in bytes.indices { bytes[position] = live[index].mark }
                    live[index].bytes = bytes
                } else {
                    #expect(size > old.count)
                }
            default:
                if random.next() % 20 == 0 {
                    region.freeAll()
                    live = []
                }
            }
            let liveBytes = live.reduce(0) { $0 + $1.bytes.count }
            (peakBlocks, peakBytes) = (max(peakBlocks, live.count), max(peakBytes, liveBytes))
            #expect(region.brokenInvariant() == nil)
            let statistics = region.statistics
            #expect(statistics.liveBlocks == live.count && statistics.liveBytes == liveBytes)
            #expect(statistics.totalBlocks == total)
            #expect(statistics.peakBlocks == peakBlocks && statistics.peakBytes == peakBytes)
            #expect(statistics.heldBytes == source.live.values.reduce(0, +))
            #expect(statistics.liveBytes + statistics.overheadBytes + statistics.freeBytes == statistics.heldBytes)
            if step % 50 == 0 {
                for block in live {
                    #expect(block.bytes.allSatisfy { $0 == block.mark })
                    #expect(region.owns(block.bytes.baseAddress!) && source.owns(block.bytes.baseAddress!))
                    #expect(region.byteCount(of: block.bytes.baseAddress!) == block.bytes.count)
                }
                let sorted = live.map(\.bytes).sorted { $0.baseAddress! < $1.baseAddress! }
                for (low, high) in zip(sorted, sorted.dropFirst()) {
                    #expect(low.baseAddress! + low.count <= high.baseAddress!)
                }
            }
        }
        let leak = LeakError(
            allocator: "RegionAllocator", blocks: live.count, bytes: live.reduce(0) { $0 + $1.bytes.count })
        if !live.isEmpty {
            #expect(throws: leak) { try region.close() }
            #expect(region.findLeaks() == leak)
        }
        for block in live.shuffled(using: &random) { region.deallocate(block.bytes) }
        try region.close()
        #expect(source.live.isEmpty)
        // It can be used again, and gives back what is live when it goes.
        _ = try region.allocate(byteCount: 10)
        #expect(source.live.count == 1)
    }

    @Test(arguments: [256, 4096, 1 << 20])
    func holdsTheContract(_ maximumChunkSize: Int) throws {
        try checkAllocator { try RegionAllocator(initialChunkSize: 256, maximumChunkSize: maximumChunkSize) }
        // Its chunks from another region.
        try checkAllocator {
            try RegionAllocator(
                initialChunkSize: 256, maximumChunkSize: maximumChunkSize, upstream: try RegionAllocator())
        }
    }

    @Test func deinitGivesEverythingBack() throws {
        let source = PageSource()
        do {
            let region = try RegionAllocator(upstream: source)
            for size in [1, 5000, 600_000, 2_000_000] { _ = try region.allocate(byteCount: size) }
            #expect(source.live.count >= 3)
        }
        #expect(source.live.isEmpty)
    }

    @Test func memoryIsReusedWhenAllBlocksAreFreed() throws {
        let source = PageSource()
        let region = try RegionAllocator(initialChunkSize: 1024, maximumChunkSize: 1024, upstream: source)
        for _ in 0..<1000 {
            let blocks = try (0..<10).map { _ in try region.allocate(byteCount: 100) }
            // First in, first out: none is the last but one.
            for block in blocks { region.deallocate(block) }
        }
        #expect(source.requests == 2)
    }

    @Test func aLargeBlockGivesItsChunkBackWhenFreed() throws {
        let source = PageSource()
        let region = try RegionAllocator(initialChunkSize: 256, maximumChunkSize: 1024, upstream: source)
        let small = try region.allocate(byteCount: 10)
        let large = try (0..<5).map { try region.allocate(byteCount: 5000, alignment: 1 << ($0 + 3)) }
        #expect(source.live.count == 6)
        for index in [2, 0, 4, 1, 3] { region.deallocate(large[index]) }
        #expect(source.live.count == 1)
        region.deallocate(small)
        try region.close()
    }

    @Test func whatIsBehindAnAlignedBlockIsTheNextOnes() throws {
        let region = try RegionAllocator()
        let block = try region.allocate(byteCount: 32, alignment: 256)
        let next = try region.allocate(byteCount: 32)
        // The next one's header is between them.
        #expect(next.baseAddress! == block.baseAddress! + 32 + 16)
    }

    @Test func aChildThatOutlivesItsParentsEndKeepsItsMemory() throws {
        let source = PageSource()
        let parent = try RegionAllocator(upstream: source)
        do {
            let child = RegionAllocator(childOf: parent)
            let block = try child.allocate(byteCount: 100)
            _ = try parent.allocate(byteCount: 100)
            for index in block.indices { block[index] = 7 }
            parent.releaseAll()
            #expect(block.allSatisfy { $0 == 7 })
            #expect(source.live.count == 1)
        }
        // Straight upstream: the parent has ended.
        #expect(source.live.isEmpty)
        #expect(parent.brokenInvariant() == nil)
        #expect(parent.statistics.heldBytes == 0 && parent.statistics.liveBlocks == 0)
    }

    @Test func worksAsGenericAndAsExistential() throws {
        func use(_ allocator: some Allocator) throws {
            let values = try allocator.allocate(copying: [1, 2, 3])
            #expect(Array(values) == [1, 2, 3])
            allocator.deallocate(values)
        }
        let region = try RegionAllocator()
        try use(region)
        let any: any Allocator = region
        let block = try any.allocate(byteCount: 10)
        any.deallocate(block)
        try any.close()
    }

    @Test func requestsThatCannotBeServedThrow() throws {
        let region = try RegionAllocator()
        func reason(_ byteCount: Int, _ alignment: Int) -> AllocationError.Reason? {
            do throws(AllocationError) {
                region.deallocate(try region.allocate(byteCount: byteCount, alignment: alignment))
                return nil
            } catch { return error.reason }
        }
        #expect(reason(10, 0) == .invalidAlignment)
        #expect(reason(10, 24) == .invalidAlignment)
        #expect(reason(10, -8) == .invalidAlignment)
        #expect(reason(.max, 16) == .tooLarge(limit: 1 << 47))
        #expect(reason(.max - 15, 8) == .tooLarge(limit: 1 << 47))
        #expect(reason(1 << 47, 16) == .outOfMemory)
        #expect(reason(16, 1 << 62) == .outOfMemory)
        #expect(reason(0, 1) == nil)
        #expect(region.statistics.heldBytes <= 4096)
    }

    // MARK: - Misuse

    @Test func aDoubleFreeTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let region = try RegionAllocator()
            let block = try region.allocate(byteCount: 40)
            _ = try region.allocate(byteCount: 40)
            region.deallocate(block)
            region.deallocate(block)
        }
        #expect(said(result, "was freed already") && said(result, "RegionAllocator: 0x"))
    }

    @Test func aDoubleFreeOfTheLastBlockTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let region = try RegionAllocator()
            let block = try region.allocate(byteCount: 40)
            region.deallocate(block)
            region.deallocate(block)
        }
        #expect(said(result, "was freed already"))
    }

    @Test func anAddressInsideABlockTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let region = try RegionAllocator()
            let block = try region.allocate(byteCount: 100)
            for index in block.indices { block[index] = 0xA5 }
            region.deallocate(block.baseAddress! + 32)
        }
        #expect(said(result, "is not the address of a live block"))
        let odd = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let region = try RegionAllocator()
            let block = try region.allocate(byteCount: 100)
            region.deallocate(block.baseAddress! + 3)
        }
        #expect(said(odd, "is not the address of a block"))
    }

    @Test func aForeignPointerTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let region = try RegionAllocator()
            _ = try region.allocate(byteCount: 100)
            // Not its base: what lies before that is nobody's to read, as the address sanitizer says.
            region.deallocate(try SystemAllocator().allocate(byteCount: 100).baseAddress! + 32)
        }
        #expect(said(result, "is not in memory of this allocator"))
    }

    @Test func aBlockFromBeforeFreeAllTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let region = try RegionAllocator()
            let block = try region.allocate(byteCount: 100)
            region.freeAll()
            region.deallocate(block)
        }
        #expect(said(result, "is not the address of a live block"))
    }

    @Test func negativeSizesTrap() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try RegionAllocator().allocate(byteCount: -Int(CommandLine.argc))
        }
        #expect(said(result, "RegionAllocator: a request for a negative number of bytes"))
    }
}
