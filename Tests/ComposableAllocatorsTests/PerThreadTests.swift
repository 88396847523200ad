// Magazines of each thread's own over one pool: the account, threads that end, blocks that change hands.

import Foundation
import Mallow
import Testing

@testable import ComposableAllocators

@Suite struct PerThreadTests {
    typealias Pool = FixedBlockAllocator<SystemAllocator>

    @Test func configurationIsValidated() {
        func argument(_ make: () throws(ConfigurationError) -> PerThread<SystemAllocator>) -> String? {
            do throws(ConfigurationError) {
                _ = try make()
                return nil
            } catch { return error.argument }
        }
        #expect(argument { () throws(ConfigurationError) in try PerThread(blockSize: 7) } == "blockSize")
        #expect(argument { () throws(ConfigurationError) in try PerThread(blockSize: 24, alignment: 3) } == "alignment")
        #expect(
            argument { () throws(ConfigurationError) in try PerThread(blockSize: 24, alignment: 16) } == "blockSize")
        #expect(
            argument { () throws(ConfigurationError) in try PerThread(blockSize: 24, blocksPerMagazine: 0) }
                == "blocksPerMagazine")
        #expect(argument { () throws(ConfigurationError) in try PerThread(blockSize: 4096, alignment: 4096) } == nil)
    }

    @Test(arguments: [1, 2, 3, 64], [8, 24, 64]) func oneThreadKeepsAnExactAccount(magazine: Int, blockSize: Int) throws
    {
        let allocator = try PerThread(
            blockSize: blockSize, blocksPerMagazine: magazine, upstream: Pool(blockSize: blockSize))
        var random = SeededRandom(seed: UInt64(magazine * 100 + blockSize))
        var live: [(block: UnsafeMutableRawBufferPointer, fill: UInt8)] = []
        var expected = AllocatorStatistics()
        for step in 0..<6_000 {
            // Up for a while, then down for a while.
            let wantsMore = random.next() % 10 < (step / 500 % 2 == 0 ? 7 : 3)
            if wantsMore || live.isEmpty {
                let block = try allocator.allocate(byteCount: Int(random.next() % UInt64(blockSize + 1)), alignment: 8)
                #expect(block.count == blockSize && allocator.owns(block.baseAddress!))
                let fill = UInt8(truncatingIfNeeded: step)
                block.initializeMemory(as: UInt8.self, repeating: fill)
                live.append((block, fill))
                expected.enter(byteCount: blockSize, overhead: 0)
            } else {
                let last = live.remove(at: Int(random.next() % UInt64(live.count)))
                #expect(last.block.allSatisfy { $0 == last.fill })
                allocator.deallocate(last.block)
                expected.remove(byteCount: blockSize, overhead: 0)
            }
            if let broken = allocator.brokenInvariant() { Issue.record("step \(step): \(broken)") }
            let statistics = allocator.statistics
            #expect(statistics.liveBlocks == expected.liveBlocks && statistics.liveBytes == expected.liveBytes)
            #expect(statistics.peakBlocks == expected.peakBlocks && statistics.totalBlocks == expected.totalBlocks)
            #expect(statistics.freeBytes >= 0 && statistics.freeBytes % blockSize == 0)
        }
        live.append((try allocator.allocate(byteCount: 1), 0))
        let leak = LeakError(allocator: "PerThread", blocks: live.count, bytes: live.count * blockSize)
        #expect(throws: leak) { try allocator.close() }
        for (block, _) in live { allocator.deallocate(block) }
        try allocator.close()
        #expect(allocator.statistics.heldBytes == 0)
        // Usable again.
        allocator.deallocate(try allocator.allocate(byteCount: 8))
        try allocator.close()
    }

    @Test func refusals() throws {
        let upstream = CountingAllocator()
        upstream.room = 64 * 10
        let allocator = try PerThread(blockSize: 64, upstream: upstream)
        func reason(_ byteCount: Int, _ alignment: Int) -> AllocationError.Reason? {
            do throws(AllocationError) {
                allocator.deallocate(try allocator.allocate(byteCount: byteCount, alignment: alignment))
                return nil
            } catch { return error.reason }
        }
        #expect(reason(65, 8) == .tooLarge(limit: 64))
        #expect(reason(8, 32) == .unsupportedAlignment(limit: 16))
        #expect(reason(8, 3) == .invalidAlignment)
        #expect(reason(0, 1) == nil)
        // A good size is its own only where it serves the request: a fallback asks for it.
        #expect(allocator.goodSize(for: 8, alignment: 16) == 64)
        #expect(allocator.goodSize(for: 8, alignment: 32) == 8)
        #expect(allocator.goodSize(for: 65, alignment: 16) == 65)
        // All that upstream has can be had, and again.
        for _ in 0..<3 {
            let blocks = (0..<10).map { _ in try! allocator.allocate(byteCount: 64) }
            #expect(reason(64, 16) == .outOfMemory)
            #expect(Set(blocks.map { $0.baseAddress! }).count == 10)
            for block in blocks { allocator.deallocate(block) }
        }
        let block = try allocator.allocate(byteCount: 10)
        #expect(allocator.resize(block.baseAddress!, byteCount: 64)?.count == 64)
        #expect(allocator.resize(block.baseAddress!, byteCount: 65) == nil)
        allocator.deallocate(block)
        try allocator.close()
    }

    @Test(arguments: [1, 5, 64]) func threadsShareAndLoseNothing(magazine: Int) throws {
        let allocator = try PerThread(blockSize: 32, blocksPerMagazine: magazine, upstream: Pool(blockSize: 32))
        let exchange = Synchronized(Exchange())
        onThreads(4) { thread in
            var random = SeededRandom(seed: UInt64(thread))
            var live: [Address] = []
            for _ in 0..<20_000 {
                switch random.next() % 5 {
                case 0, 1:
                    let block = try! allocator.allocate(byteCount: 32).baseAddress!
                    // Nobody else has the block: what was written is there when it is freed, by whichever thread.
                    block.storeBytes(of: UInt(bitPattern: block), as: UInt.self)
                    block.storeBytes(of: ~UInt(bitPattern: block), toByteOffset: 24, as: UInt.self)
                    live.append(Address(pointer: block))
                case 2 where !live.isEmpty:
                    exchange.withLockUnchecked { $0.blocks.append(live.removeLast()) }
                case 3:
                    if let taken = exchange.withLockUnchecked({ $0.blocks.popLast() }) { live.append(taken) }
                case _ where !live.isEmpty:
                    let block = live.remove(at: Int(random.next() % UInt64(live.count))).pointer
                    if block.load(as: UInt.self) != UInt(bitPattern: block)
                        || block.load(fromByteOffset: 24, as: UInt.self) != ~UInt(bitPattern: block)
                    {
                        Issue.record("a live block was overwritten")
                    }
                    allocator.deallocate(block)
                default: break
                }
            }
            exchange.withLockUnchecked { $0.blocks += live }
        }
        let left = exchange.withLockUnchecked { $0.blocks }
        #expect(Set(left).count == left.count)
        #expect(allocator.statistics.liveBlocks == left.count)
        #expect(allocator.statistics.peakBlocks >= left.count)
        for block in left { allocator.deallocate(block.pointer) }
        #expect(allocator.brokenInvariant() == nil)
        try allocator.close()
        #expect(allocator.statistics.heldBytes == 0)
    }

    @Test func whatOneThreadFreesAnotherGets() throws {
        let allocator = try PerThread(blockSize: 64, blocksPerMagazine: 8, upstream: CountingAllocator())
        onThreads(1) { _ in
            let blocks = (0..<100).map { _ in try! allocator.allocate(byteCount: 64) }
            for block in blocks { allocator.deallocate(block) }
        }
        // A thread says that it is done a moment before it ends, and gives its magazines back then.
        for _ in 0..<10_000 where allocator.threadCount > 0 { usleep(10_000) }
        let held = allocator.depot.inDepot
        #expect(held > 30)
        let block = try allocator.allocate(byteCount: 64)
        #expect(allocator.depot.inDepot < held)
        allocator.deallocate(block)
        try allocator.close()
    }

    @Test func aThousandShortThreadsLeaveNothing() throws {
        let allocator = try PerThread(blockSize: 48, upstream: CountingAllocator())
        for _ in 0..<250 {
            onThreads(4) { thread in
                let blocks = (0..<thread * 40 + 1).map { _ in try! allocator.allocate(byteCount: 48) }
                for block in blocks { allocator.deallocate(block) }
            }
        }
        // A thread says that it is done a moment before it ends.
        for _ in 0..<10_000 where allocator.threadCount > 0 { usleep(10_000) }
        #expect(allocator.threadCount == 0)
        let statistics = allocator.statistics
        #expect(statistics.liveBlocks == 0 && statistics.totalBlocks == 250 * (1 + 41 + 81 + 121))
        #expect(statistics.heldBytes < 64 * 1024)
        #expect(allocator.brokenInvariant() == nil)
        try allocator.close()
        #expect(allocator.statistics.heldBytes == 0)
    }

    @Test func theAllocatorMayEndBeforeItsThreads() throws {
        // Each allocator has caches of threads that live on; the indices are used again.
        let work = Synchronized(WorkQueue())
        let done = DispatchSemaphore(value: 0)
        withExtendedLifetime(work) {
            for _ in 0..<3 {
                Thread {
                    while true {
                        guard let job = work.withLockUnchecked({ $0.jobs.popLast() }) else {
                            if work.withLockUnchecked({ $0.isOver }) { break }
                            sched_yield()
                            continue
                        }
                        job()
                    }
                    done.signal()
                }.start()
            }
            for round in 0..<200 {
                let ended = DispatchSemaphore(value: 0)
                do {
                    let upstream = CountingAllocator()
                    upstream.willEnd = { ended.signal() }
                    let allocator = try! PerThread(blockSize: 64, blocksPerMagazine: 4, upstream: upstream)
                    let finished = DispatchSemaphore(value: 0)
                    for _ in 0..<3 {
                        work.withLockUnchecked {
                            $0.jobs.append {
                                let blocks = (0..<20).map { _ in try! allocator.allocate(byteCount: 64) }
                                for block in blocks { allocator.deallocate(block) }
                                finished.signal()
                            }
                        }
                    }
                    for _ in 0..<3 { finished.wait() }
                    if round % 3 == 0 { try! allocator.close() }
                }
                #expect(ended.wait(timeout: .now() + 120) == .success)
            }
            work.withLockUnchecked { $0.isOver = true }
            for _ in 0..<3 { done.wait() }
        }
    }

    @Test func closingWhileThreadsEnd() throws {
        let allocator = try PerThread(blockSize: 64, upstream: Pool(blockSize: 64))
        for _ in 0..<100 {
            onThreads(2) { _ in allocator.deallocate(try! allocator.allocate(byteCount: 64)) }
            try allocator.close()
        }
        #expect(allocator.statistics.totalBlocks == 200)
    }

    @Test func oneOverAnother() throws {
        let allocator = try PerThread(
            blockSize: 16, blocksPerMagazine: 4, upstream: PerThread(blockSize: 16, upstream: CountingAllocator()))
        onThreads(4) { _ in
            let blocks = (0..<200).map { _ in try! allocator.allocate(byteCount: 16) }
            for block in blocks { allocator.deallocate(block) }
        }
        try allocator.close()
        #expect(allocator.depot.upstream.statistics.heldBytes == 0)
    }

    @Test func misuseTraps() async throws {
        func message(_ result: ExitTest.Result?) -> String {
            String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        }
        let twice = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = try PerThread(blockSize: 64, upstream: FixedBlockAllocator(blockSize: 64))
            let block = try allocator.allocate(byteCount: 64)
            allocator.deallocate(block)
            allocator.deallocate(block)
        }
        #expect(message(twice).contains("PerThread: 0x") && message(twice).contains("was freed already"))
        let byAnother = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = try PerThread(blockSize: 64, upstream: FixedBlockAllocator(blockSize: 64))
            let block = Address(pointer: try allocator.allocate(byteCount: 64).baseAddress!)
            onThreads(1) { _ in allocator.deallocate(block.pointer) }
            allocator.deallocate(block.pointer)
        }
        #expect(message(byAnother).contains("was freed already"))
        let inside = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = try PerThread(blockSize: 64)
            allocator.deallocate(try allocator.allocate(byteCount: 64).baseAddress! + 4)
        }
        #expect(message(inside).contains("is no block's address: it is not aligned"))
        let foreign = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let allocator = try PerThread(blockSize: 64, upstream: FixedBlockAllocator(blockSize: 64))
            let block = try SystemAllocator().allocate(byteCount: 64, alignment: 64)
            block.initializeMemory(as: UInt8.self, repeating: 0)
            let own = try allocator.allocate(byteCount: 64)
            allocator.deallocate(block)
            allocator.deallocate(own)
            withExtendedLifetime(allocator) {}
        }
        #expect(message(foreign).contains("was freed here, and upstream never handed it out"))
        await #expect(processExitsWith: .failure) {
            _ = try PerThread(blockSize: 64).allocate(byteCount: -1)
        }
    }
}

final class Exchange: Allocator {
    var blocks: [Address] = []
    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try SystemAllocator().allocate(byteCount: byteCount, alignment: alignment)
    }
    func deallocate(_ pointer: UnsafeMutableRawPointer) { SystemAllocator().deallocate(pointer) }
}

final class WorkQueue: Allocator {
    var jobs: [@Sendable () -> Void] = []
    var isOver = false
    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try SystemAllocator().allocate(byteCount: byteCount, alignment: alignment)
    }
    func deallocate(_ pointer: UnsafeMutableRawPointer) { SystemAllocator().deallocate(pointer) }
}
