// An allocator behind a lock: one account for all threads, compound work, and every capability passed on.

import AllocatorCore
import Foundation
import Testing

@testable import ComposableAllocators

/// Counts and remembers its blocks, and is not thread-safe: a use without the lock loses some.
final class CountingAllocator: OwningAllocator, SizeReportingAllocator, ResettableAllocator, ResizableAllocator,
    MeasuredAllocator
{
    var sizes: [UnsafeMutableRawPointer: Int] = [:]
    var statistics = AllocatorStatistics()
    var room = Int.max
    var closings = 0
    var willEnd: (@Sendable () -> Void)?

    deinit {
        freeAll()
        willEnd?()
    }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if statistics.liveBytes + byteCount > room {
            throw AllocationError(
                allocator: "CountingAllocator", byteCount: byteCount, alignment: alignment, reason: .outOfMemory)
        }
        let block = try SystemAllocator().allocate(byteCount: byteCount, alignment: alignment)
        sizes[block.baseAddress!] = byteCount
        statistics.enter(byteCount: byteCount, overhead: 0)
        return block
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        guard let byteCount = sizes.removeValue(forKey: pointer) else { fatalError("CountingAllocator: not mine") }
        statistics.remove(byteCount: byteCount, overhead: 0)
        SystemAllocator().deallocate(pointer)
    }

    func owns(_ pointer: UnsafeRawPointer) -> Bool { sizes[UnsafeMutableRawPointer(mutating: pointer)] != nil }
    func byteCount(of pointer: UnsafeRawPointer) -> Int { sizes[UnsafeMutableRawPointer(mutating: pointer)]! }
    func freeAll() { for pointer in Array(sizes.keys) { deallocate(pointer) } }
    func findLeaks() -> LeakError? {
        sizes.isEmpty
            ? nil : LeakError(allocator: "CountingAllocator", blocks: sizes.count, bytes: statistics.liveBytes)
    }
    func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        closings += 1
    }
    func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        guard byteCount <= self.byteCount(of: pointer) else { return nil }
        return UnsafeMutableRawBufferPointer(start: pointer, count: byteCount)
    }
}

/// Runs a closure on several threads at once and waits for them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let done = DispatchSemaphore(value: 0)
    for index in 0..<count {
        let thread = Thread {
            body(index)
            done.signal()
        }
        thread.stackSize = 1 << 20
        thread.start()
    }
    for _ in 0..<count { done.wait() }
}

struct Address: @unchecked Sendable, Hashable {
    let pointer: UnsafeMutableRawPointer
}

@Suite struct SynchronizedTests {
    @Test func keepsOneAccountForAllThreads() throws {
        let allocator = Synchronized(CountingAllocator())
        onThreads(4) { thread in
            var generator = SeededRandom(seed: UInt64(thread))
            var live: [(block: UnsafeMutableRawBufferPointer, fill: UInt8)] = []
            for step in 0..<5_000 {
                if live.isEmpty || generator.next() % 2 == 0 {
                    let byteCount = Int(generator.next() % 200)
                    let block = try! allocator.allocate(byteCount: byteCount, alignment: 16)
                    let fill = UInt8(truncatingIfNeeded: step &+ thread &* 64)
                    block.initializeMemory(as: UInt8.self, repeating: fill)
                    live.append((block, fill))
                } else {
                    let last = live.remove(at: Int(generator.next() % UInt64(live.count)))
                    #expect(last.block.allSatisfy { $0 == last.fill })
                    allocator.deallocate(last.block)
                }
            }
            for (block, _) in live { allocator.deallocate(block) }
        }
        let statistics = allocator.statistics
        #expect(statistics.liveBlocks == 0 && statistics.liveBytes == 0 && statistics.totalBlocks > 8_000)
        try allocator.close()
        #expect(allocator.withLockUnchecked { $0.closings } == 1)
    }

    @Test func aBlockMayBeFreedByAnotherThread() async throws {
        let allocator = Synchronized(CountingAllocator())
        let blocks = await withTaskGroup(of: [Address].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    (0..<500).map { _ in Address(pointer: try! allocator.allocate(byteCount: 24).baseAddress!) }
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(Set(blocks).count == 2_000)
        #expect(allocator.statistics.liveBlocks == 2_000)
        #expect(throws: LeakError(allocator: "CountingAllocator", blocks: 2_000, bytes: 48_000)) {
            try allocator.close()
        }
        await withTaskGroup(of: Void.self) { group in
            for part in 0..<4 {
                group.addTask {
                    for block in blocks[part * 500..<part * 500 + 500] { allocator.deallocate(block.pointer) }
                }
            }
        }
        #expect(allocator.findLeaks() == nil)
    }

    @Test func forwardsEveryCapability() throws {
        let allocator = Synchronized(CountingAllocator())
        let block = try allocator.allocate(byteCount: 100)
        let base = block.baseAddress!
        #expect(allocator.owns(base) && allocator._tellsOwn && allocator._tellsSizes)
        #expect(allocator.byteCount(of: base) == 100)
        #expect(allocator.resize(base, byteCount: 40)?.count == 40)
        #expect(allocator.resize(base, byteCount: 400) == nil)
        let foreign = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)
        #expect(!allocator.owns(foreign) && !allocator._deallocateIfOwned(foreign))
        foreign.deallocate()
        #expect(allocator._deallocateIfOwned(base))
        _ = try allocator.allocate(byteCount: 1)
        allocator.freeAll()
        #expect(allocator.statistics.liveBlocks == 0)
        allocator.withLockUnchecked { $0.room = 10 }
        #expect(throws: AllocationError.self) { try allocator.allocate(byteCount: 11) }
        #expect(allocator.tryAllocate(byteCount: 11, alignment: 16) == nil)
        #expect(!Synchronized(SystemAllocator())._tellsOwn)
    }

    @Test func holdsTheLockThroughCompoundWork() {
        let allocator = Synchronized(CountingAllocator())
        onThreads(4) { _ in
            for _ in 0..<1_000 {
                let (before, after) = allocator.withLockUnchecked { base -> (Int, Int) in
                    let before = base.statistics.totalBlocks
                    for _ in 0..<3 { base.deallocate(try! base.allocate(byteCount: 8)) }
                    return (before, base.statistics.totalBlocks)
                }
                #expect(after == before + 3)
            }
        }
        #expect(allocator.statistics.totalBlocks == 12_000)
    }

    @Test func letsTheLockGoWhereTheClosureThrows() {
        struct Failure: Error {}
        let allocator = Synchronized(SystemAllocator())
        #expect(throws: Failure.self) {
            try allocator.withLockUnchecked { (_) throws(Failure) -> Void in throw Failure() }
        }
        #expect(allocator.withLockUnchecked { _ in 1 } == 1)
    }
}
