// Random programs against the model, with every invariant of the heap checked after each step.
//
// One suite, serialized: the invariants can be walked only while nobody else is in the heap.

import MallocHeap
import SystemMemory
import Testing

@Suite(.serialized) struct HeapTests {
    @Suite(.serialized) struct RandomSequences {
        @Test(arguments: [(1, 256), (2, 4096), (3, 70_000), (4, 3 << 20), (5, 40 << 20)] as [(UInt64, UInt)])
        func keepEveryInvariant(seed: UInt64, largest: UInt) {
            var model = Model(seed: seed)
            let steps = largest > 1 << 20 ? 300 : 1200
            for step in 0..<steps {
                model.step(largest: largest, around: largest > 1 << 20 ? 12 : 300)
                if let broken = Malloc.brokenInvariant() {
                    Issue.record("after step \(step): \(broken)")
                    break
                }
                if step % 50 == 0 { model.checkOverlap() }
                if step % 300 == 299 { Malloc.trim() }
            }
            model.freeAll()
            #expect(Malloc.brokenInvariant() == nil)
            #expect(model.refusals == 0)
        }

        @Test func growToManyPagesAndBack() {
            var model = Model(seed: 9)
            for _ in 0..<60_000 { model.step(largest: 2000, around: 20_000) }
            model.checkOverlap()
            #expect(Malloc.brokenInvariant() == nil)
            model.freeAll()
            Malloc.trim()
            #expect(Malloc.brokenInvariant() == nil)
        }

        @Test func zeroBytesGiveBlocksOfTheirOwn() {
            let first = Malloc.allocate(0)
            let second = Malloc.allocate(0)
            #expect(first != nil && second != nil && first != second)
            Malloc.deallocate(first)
            Malloc.deallocate(second)
        }

        @Test(arguments: 0...30) func everyAlignment(exponent: UInt) {
            for byteCount in [0, 1, 40, 5000, 100_000, 20 << 20] as [UInt] {
                let block = Malloc.allocate(byteCount, alignment: 1 << exponent)
                #expect(block != nil)
                #expect(UInt(bitPattern: block) % (1 << exponent) == 0)
                #expect(Malloc.usableSize(block) >= byteCount)
                Malloc.deallocate(block)
            }
            #expect(Malloc.brokenInvariant() == nil)
        }
    }

    @Suite(.serialized) struct Resizing {
        @Test func largeBlocksGrowWithoutCopying() {
            Malloc.trim()
            var block = Malloc.allocate(1 << 20)
            block?.storeBytes(of: 42, as: Int.self)
            let before = Malloc.statistics().purgedBytes
            var byteCount: UInt = 1 << 20
            while byteCount < 64 << 20 {
                byteCount += 1 << 20
                block = Malloc.reallocate(block, byteCount)
                block?.storeBytes(of: byteCount, toByteOffset: Int(byteCount) - 8, as: UInt.self)
            }
            #expect(block?.load(as: Int.self) == 42)
            for mebibytes in UInt(2)...64 {
                #expect(block?.load(fromByteOffset: Int(mebibytes << 20) - 8, as: UInt.self) == mebibytes << 20)
            }
            let figures = Malloc.statistics()
            // A copy frees its source: then as much would lie about, or have been given back, as was ever copied.
            #expect(figures.retainedBytes + figures.purgedBytes - before < 16 << 20)
            Malloc.deallocate(block)
            #expect(Malloc.brokenInvariant() == nil)
        }

        /// Blocks that double are moved by the kernel at first, and copied once as much lies idle as they need: then
        /// nothing more becomes resident however many follow one another.
        @Test func blocksThatDoubleTakeWhatLiesIdle() async {
            await #expect(processExitsWith: .success) {
                Malloc.setPurgeDelay(milliseconds: 1 << 30)
                let count = 8
                /// Grows as many blocks side by side from 256 KiB to 2 MiB, each the next one's neighbour, and frees
                /// them. How many of them have a mapping of their own in the end.
                func round(_ number: Int) -> Int {
                    var blocks = (0..<count).map { _ in Malloc.allocate(256 << 10) }
                    var byteCount: UInt = 256 << 10
                    while byteCount < 2 << 20 {
                        for index in 0..<count {
                            blocks[index]?.storeBytes(of: number + index, as: Int.self)
                            blocks[index]?.storeBytes(of: index, toByteOffset: Int(byteCount) - 8, as: Int.self)
                            blocks[index] = Malloc.reallocate(blocks[index], byteCount * 2)
                            #expect(blocks[index]?.load(as: Int.self) == number + index)
                            #expect(blocks[index]?.load(fromByteOffset: Int(byteCount) - 8, as: Int.self) == index)
                        }
                        byteCount *= 2
                        #expect(Malloc.brokenInvariant() == nil)
                    }
                    let mapped = blocks.filter { UInt(bitPattern: $0) % (32 << 20) == 0 }.count
                    for block in blocks { Malloc.deallocate(block) }
                    return mapped
                }
                #expect(round(1) >= count - 1)
                for number in 2...3 { _ = round(number) }
                let peak = Malloc.statistics().peakCommittedBytes
                for number in 4...20 { #expect(round(number) == 0) }
                #expect(Malloc.statistics().peakCommittedBytes == peak)
                #expect(Malloc.brokenInvariant() == nil)
            }
        }

        @Test func shrinkingGivesBack() {
            let block = Malloc.allocate(60 << 20)
            let full = Malloc.statistics().mappedBytes
            #expect(Malloc.reallocate(block, 20 << 20) == block)
            #expect(Malloc.statistics().mappedBytes <= full - (40 << 20))
            #expect(Malloc.reallocate(block, 12 << 20) == block)
            #expect(Malloc.usableSize(block) == 12 << 20)
            let run = Malloc.allocate(8 << 20)
            #expect(Malloc.reallocate(run, 1 << 20) == run)
            #expect(Malloc.usableSize(run) == 1 << 20)
            #expect(Malloc.brokenInvariant() == nil)
            Malloc.deallocate(block)
            Malloc.deallocate(run)
        }
    }

    @Suite(.serialized) struct Statistics {
        @Test func followTheProgram() {
            Malloc.trim()
            let before = Malloc.statistics()
            let blocks = (0..<1000).map { _ in Malloc.allocate(100) }
            let large = Malloc.allocate(1 << 20)
            var now = Malloc.statistics()
            #expect(now.liveBlocks == before.liveBlocks + 1001)
            #expect(now.liveBytes == before.liveBytes + 112_000 + 1 << 20)
            #expect(now.committedBytes >= now.liveBytes)
            #expect(now.largeBlocks == before.largeBlocks + 1)
            for block in blocks { Malloc.deallocate(block) }
            Malloc.deallocate(large)
            now = Malloc.statistics()
            #expect(now.liveBlocks == before.liveBlocks)
            #expect(now.liveBytes == before.liveBytes)
            Malloc.trim()
            now = Malloc.statistics()
            #expect(now.retainedBytes == 0)
            #expect(now.purgedBytes > before.purgedBytes)
        }

        @Test func whatIsFreeGoesBackAfterAWhile() {
            let blocks = (0..<20_000).map { _ in Malloc.allocate(1000) }
            for block in blocks { Malloc.deallocate(block) }
            let start = SystemMemory.milliseconds()
            var retained = Malloc.statistics().retainedBytes
            #expect(retained > 15 << 20)
            // A program that goes on calling: the delay is 50 to 100 ms, and each call gives back a part.
            while retained > 1 << 20, SystemMemory.milliseconds() < start + 5000 {
                let block = Malloc.allocate(100_000)
                Malloc.deallocate(block)
                retained = Malloc.statistics().retainedBytes
            }
            #expect(retained <= 1 << 20)
            #expect(SystemMemory.milliseconds() >= start + 40)
        }
    }
}
