// Threads that free each other's blocks, end, and inherit each other's heaps. Run under the thread sanitizer as well.

import CMallowShims
import Synchronization
import Testing

@testable import MallocHeap

/// Runs `body` on so many threads of the system's and waits for them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    final class Job: Sendable {
        let index: Int
        let body: @Sendable (Int) -> Void
        init(_ index: Int, _ body: @escaping @Sendable (Int) -> Void) {
            self.index = index
            self.body = body
        }
    }
    var threads: [pthread_t] = []
    for index in 0..<count {
        var thread = pthread_t()
        let job = Unmanaged.passRetained(Job(index, body)).toOpaque()
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let job = Unmanaged<Job>.fromOpaque(argument).takeRetainedValue()
                job.body(job.index)
                return nil
            }, job)
        precondition(status == 0)
        threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
}

/// Places where threads leave blocks for each other. A block's first word is its size, its last byte the size's low
/// one.
private final class Exchange: Sendable {
    let slots: [Slot]

    final class Slot: Sendable {
        let address = Atomic<UInt>(0)
    }

    init(count: Int) { slots = (0..<count).map { _ in Slot() } }

    func put(_ block: UInt, at index: Int) -> UInt {
        slots[index].address.exchange(block, ordering: .acquiringAndReleasing)
    }
}

private func make(_ byteCount: UInt) -> UInt {
    guard let block = Malloc.allocate(byteCount) else { return 0 }
    block.storeBytes(of: byteCount, as: UInt.self)
    block.storeBytes(of: UInt8(truncatingIfNeeded: byteCount), toByteOffset: Int(byteCount) - 1, as: UInt8.self)
    return UInt(bitPattern: block)
}

private func drop(_ address: UInt) -> Bool {
    guard let block = UnsafeMutableRawPointer(bitPattern: address) else { return true }
    let byteCount = block.load(as: UInt.self)
    let isWhole =
        block.load(fromByteOffset: Int(byteCount) - 1, as: UInt8.self) == UInt8(truncatingIfNeeded: byteCount)
    Malloc.deallocate(block)
    return isWhole
}

extension HeapTests {
    @Suite(.serialized) struct Threads {
        @Test(arguments: [1000, 60_000]) func freeEachOthersBlocks(largest: Int) {
            let before = Malloc.statistics()
            let exchange = Exchange(count: 512)
            let broken = Atomic<Int>(0)
            let steps = largest > 10_000 ? 20_000 : 60_000
            let begun = Atomic<Int>(0)
            onThreads(6) { index in
                // Together: one that ended first would leave its heap to the next, and no free be another thread's.
                begun.wrappingAdd(1, ordering: .relaxed)
                while begun.load(ordering: .relaxed) < 6 { sched_yield() }
                var random = SplitMix(seed: UInt64(index))
                for _ in 0..<steps {
                    let byteCount = 16 + UInt(random.next() % UInt64(largest))
                    let old = exchange.put(make(byteCount), at: Int(random.next() % 512))
                    if !drop(old) { broken.wrappingAdd(1, ordering: .relaxed) }
                }
            }
            #expect(Malloc.brokenInvariant() == nil)
            #expect(Malloc.statistics().remoteFrees > before.remoteFrees)
            for slot in 0..<512 where !drop(exchange.put(0, at: slot)) { broken.wrappingAdd(1, ordering: .relaxed) }
            #expect(broken.load(ordering: .relaxed) == 0)
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
            #expect(Malloc.statistics().liveBlocks == before.liveBlocks)
        }

        @Test func shortThreadsLeaveNothingBehind() {
            Malloc.trim()
            let before = Malloc.statistics()
            let exchange = Exchange(count: 64)
            for round in 0..<500 {
                onThreads(4) { index in
                    var random = SplitMix(seed: UInt64(round * 4 + index))
                    for _ in 0..<20 {
                        let old = exchange.put(make(16 + UInt(random.next() % 3000)), at: Int(random.next() % 64))
                        _ = drop(old)
                    }
                }
            }
            for slot in 0..<64 { _ = drop(exchange.put(0, at: slot)) }
            Malloc.trim()
            let after = Malloc.statistics()
            #expect(after.liveBlocks == before.liveBlocks)
            #expect(after.heaps <= before.heaps + 8)
            #expect(after.threads == before.threads)
            #expect(after.committedBytes < before.committedBytes + (1 << 20))
            #expect(Malloc.brokenInvariant() == nil)
        }

        /// Between the handlers of a fork this thread holds both locks, and handlers of others may still allocate.
        @Test func allocatesBetweenTheHandlersOfAFork() {
            HeapRegistry.prepareFork()
            // One array after the other: their sum in one expression takes the compiler seven seconds.
            var blocks = (0..<200).map { make(UInt(40_000 + $0 * 100)) }
            blocks += (0..<2000).map { make(UInt(16 + $0)) }
            #expect(!blocks.contains(0))
            HeapRegistry.parentAfterFork()
            #expect(blocks.allSatisfy { drop($0) })
            #expect(Malloc.brokenInvariant() == nil)
        }

        /// Generations that each leave a free block and a block that another thread frees on the same page.
        @Test func inheritedPagesKeepTheirFreeBlocks() {
            Malloc.trim()
            let before = Malloc.statistics()
            let exchange = Exchange(count: 1)
            for _ in 0..<3000 {
                onThreads(1) { _ in
                    _ = exchange.put(make(64), at: 0)
                    _ = drop(make(64))
                }
                #expect(drop(exchange.put(0, at: 0)))
            }
            #expect(Malloc.brokenInvariant() == nil)
            #expect(Malloc.statistics().committedBytes < before.committedBytes + (256 << 10))
        }

        @Test func aThreadsBlocksOutliveIt() {
            let exchange = Exchange(count: 1000)
            onThreads(1) { _ in
                for index in 0..<1000 { _ = exchange.put(make(16 + UInt(index)), at: index) }
            }
            // A new thread inherits the heap and frees as its owner; then the pages are gone.
            onThreads(1) { _ in
                for index in 0..<1000 { precondition(drop(exchange.put(0, at: index))) }
            }
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
        }

        /// More threads at once than get heaps early: their first blocks are the nursery's, on cache lines of their
        /// own; each frees the blocks of another.
        @Test func firstBlocksOfManyThreads() throws {
            let threadCount = 300
            let blockCount = 12
            let exchange = Exchange(count: threadCount * blockCount)
            let barrier = UnsafeMutablePointer<pthread_barrier_t>.allocate(capacity: 1)
            defer { barrier.deallocate() }
            pthread_barrier_init(barrier, nil, UInt32(threadCount))
            let address = UInt(bitPattern: barrier)
            onThreads(threadCount) { thread in
                guard let barrier = UnsafeMutablePointer<pthread_barrier_t>(bitPattern: address) else { return }
                // The nursery's blocks are aligned to what was asked for, too.
                let aligned = Malloc.allocate(50, alignment: 256)
                if UInt(bitPattern: aligned) % 256 != 0 { Issue.record("a block is not aligned") }
                for index in 0..<blockCount {
                    let block = make(UInt(16 + (thread + index) % 3 * 700))
                    _ = exchange.put(block, at: thread * blockCount + index)
                }
                pthread_barrier_wait(barrier)
                Malloc.deallocate(aligned)
                for index in 0..<blockCount {
                    let other = (thread + 1 + index * 7) % threadCount
                    let block = exchange.put(0, at: other * blockCount + index)
                    if !drop(block) { Issue.record("a block lost its contents") }
                }
            }
            let found = Process.state.pointee.nursery
            let nursery = try #require(found)
            let state = nursery.pointee.state
            #expect(state == .shared)
            #expect(Malloc.brokenInvariant() == nil)
            Malloc.trim()
            // All blocks are free, and the nursery's pages went with them.
            for sizeClass in 0..<SizeClasses.count {
                let current = nursery.pages(sizeClass).pointee.current
                #expect(current == Page.none)
            }
            #expect(Malloc.brokenInvariant() == nil)
        }
    }
}
