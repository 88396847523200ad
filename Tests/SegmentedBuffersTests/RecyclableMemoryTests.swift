// A sequence of buffers: adding, giving back, marks, what is kept, several allocators, and failures.

import AllocatorTestKit
import Mallow
import Testing

@testable import SegmentedBuffers

@Suite struct RecyclableMemoryTests {
    @Test func whatIsAddedIsThereAndGoesBackAtOnce() throws {
        let source = CountingSource()
        var memory = RecyclableMemory(allocator: source)
        #expect(memory.isEmpty && memory.count == 0 && memory.byteCount == 0 && memory.indices.isEmpty)
        for round in 0..<3 {
            for number in 0..<40 {
                let buffer = try memory.allocate(byteCount: number, alignment: 1 << (number % 8))
                #expect(buffer.count == number && Int(bitPattern: buffer.baseAddress!) % (1 << (number % 8)) == 0)
                buffer.initializeMemory(as: UInt8.self, repeating: UInt8(number + round))
                #expect(memory.brokenInvariant() == nil)
            }
            #expect(memory.count == 40 && memory.byteCount == 780 && source.live.count == 40)
            for index in memory.indices {
                #expect(memory[index].count == index && memory[index].allSatisfy { $0 == UInt8(index + round) })
                #expect(memory.ownership(at: index) == .own && !memory.isShared(at: index))
            }
            memory.recycle()
            #expect(memory.isEmpty && memory.byteCount == 0 && source.live.isEmpty)
            #expect(memory.brokenInvariant() == nil)
        }
        // The last one first, which suits allocators that take back their last block alone.
        #expect(source.freed.suffix(40) == source.handedOut.suffix(40).reversed())
        #expect(memory.tryAllocate(byteCount: 5, alignment: 3) == nil && memory.isEmpty)
    }

    @Test func theEndRecyclesToo() throws {
        let source = CountingSource()
        do {
            var memory = RecyclableMemory(allocator: source)
            _ = try memory.allocate(byteCount: 10)
            memory.setKept(true, at: 0)
            _ = try memory.allocate(byteCount: 10)
            memory = RecyclableMemory(allocator: source)
            #expect(source.live.isEmpty, "assigning ends the old sequence")
            try memory.add(1, 2, 3)
            #expect(source.live.count == 1)
        }
        #expect(source.live.isEmpty)
    }

    @Test func marksSayWhatGoesBack() throws {
        let source = CountingSource()
        var memory = RecyclableMemory(allocator: source)
        let start = memory.mark()
        for _ in 0..<3 { _ = try memory.allocate(byteCount: 8) }
        let third = memory.mark()
        #expect(third.position == 3)
        for round in 0..<3 {
            for _ in 0...round { _ = try memory.allocate(byteCount: 16) }
            #expect(source.live.count == 4 + round && memory.byteCount == 24 + 16 * (round + 1))
            memory.recycle(from: third)
            #expect(source.live.count == 3 && memory.count == 3 && memory.byteCount == 24)
            #expect(memory.brokenInvariant() == nil)
        }
        memory.recycle(from: start)
        #expect(source.live.isEmpty && memory.isEmpty)
        // The mark of the empty sequence says "all", whatever came and went.
        _ = try memory.allocate(byteCount: 8)
        memory.recycle(from: start)
        #expect(source.live.isEmpty && memory.brokenInvariant() == nil)
    }

    @Test func whatIsKeptStays() throws {
        let source = CountingSource()
        var memory = RecyclableMemory(allocator: source)
        for byte in 0..<10 as Range<UInt8> { try memory.add(byte) }
        memory.setKept(true, at: 2)
        memory.setKept(true, at: 7)
        let mark = memory.mark()
        memory.recycle()
        #expect(memory.count == 2 && memory.byteCount == 2 && source.live.count == 2)
        #expect(memory[0].first == 2 && memory[1].first == 7 && memory.isKept(at: 0) && memory.isKept(at: 1))
        #expect(memory.brokenInvariant() == nil && mark.position == 10)
        let kept = memory.mark()
        try memory.add(20)
        try memory.add(21)
        memory.setKept(true, at: 3)
        memory.recycle(from: kept)
        #expect(memory.count == 3 && memory[2].first == 21)
        memory.setKept(false, at: 0)
        memory.recycle()
        #expect(memory.count == 2 && memory[0].first == 7 && memory[1].first == 21 && source.live.count == 2)
        memory.recycleAll()
        #expect(memory.isEmpty && source.live.isEmpty && memory.brokenInvariant() == nil)
    }

    @Test func eachGoesBackToWhereItCameFrom() throws {
        let sources = (0..<4).map { _ in CountingSource() }
        var memory = RecyclableMemory(allocator: sources[0])
        #expect(memory.allocator as AnyObject === sources[0])
        memory.allocator = sources[1]
        for round in 0..<8 {
            memory.allocator = sources[round % 4]
            // Setting without using leaves nothing behind.
            memory.allocator = sources[3]
            memory.allocator = sources[round % 4]
            #expect(memory.formers.count == round)
            _ = try memory.allocate(byteCount: round)
            #expect(memory.brokenInvariant() == nil)
        }
        for source in sources { #expect(source.live.count == 2) }
        let adopted = try sources[3].allocate(byteCount: 12)
        memory.adopt(adopted)
        #expect(memory.byteCount == 40 && memory.ownership(at: 8) == .own)
        // A wrong allocator would trap.
        memory.recycle()
        for source in sources { #expect(source.live.isEmpty) }
        #expect(memory.formers.isEmpty && memory.brokenInvariant() == nil)
        #expect(memory.allocator as AnyObject === sources[3])
    }

    @Test func spansShortenedAndGivenAway() throws {
        let source = CountingSource()
        var memory = RecyclableMemory(allocator: source)
        _ = try memory.allocate(byteCount: 100)
        var bytes = memory.mutableSpan(at: 0)
        for offset in 0..<100 { bytes.storeBytes(of: UInt8(offset), toByteOffset: offset, as: UInt8.self) }
        memory.shorten(at: 0, to: 60)
        #expect(memory.span(at: 0).byteCount == 60 && memory.byteCount == 60)
        #expect(memory.span(at: 0).unsafeLoad(fromByteOffset: 59, as: UInt8.self) == 59)
        let block = memory.relinquish(at: 0)
        #expect(memory.ownership(at: 0) == .foreign && memory.brokenInvariant() == nil)
        memory.recycle()
        #expect(source.live.count == 1 && block.count == 60 && block[59] == 59)
        source.deallocate(block)
    }

    @Test func upstreamsFailureLosesNothing() throws {
        // A request that fails is asked once more, for the error.
        for failing in 1...12 {
            let source = CountingSource()
            let allocator = FailingAllocator(upstream: source, plan: .request(failing, count: 2))
            var memory = RecyclableMemory(allocator: allocator)
            var served = 0
            for number in 0..<10 {
                do throws(AllocationError) {
                    try memory.allocate(byteCount: number).initializeMemory(as: UInt8.self, repeating: UInt8(number))
                    served += 1
                } catch { #expect(error.reason == .outOfMemory && error.byteCount == number) }
                #expect(memory.brokenInvariant() == nil && memory.count == served && source.live.count == served)
            }
            #expect(served == (failing <= 10 ? 9 : 10))
            let before = (0..<memory.count).map { Array(memory[$0]) }
            allocator.plan = .request(allocator.requestCount + 4, count: 2)
            do throws(AllocationError) {
                _ = try memory.copy()
                Issue.record("the copy was served")
            } catch { #expect(error.reason == .outOfMemory) }
            #expect(source.live.count == served && (0..<memory.count).map { Array(memory[$0]) } == before)
            memory.recycle()
            #expect(source.live.isEmpty)
        }
    }

    @Test func eachBufferInItsOrder() throws {
        var memory = RecyclableMemory(allocator: CountingSource())
        for count in 0..<5 {
            try memory.allocate(byteCount: count).initializeMemory(as: UInt8.self, repeating: UInt8(count))
        }
        memory.push(Segment(sharing: [7, 8]))
        var seen: [[UInt8]] = []
        memory.withEachBuffer { seen.append(Array($0)) }
        #expect(seen == [[], [1], [2, 2], [3, 3, 3], [4, 4, 4, 4], [7, 8]])
        struct Enough: Error {}
        do throws(Enough) {
            try memory.withEachBuffer { bytes throws(Enough) in
                if bytes.count == 3 { throw Enough() }
                seen.append(Array(bytes))
            }
            Issue.record("the closure's error is lost")
        } catch {}
        #expect(seen.count == 9 && seen.last == [2, 2])
        memory.recycle()
        memory.withEachBuffer { _ in Issue.record("an empty sequence has no buffers") }
    }

    @Test func overTheSystemsMalloc() throws {
        var memory = RecyclableMemory()
        memory.reserveCapacity(100)
        let records = memory.records
        for round in 0..<10 {
            for number in 0..<100 { _ = try memory.allocate(byteCount: number * round) }
            memory.recycle()
        }
        #expect(memory.records == records, "records are kept")
    }
}
