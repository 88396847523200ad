// Recorded calls: replayed they get the same answers, and what can't have been is refused in place of a trap.

import Foundation
import RangeAllocators
import Testing

@Suite struct RangeHistoryTests {
    /// All that is recorded, in a random order.
    private func record<Strategy: RangeStrategy & ~Copyable>(_ ranges: RangeAllocator<Strategy>, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<12 {
            let live = churn(ranges, calls: 40, most: 90, &random)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: ranges.grow(to: ranges.size + Int.random(in: 0..<500, using: &random))
            case 1: ranges.trim()
            case 2: ranges.reset(size: Int.random(in: 500..<3000, using: &random))
            case 3: try? ranges.restore(RangeSnapshot(size: 2000, freeRanges: [5..<100, 300..<2000]))
            case 4: ranges.deallocate(live.first ?? 0..<0)
            case 5:
                let lower = Int.random(in: 0..<ranges.size, using: &random)
                _ = ranges.allocate(lower..<min(lower + 20, ranges.size))
            default:
                _ = ranges.allocate(0)
                for range in live.prefix(3) { _ = ranges.tryDeallocate(range) }
            }
        }
    }

    @Test func aReplayGetsTheSameAnswers() throws {
        try replays(SegregatedFit.self)
        try replays(FirstFit.self)
        try replays(SingleTreap.self)
        try replays(TwoTrees.self)
    }

    private func replays<Strategy: RangeStrategy & ~Copyable>(_: Strategy.Type) throws {
        for seed in 0..<6 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            let ranges = RangeAllocator<Strategy>(size: 2000, checks: seed % 2 == 0 ? .boundaries : .everything)
            // Recording begins in the middle, where the records are in some order.
            if seed > 1 { churn(ranges, calls: 200, most: 40, &random) }
            ranges.recordsHistory = true
            record(ranges, seed: seed)
            #expect(ranges.brokenInvariant() == nil)
            let history = try #require(ranges.history)
            #expect(history.calls.count > 200)
            let coded = try JSONEncoder().encode(history)
            let decoded = try JSONDecoder().decode(RangeHistory.self, from: coded)
            #expect(decoded == history)
            let copy = RangeAllocator<Strategy>(size: 7)
            copy.recordsHistory = true
            try copy.replay(decoded)
            #expect(copy.snapshot == ranges.snapshot)
            #expect(copy.brokenInvariant() == nil)
            // What was replayed was recorded, behind the start.
            #expect(copy.history?.calls.dropFirst().elementsEqual(history.calls) == true)
        }
    }

    @Test func recordingIsOffUntilItIsSwitchedOn() throws {
        let ranges = RangeAllocator(size: 100)
        #expect(!ranges.recordsHistory)
        _ = ranges.allocate(3)
        #expect(ranges.history == nil)
        ranges.recordsHistory = true
        #expect(ranges.history == RangeHistory(size: 100, freeRanges: [3..<100], calls: []))
        let range = try #require(ranges.allocate(4, alignment: 8))
        #expect(ranges.allocate(200) == nil)
        #expect(ranges.find(5) != nil)
        #expect(!ranges.allocate(0..<5))
        ranges.deallocate(range)
        ranges.recordsHistory = true
        let calls: [RangeCall] = [
            .allocate(count: 4, alignment: 8, result: range), .allocate(count: 200, alignment: 1, result: nil),
            .allocateRange(0..<5, result: false), .deallocate(range),
        ]
        #expect(ranges.history?.calls == calls)
        ranges.recordsHistory = false
        #expect(ranges.history == nil)
        _ = ranges.allocate(1)
        #expect(ranges.history == nil)
        // What checks everything goes on with that.
        let checked = RangeAllocator(size: 100, checks: .everything)
        checked.recordsHistory = true
        checked.recordsHistory = false
        _ = checked.allocate(10)
        #expect(checked.brokenInvariant() == nil)
    }

    @Test func aDifferenceIsToldByItsCall() throws {
        let ranges = RangeAllocator<FirstFit>(size: 100)
        ranges.recordsHistory = true
        let range = try #require(ranges.allocate(10))
        _ = ranges.allocate(5)
        ranges.deallocate(range)
        _ = ranges.trim()
        var history = try #require(ranges.history)
        history.calls[1] = .allocate(count: 5, alignment: 1, result: 50..<55)
        let differs = RangeReplayError.differs(
            index: 1, recorded: history.calls[1], replayed: .allocate(count: 5, alignment: 1, result: 10..<15))
        let copy = RangeAllocator<FirstFit>(size: 0)
        #expect(throws: differs) { try copy.replay(history) }
        #expect(copy.usedRanges == [0..<15])
        #expect(differs.description.contains("call 1"))

        history.calls[1] = .allocate(count: 5, alignment: 1, result: 10..<15)
        history.calls[3] = .trim(result: 4)
        let trimmed = RangeReplayError.differs(index: 3, recorded: .trim(result: 4), replayed: .trim(result: 85))
        #expect(throws: trimmed) { try copy.replay(history) }
    }

    @Test func whatCannotHaveBeenCalledDoesNotTrap() throws {
        let before = [RangeCall.allocateRange(10..<20, result: true)]
        for call in [
            RangeCall.deallocate(0..<10), .deallocate(15..<21), .deallocate(-5..<0), .deallocate(100..<101),
            .deallocate(Int.min..<Int.max), .allocate(count: -1, alignment: 1, result: nil),
            .allocate(count: 1, alignment: 3, result: nil), .allocate(count: 1, alignment: 0, result: nil),
            .allocate(count: 1, alignment: 1 << 62, result: nil), .allocateRange(-1..<5, result: true),
            .allocateRange(90..<101, result: false), .grow(99), .grow(1 << 62 + 1), .reset(-1), .reset(.max),
            .restore(RangeSnapshot(size: -1, freeRanges: [])),
        ] {
            let history = RangeHistory(size: 100, freeRanges: [0..<100], calls: before + [call])
            for strategy in 0..<2 {
                let error = RangeReplayError.impossible(index: 1, call)
                #expect(throws: error) {
                    if strategy == 0 {
                        try RangeAllocator<SegregatedFit>(size: 1).replay(history)
                    } else {
                        try RangeAllocator<FirstFit>(size: 1).replay(history)
                    }
                }
                #expect(!error.description.isEmpty)
            }
        }
        let history = RangeHistory(size: 10, freeRanges: [0..<11], calls: [])
        #expect(throws: RangeReplayError.start(.outOfBounds(0..<11, size: 10))) {
            try RangeAllocator<SegregatedFit>(size: 1).replay(history)
        }
    }
}
