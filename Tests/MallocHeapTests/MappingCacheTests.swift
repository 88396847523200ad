// Large blocks made of what others left: cut, put together, grown and freed, with the kernel for them and against them.

import SystemMemory
import Testing

@testable import MallocHeap

private let mebibyte: UInt = 1 << 20

/// A block whose OS pages each bear its number.
private struct Numbered {
    var block: UnsafeMutableRawPointer
    var byteCount: UInt
    let number: Int

    init?(_ byteCount: UInt, number: Int, isZeroed: Bool = false) {
        let made = isZeroed ? Malloc.allocateZeroed(count: 1, byteCount: byteCount) : Malloc.allocate(byteCount)
        guard let made else { return nil }
        block = made
        self.byteCount = byteCount
        self.number = number
        if isZeroed {
            let words = UnsafeBufferPointer(start: made.assumingMemoryBound(to: Int.self), count: Int(byteCount) / 8)
            let isZero = stride(from: 0, to: words.count, by: 64).allSatisfy { words[$0] == 0 }
            #expect(isZero)
        }
        fill(from: 0)
    }

    func fill(from start: UInt) {
        for offset in stride(from: Int(start) / 4096 * 4096, to: Int(byteCount) - 8, by: 4096) {
            block.storeBytes(of: number, toByteOffset: offset, as: Int.self)
        }
    }

    var isWhole: Bool { isWhole(upTo: byteCount) }

    mutating func resize(to wanted: UInt) -> Bool {
        guard let moved = Malloc.reallocate(block, wanted) else { return false }
        block = moved
        let before = byteCount
        byteCount = wanted
        let isWhole = isWhole(upTo: min(before, wanted))
        #expect(isWhole)
        if wanted > before { fill(from: before) }
        return true
    }

    private func isWhole(upTo byteCount: UInt) -> Bool {
        stride(from: 0, to: Int(byteCount) - 8, by: 4096).allSatisfy {
            block.load(fromByteOffset: $0, as: Int.self) == number
        }
    }
}

/// Replaces, grows and shrinks blocks of 9 to 40 MiB at random. Gives how many calls were refused.
private func replaceAtRandom(seed: UInt64, steps: Int) -> Int {
    var random = SplitMix(seed: seed)
    var blocks: [Numbered] = []
    var refused = 0
    for step in 0..<steps {
        let byteCount = 9 * mebibyte + UInt(random.next() % (31 * 1024)) << 10
        if blocks.count > 6 || !blocks.isEmpty && random.next() % 3 == 0 {
            let index = Int(random.next() % UInt64(blocks.count))
            if random.next() % 4 == 0 {
                if !blocks[index].resize(to: byteCount) { refused += 1 }
            } else {
                let block = blocks.remove(at: index)
                #expect(block.isWhole)
                Malloc.deallocate(block.block)
            }
        } else if let block = Numbered(byteCount, number: step, isZeroed: random.next() % 8 == 0) {
            blocks.append(block)
        } else {
            refused += 1
        }
        if let broken = Malloc.brokenInvariant() {
            Issue.record("after step \(step): \(broken)")
            break
        }
    }
    let areWhole = blocks.allSatisfy(\.isWhole)
    #expect(areWhole)
    for block in blocks { Malloc.deallocate(block.block) }
    return refused
}

extension HeapTests {
    @Suite(.serialized) struct MappingCache {
        /// 12 and 18 MiB lie idle: 26 are made of both, and then 9 of what is left.
        @Test func takesWhatOthersLeft() async {
            await #expect(processExitsWith: .success) {
                Malloc.setPurgeDelay(milliseconds: 1 << 30)
                let blocks = [Numbered(12 * mebibyte, number: 1), Numbered(18 * mebibyte, number: 2)].compactMap(\.self)
                let before = Malloc.statistics()
                for block in blocks { Malloc.deallocate(block.block) }
                let large = Numbered(26 * mebibyte, number: 3)
                #expect(Process.poolPointer.pointee.cachedMappingBytes == 4 * mebibyte)
                #expect(Malloc.statistics().mappedBytes == before.mappedBytes)
                #expect(large?.isWhole == true)
                Malloc.deallocate(large?.block)
                let small = Numbered(9 * mebibyte, number: 4, isZeroed: true)
                #expect(Process.poolPointer.pointee.cachedMappingBytes == 21 * mebibyte)
                #expect(Malloc.brokenInvariant() == nil)
                Malloc.deallocate(small?.block)
                Malloc.trim()
                #expect(Process.poolPointer.pointee.cachedMappingCount == 0)
            }
        }

        @Test(arguments: [1, 2, 3] as [UInt64]) func replacesAtRandom(seed: UInt64) async {
            await #expect(processExitsWith: .success) { [seed] in
                Malloc.setPurgeDelay(milliseconds: seed == 1 ? 1 << 30 : 2)
                #expect(replaceAtRandom(seed: seed, steps: 100) == 0)
                Malloc.trim()
                #expect(Malloc.brokenInvariant() == nil)
            }
        }

        /// Each of the kernel's moves refused in turn, or all: what could not be moved is made anew.
        @Test(arguments: [1, 1_000_000]) func movesThatAreRefused(count: Int) async {
            await #expect(processExitsWith: .success) { [count] in
                Malloc.setPurgeDelay(milliseconds: 1 << 30)
                for nth in [1, 5, 14] {
                    FaultInjection.fail(nth: nth, count: count, of: [.remap])
                    #expect(replaceAtRandom(seed: UInt64(nth), steps: 40) == 0)
                    #expect(FaultInjection.end().failed > 0)
                    Malloc.trim()
                    #expect(Malloc.brokenInvariant() == nil)
                }
            }
        }
    }
}
