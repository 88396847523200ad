// First-class heaps that threads share: frees of both kinds, visits, figures and trims meanwhile, heaps that end while
// others free their blocks. Run under the thread sanitizer as well.

import CMallowShims
import Synchronization
import Testing

@testable import MallocHeap

/// Places where threads leave blocks for each other. A block's first word is its size, its last byte the size's low one.
private final class Exchange: Sendable {
    final class Slot: Sendable {
        let address = Atomic<UInt>(0)
    }

    let slots: [Slot]

    init(count: Int) { slots = (0..<count).map { _ in Slot() } }

    func put(_ block: UInt, at index: Int) -> UInt {
        slots[index].address.exchange(block, ordering: .acquiringAndReleasing)
    }

    /// How many blocks were not whole.
    func freeAll() -> Int {
        slots.indices.reduce(0) { $0 + (drop(put(0, at: $1), by: nil) ? 0 : 1) }
    }
}

private final class Counter: Sendable {
    let count = Atomic(0)
}

private func make(_ byteCount: UInt, in heap: FirstClassHeap) -> UInt {
    guard let block = heap.allocate(byteCount) else { return 0 }
    block.storeBytes(of: byteCount, as: UInt.self)
    block.storeBytes(of: UInt8(truncatingIfNeeded: byteCount), toByteOffset: Int(byteCount) - 1, as: UInt8.self)
    return UInt(bitPattern: block)
}

/// Whether the block, which is freed by its heap or by `free`, was whole.
private func drop(_ address: UInt, by heap: FirstClassHeap?) -> Bool {
    guard let block = UnsafeMutableRawPointer(bitPattern: address) else { return true }
    let byteCount = block.load(as: UInt.self)
    let isWhole =
        block.load(fromByteOffset: Int(byteCount) - 1, as: UInt8.self) == UInt8(truncatingIfNeeded: byteCount)
    if let heap { heap.deallocate(block) } else { Malloc.deallocate(block) }
    return isWhole
}

extension HeapTests {
    @Suite(.serialized) struct ThreadsInFirstClassHeaps {
        @Test func allocateFreeVisitAndTrim() throws {
            let before = Malloc.statistics().liveBlocks
            let heaps = try [#require(FirstClassHeap.make()), #require(FirstClassHeap.make())]
            let exchange = Exchange(count: 128)
            let broken = Atomic(0)
            let visited = Counter()
            onThreads(4) { index in
                var random = SplitMix(seed: UInt64(index))
                for step in 0..<6000 {
                    let heap = heaps[Int(random.next() % 2)]
                    let largest: UInt64 = step % 60 == 0 ? 80_000 : 700
                    let block = make(16 + UInt(random.next() % largest), in: heap)
                    let old = exchange.put(block, at: Int(random.next() % 128))
                    let owner = step % 2 == 0 && old != 0 ? FirstClassHeap.owner(of: old) : nil
                    if block == 0 || !drop(old, by: owner) { broken.wrappingAdd(1, ordering: .relaxed) }
                    switch (index, step % 500) {
                    case (0, 77): _ = heap.statistics()
                    case (1, 78):
                        // A block that another thread frees may be visited: it is not looked into.
                        _ = heap.visit(context: Unmanaged.passUnretained(visited).toOpaque()) { context, _, _ in
                            if let context {
                                Unmanaged<Counter>.fromOpaque(context).takeUnretainedValue().count
                                    .wrappingAdd(1, ordering: .relaxed)
                            }
                            return 0
                        }
                    case (2, 79): Malloc.trim()
                    case (3, 80): Malloc.threadIsIdle()
                    default: break
                    }
                }
            }
            #expect(broken.load(ordering: .relaxed) == 0)
            #expect(visited.count.load(ordering: .relaxed) > 100)
            #expect(Malloc.brokenInvariant() == nil)
            #expect(exchange.freeAll() == 0)
            #expect(heaps.map { $0.statistics().liveBlocks } == [0, 0])
            for heap in heaps { heap.destroy() }
            #expect(Malloc.brokenInvariant() == nil)
            #expect(Malloc.statistics().liveBlocks == before)
        }

        /// While two threads free what it hands them, a third makes heaps and ends them. In a process of its own: their
        /// records stay, and each check of the invariants of the tests that follow would walk them all.
        @Test func endWhileOthersFree() async {
            await #expect(processExitsWith: .success) {
                let before = Malloc.statistics().liveBlocks
                let exchange = Exchange(count: 64)
                let isOver = Atomic(false)
                let broken = Atomic(0)
                onThreads(3) { index in
                    if index > 0 {
                        while !isOver.load(ordering: .acquiring) {
                            for slot in 0..<64 where !drop(exchange.put(0, at: slot), by: nil) {
                                broken.wrappingAdd(1, ordering: .relaxed)
                            }
                        }
                        return
                    }
                    var random = SplitMix(seed: 5)
                    for round in 0..<150 {
                        guard let heap = FirstClassHeap.make(), let other = FirstClassHeap.make() else { continue }
                        for slot in 0..<64 {
                            let block = make(16 + UInt(random.next() % (slot == 3 ? 80_000 : 3000)), in: heap)
                            _ = drop(exchange.put(block, at: slot), by: nil)
                            _ = make(100, in: other)
                        }
                        // Nobody else has blocks of the other one.
                        other.destroy()
                        if round % 2 == 0 { heap.release() }
                        heap.delete()
                    }
                    isOver.store(true, ordering: .releasing)
                }
                #expect(broken.load(ordering: .relaxed) == 0)
                #expect(exchange.freeAll() == 0)
                #expect(Malloc.brokenInvariant() == nil)
                #expect(Malloc.statistics().liveBlocks == before)
            }
        }

        /// What a message is on its way about stays when the heap is destroyed, and is looked after later.
        @Test func messageOnItsWayKeepsAPage() throws {
            let before = Malloc.statistics().liveBlocks
            let heap = try #require(FirstClassHeap.make())
            let block = try #require(heap.allocate(100))
            let page = Malloc.checkedPage(of: UInt(bitPattern: block), caller: "test")
            // As a thread that fork left behind between its two steps.
            page.pointee.remote.store(RemoteWord.isMessage, ordering: .relaxed)
            heap.destroy()
            #expect(page.pointee.kind == PageKind.small && page.heap?.pointee.state == .orphaned)
            #expect(Malloc.brokenInvariant() == nil)
            page.sendToOwner()
            Malloc.deallocate(block)
            Malloc.trim()
            #expect(Malloc.statistics().liveBlocks == before)
            #expect(Malloc.brokenInvariant() == nil)
        }
    }
}
