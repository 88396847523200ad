// Another thread at work on a heap whose owner sleeps, or does not: what is given back, and that nothing is lost.

import CMallowShims
import Synchronization
import SystemMemory
import Testing

@testable import MallocHeap

/// A thread that does one thing after another, as it is told, and sleeps in between.
private final class Sleeper: Sendable {
    /// 0: sleep; else the number of a step, and after it that number's negative.
    private let step = Atomic<Int>(0)
    private let count: Int

    init(count: Int) { self.count = count }

    func tell(_ number: Int) {
        step.store(number, ordering: .releasing)
        while step.load(ordering: .acquiring) != -number { sched_yield() }
    }

    /// Waits for steps until the last one is done.
    func obey(_ body: (Int) -> Void) {
        while true {
            let number = step.load(ordering: .acquiring)
            if number > 0 {
                body(number)
                step.store(-number, ordering: .releasing)
                if number == count { return }
            }
            sched_yield()
        }
    }
}

/// Blocks of 16 to 495 bytes, filled with their sizes.
private struct Blocks {
    private var random: SplitMix
    private var blocks: [(pointer: UnsafeMutableRawPointer, byteCount: Int)] = []

    init(seed: UInt64) { random = SplitMix(seed: seed) }

    mutating func allocate(_ count: Int) {
        for _ in 0..<count {
            let byteCount = 16 + Int(random.next() % 480)
            guard let block = Malloc.allocate(UInt(byteCount)) else { continue }
            memset(block, CInt(byteCount & 255), byteCount)
            blocks.append((block, byteCount))
        }
    }

    /// Frees all but one in `rate`. Whether all were as they had been filled.
    mutating func free(allButOneIn rate: UInt64) -> Bool {
        var areWhole = true
        var kept: [(pointer: UnsafeMutableRawPointer, byteCount: Int)] = []
        blocks.shuffle(using: &random)
        for block in blocks {
            if rate > 0, random.next() % rate == 0 {
                kept.append(block)
                continue
            }
            let bytes = UnsafeRawBufferPointer(start: block.pointer, count: block.byteCount)
            if !bytes.allSatisfy({ $0 == UInt8(block.byteCount & 255) }) { areWhole = false }
            Malloc.deallocate(block.pointer)
        }
        blocks = kept
        return areWhole
    }
}

/// 4 MB of small blocks, of which one in 100 is left: memory to be given back lies inside pages alone.
private struct Scattered: @unchecked Sendable {
    private let rest: [UnsafeMutableRawPointer]

    init(in heap: FirstClassHeap? = nil) {
        let blocks = (0..<20_000).compactMap { _ in heap == nil ? Malloc.allocate(200) : heap?.allocate(200) }
        func isKept(_ index: Int) -> Bool { index % 100 == 0 || index == blocks.count - 1 }
        rest = blocks.indices.filter(isKept).map { blocks[$0] }
        for (index, block) in blocks.enumerated() where !isKept(index) { Malloc.deallocate(block) }
    }

    func free() {
        for block in rest { Malloc.deallocate(block) }
    }
}

extension HeapTests.Threads {
    /// What a sleeping thread's heap holds goes by a trim of another thread, all but the page it was at last.
    @Test func trimsTheHeapOfASleeper() {
        Malloc.trim()
        let sleeper = Sleeper(count: 4)
        let broken = Atomic<Int>(0)
        let figures = Atomic<UInt>(0)
        onThreads(2) { index in
            if index == 0 {
                var blocks = Blocks(seed: 1)
                sleeper.obey { step in
                    switch step {
                    case 1: blocks.allocate(60_000)
                    case 2, 4:
                        if !blocks.free(allButOneIn: step == 2 ? 200 : 0) { broken.wrappingAdd(1, ordering: .relaxed) }
                    default: blocks.allocate(60_000)
                    }
                }
                return
            }
            let empty = Malloc.statistics().committedBytes
            sleeper.tell(1)
            let full = Malloc.statistics().committedBytes
            sleeper.tell(2)
            Malloc.trim()
            let trimmed = Malloc.statistics().committedBytes
            // 300 blocks live, each in an OS page of its own at worst, and two for its neighbours' sake.
            #expect(full - empty > 14 << 20)
            #expect(trimmed - empty < 3 << 20, "\(trimmed - empty) bytes of \(full - empty)")
            figures.store(trimmed, ordering: .relaxed)
            #expect(Malloc.brokenInvariant() == nil)
            sleeper.tell(3)
            #expect(Malloc.brokenInvariant() == nil)
            sleeper.tell(4)
        }
        #expect(broken.load(ordering: .relaxed) == 0)
        #expect(figures.load(ordering: .relaxed) > 0)
        Malloc.trim()
        #expect(Malloc.brokenInvariant() == nil)
    }

    /// A trim of a thread whose own heap is parked waits until it is not, and leaves nothing out; so does one that says
    /// that it is idle.
    @Test(arguments: [false, true]) func trimsTheCallersOwnWhenItIsLetGo(isIdle: Bool) {
        // Nothing goes before.
        let delay = Malloc.purgeDelayInMilliseconds
        Malloc.setPurgeDelay(milliseconds: 1 << 30)
        defer { Malloc.setPurgeDelay(milliseconds: delay) }
        let sleeper = Sleeper(count: 1)
        let owned = Atomic<UInt>(0)
        let isParked = Atomic<Bool>(false)
        let isDone = Atomic<Bool>(false)
        let purged = Atomic<UInt>(0)
        onThreads(2) { index in
            if index == 0 {
                var blocks: [UnsafeMutableRawPointer] = []
                sleeper.obey { _ in
                    blocks = (0..<20_000).compactMap { _ in Malloc.allocate(200) }
                    for (index, block) in blocks.enumerated() where index % 100 != 0 { Malloc.deallocate(block) }
                    owned.store(Malloc.currentHeap.address, ordering: .relaxed)
                }
                let heap = Malloc.currentHeap
                let before = heap.pointee.purgedBytes
                while !isParked.load(ordering: .acquiring) { sched_yield() }
                if isIdle { Malloc.threadIsIdle() } else { Malloc.trim() }
                purged.store(heap.pointee.purgedBytes - before, ordering: .relaxed)
                isDone.store(true, ordering: .releasing)
                for (index, block) in blocks.enumerated() where index % 100 == 0 { Malloc.deallocate(block) }
                return
            }
            sleeper.tell(1)
            let owner = owned.load(ordering: .relaxed)
            var count = 0
            _ = HeapRegistry.withOtherHeaps(where: { $0.address == owner }) { _ in
                count += 1
                isParked.store(true, ordering: .releasing)
                // Until the owner waits for its heap; or for the lock, or for nothing, where it left that out.
                while !Process.state.pointee.isAwaited.load(ordering: .relaxed), !isDone.load(ordering: .acquiring),
                    Process.registryLock.pointee.state.load(ordering: .relaxed) != 2
                { sched_yield() }
            }
            #expect(count == 1)
            isParked.store(true, ordering: .releasing)
        }
        #expect(purged.load(ordering: .relaxed) > 2 << 20, "\(purged.load(ordering: .relaxed)) bytes")
        Malloc.trim()
        #expect(Malloc.brokenInvariant() == nil)
    }

    /// A trim says that memory went where it went from inside pages alone, of whichever heap; and when none is left.
    @Test func tellsThatMemoryWent() throws {
        let delay = Malloc.purgeDelayInMilliseconds
        Malloc.setPurgeDelay(milliseconds: 1 << 30)
        defer { Malloc.setPurgeDelay(milliseconds: delay) }
        /// The pool has nothing, so that it is not what is given back.
        @Sendable func trimsOnce() -> Bool {
            SlicePool.trim()
            return Malloc.trim() && !Malloc.trim()
        }
        Malloc.trim()
        let own = Scattered()
        #expect(trimsOnce(), "this thread's heap")
        own.free()

        let sleeper = Sleeper(count: 2)
        onThreads(2) { index in
            if index == 1 {
                sleeper.tell(1)
                #expect(trimsOnce(), "another thread's heap")
                return sleeper.tell(2)
            }
            var scattered: Scattered?
            sleeper.obey { step in
                if step == 1 { scattered = Scattered() } else { scattered?.free() }
            }
        }

        Malloc.trim()
        let left = Mutex<Scattered?>(nil)
        onThreads(1) { _ in left.withLock { $0 = Scattered() } }
        #expect(trimsOnce(), "an ended thread's heap")
        left.withLock { $0?.free() }

        let heap = try #require(FirstClassHeap.make())
        _ = Scattered(in: heap)
        #expect(trimsOnce(), "a first-class heap")
        heap.destroy()
        #expect(Malloc.trim() && !Malloc.trim(), "the pool")
        #expect(Malloc.brokenInvariant() == nil)
    }

    /// Threads that never stop, and one that trims all the time.
    @Test func trimsWhileOthersWork() {
        let before = Malloc.statistics()
        let broken = Atomic<Int>(0)
        let left = Atomic<Int>(3)
        onThreads(4) { index in
            if index == 3 {
                while left.load(ordering: .acquiring) > 0 { Malloc.trim() }
                return
            }
            var blocks = Blocks(seed: UInt64(index))
            for _ in 0..<6 {
                blocks.allocate(3000)
                if !blocks.free(allButOneIn: 30) { broken.wrappingAdd(1, ordering: .relaxed) }
            }
            if !blocks.free(allButOneIn: 0) { broken.wrappingAdd(1, ordering: .relaxed) }
            left.wrappingSubtract(1, ordering: .releasing)
        }
        #expect(broken.load(ordering: .relaxed) == 0)
        #expect(Malloc.brokenInvariant() == nil)
        Malloc.trim()
        #expect(Malloc.brokenInvariant() == nil)
        #expect(Malloc.statistics().liveBlocks == before.liveBlocks)
    }

    #if !MALLOW_THREAD_SANITIZER
        /// A heap is not touched while its owner is on a slow path, and its last page not while it may be on a hit path.
        @Test func leavesAloneWhatTheOwnerIsAt() {
            let sleeper = Sleeper(count: 3)
            onThreads(2) { index in
                if index == 0 {
                    let blocks = (0..<2000).compactMap { _ in Malloc.allocate(100) }
                    sleeper.obey { step in
                        switch step {
                        case 1: _ = Malloc.enter()
                        case 2:
                            Malloc.leave()
                            for block in blocks.dropLast() { Malloc.deallocate(block) }
                            // As if the thread had stopped in the middle of this.
                            if let last = blocks.last { _ = Malloc.enterHitPath(UInt(bitPattern: last)) }
                        default:
                            Malloc.leave()
                            if let last = blocks.last { Malloc.deallocate(last) }
                        }
                    }
                    return
                }
                sleeper.tell(1)
                let reachesAll = HeapRegistry.withOtherHeaps(where: { _ in true }, { _ in })
                #expect(!reachesAll)
                sleeper.tell(2)
                var avoided = 0
                let reachedAll = HeapRegistry.withOtherHeaps(where: { _ in true }) { heap in
                    guard let page = heap.pointee.avoided else { return }
                    avoided += 1
                    let before = (page.pointee.free, page.pointee.used, page.pointee.reserve, page.pointee.hollow)
                    heap.giveBackEmptyPages()
                    heap.sweepAllPages()
                    heap.tickParked(at: .max / 4)
                    #expect(page.pointee.free == before.0 && page.pointee.used == before.1)
                    #expect(page.pointee.reserve == before.2 && page.pointee.hollow == before.3)
                }
                #expect(reachedAll)
                #expect(avoided >= 1)
                sleeper.tell(3)
            }
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
        }
    #endif

    /// A thread with ten blocks of ten sizes: an OS page for each, and its heap.
    @Test func costsLittleForAFewBlocks() {
        Malloc.trim()
        let sleeper = Sleeper(count: 2)
        onThreads(2) { index in
            if index == 0 {
                var blocks: [UnsafeMutableRawPointer] = []
                sleeper.obey { step in
                    if step == 1 { blocks = (0..<10).compactMap { Malloc.allocate(UInt(20 + 70 * $0)) } }
                    if step == 2 { for block in blocks { Malloc.deallocate(block) } }
                }
                return
            }
            let before = Malloc.statistics().committedBytes
            sleeper.tell(1)
            let after = Malloc.statistics().committedBytes
            #expect(after - before < 64 << 10, "\(after - before) bytes")
            sleeper.tell(2)
        }
    }

    /// Without a fence other threads' heaps are left to their owners.
    @Test func trimsWithoutAFence() async {
        await #expect(processExitsWith: .success) {
            // This thread's heap is the other one.
            var own = Blocks(seed: 1)
            own.allocate(2000)
            _ = own.free(allButOneIn: 3)
            onThreads(1) { _ in
                var blocks = Blocks(seed: 2)
                blocks.allocate(2000)
                _ = blocks.free(allButOneIn: 3)
                FaultInjection.fail(nth: 1, count: 1000, of: [.fence])
                Malloc.trim()
                let failed = FaultInjection.end().failed
                precondition(failed > 0)
                precondition(blocks.free(allButOneIn: 0))
            }
            precondition(own.free(allButOneIn: 0))
            precondition(Malloc.brokenInvariant() == nil)
        }
    }
}
