// SharedScalableAllocator: the contract, threads that pass blocks to one another, and parts that others free.

import Foundation
import Mallow
import Testing

@testable import AllocatorTestKit
@testable import ComposableAllocators

/// A value behind a lock that the thread sanitizer sees: it knows nothing of the waits inside of `Mutex`.
private final class Locked<Value>: @unchecked Sendable {
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) { self.value = value }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value)
    }
}

@Suite struct SharedScalableTests {
    @Test func conformance() throws {
        try checkAllocator(sequences: 2) { try SharedScalableAllocator(shards: 2) }
        try checkAllocator(sequences: 2) { try SharedScalableAllocator(shards: 1, source: .pages) }
        try checkAllocator(sequences: 2) { try SharedScalableAllocator(source: .withoutRecycling) }
    }

    @Test func threadsPassBlocks() throws {
        try checkSharedAllocator(steps: 1000) { try SharedScalableAllocator(shards: 3) }
        try checkSharedAllocator(steps: 1000) { try SharedScalableAllocator(shards: 2, source: .pages) }
        try checkSharedAllocator(steps: 1000) { try SharedScalableAllocator(source: .withoutRecycling) }
        let memory = try SharedBuddyMemory(capacity: 64 << 20, buddySize: 1 << 20)
        try checkSharedAllocator(steps: 1000) { try SharedScalableAllocator(shards: 2, source: .buddy(memory)) }
        try memory.close()
        try checkSharedAllocator(steps: 500, maximumByteCount: 30000) {
            try SharedBuddyMemory(capacity: 1 << 30, buddySize: 1 << 20, smallestBlock: 4096)
        }
    }

    /// Each thread cuts and frees what another allocated, reads and borrows; in the end everything is free.
    @Test func threadsCutOthersBlocks() throws {
        let allocator = try SharedScalableAllocator(shards: 3)
        // SAFETY: a thread has the blocks that it takes out of the box to itself.
        struct Passed: @unchecked Sendable { var blocks: [UnsafeMutableRawBufferPointer] = [] }
        let passed = Locked(Passed())
        Threads.run(4) { thread in
            var random = SeededRandom(seed: UInt64(thread))
            for step in 0..<400 {
                let byteCount = 64 + Int(random.next() % 4000)
                guard
                    let block = try? allocator.read(
                        upTo: byteCount,
                        fill: { buffer in
                            for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: index) }
                            return byteCount
                        })
                else {
                    Issue.record("no memory")
                    return
                }
                passed.withLock { $0.blocks.append(block) }
                let (count, other) = passed.withLock { passed in
                    (passed.blocks.count, passed.blocks.remove(at: Int(random.next() % UInt64(passed.blocks.count))))
                }
                #expect(count > 0 && other.indices.allSatisfy { other[$0] == UInt8(truncatingIfNeeded: $0) })
                let middle = UnsafeMutableRawBufferPointer(rebasing: other[16..<48])
                #expect(allocator.deallocate(part: middle).count == 32)
                #expect(allocator.byteCount(of: other.baseAddress!) == 16 && allocator.owns(other.baseAddress!))
                allocator.deallocate(other.baseAddress!)
                if other.count > 48 {
                    allocator.freeRest(of: other.baseAddress! + 48, keeping: 1)
                    allocator.deallocate(other.baseAddress! + 48)
                }
                if step % 50 == 0 {
                    _ = allocator.statistics
                    allocator.trim()
                    let sum = try? allocator.withBorrowed(byteCount: 1000) { memory in
                        for index in memory.indices { memory[index] = 1 }
                        return memory.reduce(0) { $0 + Int($1) }
                    }
                    #expect(sum == 1000)
                }
            }
        }
        let statistics = allocator.statistics
        #expect(statistics.liveBlocks == 0 && statistics.liveBytes == 0 && statistics.totalBlocks > 1600)
        #expect(allocator.brokenInvariant() == nil)
        try allocator.close()
        #expect(allocator.children == [])
    }

    /// The totals are the sums over the shards, and those that `statistics` has.
    @Test func totalsOfAllShards() throws {
        let allocator = try SharedScalableAllocator(shards: 2)
        #expect(allocator.heldByteCount == 0 && allocator.childCount == 0)
        // Each thread of the two has a shard, or both have one.
        // SAFETY: each block is freed by this thread, after the others are done.
        struct Passed: @unchecked Sendable { var blocks: [UnsafeMutableRawBufferPointer] = [] }
        let passed = Locked(Passed())
        Threads.run(2) { thread in
            for byteCount in [100, 5000, (5 << 20) + thread] {
                guard let block = allocator.tryAllocate(byteCount: byteCount, alignment: 16) else { continue }
                passed.withLock { $0.blocks.append(block) }
            }
        }
        let blocks = passed.withLock { $0.blocks }
        #expect(blocks.count == 6 && allocator.usedByteCount == blocks.reduce(0) { $0 + $1.count })
        func agree() -> Bool {
            let (statistics, children) = (allocator.statistics, allocator.children)
            return allocator.childCount == children.count
                && allocator.heldByteCount == children.reduce(0) { $0 + $1.byteCount }
                && allocator.usedByteCount == statistics.liveBytes && allocator.freeByteCount == statistics.freeBytes
                && allocator.heldByteCount < statistics.heldBytes && allocator.brokenInvariant() == nil
        }
        // Two that are larger than a child, and one or two children.
        #expect(agree() && (3...4).contains(allocator.childCount))
        for block in blocks {
            allocator.deallocate(block)
            #expect(agree())
        }
        #expect(allocator.usedByteCount == 0 && (1...2).contains(allocator.childCount))
        try allocator.close()
        #expect(allocator.heldByteCount == 0 && allocator.freeByteCount == 0 && allocator.childCount == 0)
    }

    /// A shard whose source has no more takes what another has free.
    @Test func anotherShardHelps() throws {
        let memory = try SharedBuddyMemory(capacity: 128 << 10, buddySize: 64 << 10)
        let allocator = try SharedScalableAllocator(largestChild: 64 << 10, shards: 2, source: .buddy(memory))
        var blocks: [UnsafeMutableRawBufferPointer] = []
        while let block = allocator.tryAllocate(byteCount: 1000, alignment: 16) { blocks.append(block) }
        #expect(blocks.count == 2 * 65 && allocator.children.count == 2)
        let spare = blocks.removeLast()
        allocator.deallocate(spare)
        // Numbers of threads differ, and so do the shards of two that live at once.
        let found = Locked(0)
        for thread in 0..<2 {
            Threads.run(2) { number in
                guard number == thread else { return }
                if let block = allocator.tryAllocate(byteCount: 1000, alignment: 16) {
                    found.withLock { $0 += 1 }
                    allocator.deallocate(block)
                }
            }
        }
        #expect(found.withLock { $0 } == 2)
        allocator.recycle()
        #expect(allocator.findLeaks() == nil && allocator.brokenInvariant() == nil)
        try allocator.close()
        try memory.close()
    }

    /// The system refuses what a shared memory asks of it.
    @Test func aBuddyThatCannotBeAdded() throws {
        let memory = try SharedBuddyMemory(capacity: 4 << 20, buddySize: 1 << 20)
        #expect(reason(memory, 2 << 20) == .tooLarge(limit: 1 << 20))
        #expect(reason(memory, 1, 2 << 20) == .unsupportedAlignment(limit: 1 << 20))
        let blocks = try (0..<4).map { _ in try memory.allocate(byteCount: 1 << 20) }
        #expect(blocks.allSatisfy { UInt(bitPattern: $0.baseAddress) % (1 << 20) == 0 })
        #expect(reason(memory, 1) == .outOfMemory && memory.findLeaks()?.blocks == 4)
        #expect(memory.byteCount(of: blocks[0].baseAddress!) == 1 << 20)
        blocks[0].initializeMemory(as: UInt8.self, repeating: 1)
        for block in blocks { memory.deallocate(block) }
        #expect(memory.trim() == 1 << 20 && memory.pool.statistics.buddies == 0)
    }
}
