// A heap that the program makes as an allocator: the contract, alone and among threads and under combinators' questions,
// and what only a heap can do.

import AllocatorCore
import AllocatorTestKit
import Heaps
import MallocHeap
import Testing

extension HeapTests {
    @Suite(.serialized) struct SwiftHeaps {
        @Test(arguments: [1 << 6, 1 << 13, 1 << 18]) func keepsTheContract(maximumByteCount: Int) throws {
            try checkAllocator(
                seed: UInt64(maximumByteCount), steps: 150, maximumByteCount: maximumByteCount,
                maximumAlignment: 1 << 16
            ) { try Heap() }
        }

        @Test func keepsTheContractAmongThreads() throws {
            let heap = try Heap()
            try checkSharedAllocator { heap }
            try heap.close()
            #expect(heap.statistics.liveBlocks == 0)
        }

        @Test func freesAllAtOnce() throws {
            let heap = try Heap()
            let fresh = heap.statistics
            for round in 1...3 {
                for number in 0..<5000 { _ = try heap.allocate(byteCount: number % 700 * round) }
                let large = try heap.allocate(byteCount: 20 << 20)
                #expect(heap.owns(large.baseAddress!))
                #expect(heap.statistics.liveBlocks == 5001)
                heap.freeAll()
                #expect(heap.statistics.liveBlocks == 0)
                #expect(heap.statistics.heldBytes == fresh.heldBytes)
                #expect(heap.statistics.totalBlocks == 5001 * round)
                #expect(!heap.owns(large.baseAddress!))
            }
            #expect(heap.statistics.peakBlocks == 5001)
            try heap.close()
        }

        @Test func leaksAreReported() throws {
            let heap = try Heap()
            let block = try heap.allocate(byteCount: 100)
            let leak = #expect(throws: LeakError.self) { try heap.close() }
            #expect(leak?.allocator == "Heap" && leak?.blocks == 1 && leak?.bytes == block.count)
            heap.deallocate(block)
            try heap.close()
        }

        @Test func blocksAreVisited() throws {
            let heap = try Heap()
            var live: [UnsafeMutableRawPointer: Int] = [:]
            for number in 0..<2000 {
                let block = try heap.allocate(byteCount: number % 100 == 0 ? 100_000 + number : number)
                if number % 3 == 0 { heap.deallocate(block) } else { live[block.baseAddress!] = block.count }
            }
            var visited: [UnsafeMutableRawPointer: Int] = [:]
            heap.forEachBlock { visited[$0.baseAddress!] = $0.count }
            #expect(visited == live)
            struct Enough: Error {}
            var count = 0
            #expect(throws: Enough.self) {
                try heap.forEachBlock { _ in
                    count += 1
                    if count == 7 { throw Enough() }
                }
            }
            #expect(count == 7)
            heap.forEachBlock { heap.deallocate($0) }
            try heap.close()
        }

        @Test func blocksOutliveTheHeap() throws {
            let heap = try Heap()
            let blocks = try [10, 1000, 100_000, 20 << 20].map { try heap.allocate(byteCount: $0) }
            for block in blocks { block.storeBytes(of: block.count, as: Int.self) }
            heap.moveBlocksToShared()
            #expect(heap.findLeaks() == nil)
            try heap.close()
            for block in blocks {
                let base = try #require(block.baseAddress)
                #expect(Heap.shared.owns(base) && !heap.owns(base))
                #expect(block.load(as: Int.self) == block.count)
                Heap.shared.deallocate(base)
            }
            // What other means freed is counted when somebody asks.
            let block = try heap.allocate(byteCount: 100)
            Heap.shared.deallocate(block)
            #expect(heap.statistics.liveBlocks == 0)
            try heap.close()
        }

        @Test func largeBlocksGrowWithoutCopying() throws {
            // Where as much memory lies idle, they are copied there.
            Malloc.trim()
            let heap = try Heap()
            var block = try heap.allocate(byteCount: 1 << 20)
            block.storeBytes(of: 42, as: Int.self)
            for mebibytes in 2...48 {
                block = try heap.reallocate(block, byteCount: mebibytes << 20)
                block.storeBytes(of: mebibytes, toByteOffset: (mebibytes << 20) - 8, as: Int.self)
            }
            #expect(block.load(as: Int.self) == 42)
            #expect(block.load(fromByteOffset: (30 << 20) - 8, as: Int.self) == 30)
            #expect(heap.statistics.liveBlocks == 1 && heap.statistics.liveBytes == block.count)
            #expect(heap.statistics.totalBlocks == 1)
            block = try heap.reallocate(block, byteCount: 0)
            #expect(heap.statistics.liveBlocks == 1)
            heap.deallocate(block)
            try heap.close()
        }

        @Test func misuseTraps() async {
            let another = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let heaps = try (Heap(), Heap())
                heaps.1.deallocate(try heaps.0.allocate(byteCount: 100))
                print(heaps.0.statistics)
            }
            let text = String(decoding: another?.standardErrorContent ?? [], as: UTF8.self)
            #expect(text.contains("mallow: Heap.deallocate(0x") && text.contains("not a block of this heap"))
        }
    }
}
