// Over a ScalableAllocator, against an account of what is live, and with marks in the bytes.

import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

@Suite struct RecyclableMemoryRowTests {
    /// Over a ScalableAllocator, what lies in a row goes back at once: in rows, with blocks of others between them,
    /// shortened, adopted in part, aligned, larger than a child.
    @Test(arguments: 1...3 as ClosedRange<UInt64>) func rowsOfAScalableAllocator(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }
        let blocks = try ScalableAllocator(initialSize: 1024, largestChild: 8192)
        var memories: [MemoryObject] = (0..<3).map { _ in MemoryObject(RecyclableMemory(allocator: blocks)) }
        var others: [UnsafeMutableRawBufferPointer] = []
        for step in 0..<1200 {
            let memory = memories[below(3)]
            let mark = UInt8(below(256))
            switch below(20) {
            case 0...11:
                let byteCount = below(30) == 0 ? below(12000) : below(130)
                let alignment = below(8) == 0 ? 1 << below(9) : 8
                let buffer = try memory.memory.allocate(byteCount: byteCount, alignment: alignment)
                buffer.initializeMemory(as: UInt8.self, repeating: mark)
                memory.marks.append(mark)
            case 12:
                others.append(try blocks.allocate(byteCount: below(100), alignment: 16))
            case 13 where !others.isEmpty:
                blocks.deallocate(others.remove(at: below(others.count)))
            case 14 where !memory.marks.isEmpty:
                let index = below(memory.memory.count)
                memory.memory.shorten(at: index, to: below(memory.memory[index].count + 1))
            case 15:
                // The tail of a block, whose head is another's.
                let block = try blocks.allocate(byteCount: 64, alignment: 16)
                blocks.deallocate(part: UnsafeMutableRawBufferPointer(rebasing: block[16..<32]))
                others.append(UnsafeMutableRawBufferPointer(rebasing: block[..<16]))
                memory.memory.adopt(UnsafeMutableRawBufferPointer(rebasing: block[32...]))
                memory.memory[memory.memory.count - 1].initializeMemory(as: UInt8.self, repeating: mark)
                memory.marks.append(mark)
            case 16:
                let place = memory.memory.mark()
                _ = try memory.memory.allocate(byteCount: below(100))
                _ = try memory.memory.allocate(byteCount: below(100))
                memory.memory.recycle(from: place)
            case 17 where below(4) == 0:
                memory.memory.recycle()
                memory.marks = []
            case 18 where below(8) == 0:
                memory.memory = RecyclableMemory(allocator: blocks)
                memory.marks = []
            default: break
            }
            let live = memories.reduce(others.count) { $0 + $1.memory.count }
            guard blocks.brokenInvariant() == nil, blocks.statistics.liveBlocks == live, memories.allSatisfy(\.isFilled)
            else {
                let broken = blocks.brokenInvariant() ?? "in order"
                let found = blocks.statistics.liveBlocks
                Issue.record("step \(step), seed \(seed): \(found) blocks, not \(live); \(broken)")
                return
            }
        }
        memories = []
        for other in others { blocks.deallocate(other) }
        #expect(blocks.statistics.liveBlocks == 0 && blocks.statistics.liveBytes == 0)
        try blocks.close()
    }
}

/// A sequence, and what each of its buffers is filled with.
private final class MemoryObject {
    var memory: RecyclableMemory
    var marks: [UInt8] = []
    init(_ memory: consuming RecyclableMemory) { self.memory = memory }

    var isFilled: Bool {
        memory.count == marks.count
            && marks.indices.allSatisfy { index in
                let buffer = memory[index]
                return buffer.isEmpty || (buffer[0] == marks[index] && buffer[buffer.count - 1] == marks[index])
            }
    }
}
