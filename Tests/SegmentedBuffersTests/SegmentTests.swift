// Segments by themselves: blocks that are adopted, and memory that is used again.

import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

@Suite struct SegmentTests {
    /// All of the memory is to be had where it is one owner's to write, and of no other kind.
    @Test(arguments: 0..<Ledger.kinds) func wholeMemory(kind: Int) throws {
        let ledger = Ledger()
        do {
            var segment = try ledger.segment([1, 2, 3, 4, 5, 6], kind: kind)[2..<4]
            guard kind <= 2 else {
                #expect(segment.wholeMemory() == nil)
                return
            }
            do {
                let other = segment[0..<1]
                #expect(segment.wholeMemory() == nil && other[0] == 3)
            }
            guard var whole = segment.wholeMemory() else {
                Issue.record("the memory is one owner's")
                return
            }
            // The last owner but one goes.
            segment = Segment(sharing: [])
            #expect(whole.count >= 6 && Array(whole.unsafeBytes.prefix(6)) == [1, 2, 3, 4, 5, 6])
            _ = whole.withUnsafeMutableBytes { $0.initializeMemory(as: UInt8.self, repeating: 9) }
            #expect(whole.unsafeBytes.allSatisfy { $0 == 9 })
        }
        #expect(ledger.isSettled)
    }

    /// What was written out is filled again: bytes go through the memory of a few segments, without an allocation.
    @Test func memoryGoesRound() throws {
        let ledger = Ledger()
        do {
            let ends = Ends()
            var spare: [Segment] = []
            for number in 0..<3 as Range<UInt8> { spare.append(try ledger.segment([number], kind: 2)) }
            for round in 0..<50 as Range<UInt8> {
                var buffer = SegmentedBuffer()
                for number in 0..<3 as Range<UInt8> {
                    var segment = spare.removeFirst()
                    segment.withUnsafeMutableBytes { $0[0] = round + number }
                    buffer.push(segment[0..<1])
                }
                try buffer.writeAll(to: ends.writing) { segment in
                    if let memory = segment.wholeMemory() { spare.append(memory) }
                }
                #expect(spare.count == 3 && spare.allSatisfy { $0.count >= 8 })
                var incoming = SegmentedBuffer()
                try incoming.fillAll(from: ends.reading, count: 3)
                #expect(incoming == [round, round + 1, round + 2])
            }
            #expect(ledger.allocator.requestCount == 3)
        }
        #expect(ledger.isSettled)
    }

    @Test func adoptingWhatIsNoBlock() async {
        let foreign = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let (blocks, others) = (ScalableAllocator(), ScalableAllocator())
            _ = try blocks.allocate(byteCount: 16)
            _ = Segment(adopting: try others.allocate(byteCount: 16), allocator: blocks)
        }
        expectTrap(foreign, "was adopted and is not the allocator's")
        let middle = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let blocks = ScalableAllocator()
            let block = try blocks.allocate(byteCount: 160)
            _ = try blocks.allocate(byteCount: 16)
            _ = Segment(adopting: UnsafeMutableRawBufferPointer(rebasing: block[32..<64]), allocator: blocks)
        }
        expectTrap(middle, "points inside a block")
        let longer = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let blocks = ScalableAllocator()
            let block = try blocks.allocate(byteCount: 16)
            _ = Segment(
                adopting: UnsafeMutableRawBufferPointer(start: block.baseAddress, count: 1000), count: 8,
                allocator: blocks)
        }
        expectTrap(longer, "Segment: 1000 bytes adopted of a block of 16")
        let recycled = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let blocks = ScalableAllocator()
            let segment = Segment(adopting: try blocks.allocate(byteCount: 16), allocator: blocks)
            blocks.recycle()
            // The memory is another's, or nobody's: the segment's end shows it at the latest.
            withExtendedLifetime(segment) {}
        }
        expectTrap(recycled, "was freed or recycled already, or never was a block")
    }
}
