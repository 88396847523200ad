// What ends the program, and what it says then.

import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

@Suite struct RecyclableMemoryMisuseTests {
    @Test func marksOfTheWrongPlaceTrap() async {
        let another = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let other = RecyclableMemory()
            var memory = RecyclableMemory()
            memory.recycle(from: other.mark())
        }
        expectTrap(another, "RecyclableMemory: the mark is another sequence's")
        let recycled = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = RecyclableMemory()
            _ = try memory.allocate(byteCount: 8)
            let older = memory.mark()
            _ = try memory.allocate(byteCount: 8)
            let newer = memory.mark()
            memory.recycle(from: older)
            // As many as before, and others.
            _ = try memory.allocate(byteCount: 8)
            memory.recycle(from: newer)
        }
        expectTrap(recycled, "RecyclableMemory: buffers before the mark, 2 then, were recycled since")
    }

    @Test func placesOutsideTrap() async {
        let outside = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = RecyclableMemory()
            _ = try memory.allocate(byteCount: 8)
            _ = memory[-1]
        }
        expectTrap(outside, "RecyclableMemory: buffer -1 of 1")
        let longer = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = RecyclableMemory()
            _ = try memory.allocate(byteCount: 8)
            memory.shorten(at: 0, to: 9)
        }
        expectTrap(longer, "RecyclableMemory: 8 bytes shortened to 9")
    }

    @Test func aBufferThatWasFreedBesideTheSequenceTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let blocks = ScalableAllocator()
            var memory = RecyclableMemory(allocator: blocks)
            for _ in 0..<5 { _ = try memory.allocate(byteCount: 100) }
            blocks.deallocate(memory[2])
            memory.recycle()
        }
        expectTrap(result, "was freed or recycled already, or never was a block")
    }

    @Test func whatIsNotItsOwnTraps() async {
        let adopted = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = RecyclableMemory(allocator: try FixedBlockAllocator(blockSize: 64))
            memory.adopt(try SystemAllocator().allocate(byteCount: 64))
        }
        expectTrap(adopted, "was adopted and is not of the sequence's allocator")
        // Where the allocator tells sizes, no more of a block is taken than it has.
        let beyond = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let blocks = ScalableAllocator()
            var memory = RecyclableMemory(allocator: blocks)
            let block = try blocks.allocate(byteCount: 16)
            memory.adopt(UnsafeMutableRawBufferPointer(start: block.baseAddress, count: 16))
            let other = try blocks.allocate(byteCount: 16)
            memory.adopt(UnsafeMutableRawBufferPointer(start: other.baseAddress, count: 1000))
        }
        expectTrap(beyond, "RecyclableMemory: 1000 bytes adopted of a block of 16")
        let written = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = RecyclableMemory()
            _ = try memory.allocate(byteCount: 8)
            let share = memory.share()
            _ = memory.mutableSpan(at: 0).byteCount
            _ = share.count
        }
        expectTrap(written, "is written and not the sequence's alone")
        let given = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = RecyclableMemory()
            memory.push(unowned: UnsafeRawBufferPointer(start: nil, count: 0))
            _ = memory.relinquish(at: 0)
        }
        expectTrap(given, "was to be given away and is not the sequence's own")
    }
}
