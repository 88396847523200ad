// RangedMemoryPool: what ends serves the next, what is kept and given back, threads, and what cannot be served.

import AllocatorTestKit
import Mallow
import Testing

@testable import ComposableAllocators

@Suite struct RangedMemoryPoolTests {
    @Test func whatEndsServesTheNext() throws {
        let source = PlainSource()
        nonisolated(unsafe) let upstream = source
        let pool = try RangedMemoryPool(sizes: [1024, 4096], keptByteCount: 6000, upstream: upstream)
        var addresses: [UnsafeMutableRawPointer] = []
        for round in 0..<5 {
            var memory = try pool.makeMemory(byteCount: 100 * round)
            #expect(memory.byteCount == 1024 && memory.isEmpty && memory.largestFree == 1024)
            addresses.append(memory.buffer.baseAddress!)
            // What is still allocated ends with it.
            _ = memory.allocate(byteCount: 100)
            #expect(pool.statistics.liveMemories == 1 && pool.statistics.liveBytes == 1024)
        }
        #expect(Set(addresses).count == 1 && source.requests == 1)
        #expect(pool.statistics.made == 1 && pool.statistics.reused == 4 && pool.statistics.keptMemories == 1)
        do {
            let first = try pool.makeMemory(byteCount: 1025)
            let second = try pool.makeMemory(byteCount: 4096)
            #expect(first.byteCount == 4096 && second.byteCount == 4096 && pool.statistics.liveBytes == 8192)
        }
        // One of them is more than may be kept.
        #expect(pool.statistics.keptBytes == 5120 && pool.statistics.givenBack == 1 && source.live.count == 2)
        #expect(pool.brokenInvariant() == nil && pool.statistics.liveMemories == 0)
        #expect(pool.drain() == 5120 && source.live.isEmpty && pool.statistics.keptMemories == 0)
        #expect(pool.drain() == 0 && pool.statistics.givenBack == 3 && pool.brokenInvariant() == nil)
    }

    @Test func memoriesKeepThePoolAlive() throws {
        let source = PlainSource()
        weak var pool: RangedMemoryPool?
        func make() throws -> RangedMemory {
            nonisolated(unsafe) let upstream = source
            let made = try RangedMemoryPool(upstream: upstream)
            pool = made
            _ = try made.makeMemory(byteCount: 1)
            return try made.makeMemory(byteCount: 16384)
        }
        do {
            let memory = try make()
            #expect(pool != nil && memory.byteCount == 16384 && source.live.count == 2)
        }
        #expect(pool == nil && source.live.isEmpty, "the pool ends with its last memory, and gives all back")
    }

    @Test func whatCannotBeServedThrows() throws {
        let source = PlainSource()
        source.failingRequest = 1
        nonisolated(unsafe) let upstream = source
        let pool = try RangedMemoryPool(upstream: upstream)
        do throws(AllocationError) {
            _ = try pool.makeMemory(byteCount: 16385)
            Issue.record("a memory of more than the largest")
        } catch { #expect(error.reason == .tooLarge(limit: 16384)) }
        for request in 0..<3 {
            do throws(AllocationError) {
                _ = try pool.makeMemory(byteCount: [10, 5000, 5000][request])
                #expect(request != 1)
            } catch { #expect(request == 1 && error.reason == .outOfMemory) }
            #expect(pool.statistics.liveMemories == 0 && pool.brokenInvariant() == nil)
        }
        #expect(pool.statistics.made == 2)
        for (sizes, granule, kept, argument) in [
            ([], 1, 0, "sizes"), ([100, 100], 1, 0, "sizes"), ([63], 1, 0, "sizes"), ([100], 16, 0, "sizes"),
            ([128], 3, 0, "granule"), ([128], 1, -1, "keptByteCount"),
        ] as [([Int], Int, Int, String)] {
            do throws(ConfigurationError) {
                _ = try RangedMemoryPool(sizes: sizes, granule: granule, keptByteCount: kept)
                Issue.record("\(argument) is taken as it is")
            } catch { #expect(error.argument == argument) }
        }
    }

    @Test func theSharedOneHasTheUsualSizes() throws {
        for (byteCount, size) in [(0, 1024), (1025, 4096), (16000, 16384)] {
            var memory = try RangedMemory.pooled(byteCount: byteCount)
            let piece = try #require(allocate(from: &memory, size, 1))
            piece.initializeMemory(as: UInt8.self, repeating: 1)
            #expect(memory.byteCount == size && deallocate(from: &memory, piece))
        }
    }

    @Test func threadsMakeAndDrop() async throws {
        nonisolated(unsafe) let upstream = PlainSource()
        let pool = try RangedMemoryPool(sizes: [1024, 4096], keptByteCount: 5 * 1024, upstream: upstream)
        await withTaskGroup(of: Bool.self) { group in
            for task in 0..<4 {
                group.addTask {
                    var random = SeededRandom(seed: UInt64(task))
                    for _ in 0..<500 {
                        if random.next() % 16 == 0 {
                            // Sent to whichever thread ends it.
                            do { await end(try pool.makeMemory(byteCount: 1024)) } catch { return false }
                            continue
                        }
                        guard var memory = try? pool.makeMemory(byteCount: random.next() % 2 == 0 ? 1024 : 4096),
                            memory.isEmpty
                        else { return false }
                        let drains = random.next() % 16 == 0
                        guard fill(&memory, UInt8(task), { if drains { pool.drain() } }) else { return false }
                    }
                    return true
                }
            }
            for await served in group { #expect(served) }
        }
        let statistics = pool.statistics
        #expect(statistics.made + statistics.reused == 2000 && statistics.liveMemories == 0)
        #expect(statistics.made - statistics.givenBack == statistics.keptMemories)
        #expect(pool.brokenInvariant() == nil && upstream.live.count == statistics.keptMemories)
        pool.drain()
        #expect(upstream.live.isEmpty)
    }
}

/// Fills a piece, and says whether it still is what it was after something else.
private func fill(_ memory: inout RangedMemory, _ mark: UInt8, _ other: () -> Void) -> Bool {
    guard let piece = memory.allocate(byteCount: 512, alignment: 64) else { return false }
    piece.initializeMemory(as: UInt8.self, repeating: mark)
    other()
    return piece.allSatisfy { $0 == mark }
}

/// Ends a memory wherever the task runs.
@concurrent private func end(_ memory: consuming sending RangedMemory) async { _ = memory.byteCount }
