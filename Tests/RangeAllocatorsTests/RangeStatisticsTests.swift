// The account of an allocator, in numbers and in words: against what its free ranges say, with each strategy.

import Foundation
import RangeAllocators
import Testing

@Suite struct RangeStatisticsTests {
    @Test func countsWhatIsFreeAndWhatIsNot() throws {
        let ranges = RangeAllocator(size: 1000)
        for used in [0..<10, 11..<20, 23..<100, 500..<600] { #expect(ranges.allocate(used)) }
        let statistics = ranges.statistics
        #expect((statistics.size, statistics.usedCount, statistics.freeCount) == (1000, 196, 804))
        #expect((statistics.usedRanges, statistics.freeRanges) == (4, 4))
        #expect((statistics.largestFree, statistics.freeAtEnd) == (400, 400))
        // 1, 3, and two of 400.
        #expect(statistics.freeRangesByPowerOfTwo == [1, 1, 0, 0, 0, 0, 0, 0, 2])
        let fragmentation: Double = 1 - 400.0 / 804
        #expect(statistics.externalFragmentation == fragmentation)
        #expect(statistics.metadataByteCount == ranges.metadataByteCount)
        #expect(statistics.metadataByteCount > 0)
        let text = statistics.description
        #expect(text.contains("196 of 1000 used in 4 ranges"))
        #expect(text.contains("fragmentation 50.2 %"))
        #expect(text.contains("\n  from 256: 2"))
        let decoded = try JSONDecoder().decode(RangeStatistics.self, from: JSONEncoder().encode(statistics))
        #expect(decoded == statistics)
    }

    @Test func theEdges() {
        let none = RangeAllocator(size: 0).statistics
        #expect((none.usedRanges, none.freeRanges, none.largestFree, none.externalFragmentation) == (0, 0, 0, 0))
        #expect(none.freeRangesByPowerOfTwo == [])
        let full = RangeAllocator(size: 5)
        _ = full.allocate(5)
        #expect((full.statistics.usedRanges, full.statistics.freeRanges, full.statistics.freeAtEnd) == (1, 0, 0))
        #expect(full.statistics.externalFragmentation == 0)
        let huge = RangeAllocator(size: 1 << 62).statistics
        #expect(huge.freeRangesByPowerOfTwo.count == 63)
        #expect(huge.freeRangesByPowerOfTwo.last == 1)
    }

    @Test func itCanBeReflected() throws {
        let ranges = RangeAllocator<FirstFit>(size: 50)
        _ = ranges.allocate(7)
        var text = ""
        dump(ranges, to: &text)
        #expect(text.contains("freeCount: 43"))
        #expect("\(ranges)" == "RangeAllocator(7 of 50 used, 1 free ranges, the largest 43)")
        let pool = try BuddyPool(buddySize: 64, smallestBlock: 4)
        text = ""
        dump(pool, to: &text)
        #expect(text.contains("buddySize: 64"))
    }

    @Test func agreesWithTheRangesOfEveryStrategy() {
        agrees(SegregatedFit.self)
        agrees(FirstFit.self)
        agrees(SingleTreap.self)
        agrees(TwoTrees.self)
    }

    private func agrees<Strategy: RangeStrategy & ~Copyable>(_: Strategy.Type) {
        var random = SeededRandom(seed: 8)
        let ranges = RangeAllocator<Strategy>(size: 5000)
        for _ in 0..<10 {
            churn(ranges, calls: 60, most: 70, &random)
            let statistics = ranges.statistics
            #expect(statistics.freeRanges == ranges.freeRanges.count)
            #expect(statistics.usedRanges == ranges.usedRanges.count)
            #expect(statistics.largestFree == ranges.largestFree)
            #expect(statistics.usedCount == ranges.usedCount)
            for (power, count) in statistics.freeRangesByPowerOfTwo.enumerated() {
                let sizes = 1 << power..<1 << (power + 1)
                #expect(count == ranges.freeRanges.filter { sizes.contains($0.count) }.count)
            }
            #expect(statistics.freeRangesByPowerOfTwo.reduce(0, +) == statistics.freeRanges)
        }
    }
}
