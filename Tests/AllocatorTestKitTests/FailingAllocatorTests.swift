// The allocator that fails on purpose: it fails just when the plan says, and is right otherwise.

import AllocatorCore
import AllocatorTestKit
import Testing

@Suite struct FailingAllocatorTests {
    /// The numbers, from 1, of those of so many requests that fail.
    private func failures(_ plan: FailurePlan, of requests: Int) -> [Int] {
        let allocator = FailingAllocator(plan: plan)
        let failed = (1...requests).filter { _ in allocator.tryAllocate(byteCount: 8, alignment: 8) == nil }
        #expect(allocator.requestCount == requests)
        #expect(allocator.failureCount == failed.count)
        #expect(allocator.upstreamFailureCount == 0)
        #expect(allocator.statistics.liveBlocks == requests - failed.count)
        allocator.freeAll()
        #expect(allocator.findLeaks() == nil)
        return failed
    }

    @Test func failsAtTheRequestNamed() {
        #expect(failures(.never, of: 10) == [])
        #expect(failures(.request(3), of: 10) == [3])
        #expect(failures(.request(3, count: 4), of: 10) == [3, 4, 5, 6])
        #expect(failures(.request(1, count: 0), of: 10) == [])
        #expect(failures(.after(7), of: 10) == [8, 9, 10])
        #expect(failures(.after(0), of: 2) == [1, 2])
        #expect(failures(.request(9, count: .max), of: 10) == [9, 10])
    }

    @Test func failsByChanceAsTheSeedSays() {
        let first = failures(.probability(0.25, seed: 4), of: 4000)
        #expect(first == failures(.probability(0.25, seed: 4), of: 4000))
        #expect(first != failures(.probability(0.25, seed: 5), of: 4000))
        #expect((800...1200).contains(first.count))
        #expect(failures(.probability(0, seed: 4), of: 100).isEmpty)
        #expect(failures(.probability(1, seed: 4), of: 100).count == 100)
    }

    @Test func partsOfAPlanAddUp() {
        var plan = FailurePlan.probability(0.25, seed: 4)
        let byChance = failures(plan, of: 50)
        plan.requests = 10..<20
        #expect(failures(plan, of: 50) == Set(byChance).union(10..<20).sorted())
    }

    @Test func failsBeyondTheLimitOfBytes() throws {
        let allocator = FailingAllocator(plan: .byteLimit(100))
        let first = try allocator.allocate(byteCount: 60, alignment: 8)
        let error = #expect(throws: AllocationError.self) { try allocator.allocate(byteCount: 41, alignment: 8) }
        #expect(error?.reason == .outOfMemory)
        #expect(error?.byteCount == 41)
        #expect(allocator.resize(first.baseAddress!, byteCount: 101) == nil)
        let second = try allocator.allocate(byteCount: 40, alignment: 8)
        #expect(allocator.tryAllocate(byteCount: 1, alignment: 1) == nil)
        allocator.deallocate(first)
        allocator.plan = .never
        let third = try allocator.allocate(byteCount: 1000, alignment: 8)
        #expect(throws: LeakError(allocator: "FailingAllocator", blocks: 2, bytes: 1040)) { try allocator.close() }
        allocator.deallocate(second)
        allocator.deallocate(third)
        try allocator.close()
    }

    @Test func saysWhatIsWrongWithTheRequestItself() {
        let allocator = FailingAllocator(plan: .after(0))
        let error = #expect(throws: AllocationError.self) { try allocator.allocate(byteCount: 8, alignment: 12) }
        #expect(error?.reason == .invalidAlignment)
        #expect(allocator.requestCount == 0)
    }

    @Test func keepsTheContract() throws {
        try checkAllocator { FailingAllocator(plan: .never) }
        try checkAllocator { FailingAllocator(plan: .byteLimit(20_000)) }
        try checkAllocator { FailingAllocator(upstream: AnyAllocator(SystemAllocator()), plan: .byteLimit(100)) }
        try checkAllocator(traits: .with { $0.refusesAtRandom = true }) {
            FailingAllocator(plan: .probability(0.2, seed: 3))
        }
    }

    @Test func foreignPointerTraps() async {
        await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            FailingAllocator(plan: .never).deallocate(UnsafeMutableRawPointer(bitPattern: 4096)!)
        }
    }

    @Test func itsEndFreesWhatIsLeft() throws {
        let upstream = RecordingAllocator()
        do {
            let allocator = FailingAllocator(upstream: upstream, plan: .never)
            for byteCount in 1...5 { _ = try allocator.allocate(byteCount: byteCount, alignment: 1) }
            #expect(upstream.statistics.liveBlocks == 5)
        }
        #expect(upstream.statistics.liveBlocks == 0)
    }
}
