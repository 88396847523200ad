// All calls of RangeAllocator in random order against a model, with each strategy: also those that change the space
// (grow, trim, reset, restore) and those that move what is allocated.

import RangeAllocators
import Testing

@Suite struct RangeAllocatorModelTests {
    @Test(arguments: StrategyKind.allCases, [RangeChecks.boundaries, .everything])
    func everyCallFollowsTheModel(kind: StrategyKind, checks: RangeChecks) throws {
        for seed in 1...3 as ClosedRange<UInt64> {
            switch kind {
            case .segregatedFit: try follow(RangeAllocator<SegregatedFit>(size: 900, checks: checks), seed)
            case .singleTreap: try follow(RangeAllocator<SingleTreap>(size: 900, checks: checks), seed)
            case .twoTrees: try follow(RangeAllocator<TwoTrees>(size: 900, checks: checks), seed)
            case .firstFit: try follow(RangeAllocator<FirstFit>(size: 900, checks: checks), seed)
            }
        }
    }

    /// A space of so many, with these free ranges.
    private func model(_ size: Int, _ free: [Range<Int>]) -> ModelSpace {
        var model = ModelSpace(0..<size)
        for range in free { model.insert(range) }
        return model
    }

    private func follow<Strategy: RangeStrategy & ~Copyable>(
        _ ranges: RangeAllocator<Strategy>, _ seed: UInt64
    ) throws {
        var random = SeededRandom(seed: seed)
        var model = model(900, [0..<900])
        var saved = ranges.snapshot
        let findsAll = Strategy.findsEveryOverlap || ranges.checks == .everything
        var (nones, refusals, moves) = (0, 0, 0)
        ranges.recordsHistory = true
        for step in 0..<500 {
            switch random.below(100) {
            case ..<45:
                let count = 1 + random.below(random.chance(10) ? 300 : 50)
                let alignment = random.chance(50) ? 1 : 1 << random.below(9)
                let found = ranges.find(count, alignment: alignment)
                let range = ranges.allocate(count, alignment: alignment)
                #expect(range == found && (range == nil) == model.places(count, alignment).isEmpty, "step \(step)")
                guard let range else {
                    nones += 1
                    break
                }
                #expect(range.count == count && range.lowerBound % alignment == 0 && model.isFree(range))
                model.take(range)
            case ..<70:
                guard let range = random.part(of: model.used) else { break }
                ranges.deallocate(range)
                model.insert(range)
            case ..<75:
                guard let range = random.part(of: [0..<model.space.upperBound + 5]) else { break }
                let isUsed = range.upperBound <= model.space.upperBound && model.isUsed(range)
                // Where an overlap may stay unseen, only what is right is asked.
                if isUsed || findsAll {
                    #expect(ranges.tryDeallocate(range) == isUsed)
                    if isUsed { model.insert(range) } else { refusals += 1 }
                }
            case ..<80:
                let whole = random.chance(50) ? model.free : [model.space].filter { !$0.isEmpty }
                guard let range = random.part(of: whole) else { break }
                let isFree = model.isFree(range)
                #expect(ranges.allocate(range) == isFree)
                if isFree { model.take(range) } else { refusals += 1 }
            case ..<86:
                guard let from = random.part(of: model.used) else { break }
                let move = RangeMove(from: from, to: random.below(model.space.upperBound))
                var moved = model
                moved.insert(from)
                let isPossible = move.destination.upperBound <= model.space.upperBound && moved.isFree(move.destination)
                #expect(ranges.move(move) == isPossible)
                if isPossible {
                    moved.take(move.destination)
                    model = moved
                    moves += 1
                } else {
                    refusals += 1
                }
            case ..<90:
                let size = model.space.upperBound + random.below(200)
                ranges.grow(to: size)
                let free = model.free
                model = self.model(size, free + [model.space.upperBound..<size].filter { !$0.isEmpty })
            case ..<94:
                let last = model.free.last.flatMap { $0.upperBound == ranges.size ? $0 : nil }
                #expect(ranges.trim() == last?.count ?? 0)
                if let last { model = self.model(last.lowerBound, model.free.dropLast()) }
            case ..<96:
                saved = ranges.snapshot
            case 96:
                try ranges.restore(saved)
                model = self.model(saved.size, saved.freeRanges)
            case 97:
                let size = random.chance(50) ? model.space.upperBound : 300 + random.below(900)
                if size == model.space.upperBound { ranges.reset() } else { ranges.reset(size: size) }
                model = self.model(size, [0..<size].filter { !$0.isEmpty })
            default:
                let alignment = 1 << random.below(5)
                for move in ranges.defragmentationPlan(limit: random.below(600), alignment: alignment) {
                    #expect(ranges.move(move) && (move.to - move.from.lowerBound) % alignment == 0)
                    model.insert(move.from)
                    model.take(move.destination)
                    moves += 1
                }
            }
            let broken = ranges.brokenInvariant()
            #expect(broken == nil, "step \(step)")
            #expect(ranges.freeRanges == model.free && ranges.usedRanges == model.used, "step \(step)")
            let free = model.free.reduce(0) { $0 + $1.count }
            #expect(ranges.size == model.space.upperBound && ranges.freeCount == free)
            #expect(ranges.largestFree == model.largest && ranges.freeRangeCount == model.free.count)
            let last = model.free.last.flatMap { $0.upperBound == ranges.size ? $0.count : nil } ?? 0
            #expect(ranges.freeAtEnd == last && ranges.isEmpty == model.used.isEmpty)
            if broken != nil { return }
        }
        #expect(nones > 0 && refusals > 0 && moves > 0)
        // The same calls get the same answers from another allocator.
        let copy = RangeAllocator<Strategy>(size: 0, checks: .everything)
        try copy.replay(try #require(ranges.history))
        #expect(copy.snapshot == ranges.snapshot)
    }
}
