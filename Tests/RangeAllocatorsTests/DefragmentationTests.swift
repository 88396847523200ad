// Plans of moves, carried out with data behind them: nothing is lost, the limit is kept, what is free comes together.

import RangeAllocators
import Testing

/// A space with data behind it: each integer's owner is what was written there when it was allocated.
private struct Space<Strategy: RangeStrategy & ~Copyable> {
    let ranges: RangeAllocator<Strategy>
    var data: [Int]
    /// What is allocated, by the number that is written there; 0 is nobody.
    var owned: [Int: Range<Int>] = [:]

    init(size: Int, checks: RangeChecks = .boundaries) {
        ranges = RangeAllocator(size: size, checks: checks)
        data = [Int](repeating: 0, count: size)
    }

    /// Fills the space, then frees a part of it, at random.
    mutating func fill(most: Int, alignment: Int, freed percent: Int, _ random: inout SeededRandom) {
        var owner = 0
        while let range = ranges.allocate(Int.random(in: 1...most, using: &random), alignment: alignment) {
            owner += 1
            owned[owner] = range
            // Which part of it this is, too: a move must keep the order.
            for (place, offset) in range.enumerated() { data[offset] = owner << 20 | place }
        }
        for owner in 1...owner where Int.random(in: 0..<100, using: &random) < percent {
            ranges.deallocate(owned.removeValue(forKey: owner)!)
        }
    }

    /// Makes the moves as a user does, and finds out where each allocation went.
    mutating func make(_ moves: [RangeMove], alignment: Int) {
        for move in moves {
            #expect(!move.from.isEmpty)
            #expect(move.from.lowerBound != move.to)
            #expect((move.from.lowerBound - move.to) % alignment == 0)
            #expect(ranges.move(move), "\(move)")
            #expect(ranges.brokenInvariant() == nil)
            let moved = Array(data[move.from])
            data.replaceSubrange(move.destination, with: moved)
            for (owner, range) in owned where move.from.overlaps(range) {
                #expect(range.clamped(to: move.from) == range, "an allocation is split")
                let lower = range.lowerBound - move.from.lowerBound + move.to
                owned[owner] = lower..<lower + range.count
            }
        }
    }

    /// Whether each allocation has its data.
    func checkData() {
        for (owner, range) in owned {
            #expect(data[range].elementsEqual((0..<range.count).lazy.map { owner << 20 | $0 }))
        }
        var isUsed = [Bool](repeating: false, count: data.count)
        for range in ranges.usedRanges {
            for offset in range { isUsed[offset] = true }
        }
        for range in owned.values {
            if range.contains(where: { !isUsed[$0] }) { Issue.record("\(range) is not used") }
            for offset in range { isUsed[offset] = false }
        }
        #expect(!isUsed.contains(true))
    }
}

private func sum(_ moves: [RangeMove]) -> Int { moves.reduce(0) { $0 + $1.from.count } }

@Suite struct DefragmentationTests {
    @Test(arguments: [(5, 10), (20, 50), (60, 50), (60, 90)], [1, 8])
    func aPlanWithoutLimitLeavesOneFreeRangeAtTheEnd(_ sizes: (most: Int, freed: Int), _ alignment: Int) {
        for seed in 1...3 as ClosedRange<UInt64> {
            compacts(SegregatedFit.self, sizes.most, sizes.freed, alignment, seed)
            switch seed {
            case 1: compacts(FirstFit.self, sizes.most, sizes.freed, alignment, seed)
            case 2: compacts(SingleTreap.self, sizes.most, sizes.freed, alignment, seed)
            default: compacts(TwoTrees.self, sizes.most, sizes.freed, alignment, seed)
            }
        }
    }

    private func compacts<Strategy: RangeStrategy & ~Copyable>(
        _: Strategy.Type, _ most: Int, _ freed: Int, _ alignment: Int, _ seed: UInt64
    ) {
        var random = SeededRandom(seed: seed)
        var space = Space<Strategy>(size: 600 + Int(seed), checks: seed == 1 ? .everything : .boundaries)
        space.fill(most: most, alignment: alignment, freed: freed, &random)
        let (free, used) = (space.ranges.freeCount, space.ranges.usedRanges)
        // Sliding moves all that is behind the first hole.
        let first = space.ranges.freeRanges.first?.lowerBound ?? 0
        let behind = used.reduce(0) { $0 + ($1.lowerBound >= first ? $1.count : 0) }
        let snapshot = space.ranges.snapshot
        let moves = space.ranges.defragmentationPlan(alignment: alignment)
        #expect(space.ranges.snapshot == snapshot)
        #expect(sum(moves) <= behind)
        space.make(moves, alignment: alignment)
        space.checkData()
        #expect(space.ranges.freeCount == free)
        if alignment == 1 {
            #expect(space.ranges.freeRanges == [600 + Int(seed) - free..<600 + Int(seed)])
        } else {
            // Less than the alignment is free in front of each range.
            #expect(space.ranges.freeRanges.dropLast().allSatisfy { $0.count < alignment })
            #expect(space.owned.values.allSatisfy { $0.lowerBound % alignment == 0 })
        }
        #expect(space.ranges.defragmentationPlan(alignment: alignment).isEmpty)
    }

    @Test(arguments: [(5, 10), (20, 50), (60, 50), (60, 90)], [1, 8])
    func aLimitIsKeptAndTheLargestFreeRangeGrows(_ sizes: (most: Int, freed: Int), _ alignment: Int) {
        for seed in 1...2 as ClosedRange<UInt64> {
            var random = SeededRandom(seed: seed)
            var space = Space<SegregatedFit>(size: 700)
            space.fill(most: sizes.most, alignment: alignment, freed: sizes.freed, &random)
            let snapshot = space.ranges.snapshot
            let all = sum(space.ranges.defragmentationPlan(alignment: alignment))
            for limit in [0, 1, 10, 50, 200, all - 1, all] where limit >= 0 {
                var copy = space
                try! copy.ranges.restore(snapshot)
                let before = copy.ranges.largestFree
                let moves = copy.ranges.defragmentationPlan(limit: limit, alignment: alignment)
                #expect(sum(moves) <= limit)
                copy.make(moves, alignment: alignment)
                copy.checkData()
                #expect(moves.isEmpty ? copy.ranges.largestFree == before : copy.ranges.largestFree > before)
                if alignment == 1 {
                    #expect(copy.ranges.largestFree >= bySliding(snapshot.freeRanges, limit))
                    if limit >= all { #expect(copy.ranges.freeRanges.count <= 1) }
                }
            }
        }
    }

    /// The largest free range that one gets by sliding the runs between some holes together: all windows are tried.
    private func bySliding(_ holes: [Range<Int>], _ limit: Int) -> Int {
        var best = 0
        for first in holes.indices {
            var free = 0
            for last in first..<holes.count {
                free += holes[last].count
                if holes[last].upperBound - holes[first].lowerBound - free > limit { break }
                best = max(best, free)
            }
        }
        return best
    }

    @Test func aRunThatFillsAGapSparesThoseBehindIt() {
        let ranges = RangeAllocator(size: 1000)
        // A hole of 10, 600 used, a hole, and 10 used.
        for used in [0..<50, 60..<660, 700..<710] { #expect(ranges.allocate(used)) }
        #expect(ranges.defragmentationPlan() == [RangeMove(from: 700..<710, to: 50)])
        #expect(ranges.move(RangeMove(from: 700..<710, to: 50)))
        #expect(ranges.freeRanges == [660..<1000])
        #expect(ranges.defragmentationPlan() == [])
    }

    @Test func aSmallRunBetweenLargeGapsIsMovedFirst() {
        let ranges = RangeAllocator(size: 1000)
        for used in [0..<100, 105..<200, 400..<404, 600..<1000] { #expect(ranges.allocate(used)) }
        // It goes where there is room, so that what it had is free too.
        #expect(ranges.defragmentationPlan(limit: 4) == [RangeMove(from: 400..<404, to: 100)])
        #expect(ranges.defragmentationPlan(limit: 3) == [])
        #expect(ranges.defragmentationPlan(limit: 0) == [])
    }

    /// As few allocations are aligned, fewer ranges have something free in front of them.
    @Test func eachRangeHasItsOwnAlignment() {
        for seed in 1...4 as ClosedRange<UInt64> {
            var random = SeededRandom(seed: seed)
            let ranges = RangeAllocator(size: 4000)
            var alignments: [Int: Int] = [:]
            var live: [Range<Int>] = []
            while true {
                let alignment = [1, 1, 1, 64].randomElement(using: &random)!
                let count = Int.random(in: 1...90, using: &random)
                guard let range = ranges.allocate(count, alignment: alignment) else { break }
                alignments[range.lowerBound] = alignment
                live.append(range)
            }
            live.removeAll { range in
                if Bool.random(using: &random) { return false }
                ranges.deallocate(range)
                return true
            }
            func alignment(_ run: Range<Int>) -> Int {
                live.reduce(1) { run.contains($1.lowerBound) ? max($0, alignments[$1.lowerBound]!) : $0 }
            }
            let snapshot = ranges.snapshot
            for limit in [nil, 100, 400] {
                try! ranges.restore(snapshot)
                var placed = live
                var moved = 0
                for move in ranges.defragmentationPlan(limit: limit, alignment: alignment) {
                    #expect(ranges.move(move))
                    moved += move.from.count
                    for index in placed.indices {
                        guard let range = move.newRange(of: placed[index]) else {
                            #expect(!placed[index].overlaps(move.from))
                            continue
                        }
                        #expect(range.count == placed[index].count)
                        placed[index] = range
                    }
                }
                for (before, range) in zip(live, placed) {
                    #expect(range.lowerBound % alignments[before.lowerBound]! == 0)
                }
                let used = RangeAllocator(size: 4000)
                for range in placed { #expect(used.allocate(range)) }
                #expect(used.freeRanges == ranges.freeRanges)
                if let limit {
                    #expect(moved <= limit && ranges.largestFree >= snapshot.freeRanges.map(\.count).max()!)
                } else {
                    let largest = ranges.largestFree
                    try! ranges.restore(snapshot)
                    for move in ranges.defragmentationPlan(alignment: 64) { #expect(ranges.move(move)) }
                    #expect(largest >= ranges.largestFree)
                }
            }
        }
    }

    @Test func aMoveTellsWhereARangeIs() {
        let move = RangeMove(from: 10..<30, to: 5)
        #expect(move.newRange(of: 10..<30) == 5..<25 && move.newRange(of: 12..<13) == 7..<8)
        #expect(move.newRange(of: 29..<30) == 24..<25)
        for range in [0..<10, 9..<11, 29..<31, 30..<40, 0..<40, 15..<15, Int.min..<Int.max] {
            #expect(move.newRange(of: range) == nil)
        }
    }

    @Test func theEdges() {
        let empty = RangeAllocator(size: 100)
        #expect(empty.defragmentationPlan() == [])
        #expect(empty.defragmentationPlan(limit: 5) == [])
        let full = RangeAllocator(size: 100)
        _ = full.allocate(100)
        #expect(full.defragmentationPlan() == [])
        #expect(full.defragmentationPlan(limit: 5) == [])
        #expect(RangeAllocator(size: 0).defragmentationPlan() == [])
        let large = RangeAllocator(size: 1 << 62)
        #expect(large.allocate(1 << 61..<(1 << 61 + 7)))
        #expect(large.defragmentationPlan() == [RangeMove(from: 1 << 61..<(1 << 61 + 7), to: 0)])
        #expect(large.defragmentationPlan(alignment: 1 << 61) == [RangeMove(from: 1 << 61..<(1 << 61 + 7), to: 0)])
        // Only by a multiple of the alignment.
        let aligned = RangeAllocator(size: 100)
        #expect(aligned.allocate(21..<30))
        #expect(aligned.defragmentationPlan(alignment: 8) == [RangeMove(from: 21..<30, to: 5)])
    }

    @Test func aMoveThatIsNotPossibleIsRefused() throws {
        for checks in [RangeChecks.boundaries, .everything] {
            let ranges = RangeAllocator(size: 100, checks: checks)
            for used in [10..<20, 30..<50] { #expect(ranges.allocate(used)) }
            let before = ranges.snapshot
            ranges.recordsHistory = true
            // That a part is free already is always seen only where everything is checked.
            let overlaps = checks == .everything ? [(10..<21, 60), (5..<20, 60), (20..<30, 60), (8..<18, 60)] : []
            for (from, to) in overlaps + [
                (Int.min..<Int.max, 5), (10..<20, 25), (10..<20, 91), (10..<20, -1), (10..<20, Int.max), (-5..<3, 50),
                (95..<105, 0),
                (0..<100, 0), (30..<50, 19), (30..<50, 15),
            ] {
                #expect(!ranges.move(RangeMove(from: from, to: to)), "\(from) to \(to)")
                #expect(ranges.snapshot == before)
                #expect(ranges.brokenInvariant() == nil)
            }
            // Down and up, over itself.
            #expect(ranges.move(RangeMove(from: 30..<50, to: 20)))
            #expect(ranges.usedRanges == [10..<40])
            #expect(ranges.move(RangeMove(from: 20..<40, to: 35)))
            #expect(ranges.usedRanges == [10..<20, 35..<55])
            #expect(ranges.move(RangeMove(from: 40..<45, to: 40)))
            #expect(ranges.usedRanges == [10..<20, 35..<55])
            let copy = RangeAllocator(size: 0)
            try copy.replay(try #require(ranges.history))
            #expect(copy.snapshot == ranges.snapshot)
        }
    }

    @Test func misuseTraps() async throws {
        let limit = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = RangeAllocator(size: 64).defragmentationPlan(limit: -1)
        }
        let limitText = String(decoding: limit?.standardErrorContent ?? [], as: UTF8.self)
        #expect(limitText.contains("RangeAllocator: a plan of at most -1, which is negative"))
        let alignment = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = RangeAllocator(size: 64).defragmentationPlan(alignment: 3)
        }
        let alignmentText = String(decoding: alignment?.standardErrorContent ?? [], as: UTF8.self)
        #expect(alignmentText.contains("RangeAllocator: a request with the alignment 3"))
    }
}
