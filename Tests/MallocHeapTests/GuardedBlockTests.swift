// Guarded blocks: random programs in which every block, or one in some, is guarded; how often blocks are, and where they
// lie; what a fault means. In processes of their own, since a rate holds for the whole of one.

import CMallowShims
import Synchronization
import SystemMemory
import Testing

@testable import MallocHeap

/// Allocates and frees a block at a time. How many were guarded.
private func guarded(of count: Int, _ byteCount: UInt) -> UInt {
    let before = Malloc.statistics().guardedAllocations
    for _ in 0..<count { Malloc.deallocate(Malloc.allocate(byteCount)) }
    return Malloc.statistics().guardedAllocations - before
}

private func isGuarded(_ block: UnsafeMutableRawPointer?) -> Bool { GuardedPool.contains(UInt(bitPattern: block)) }

extension HeapTests {
    @Suite(.serialized) struct GuardedBlocks {
        @Test(arguments: [1, 6] as [UInt]) func randomSequences(rate: UInt) async {
            await #expect(processExitsWith: .success) { [rate] in
                #expect(Malloc.setGuardRate(rate))
                for (seed, largest) in [(21, 256), (22, 4096), (23, 70_000), (24, 20 << 20)] as [(UInt64, UInt)] {
                    var model = Model(seed: seed)
                    for step in 0..<(largest > 1 << 20 ? 60 : 350) {
                        model.step(largest: largest, around: largest > 1 << 20 ? 12 : 100)
                        if step % 10 == 0, let broken = Malloc.brokenInvariant() {
                            Issue.record("after step \(step) of sizes up to \(largest): \(broken)")
                            return
                        }
                        if step % 50 == 0 { model.checkOverlap() }
                        if step % 150 == 149 { Malloc.trim() }
                    }
                    model.freeAll()
                    #expect(Malloc.brokenInvariant() == nil)
                    #expect(model.refusals == 0)
                }
                let figures = Malloc.statistics()
                #expect(figures.guardedBlocks == 0 && figures.liveBlocks == 0 && figures.liveBytes == 0)
                #expect(figures.guardedAllocations > 200 / rate)
                // Without a rate all goes on, and what was guarded is freed as ever.
                #expect(Malloc.setGuardRate(1))
                let block = Malloc.allocate(100)
                #expect(isGuarded(block))
                Malloc.setGuardRate(0)
                #expect(guarded(of: 1000, 100) == 0)
                Malloc.deallocate(block)
                #expect(Malloc.brokenInvariant() == nil && Malloc.statistics().liveBlocks == 0)
            }
        }

        /// About one in N of each size, in programs that hold one block at a time, and so never run out of free ones.
        @Test func aboutOneInN() async {
            await #expect(processExitsWith: .success) {
                Malloc.setGuardRate(100)
                for byteCount in [8, 100, 1024, 3000, 100_000] as [UInt] {
                    let count = byteCount > 32 << 10 ? 5000 : 20_000
                    let found = Double(guarded(of: count, byteCount))
                    // Countdowns are uniform: the number's standard deviation is below 0.6 of its root.
                    let expected = Double(count) / 100
                    #expect(abs(found - expected) < 4 * expected.squareRoot(), "\(found) of \(count) at \(byteCount)")
                }
                // From 1000 on the time is bounded as well: the rate is an upper bound.
                Malloc.setGuardRate(1000)
                let found = guarded(of: 50_000, 100)
                #expect(found > 0 && found < 75)
                #expect(Malloc.brokenInvariant() == nil)
            }
        }

        @Test func placesAndSizes() async {
            await #expect(processExitsWith: .success) {
                Malloc.setGuardRate(1)
                let osPage = Malloc.osPageByteCount
                var atStart = 0
                for byteCount in [0, 1, 8, 13, 16, 100, osPage, 5000, 40_000, 1 << 20, 14 << 20] as [UInt] {
                    for _ in 0..<8 {
                        let block = Malloc.allocate(byteCount)
                        #expect(isGuarded(block) && Malloc.usableSize(block) == byteCount)
                        let start = UInt(bitPattern: block)
                        let slot = GuardedPool.slot(at: start).unsafelyUnwrapped
                        let pages = slot.osPages(osPage)
                        let behind = pages.start + pages.byteCount - start - byteCount
                        #expect(start == pages.start || behind < 16)
                        #expect(!SystemMemory.isReadable(pages.start - 8))
                        #expect(SystemMemory.isReadable(pages.start + pages.byteCount - 8))
                        #expect(!SystemMemory.isReadable(pages.start + pages.byteCount))
                        if start == pages.start, byteCount < osPage { atStart += 1 }
                        // Unchanged where the size is, moved where it is not.
                        if byteCount > 0 {
                            #expect(Malloc.reallocate(block, byteCount) == block)
                            let moved = Malloc.reallocate(block, byteCount + 1)
                            #expect(moved != block && !SystemMemory.isReadable(pages.start))
                            Malloc.deallocate(moved)
                        } else {
                            Malloc.deallocate(block)
                        }
                    }
                }
                #expect(atStart > 4 && atStart < 44)
                for exponent in 4...20 as ClosedRange<UInt> {
                    let block = Malloc.allocate(3000, alignment: 1 << exponent)
                    #expect(isGuarded(block) && UInt(bitPattern: block) % (1 << exponent) == 0)
                    Malloc.deallocate(block)
                }
                #expect(!isGuarded(Malloc.allocate(16 << 20)))
            }
        }

        /// A freed slot comes back when all others of its size have been used; with all of them live, blocks are
        /// served as without a rate.
        @Test func quarantineAndShortage() async {
            await #expect(processExitsWith: .success) {
                Malloc.setGuardRate(1)
                let slots = Int(GuardedPool.tier(1).pointee.slotCount)
                let first = GuardedPool.tier(1).start(ofSlot: 0)
                for count in 0..<(2 * slots + 1) {
                    let block = Malloc.allocate(60_000)
                    let isFirst = UInt(bitPattern: block) - first < 64 << 10
                    #expect(isFirst == (count % slots == 0), "at \(count) of \(slots)")
                    Malloc.deallocate(block)
                }
                let live = (0..<slots).map { _ in Malloc.allocate(60_000) }
                #expect(live.allSatisfy(isGuarded))
                let more = (0..<10).map { _ in Malloc.allocate(60_000) }
                #expect(!more.contains(where: isGuarded) && !more.contains(nil))
                #expect(Malloc.statistics().guardedBlocks == UInt(slots))
                Malloc.deallocate(live[5])
                #expect(isGuarded(Malloc.allocate(60_000)))
                #expect(Malloc.brokenInvariant() == nil)
            }
        }

        /// What a fault at an address means, without one.
        @Test func findings() async {
            await #expect(processExitsWith: .success) {
                Malloc.setGuardRate(1)
                let blocks = (0..<20).map { _ in UInt(bitPattern: Malloc.allocate(100)) }
                func kind(_ address: UInt) -> Finding.Kind? {
                    Finding(faultAt: address, access: .read, byteCount: 8)?.kind
                }
                for block in blocks {
                    #expect(kind(block + 100) == .overflow && kind(block - 1) == .underflow)
                    #expect(Finding(faultAt: block + 100, access: .read, byteCount: 1)?.slot?.pointee.block == block)
                }
                #expect(kind(GuardedPool.tier(0).start(ofSlot: 4000)) == .wild)
                #expect(kind(UInt(bitPattern: Malloc.allocate(16 << 20))) == nil)
                Malloc.deallocate(UnsafeMutableRawPointer(bitPattern: blocks[7]))
                #expect(kind(blocks[7]) == .useAfterFree && kind(blocks[7] + 99) == .useAfterFree)
                // Between a freed block and a live one it is the live one's.
                #expect(kind(blocks[8] - 1) == .underflow && kind(blocks[6] + 100) == .overflow)
                let slot = GuardedPool.slot(at: blocks[7]).unsafelyUnwrapped
                #expect(Trace.count(slot.allocationTrace) > 0 && Trace.certain(slot.freeTrace) > 0)
            }
        }

        /// Threads that free each other's guarded blocks and end, some of them too soon to be sampled.
        @Test func threads() async {
            await #expect(processExitsWith: .success) {
                Malloc.setGuardRate(4)
                let slots = (0..<128).map { _ in Holder() }
                for _ in 0..<3 {
                    onThreads(4) { index in
                        var random = SplitMix(seed: UInt64(index))
                        for _ in 0..<1500 {
                            let byteCount = 16 + UInt(random.next() % 2000)
                            let block = Malloc.allocate(byteCount)
                            block?.initializeMemory(as: UInt8.self, repeating: 7, count: Int(byteCount))
                            let other = slots[Int(random.next() % 128)].address.exchange(
                                UInt(bitPattern: block), ordering: .acquiringAndReleasing)
                            Malloc.deallocate(UnsafeMutableRawPointer(bitPattern: other))
                        }
                    }
                }
                #expect(Malloc.brokenInvariant() == nil)
                for slot in slots {
                    Malloc.deallocate(UnsafeMutableRawPointer(bitPattern: slot.address.load(ordering: .acquiring)))
                }
                Malloc.trim()
                let figures = Malloc.statistics()
                #expect(figures.liveBlocks == 0 && figures.guardedBlocks == 0 && figures.guardedAllocations > 3000)
                #expect(Malloc.brokenInvariant() == nil)
            }
        }

        /// The kernel refuses to change what may be accessed, or to take memory: then blocks are not guarded.
        @Test func refusedByTheKernel() async {
            await #expect(processExitsWith: .success) {
                FaultInjection.fail(nth: 1)
                #expect(!Malloc.setGuardRate(1))
                FaultInjection.end()
                #expect(guarded(of: 10, 100) == 0)
                #expect(Malloc.setGuardRate(2))
                for nth in 1...40 {
                    FaultInjection.fail(nth: nth, count: nth % 3 == 0 ? 1_000_000 : 1)
                    var model = Model(seed: 5)
                    for _ in 0..<60 { model.step(largest: 60_000, around: 20) }
                    FaultInjection.end()
                    model.checkOverlap()
                    model.freeAll()
                    if let broken = Malloc.brokenInvariant() {
                        Issue.record("call \(nth) failed: \(broken)")
                        return
                    }
                }
                #expect(Malloc.statistics().guardedBlocks == 0)
            }
        }
    }
}

private final class Holder: Sendable {
    let address = Atomic<UInt>(0)
}
