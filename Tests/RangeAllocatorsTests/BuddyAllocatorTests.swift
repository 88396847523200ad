// One buddy allocator against a model of its units; what it refuses, and what it says then; growing and snapshots.

import Foundation
import RangeAllocators
import Testing

/// One entry a smallest block: the number of the block that it is in, or 0 where it is free. It knows nothing of orders
/// and buddies: a request of 2^k must be served exactly when 2^k entries at a multiple of 2^k are free.
private struct BuddyModel {
    var units: [Int]
    var last = 0

    init(_ count: Int) { units = [Int](repeating: 0, count: count) }

    func hasRoom(_ count: Int) -> Bool {
        var start = 0
        while start + count <= units.count {
            if units[start..<start + count].allSatisfy({ $0 == 0 }) { return true }
            start += count
        }
        return false
    }

    var largestFree: Int {
        var count = 1 << (Int.bitWidth - units.count.leadingZeroBitCount)
        while count > 0, !hasRoom(count) { count >>= 1 }
        return count
    }

    func isFree(_ range: Range<Int>) -> Bool { units[range].allSatisfy { $0 == 0 } }

    mutating func take(_ range: Range<Int>) {
        last += 1
        for unit in range { units[unit] = last }
    }

    mutating func free(_ range: Range<Int>) {
        for unit in range { units[unit] = 0 }
    }
}

@Suite struct BuddyAllocatorTests {
    @Test(arguments: [
        (1, 1), (2, 1), (7, 1), (64, 1), (65, 1), (100, 16), (129 * 4 + 3, 4), (1000, 8), (4097 * 2, 2), (5000, 1),
    ])
    func randomSequencesAgreeWithAModel(_ size: Int, _ smallest: Int) throws {
        let buddy = try BuddyAllocator(size: size, smallestBlock: smallest)
        var model = BuddyModel(size / smallest)
        var live: [Range<Int>] = []
        var random = SeededRandom(seed: UInt64(size))
        #expect(buddy.brokenInvariant() == nil)
        let steps = size > 1000 ? 300 : 1500
        for step in 0..<steps {
            // Now it fills up, now it drains.
            if Int.random(in: 0..<100, using: &random) < (step * 6 / steps % 2 == 0 ? 65 : 35) {
                let most = Bool.random(using: &random) ? smallest * 4 : size
                let count = Int.random(in: 0...most, using: &random)
                let rounded = roundedUp(count, smallest)
                #expect(buddy.blockSize(for: count) == (rounded <= buddy.largestBlock ? rounded : nil))
                let expected = model.hasRoom(rounded / smallest)
                if let range = buddy.tryAllocate(count) {
                    try #require(range.count == rounded)
                    try #require(range.lowerBound % rounded == 0)
                    let units = range.lowerBound / smallest..<range.upperBound / smallest
                    try #require(model.isFree(units))
                    model.take(units)
                    live.append(range)
                    #expect(buddy.blockSize(at: range.lowerBound) == rounded)
                } else {
                    #expect(!expected, "a false none for \(count)")
                    let isEverServed = rounded <= buddy.largestBlock
                    let error: BuddyError =
                        isEverServed
                        ? .noRoom(count: count) : .tooLarge(count: count, largestBlock: buddy.largestBlock)
                    #expect(throws: error) { try buddy.allocate(count) }
                }
            } else if let place = live.indices.randomElement(using: &random) {
                live.swapAt(place, live.count - 1)
                let range = live.removeLast()
                if Bool.random(using: &random) {
                    try buddy.deallocate(range)
                } else {
                    try buddy.deallocate(range.lowerBound)
                }
                model.free(range.lowerBound / smallest..<range.upperBound / smallest)
            }
            try #require(buddy.brokenInvariant() == nil)
            #expect(buddy.usedCount == live.reduce(0) { $0 + $1.count })
            #expect(buddy.freeCount == size / smallest * smallest - buddy.usedCount)
            #expect(buddy.isEmpty == live.isEmpty)
            // Looking joins what was freed last, so most steps don't.
            if step % 7 == 0 {
                #expect(buddy.largestFree == model.largestFree * smallest)
                #expect(buddy.usedBlocks == live.sorted { $0.lowerBound < $1.lowerBound })
                #expect(buddy.freeBlocks.reduce(0) { $0 + $1.count } == buddy.freeCount)
                try #require(buddy.brokenInvariant() == nil)
            }
        }
        for range in live { try buddy.deallocate(range) }
        #expect(buddy.freeBlocks == (try BuddyAllocator(size: size, smallestBlock: smallest)).freeBlocks)
        #expect(buddy.brokenInvariant() == nil)
    }

    private func roundedUp(_ count: Int, _ smallest: Int) -> Int {
        var size = smallest
        while size < count { size *= 2 }
        return size
    }

    @Test func anySpaceIsCoveredByFewerAndFewerLargeBlocks() throws {
        let buddy = try BuddyAllocator(size: 13 * 16 + 15, smallestBlock: 16)
        #expect(buddy.freeBlocks == [0..<128, 128..<192, 192..<208])
        #expect((buddy.size, buddy.freeCount, buddy.largestFree, buddy.largestBlock) == (223, 208, 128, 128))
        #expect(buddy.metadataByteCount > 0)
        // All of it can be allocated, and no more.
        var taken = 0
        while buddy.tryAllocate(1) != nil { taken += 1 }
        #expect(taken == 13)
        #expect((buddy.freeCount, buddy.largestFree) == (0, 0))
        #expect(buddy.freeBlocks == [])
        buddy.reset()
        #expect(buddy.freeBlocks == [0..<128, 128..<192, 192..<208])
        #expect(buddy.brokenInvariant() == nil)
    }

    @Test func theKnownGeometryTakesFourBitsAKibibyte() throws {
        let buddy = try BuddyAllocator(size: 512 << 20, smallestBlock: 1 << 10)
        #expect(buddy.metadataByteCount < 270 << 10)
        let whole = try buddy.allocate(512 << 20)
        #expect(whole == 0..<512 << 20)
        #expect(buddy.tryAllocate(1) == nil)
        try buddy.deallocate(0)
        // The types spare the compiler seconds.
        let asked: [Int] = [1, 1025, 100_000, 3 << 20, 200 << 20]
        let taken: [Int] = [1 << 10, 2 << 10, 128 << 10, 4 << 20, 256 << 20]
        var blocks: [Range<Int>] = []
        for count in asked { blocks.append(try buddy.allocate(count)) }
        #expect(blocks.map(\.count) == taken)
        let statistics = buddy.statistics
        #expect(statistics.usedBlocks.reduce(0, +) == 5)
        #expect(statistics.usedBlocks[0...2] == [1, 1, 0])
        #expect(statistics.usedCount == blocks.reduce(0) { $0 + $1.count })
        #expect(statistics.largestFree == 128 << 20)
        #expect(statistics.externalFragmentation > 0.4 && statistics.externalFragmentation < 0.5)
        #expect(statistics.description.contains("5 blocks"))
        let decoded = try JSONDecoder().decode(BuddyStatistics.self, from: JSONEncoder().encode(statistics))
        #expect(decoded == statistics)
        for block in blocks { try buddy.deallocate(block) }
        #expect(buddy.largestFree == 512 << 20)
        #expect(buddy.statistics.externalFragmentation == 0)
    }

    @Test func aBlockThatIsFreedIsTheNextOneOfItsSizeAndCostsNoRoom() throws {
        let buddy = try BuddyAllocator(size: 64, smallestBlock: 1)
        let block = try buddy.allocate(1)
        try buddy.deallocate(block)
        #expect(try buddy.allocate(1) == block)
        try buddy.deallocate(block)
        // It is joined as soon as a request needs it.
        #expect(try buddy.allocate(64) == 0..<64)
        try buddy.deallocate(0)
        #expect(buddy.brokenInvariant() == nil)
    }

    @Test func whatIsNoBlockIsRefusedAndNothingChanges() throws {
        let buddy = try BuddyAllocator(size: 100, smallestBlock: 4)
        let block = 0..<16
        try buddy.allocate(block)
        let freed = 16..<20
        try buddy.allocate(freed)
        try buddy.deallocate(freed)
        let before = buddy.snapshot
        func refused(_ error: BuddyError, _ body: () throws -> Void) {
            #expect(throws: error, performing: body)
            #expect(buddy.snapshot == before)
            #expect(buddy.brokenInvariant() == nil)
            #expect(!error.description.isEmpty)
        }
        refused(.wrongSize(0..<8, block: 0..<16)) { try buddy.deallocate(0..<8) }
        refused(.wrongSize(0..<32, block: 0..<16)) { try buddy.deallocate(0..<32) }
        refused(.wrongSize(0..<0, block: 0..<16)) { try buddy.deallocate(0..<0) }
        refused(.insideOfBlock(offset: 4, block: 0..<16)) { try buddy.deallocate(4) }
        refused(.insideOfBlock(offset: 1, block: 0..<16)) { try buddy.deallocate(1) }
        refused(.insideOfBlock(offset: 8, block: 0..<16)) { try buddy.deallocate(8..<16) }
        refused(.isFree(offset: 16, block: 16..<32)) { try buddy.deallocate(freed) }
        refused(.isFree(offset: 64, block: 64..<96)) { try buddy.deallocate(64) }
        refused(.outside(offset: 100, size: 100)) { try buddy.deallocate(100) }
        refused(.outside(offset: -4, size: 100)) { try buddy.deallocate(-4) }
        refused(.outside(offset: Int.max, size: 100)) { try buddy.deallocate(Int.max) }
        refused(.outside(offset: Int.min, size: 100)) { try buddy.deallocate(Int.min..<0) }
        refused(.tooLarge(count: 65, largestBlock: 64)) { _ = try buddy.allocate(65) }
        refused(.tooLarge(count: .max, largestBlock: 64)) { _ = try buddy.allocate(Int.max) }
        refused(.notABlock(32..<44)) { try buddy.allocate(32..<44) }
        refused(.notABlock(36..<44)) { try buddy.allocate(36..<44) }
        refused(.notABlock(32..<34)) { try buddy.allocate(32..<34) }
        refused(.notABlock(32..<32)) { try buddy.allocate(32..<32) }
        refused(.notABlock(Int.min..<Int.max)) { try buddy.allocate(Int.min..<Int.max) }
        refused(.outside(offset: 96, size: 100)) { try buddy.allocate(96..<112) }
        refused(.outside(offset: -16, size: 100)) { try buddy.allocate(-16..<0) }
        refused(.outside(offset: 0, size: 100)) { try buddy.allocate(0..<128) }
        refused(.isInUse(0..<16)) { try buddy.allocate(0..<16) }
        refused(.isInUse(0..<64)) { try buddy.allocate(0..<64) }
        refused(.isInUse(4..<8)) { try buddy.allocate(4..<8) }
        refused(.unusableSize(96, smallestBlock: 4)) { try buddy.grow(to: 96) }
        try buddy.deallocate(block)
        #expect(buddy.isEmpty)
        #expect(buddy.blockSize(at: 0) == nil)
        #expect(buddy.block(containing: 100) == nil)
        #expect(buddy.blockSize(for: 65) == nil)
    }

    @Test func aGeometryThatCannotBeIsRefused() {
        for smallest in [0, -1, 3, Int.min, 12] {
            #expect(throws: BuddyError.smallestBlockIsNoPowerOfTwo(smallest)) {
                try BuddyAllocator(size: 100, smallestBlock: smallest)
            }
        }
        for (size, smallest) in [(0, 1), (-1, 1), (7, 8), (Int.max, 1 << 40), (1 << 37, 1), (Int.min, 4)] {
            #expect(throws: BuddyError.unusableSize(size, smallestBlock: smallest)) {
                try BuddyAllocator(size: size, smallestBlock: smallest)
            }
        }
    }

    @Test func theLargestSpaceAndBlocks() throws {
        let buddy = try BuddyAllocator(size: 1 << 62, smallestBlock: 1 << 50)
        #expect(try buddy.allocate(1 << 61) == 0..<1 << 61)
        #expect(try buddy.allocate(1 << 60 + 1) == 1 << 61..<1 << 62)
        #expect(buddy.freeCount == 0)
        #expect(buddy.tryAllocate(0) == nil)
        try buddy.deallocate(1 << 61)
        try buddy.deallocate(0)
        #expect(try buddy.allocate(1 << 62) == 0..<1 << 62)
        let one = try BuddyAllocator(size: 1 << 62 - 1, smallestBlock: 1 << 61)
        #expect((one.freeCount, one.largestFree) == (1 << 61, 1 << 61))
    }

    @Test func growingKeepsTheBlocksAndJoinsTheNewSpace() throws {
        var random = SeededRandom(seed: 5)
        for _ in 0..<20 {
            var size = Int.random(in: 1..<80, using: &random)
            let buddy = try BuddyAllocator(size: size, smallestBlock: 1)
            var live: [Range<Int>] = []
            for _ in 0..<12 {
                for _ in 0..<6 {
                    if let block = buddy.tryAllocate(Int.random(in: 0..<9, using: &random)) { live.append(block) }
                }
                for _ in 0..<3 where !live.isEmpty {
                    try buddy.deallocate(live.remove(at: Int.random(in: live.indices, using: &random)))
                }
                size += [0, 1, 3, 64, 200][Int.random(in: 0..<5, using: &random)]
                try buddy.grow(to: size)
                try #require(buddy.brokenInvariant() == nil)
                #expect(buddy.usedBlocks == live.sorted { $0.lowerBound < $1.lowerBound })
                #expect(buddy.freeCount + buddy.usedCount == size)
            }
            for block in live { try buddy.deallocate(block) }
            #expect(buddy.freeBlocks == (try BuddyAllocator(size: size, smallestBlock: 1)).freeBlocks)
        }
    }

    @Test func aSnapshotBringsBackTheBlocks() throws {
        let buddy = try BuddyAllocator(size: 1000, smallestBlock: 8)
        var random = SeededRandom(seed: 9)
        var live: [Range<Int>] = []
        for _ in 0..<60 {
            if let block = buddy.tryAllocate(Int.random(in: 1..<60, using: &random)) { live.append(block) }
            if live.count > 12 { try buddy.deallocate(live.remove(at: Int.random(in: live.indices, using: &random))) }
        }
        let coded = try JSONEncoder().encode(buddy.snapshot)
        let restored = try BuddyAllocator(JSONDecoder().decode(BuddySnapshot.self, from: coded))
        #expect(restored.snapshot == buddy.snapshot)
        #expect(restored.freeBlocks == buddy.freeBlocks)
        #expect(restored.brokenInvariant() == nil)
        for block in live { try restored.deallocate(block) }
        #expect(restored.isEmpty)

        func refused(_ error: BuddyError, _ size: Int, _ smallest: Int, _ used: [Range<Int>]) {
            #expect(throws: error) {
                try BuddyAllocator(BuddySnapshot(size: size, smallestBlock: smallest, usedBlocks: used))
            }
        }
        refused(.isInUse(8..<12), 64, 4, [0..<16, 8..<12])
        refused(.notABlock(8..<11), 64, 4, [8..<11])
        refused(.outside(offset: 64, size: 64), 64, 4, [64..<68])
        refused(.smallestBlockIsNoPowerOfTwo(5), 64, 5, [])
        refused(.unusableSize(1 << 62, smallestBlock: 1), 1 << 62, 1, [])
    }

    @Test func blocksAreFoundByAnyOfTheirOffsets() throws {
        let buddy = try BuddyAllocator(size: 64, smallestBlock: 2)
        try buddy.allocate(16..<32)
        try buddy.allocate(2..<4)
        for offset in 0..<64 {
            let (block, isFree) = try #require(buddy.block(containing: offset))
            #expect(block.contains(offset))
            #expect(isFree == !(16..<32 ~= offset || 2..<4 ~= offset))
        }
        #expect(buddy.usedBlocks == [2..<4, 16..<32])
        #expect(buddy.freeBlocks == [0..<2, 4..<8, 8..<16, 32..<64])
    }

    @Test func aNegativeCountTraps() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try BuddyAllocator(size: 64, smallestBlock: 2).tryAllocate(-1)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("BuddyAllocator: a negative count (-1)"))
    }
}
