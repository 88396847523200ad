// Heaps that the program makes: random programs with several of them against a model, and what each operation promises.

import CMallowShims
import SystemMemory
import Testing

@testable import MallocHeap

/// Live blocks of several heaps, the default one included (nil), each filled with a byte of its own.
private struct HeapsModel {
    struct Block {
        var pointer: UnsafeMutableRawPointer
        var byteCount: UInt
        var pattern: UInt8
        /// The heap's number, or -1.
        var heap: Int
    }

    var blocks: [Block] = []
    var heaps: [FirstClassHeap?]
    var random: SplitMix
    var nextPattern: UInt8 = 1

    init(seed: UInt64, heapCount: Int) {
        random = SplitMix(seed: seed)
        heaps = (0..<heapCount).map { _ in FirstClassHeap.make() }
    }

    mutating func index(below count: Int) -> Int { Int(random.next() % UInt64(count)) }

    mutating func size(upTo largest: UInt) -> UInt {
        let limit = UInt64(1) << (random.next() % UInt64(largest.bitWidth - largest.leadingZeroBitCount) + 1)
        return min(UInt(random.next() % limit), largest)
    }

    mutating func step(largest: UInt) {
        let heap = index(below: heaps.count + 1) - 1
        switch index(below: 1000) {
        case 0..<450: allocate(size(upTo: largest), in: heap)
        case 450..<520: allocate(size(upTo: largest), in: heap, alignment: 1 << (random.next() % 17))
        case 520..<850: if !blocks.isEmpty { free(at: index(below: blocks.count)) }
        case 850..<990: if !blocks.isEmpty { resize(at: index(below: blocks.count), to: size(upTo: largest)) }
        case 990..<996: if heap >= 0 { destroy(heap) }
        default: if heap >= 0 { delete(heap) }
        }
    }

    mutating func allocate(_ byteCount: UInt, in heap: Int, alignment: UInt = 0) {
        let isZeroed = alignment == 0 && random.next() % 4 == 0
        let pointer: UnsafeMutableRawPointer?
        if let named = heap < 0 ? nil : heaps[heap] {
            pointer =
                alignment > 0
                ? named.allocate(byteCount, alignment: alignment)
                : isZeroed ? named.allocateZeroed(count: 1, byteCount: byteCount) : named.allocate(byteCount)
        } else {
            pointer =
                alignment > 0
                ? Malloc.allocate(byteCount, alignment: alignment)
                : isZeroed ? Malloc.allocateZeroed(count: 1, byteCount: byteCount) : Malloc.allocate(byteCount)
        }
        guard let pointer else {
            Issue.record("no memory for \(byteCount) bytes")
            return
        }
        if isZeroed, !UnsafeRawBufferPointer(start: pointer, count: Int(byteCount)).allSatisfy({ $0 == 0 }) {
            Issue.record("not all zeros")
        }
        if UInt(bitPattern: pointer) % max(alignment, byteCount > 8 ? 16 : 8) != 0, alignment != 1 {
            if alignment == 0 || UInt(bitPattern: pointer) % alignment != 0 { Issue.record("alignment") }
        }
        if Malloc.usableSize(pointer) < byteCount { Issue.record("\(byteCount) bytes hold less") }
        let block = Block(pointer: pointer, byteCount: byteCount, pattern: nextPattern, heap: heap)
        nextPattern = nextPattern == 255 ? 1 : nextPattern + 1
        memset(pointer, CInt(block.pattern), Int(byteCount))
        blocks.append(block)
    }

    mutating func free(at index: Int) {
        let block = blocks[index]
        blocks.swapAt(index, blocks.count - 1)
        blocks.removeLast()
        check(block, upTo: block.byteCount)
        if block.heap >= 0, random.next() % 2 == 0 {
            heaps[block.heap]?.deallocate(block.pointer)
        } else {
            Malloc.deallocate(block.pointer)
        }
    }

    mutating func resize(at index: Int, to byteCount: UInt) {
        var block = blocks[index]
        let wanted = max(1, byteCount)
        // Now and then into another heap than its own.
        let target = random.next() % 8 == 0 ? self.index(below: heaps.count) : block.heap
        let isPlain = target == block.heap && random.next() % 2 == 0 || target < 0
        let moved =
            isPlain
            ? Malloc.reallocate(block.pointer, wanted) : heaps[target]?.reallocate(block.pointer, wanted)
        guard let moved else {
            Issue.record("no memory to resize to \(wanted) bytes")
            return
        }
        block.pointer = moved
        block.heap = target
        check(block, upTo: min(block.byteCount, wanted))
        block.byteCount = wanted
        memset(moved, CInt(block.pattern), Int(wanted))
        blocks[index] = block
    }

    mutating func destroy(_ heap: Int) {
        heaps[heap]?.destroy()
        heaps[heap] = FirstClassHeap.make()
        blocks.removeAll { $0.heap == heap }
    }

    mutating func delete(_ heap: Int) {
        heaps[heap]?.delete()
        heaps[heap] = FirstClassHeap.make()
        for index in blocks.indices where blocks[index].heap == heap { blocks[index].heap = -1 }
    }

    func check(_ block: Block, upTo byteCount: UInt) {
        let bytes = UnsafeRawBufferPointer(start: block.pointer, count: Int(byteCount))
        if !bytes.allSatisfy({ $0 == block.pattern }) {
            Issue.record("a block of \(block.byteCount) bytes lost its contents")
        }
    }

    /// Every heap knows its own blocks, and no others.
    func checkHeaps() {
        for (number, heap) in heaps.enumerated() {
            guard let heap else { continue }
            var visited: [UnsafeMutableRawPointer: UInt] = [:]
            _ = withUnsafeMutablePointer(to: &visited) {
                heap.visit(context: $0) { context, block, byteCount in
                    context?.assumingMemoryBound(to: [UnsafeMutableRawPointer: UInt].self)
                        .pointee[block.unsafelyUnwrapped] = byteCount
                    return 0
                }
            }
            let own = blocks.filter { $0.heap == number }
            #expect(visited.count == own.count)
            for block in own {
                if visited[block.pointer] != Malloc.usableSize(block.pointer) {
                    Issue.record("a block of heap \(number) was not visited")
                }
                if FirstClassHeap.heap(at: UInt(bitPattern: block.pointer))?.address != heap.address {
                    Issue.record("a block of heap \(number) is another's")
                }
            }
            let figures = heap.statistics()
            #expect(figures.liveBlocks == UInt(own.count))
            #expect(figures.liveBytes == own.reduce(0) { $0 + Malloc.usableSize($1.pointer) })
            #expect(figures.committedBytes >= figures.liveBytes)
            #expect(figures.peakBlocks >= figures.liveBlocks && figures.totalBlocks >= figures.peakBlocks)
        }
        for block in blocks where block.heap < 0 {
            if FirstClassHeap.heap(at: UInt(bitPattern: block.pointer)) != nil { Issue.record("not malloc's") }
        }
    }
}

extension HeapTests {
    @Suite(.serialized) struct FirstClassHeaps {
        @Test(arguments: [(1, 600), (2, 5000), (3, 70_000), (4, 1 << 20)] as [(UInt64, UInt)])
        func randomProgramsKeepEveryInvariant(seed: UInt64, largest: UInt) {
            let before = Malloc.statistics()
            var model = HeapsModel(seed: seed, heapCount: 4)
            for step in 0..<(largest > 100_000 ? 300 : 1500) {
                model.step(largest: largest)
                if step % 3 == 0, let broken = Malloc.brokenInvariant() {
                    Issue.record("after step \(step): \(broken)")
                    break
                }
                if step % 50 == 49 { model.checkHeaps() }
                if step % 300 == 299 { Malloc.trim() }
            }
            model.checkHeaps()
            for heap in model.heaps.indices { model.destroy(heap) }
            while !model.blocks.isEmpty { model.free(at: model.blocks.count - 1) }
            for heap in model.heaps { heap?.destroy() }
            #expect(Malloc.brokenInvariant() == nil)
            #expect(Malloc.statistics().liveBytes == before.liveBytes)
        }
    }
}
