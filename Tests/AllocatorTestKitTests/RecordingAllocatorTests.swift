// The recording allocator: what was done is what is written, and can be done again.

import AllocatorCore
import AllocatorTestKit
import Foundation
import Testing

@Suite struct RecordingAllocatorTests {
    private func recording() throws -> AllocationTrace {
        let allocator = RecordingAllocator(upstream: FailingAllocator(plan: .request(3)))
        let first = try allocator.allocate(byteCount: 24, alignment: 8)
        let second = try #require(allocator.tryAllocate(byteCount: 0, alignment: 1))
        #expect(throws: AllocationError.self) { try allocator.allocate(byteCount: 7, alignment: 4) }
        #expect(allocator.resize(first.baseAddress!, byteCount: 20)?.count == 20)
        allocator.deallocate(second)
        let third = try allocator.allocate(byteCount: 64, alignment: 64)
        #expect(throws: LeakError(allocator: "RecordingAllocator", blocks: 2, bytes: 84)) { try allocator.close() }
        #expect(allocator.owns(third.baseAddress!))
        allocator.freeAll()
        _ = try allocator.allocate(byteCount: 5, alignment: 1)
        return allocator.trace
    }

    @Test func recordsWhatIsDone() throws {
        let trace = try recording()
        #expect(
            trace.operations == [
                .allocate(id: 0, byteCount: 24, alignment: 8), .tryAllocate(id: 1, byteCount: 0, alignment: 1),
                .refused(byteCount: 7, alignment: 4), .resize(id: 0, byteCount: 20), .deallocate(id: 1),
                .allocate(id: 2, byteCount: 64, alignment: 64), .close, .freeAll,
                .allocate(id: 3, byteCount: 5, alignment: 1),
            ])
        #expect(
            trace.description == """
                let b0 = try allocator.allocate(byteCount: 24, alignment: 8)
                let b1 = allocator.tryAllocate(byteCount: 0, alignment: 1)
                _ = try? allocator.allocate(byteCount: 7, alignment: 4)  // refused
                _ = allocator.resize(b0.baseAddress!, byteCount: 20)
                allocator.deallocate(b1)
                let b2 = try allocator.allocate(byteCount: 64, alignment: 64)
                try? allocator.close()
                allocator.freeAll()
                let b3 = try allocator.allocate(byteCount: 5, alignment: 1)
                """)
    }

    @Test func isKeptAsJSON() throws {
        let trace = try recording()
        let data = try JSONEncoder().encode(trace)
        #expect(try JSONDecoder().decode(AllocationTrace.self, from: data) == trace)
    }

    @Test func isReplayed() throws {
        let trace = try recording()
        let target = RecordingAllocator()
        let outcome = trace.replay(on: target)
        var expected = AllocationTrace.Outcome()
        expected.requests = 5
        expected.servedNow = 1
        expected.resized = 1
        expected.blocksLeft = 1
        expected.bytesLeft = 5
        expected.peakBytes = 84
        #expect(outcome == expected)
        #expect(target.statistics.liveBlocks == 0)
        #expect(target.statistics.totalBlocks == 5)

        let refusing = FailingAllocator(plan: .after(0))
        #expect(trace.replay(on: refusing).refusedNow == 4)
        #expect(trace.replay(on: AnyAllocator(SystemAllocator())).notResized == 1)
    }

    /// A recording of a replay is the trace again, but for what was refused or left.
    @Test(arguments: 1...5 as ClosedRange<UInt64>) func replaysRandomTraces(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let source = RecordingAllocator()
        var live: [UnsafeMutableRawBufferPointer] = []
        for _ in 0..<500 {
            if live.isEmpty || Bool.random(using: &random) {
                live.append(try source.allocate(byteCount: .random(in: 0...500, using: &random)))
            } else {
                source.deallocate(live.remove(at: .random(in: live.indices, using: &random)))
            }
        }
        while let block = live.popLast() { source.deallocate(block) }
        let target = RecordingAllocator()
        let outcome = source.trace.replay(on: target)
        #expect(target.trace == source.trace)
        #expect(outcome.peakBytes == source.statistics.peakBytes)
        #expect(outcome.blocksLeft == 0)
        #expect(target.statistics == source.statistics)
    }

    @Test func keepsTheContract() throws {
        try checkAllocator { RecordingAllocator() }
        try checkAllocator { RecordingAllocator(upstream: FailingAllocator(plan: .byteLimit(9999))) }
    }

    @Test func foreignPointerTraps() async {
        await #expect(processExitsWith: .failure) {
            RecordingAllocator().deallocate(UnsafeMutableRawPointer(bitPattern: 4096)!)
        }
    }
}
