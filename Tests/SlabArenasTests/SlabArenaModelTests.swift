// Random operations on a slab arena beside a model, for many factors, start sizes, delays and upstreams: after each
// step every invariant holds, and the references are the model's; often, all of the account and of the contents is
// compared.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabArenaModelTests {
    @Test(arguments: [1.05, 1.1, 1.25, 1.5, 2, 4, 16.7], [1, 3, 24, 64, 1000, 4096])
    func theArenaDoesWhatTheModelDoes(factor: Double, start: Int) throws {
        let alignment = start % 8 == 0 ? 8 : 1
        let seed = UInt64(start) &* 31 &+ UInt64(factor * 100)
        for (index, delay) in ([.zero, .seconds(1), nil] as [Duration?]).enumerated() {
            // The last third of them over an upstream that refuses by chance.
            let plan: FailurePlan = index == 2 ? .probability(0.3, seed: seed) : .never
            let upstream = FailingAllocator(upstream: SystemAllocator(), plan: plan)
            let arena = try SlabArena(
                startChunkSize: start, slabSize: index == 1 ? 5000 : 8192, growthFactor: factor, alignment: alignment,
                upstream: upstream)
            arena.emptySlabDelay = delay
            let model = SlabArenaModel(arena, upstream, seed: seed &+ UInt64(index))
            try model.run(steps: 350)
            try model.end()
            #expect(upstream.statistics.liveBlocks == 0)
        }
    }

    /// Few numbers and chunks: places are used again and again.
    @Test(arguments: 1...6 as ClosedRange<UInt64>) func aSmallArenaForLong(seed: UInt64) throws {
        let upstream = FailingAllocator(plan: .byteLimit(4 * 1400))
        let arena = try SlabArena(
            startChunkSize: 64, slabSize: 512, growthFactor: 2, upstream: upstream)
        arena.emptySlabDelay = [.zero, .milliseconds(300), nil][Int(seed) % 3]
        let model = SlabArenaModel(arena, upstream, seed: seed)
        try model.run(steps: 5000)
        #expect(upstream.failureCount > 0)
        try model.end()
        #expect(upstream.statistics.liveBlocks == 0)
    }
}
