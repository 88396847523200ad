// Every strategy against the same model: where it places, what it joins, what it refuses.

import Testing

@testable import RangeAllocators

/// The strategies, so that a test can run over all of them; `run` makes the type of it.
enum StrategyKind: String, CaseIterable, Codable, Sendable, CustomTestStringConvertible {
    case segregatedFit, singleTreap, twoTrees, firstFit

    static let ordered: [StrategyKind] = [.singleTreap, .twoTrees, .firstFit]

    var testDescription: String { rawValue }
}

/// `#expect` for noncopyable values, which the macro can't look into.
func expect(
    _ condition: Bool, _ comment: @autoclosure () -> Comment = "", sourceLocation: SourceLocation = #_sourceLocation
) {
    if !condition { Issue.record(comment(), sourceLocation: sourceLocation) }
}

@Suite struct RangeStrategyTests {
    @Test func orderedStrategiesFindEveryOverlap() {
        #expect(SingleTreap.findsEveryOverlap && TwoTrees.findsEveryOverlap && FirstFit.findsEveryOverlap)
    }

    // MARK: Random sequences

    /// A space, and what is asked of it.
    struct Load: Sendable, CustomTestStringConvertible {
        var seed: UInt64
        var space: Range<Int>
        var greatestCount: Int
        var greatestAlignment: Int = 1
        /// In a hundred steps, so many allocate.
        var allocations = 50
        var steps: Int

        var testDescription: String { "seed \(seed), \(space)" }
    }

    static let loads = [
        // Small, so that all kinds of neighbours and of failures occur.
        Load(seed: 1, space: 0..<200, greatestCount: 40, steps: 1500),
        Load(seed: 2, space: 0..<600, greatestCount: 60, greatestAlignment: 64, steps: 1500),
        Load(seed: 3, space: 0..<60, greatestCount: 4, allocations: 70, steps: 1500),
        // Up to the last offset.
        Load(
            seed: 4, space: 1 << 62 - 5000..<1 << 62, greatestCount: 400, greatestAlignment: 512, steps: 1000),
        Load(seed: 5, space: 0..<1 << 62, greatestCount: 1 << 58, greatestAlignment: 1 << 60, steps: 1000),
    ]

    @Test(arguments: StrategyKind.allCases, loads)
    func followsTheModel(kind: StrategyKind, load: Load) {
        switch kind {
        case .segregatedFit: follow(SegregatedFit.self, load) { _, _, _ in nil }
        case .singleTreap: follow(SingleTreap.self, load) { _, _, _ in nil }
        case .twoTrees: follow(TwoTrees.self, load) { $0.bestFit($1, $2) }
        case .firstFit: follow(FirstFit.self, load) { $0.firstFit($1, $2) }
        }
    }

    /// - Parameter expected: the offset that the strategy has to choose where it is not free to.
    private func follow<Strategy: RangeStrategy & ~Copyable>(
        _: Strategy.Type, _ load: Load, expected: (ModelSpace, Int, Int) -> Int?
    ) {
        var random = SeededRandom(seed: load.seed)
        var strategy = Strategy()
        var model = ModelSpace(load.space)
        expect(strategy.largestCount() == 0 && strategy.rangeCount == 0 && strategy.find(count: 1, alignment: 1) == nil)
        expect(strategy.insert(load.space.lowerBound, load.space.upperBound))
        model.insert(load.space)
        var (nones, refusals) = (0, 0)

        for step in 0..<load.steps {
            let before = model.free
            switch random.below(100) {
            case ..<load.allocations:
                let count = 1 + random.below(load.greatestCount)
                let alignment = 1 << random.below(load.greatestAlignment.trailingZeroBitCount + 1)
                let found = strategy.find(count: count, alignment: alignment)
                let offset = strategy.allocate(count: count, alignment: alignment)
                expect(found == offset)
                expect((offset == nil) == model.places(count, alignment).isEmpty, "step \(step): \(count)")
                guard let offset else {
                    nones += 1
                    break
                }
                expect(offset % alignment == 0 && model.isFree(offset..<offset + count))
                if let place = expected(model, count, alignment) { expect(offset == place) }
                model.take(offset..<offset + count)
            case ..<(load.allocations + 10):
                // Exactly this: a piece of what is free, or anything, which may be free.
                let range = random.chance(50) ? random.part(of: model.free) : random.part(of: [load.space])
                guard let range else { break }
                let isFree = model.isFree(range)
                expect(strategy.allocate(range.lowerBound, range.upperBound) == isFree)
                if isFree { model.take(range) } else { refusals += 1 }
            case ..<95:
                // A part of what lies between two free ranges, or all of it: one allocation or several.
                let used = model.used
                guard let whole = used.randomElement(using: &random) else { break }
                let range = random.chance(40) ? whole : random.part(of: [whole])!
                expect(strategy.insert(range.lowerBound, range.upperBound))
                model.insert(range)
            default:
                guard Strategy.findsEveryOverlap, let range = random.part(of: [load.space]), !model.isUsed(range) else {
                    break
                }
                expect(!strategy.insert(range.lowerBound, range.upperBound))
                refusals += 1
            }
            expect(strategy.brokenInvariant() == nil, "step \(step)")
            expect(strategy.freeRanges() == model.free, "step \(step), before: \(before)")
            expect(strategy.rangeCount == model.free.count)
            expect(strategy.largestCount() == model.largest)
            let end = random.chance(50) ? model.free.randomElement(using: &random)?.upperBound : nil
            let upper = end ?? load.space.lowerBound + random.below(load.space.count) + 1
            expect(
                strategy.lowerEnd(ofRangeEndingAt: upper)
                    == model.free.first { $0.upperBound == upper }?.lowerBound)
        }
        expect(nones > 0 && refusals > 0)

        strategy.removeAll()
        expect(strategy.rangeCount == 0 && strategy.freeRanges().isEmpty && strategy.largestCount() == 0)
        expect(strategy.brokenInvariant() == nil)
        expect(strategy.insert(7, 9) && strategy.freeRanges() == [7..<9])
    }

    // MARK: Many ranges

    /// Grows to thousands of free ranges and back, twice, so that trees gain and lose levels.
    @Test(arguments: StrategyKind.allCases)
    func staysRightWithManyRanges(kind: StrategyKind) {
        switch kind {
        case .segregatedFit: growAndShrink(SegregatedFit.self)
        case .singleTreap: growAndShrink(SingleTreap.self)
        case .twoTrees: growAndShrink(TwoTrees.self)
        case .firstFit: growAndShrink(FirstFit.self)
        }
    }

    private func growAndShrink<Strategy: RangeStrategy & ~Copyable>(_: Strategy.Type) {
        var random = SeededRandom(seed: 77)
        var strategy = Strategy()
        let cells = 4000
        let width = 64
        for _ in 0..<2 {
            // Cell i is i * width and what follows; its count is what is freed of it.
            var counts = (0..<cells).map { _ in 1 + random.below(width - 1) }
            var isRight = true
            for (step, cell) in (0..<cells).shuffled(using: &random).enumerated() {
                isRight = strategy.insert(cell * width, cell * width + counts[cell]) && isRight
                if step % 500 == 0 { expect(strategy.brokenInvariant() == nil) }
            }
            expect(isRight && strategy.rangeCount == cells && strategy.brokenInvariant() == nil)
            expect(strategy.largestCount() == counts.max())
            // Every second one shrinks, from the front, which moves its start.
            for cell in stride(from: 0, to: cells, by: 2) where counts[cell] > 1 {
                isRight = strategy.allocate(cell * width, cell * width + 1) && isRight
            }
            expect(isRight && strategy.brokenInvariant() == nil)
            for cell in stride(from: 0, to: cells, by: 2) where counts[cell] > 1 {
                isRight = strategy.insert(cell * width, cell * width + 1) && isRight
            }
            expect(
                strategy.freeRanges() == (0..<cells).map { $0 * width..<$0 * width + counts[$0] })
            // What lies between is freed: they grow together, in random order, into one.
            for (step, cell) in (0..<cells).shuffled(using: &random).enumerated() {
                isRight = strategy.insert(cell * width + counts[cell], (cell + 1) * width) && isRight
                counts[cell] = width
                if step % 500 == 0 { expect(strategy.brokenInvariant() == nil) }
            }
            expect(isRight && strategy.freeRanges() == [0..<cells * width])
            expect(strategy.allocate(count: cells * width, alignment: 1) == 0)
            expect(strategy.rangeCount == 0 && strategy.brokenInvariant() == nil)
        }
    }
}
