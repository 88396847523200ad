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

    @Test func foreignBytesAreNotGivenBack() throws {
        let source = CountingSource()
        let other = CountingSource()
        weak var witness: Witness?
        var memory = RecyclableMemory(allocator: source)
        let foreign = try other.allocate(byteCount: 20)
        foreign.initializeMemory(as: UInt8.self, repeating: 9)
        do {
            let owner = Witness()
            witness = owner
            memory.push(UnsafeRawBufferPointer(rebasing: foreign[0..<10]), ownedBy: owner)
        }
        memory.push(unowned: UnsafeRawBufferPointer(rebasing: foreign[10..<20]))
        memory.push(unowned: UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(
            memory.count == 3 && !memory.isWritable(at: 0) && !memory.isWritable(at: 1) && memory.byteCount == 20
                && witness != nil)
        #expect(memory.ownership(at: 0) == .counted && memory.ownership(at: 1) == .foreign)
        do {
            let share = memory.share()
            #expect(share.count == 3 && share[1].baseAddress == foreign.baseAddress! + 10)
            memory.recycle()
            #expect(witness != nil && memory.isEmpty, "the share keeps the owner alive")
        }
        #expect(witness == nil && source.live.isEmpty && other.live.count == 1)
        #expect(foreign.allSatisfy { $0 == 9 })
        other.deallocate(foreign)
    }

    @Test func sharingCountsAndCopyingCopies() throws {
        let source = CountingSource()
        var memory = RecyclableMemory(allocator: source)
        try memory.add(1, 2, 3)
        try memory.add()
        try memory.add(4, 5)
        var share = memory.share()
        #expect(source.live.count == 3 && share[0].baseAddress == memory[0].baseAddress && memory.isShared(at: 0))
        var again = share.share()
        #expect(again.brokenInvariant() == nil && share.brokenInvariant() == nil && memory.brokenInvariant() == nil)
        memory.recycle()
        share.recycle()
        #expect(source.live.count == 3 && !again.isShared(at: 2) && again[2].elementsEqual([4, 5]))
        let copy = try again.copy()
        #expect(source.live.count == 6 && copy[0].elementsEqual([1, 2, 3]) && copy.byteCount == 5)
        #expect(copy[0].baseAddress != again[0].baseAddress && copy.ownership(at: 0) == .own)
        again.recycle()
        #expect(source.live.count == 3 && copy[2].elementsEqual([4, 5]))
    }

    @Test func segmentsTakeTheMemoryWithThem() throws {
        let source = CountingSource()
        var memory = RecyclableMemory(allocator: source)
        let object = Witness()
        let foreign = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 1)
        defer { foreign.deallocate() }
        foreign.initializeMemory(as: UInt8.self, repeating: 7)
        try memory.add(1, 2, 3)
        try memory.add()
        memory.push(UnsafeRawBufferPointer(foreign), ownedBy: object)
        memory.push(unowned: UnsafeRawBufferPointer(foreign))
        memory.setKept(true, at: 0)
        var shared = memory.shareSegments()
        #expect(shared.count == 11 && contents(shared) == [1, 2, 3, 7, 7, 7, 7, 7, 7, 7, 7])
        #expect(memory.count == 4 && source.live.count == 2 && memory.brokenInvariant() == nil)
        var taken = memory.takeSegments()
        #expect(memory.isEmpty && memory.brokenInvariant() == nil && contents(taken) == contents(shared))
        #expect(source.live.count == 1, "an empty buffer goes back at once")
        shared = SegmentedBuffer()
        #expect(source.live.count == 1 && taken.count == 11)
        // Back into a sequence: its segments are counted.
        memory.append(taken)
        taken = SegmentedBuffer()
        #expect(
            memory.byteCount == 11 && source.live.count == 1 && memory.isWritable(at: 0) && !memory.isWritable(at: 1))
        memory.recycle()
        #expect(source.live.isEmpty && memory.brokenInvariant() == nil)
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

@Suite struct RecyclableMemoryMisuseTests {
    private func expect(
        _ result: ExitTest.Result?, _ message: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains(message), "\(text)", sourceLocation: sourceLocation)
    }

    @Test func marksOfTheWrongPlaceTrap() async {
        let another = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let other = RecyclableMemory()
            var memory = RecyclableMemory()
            memory.recycle(from: other.mark())
        }
        expect(another, "RecyclableMemory: the mark is another sequence's")
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
        expect(recycled, "RecyclableMemory: buffers before the mark, 2 then, were recycled since")
    }

    @Test func placesOutsideTrap() async {
        let outside = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = RecyclableMemory()
            _ = try memory.allocate(byteCount: 8)
            _ = memory[-1]
        }
        expect(outside, "RecyclableMemory: buffer -1 of 1")
        let longer = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = RecyclableMemory()
            _ = try memory.allocate(byteCount: 8)
            memory.shorten(at: 0, to: 9)
        }
        expect(longer, "RecyclableMemory: 8 bytes shortened to 9")
    }

    @Test func aBufferThatWasFreedBesideTheSequenceTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let blocks = ScalableAllocator()
            var memory = RecyclableMemory(allocator: blocks)
            for _ in 0..<5 { _ = try memory.allocate(byteCount: 100) }
            blocks.deallocate(memory[2])
            memory.recycle()
        }
        expect(result, "was freed already, or never was a block")
    }

    @Test func whatIsNotItsOwnTraps() async {
        let adopted = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = RecyclableMemory(allocator: try FixedBlockAllocator(blockSize: 64))
            memory.adopt(try SystemAllocator().allocate(byteCount: 64))
        }
        expect(adopted, "was adopted and is not of the sequence's allocator")
        let written = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = RecyclableMemory()
            _ = try memory.allocate(byteCount: 8)
            let share = memory.share()
            _ = memory.mutableSpan(at: 0).byteCount
            _ = share.count
        }
        expect(written, "is written and not the sequence's alone")
        let given = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = RecyclableMemory()
            memory.push(unowned: UnsafeRawBufferPointer(start: nil, count: 0))
            _ = memory.relinquish(at: 0)
        }
        expect(given, "was to be given away and is not the sequence's own")
    }
}

extension RecyclableMemory {
    fileprivate mutating func add(_ bytes: UInt8...) throws { try append(copying: bytes.span.bytes) }
}

/// The bytes of a buffer of segments.
func contents(_ buffer: SegmentedBuffer) -> [UInt8] { buffer.segments.flatMap { Array($0.unsafeBytes) } }

private final class Witness {}

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
