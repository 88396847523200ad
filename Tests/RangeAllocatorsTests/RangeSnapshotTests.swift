// Snapshots: saved by one strategy and restored by another, and refused, nothing changed, where anything is wrong.

import Foundation
import RangeAllocators
import Testing

/// Allocates and frees at random, so that about half of the space is free in many ranges. Returns what is allocated.
@discardableResult
func churn<Strategy: RangeStrategy & ~Copyable>(
    _ ranges: RangeAllocator<Strategy>, calls: Int, most: Int, _ random: inout SeededRandom
) -> [Range<Int>] {
    var live: [Range<Int>] = []
    for _ in 0..<calls {
        let isHalfFull = ranges.usedCount > ranges.size / 2
        if Int.random(in: 0..<100, using: &random) < (isHalfFull ? 30 : 70) {
            let alignment = 1 << Int.random(in: 0..<4, using: &random)
            if let range = ranges.allocate(Int.random(in: 1...most, using: &random), alignment: alignment) {
                live.append(range)
            }
        } else if let place = live.indices.randomElement(using: &random) {
            live.swapAt(place, live.count - 1)
            let range = live.removeLast()
            // Often only a part of it.
            let middle = Int.random(in: range.lowerBound...range.upperBound, using: &random)
            ranges.deallocate(middle..<range.upperBound)
            if middle > range.lowerBound { live.append(range.lowerBound..<middle) }
        }
    }
    return live
}

@Suite struct RangeSnapshotTests {
    @Test func everyStrategyRestoresWhatAnyOtherSaved() throws {
        try restores(SegregatedFit.self, FirstFit.self)
        try restores(FirstFit.self, SegregatedFit.self)
        try restores(SegregatedFit.self, SegregatedFit.self)
        try restores(SingleTreap.self, TwoTrees.self)
        try restores(TwoTrees.self, SingleTreap.self)
    }

    @Test func theStrategyNeedsNoName() throws {
        let saved = RangeAllocator<FirstFit>(size: 100)
        _ = saved.allocate(10)
        let restored = try RangeAllocator(saved.snapshot, checks: .everything)
        #expect(type(of: restored) == RangeAllocator<SegregatedFit>.self)
        #expect(restored.freeRanges == [10..<100] && restored.checks == .everything)
        #expect(throws: RangeSnapshotError.size(-1)) {
            try RangeAllocator(RangeSnapshot(size: -1, freeRanges: []))
        }
    }

    private func restores<Saved: RangeStrategy & ~Copyable, Restored: RangeStrategy & ~Copyable>(
        _: Saved.Type, _: Restored.Type
    ) throws {
        var random = SeededRandom(seed: 4)
        let saved = RangeAllocator<Saved>(size: 3000)
        let live = churn(saved, calls: 400, most: 60, &random)
        let coded = try JSONEncoder().encode(saved.snapshot)
        let snapshot = try JSONDecoder().decode(RangeSnapshot.self, from: coded)
        #expect(snapshot == saved.snapshot)
        for checks in [RangeChecks.boundaries, .everything] {
            let restored = try RangeAllocator<Restored>(snapshot, checks: checks)
            #expect(restored.freeRanges == saved.freeRanges)
            #expect(restored.usedRanges == saved.usedRanges)
            #expect((restored.size, restored.freeCount) == (saved.size, saved.freeCount))
            #expect(restored.largestFree == saved.largestFree)
            #expect(restored.brokenInvariant() == nil)
            churn(restored, calls: 100, most: 60, &random)
            #expect(restored.brokenInvariant() == nil)
            // Once more, over what is there.
            try restored.restore(snapshot)
            for range in live { restored.deallocate(range) }
            #expect(restored.isEmpty)
            #expect(restored.brokenInvariant() == nil)
        }
    }

    @Test func whatCannotBeIsRefusedAndNothingChanges() throws {
        let ranges = RangeAllocator(size: 100)
        _ = ranges.allocate(10)
        let before = ranges.snapshot
        func refused(_ size: Int, _ free: [Range<Int>], _ error: RangeSnapshotError) {
            let snapshot = RangeSnapshot(size: size, freeRanges: free)
            #expect(throws: error) { try ranges.restore(snapshot) }
            #expect(throws: error) { try RangeAllocator<SegregatedFit>(snapshot) }
            #expect(ranges.snapshot == before)
            #expect(!error.description.isEmpty)
        }
        refused(-1, [], .size(-1))
        refused(1 << 62 + 1, [], .size(1 << 62 + 1))
        refused(50, [3..<3], .empty(3..<3))
        refused(50, [-1..<3], .outOfBounds(-1..<3, size: 50))
        refused(50, [0..<3, 49..<51], .outOfBounds(49..<51, size: 50))
        refused(50, [Int.min..<Int.max], .outOfBounds(Int.min..<Int.max, size: 50))
        refused(50, [10..<12, 3..<5], .unsorted(10..<12, 3..<5))
        refused(50, [10..<12, 10..<12], .overlapping(10..<12, 10..<12))
        refused(50, [10..<20, 19..<25], .overlapping(10..<20, 19..<25))
        refused(50, [10..<20, 20..<25], .touching(10..<20, 20..<25))
        // A range whose ends are the wrong way round is no range: it does not even decode.
        let text = #"{"size": 50, "freeRanges": [[7, 3]]}"#
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(RangeSnapshot.self, from: Data(text.utf8)) }
    }

    @Test func theEdgesAreAllowed() throws {
        for snapshot in [
            RangeSnapshot(size: 0, freeRanges: []), RangeSnapshot(size: 10, freeRanges: []),
            RangeSnapshot(size: 1 << 62, freeRanges: [0..<1, 2..<1 << 62]),
        ] {
            let ranges = try RangeAllocator<SegregatedFit>(snapshot)
            #expect(ranges.snapshot == snapshot)
            #expect(ranges.brokenInvariant() == nil)
        }
    }
}
