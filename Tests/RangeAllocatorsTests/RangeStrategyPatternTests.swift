// The strategies under patterns: those that make trees deep, long sequences in which "none" must be true, the choices
// that a strategy promises, and RangeAllocator on top of each.

import Testing

@testable import RangeAllocators

@Suite struct RangeStrategyPatternTests {
    // MARK: Depth

    enum Order: CaseIterable { case rising, falling, shuffled }

    private static let rangeCount = 4000

    /// Ranges with a gap between each two, inserted in some order; what the strategy looks at to find one.
    private func depth<Strategy: RangeStrategy & ~Copyable>(
        _: Strategy.Type, _ order: Order, counts count: (Int) -> Int, depth: (borrowing Strategy) -> Int
    ) -> Int {
        var random = SeededRandom(seed: 5)
        var indices = Array(0..<Self.rangeCount)
        switch order {
        case .rising: break
        case .falling: indices.reverse()
        case .shuffled: indices.shuffle(using: &random)
        }
        var strategy = Strategy()
        var isInserted = true
        for index in indices {
            let start = index * 2 * Self.rangeCount
            isInserted = strategy.insert(start, start + count(index)) && isInserted
        }
        expect(isInserted && strategy.rangeCount == Self.rangeCount && strategy.brokenInvariant() == nil)
        return depth(strategy)
    }

    /// Not more than four levels of half full nodes: 15 * 11 * 11 * 11 is 19,965.
    @Test(arguments: Order.allCases)
    func treesOfPairsStayShallow(order: Order) {
        let counts: [(Int) -> Int] = [{ _ in 100 }, { $0 + 1 }, { Self.rangeCount - $0 }]
        for count in counts {
            #expect(depth(TwoTrees.self, order, counts: count) { $0.depth() } <= 4)
            #expect(depth(FirstFit.self, order, counts: count) { $0.depth() } <= 4)
        }
    }

    /// Sizes that are equal, or don't follow the offset: expected depth 2 ln 4000, which is 17; twice as much is
    /// improbable, and these are always the same numbers.
    @Test(arguments: Order.allCases)
    func theTreapStaysShallowWhereSizesDontFollowOffsets(order: Order) {
        let counts: [(Int) -> Int] = [{ _ in 100 }, { $0 * 1237 % 4001 + 1 }, { 1 << ($0 % 12) }]
        for count in counts { #expect(depth(SingleTreap.self, order, counts: count) { $0.depth() } <= 34) }
    }

    /// Its known bad case: a list, but still right, and without recursion.
    @Test func theTreapIsAListWhereSizesRiseWithOffsets() {
        var treap = SingleTreap()
        let count = 1500
        for index in 0..<count { _ = treap.insert(index * 10_000, index * 10_000 + index + 1) }
        #expect(treap.depth() == count)
        #expect(treap.brokenInvariant() == nil && treap.freeRanges().count == count)
        #expect(treap.find(count: count, alignment: 1) == (count - 1) * 10_000)
        for index in 0..<count { _ = treap.insert(index * 10_000 + index + 1, (index + 1) * 10_000) }
        #expect(treap.freeRanges() == [0..<count * 10_000])
    }

    // MARK: Choices

    @Test func theTreapGoesToTheSmallerChildThatFits() {
        var treap = SingleTreap()
        for range in [0..<40, 100..<160, 200..<300, 400..<470, 500..<530] {
            _ = treap.insert(range.lowerBound, range.upperBound)
        }
        // 100 is the root; 60 and 70 are its children; 40 is below 60 and 30 below 70.
        #expect(treap.find(count: 80, alignment: 1) == 200)
        #expect(treap.find(count: 65, alignment: 1) == 400)
        #expect(treap.find(count: 50, alignment: 1) == 100)
        #expect(treap.find(count: 40, alignment: 1) == 0)
    }

    /// Many ranges that are large enough but start wrong, and one that starts right and is no larger than it must be.
    @Test(arguments: StrategyKind.allCases)
    func findsTheOneRangeThatIsAligned(kind: StrategyKind) {
        switch kind {
        case .segregatedFit: findTheAligned(SegregatedFit.self)
        case .singleTreap: findTheAligned(SingleTreap.self)
        case .twoTrees: findTheAligned(TwoTrees.self)
        case .firstFit: findTheAligned(FirstFit.self)
        }
    }

    private func findTheAligned<Strategy: RangeStrategy & ~Copyable>(_: Strategy.Type) {
        var strategy = Strategy()
        for index in 0..<300 {
            // One beyond a multiple of 4096, as large as can be without the next one fitting.
            _ = strategy.insert(index * 16384 + 1, index * 16384 + 4096 + 1000 - 1)
        }
        expect(strategy.find(count: 1000, alignment: 4096) == nil)
        expect(strategy.allocate(count: 1000, alignment: 4096) == nil)
        expect(strategy.find(count: 999, alignment: 4096) != nil)
        _ = strategy.insert(170 * 16384 + 8192, 170 * 16384 + 8192 + 1000)
        expect(strategy.find(count: 1000, alignment: 4096) == 170 * 16384 + 8192)
        expect(strategy.allocate(count: 1000, alignment: 4096) == 170 * 16384 + 8192)
        expect(strategy.allocate(count: 1000, alignment: 4096) == nil)
        expect(strategy.rangeCount == 300 && strategy.brokenInvariant() == nil)
    }

    // MARK: "None" is true

    /// The trap for single treaps: small blocks come and go while large ranges are free, and requests of all sizes up
    /// to the largest are made.
    @Test(arguments: zip(StrategyKind.allCases, [60_000, 500_000, 60_000, 60_000]))
    func saysNoneOnlyWhereThereIsNone(kind: StrategyKind, operations: Int) {
        switch kind {
        case .segregatedFit: churn(SegregatedFit.self, operations)
        case .singleTreap: churn(SingleTreap.self, operations)
        case .twoTrees: churn(TwoTrees.self, operations)
        case .firstFit: churn(FirstFit.self, operations)
        }
    }

    private func churn<Strategy: RangeStrategy & ~Copyable>(_: Strategy.Type, _ operations: Int) {
        var random = SeededRandom(seed: 31)
        var strategy = Strategy()
        let space = 512 << 20
        _ = strategy.insert(0, space)
        var live: [Range<Int>] = []
        var (used, falseNones, trueNones, unfreed) = (0, 0, 0, 0)
        for operation in 0..<operations {
            // Fills up to a limit that changes, so that there are times with 400 MB free, and times with next to
            // nothing.
            let limit = operation / 20_000 % 3 == 0 ? space / 4 : space - (1 << 20)
            if live.isEmpty || used < limit && random.chance(60) {
                let count = random.chance(2) ? 1 + random.below(space / 16) : 1 + random.below(256 << 10)
                if let offset = strategy.allocate(count: count, alignment: 1) {
                    live.append(offset..<offset + count)
                    used += count
                } else if strategy.largestCount() >= count {
                    falseNones += 1
                } else {
                    trueNones += 1
                    // What it says of the largest is true too; now and then, since it takes a walk.
                    if trueNones % 50 == 1 {
                        expect(strategy.freeRanges().allSatisfy { $0.count < count })
                    }
                }
            } else {
                let index = random.below(live.count)
                live.swapAt(index, live.count - 1)
                let range = live.removeLast()
                used -= range.count
                if !strategy.insert(range.lowerBound, range.upperBound) { unfreed += 1 }
            }
        }
        expect(falseNones == 0 && unfreed == 0)
        expect(trueNones > 0)
        expect(strategy.brokenInvariant() == nil)
        expect(strategy.freeRanges().reduce(0) { $0 + $1.count } == space - used)
    }

    // MARK: Memory

    /// What the pages of documentation say of memory, once there are many ranges.
    @Test func metadataIsFewBytesARange() {
        var treap = SingleTreap()
        var trees = TwoTrees()
        var first = FirstFit()
        var fit = SegregatedFit()
        var random = SeededRandom(seed: 8)
        for index in (0..<4000).shuffled(using: &random) {
            let (lower, upper) = (index * 100, index * 100 + 1 + random.below(99))
            _ = treap.insert(lower, upper)
            _ = trees.insert(lower, upper)
            _ = first.insert(lower, upper)
            _ = fit.insert(lower, upper)
        }
        #expect(treap.metadataByteCount <= 4000 * 32)
        #expect(first.metadataByteCount <= 4000 * 32)
        #expect(trees.metadataByteCount <= 4000 * 60)
        #expect(fit.metadataByteCount <= 4000 * 50 + 1024)
        // The memory is kept for the ranges to come.
        let before = trees.metadataByteCount
        trees.removeAll()
        #expect(trees.metadataByteCount == before)
    }

    /// The default strategy, counted in both ways: for a free range, and for any range.
    @Test func onlyFreeRangesHaveRecords() {
        var random = SeededRandom(seed: 81)
        for count in [1000, 5000] {
            let ranges = RangeAllocator(size: count * 66)
            var live = (0..<count).compactMap { _ in ranges.allocate(1 + random.below(100)) }
            // None of it is freed, and that takes nothing.
            #expect(live.count == count && ranges.metadataByteCount <= 1200)
            // As it is after a while.
            for _ in 0..<4 * count {
                let index = random.below(live.count)
                ranges.deallocate(live[index])
                live[index] = ranges.allocate(1 + random.below(100)) ?? 0..<0
            }
            #expect(ranges.freeRangeCount > count / 5)
            #expect(ranges.metadataByteCount <= ranges.freeRangeCount * 55 + 1200)
            #expect(ranges.metadataByteCount <= (ranges.freeRangeCount + live.count) * 32)
        }
        // As many free ranges as there can be.
        let ranges = RangeAllocator(size: 20_000)
        _ = ranges.allocate(20_000)
        for offset in stride(from: 0, to: 20_000, by: 2) { ranges.deallocate(offset..<offset + 1) }
        #expect(ranges.freeRangeCount == 10_000)
        #expect(ranges.metadataByteCount <= 10_000 * 50 + 1200)
    }

    // MARK: As RangeAllocator uses them

    @Test(arguments: StrategyKind.allCases)
    func carriesARangeAllocator(kind: StrategyKind) {
        switch kind {
        case .segregatedFit: carry(RangeAllocator<SegregatedFit>(size: 3000, checks: .everything))
        case .singleTreap: carry(RangeAllocator<SingleTreap>(size: 3000, checks: .everything))
        case .twoTrees: carry(RangeAllocator<TwoTrees>(size: 3000, checks: .everything))
        case .firstFit: carry(RangeAllocator<FirstFit>(size: 3000, checks: .everything))
        }
    }

    private func carry<Strategy: RangeStrategy & ~Copyable>(_ ranges: RangeAllocator<Strategy>) {
        var random = SeededRandom(seed: 12)
        var model = ModelSpace(0..<3000)
        model.insert(0..<3000)
        for step in 0..<800 {
            if random.chance(55) {
                let count = 1 + random.below(120)
                let found = ranges.find(count)
                let range = ranges.allocate(count)
                expect(found == range && (range == nil) == model.places(count, 1).isEmpty, "step \(step)")
                if let range { model.take(range) }
            } else if let range = random.part(of: model.used) {
                ranges.deallocate(range)
                model.insert(range)
            }
            expect(ranges.freeRanges == model.free && ranges.usedRanges == model.used, "step \(step)")
            expect(ranges.freeCount == model.free.reduce(0) { $0 + $1.count })
            let last = model.free.last.flatMap { $0.upperBound == ranges.size ? $0.count : nil } ?? 0
            expect(ranges.freeAtEnd == last && ranges.largestFree == model.largest)
            expect(ranges.brokenInvariant() == nil)
        }
        ranges.reset(size: 50)
        expect(ranges.isEmpty && ranges.allocate(50) == 0..<50 && ranges.trim() == 0)
        ranges.grow(to: 80)
        expect(ranges.freeRanges == [50..<80] && ranges.trim() == 30 && ranges.size == 50)
    }

    /// Without any checks, the ordered strategies find what no end of a free range shows: a part that is free in the
    /// middle of what is freed, and one in the middle of what is free.
    @Test(arguments: StrategyKind.ordered, [30..<70, 45..<50])
    func freeingTwiceTraps(kind: StrategyKind, range: Range<Int>) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [kind, range] in
            switch kind {
            case .segregatedFit: break
            case .singleTreap: freeTwice(RangeAllocator<SingleTreap>(size: 1000), range)
            case .twoTrees: freeTwice(RangeAllocator<TwoTrees>(size: 1000), range)
            case .firstFit: freeTwice(RangeAllocator<FirstFit>(size: 1000), range)
            }
        }
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(message.contains("RangeAllocator: deallocate(\(range)) of what is free already, or in part"))
    }
}

private func freeTwice<Strategy: RangeStrategy & ~Copyable>(_ ranges: RangeAllocator<Strategy>, _ range: Range<Int>) {
    _ = ranges.allocate(0..<100)
    ranges.deallocate(40..<60)
    ranges.deallocate(range)
}
