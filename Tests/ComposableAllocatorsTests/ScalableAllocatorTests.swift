// What ScalableAllocator promises beyond the contract: children, parts, borrowing, reading, hysteresis, its account.

import AllocatorTestKit
import SystemMemory
import Testing

@testable import ComposableAllocators
@testable import Mallow

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct ScalableAllocatorTests {
    // MARK: - Children

    @Test func childrenDoubleUpToALimit() throws {
        let upstream = RecordingAllocator(upstream: SystemAllocator())
        let allocator = try ScalableAllocator(initialSize: 1024, largestChild: 4096, source: .upstream(upstream))
        #expect(allocator.childCount == 0 && allocator.heldByteCount == 0)
        var blocks: [UnsafeMutableRawBufferPointer] = []
        for _ in 0..<30 { blocks.append(try allocator.allocate(byteCount: 496)) }
        #expect(allocator.children.map(\.byteCount).sorted() == [1024, 2048, 4096, 4096, 4096])
        #expect(allocator.usedByteCount == 30 * 496)
        // Larger than a child has room for: alone, and 16 bytes more than it is.
        let large = try allocator.allocate(byteCount: 4096)
        let alone = allocator.children.filter(\.isAlone)
        #expect(alone.count == 1 && alone[0].byteCount == 4112 && alone[0].usedByteCount == 4096)
        #expect(alone[0].address == UInt(bitPattern: large.baseAddress) && alone[0].largestFree == 0)
        allocator.deallocate(large)
        #expect(allocator.childCount == 5)
        for block in blocks { allocator.deallocate(block) }
        try allocator.close()
        #expect(upstream.findLeaks() == nil && allocator.childCount == 0)
    }

    @Test func argumentsThatAreRefused() {
        for (initial, largest) in [(1000, 4096), (512, 4096), (4096, 2048), (1024, 3000), (1024, 1 << 41)] {
            #expect(throws: ConfigurationError.self) {
                try ScalableAllocator(initialSize: initial, largestChild: largest)
            }
        }
        #expect(throws: ConfigurationError.self) { try SharedScalableAllocator(initialSize: 1024) }
        #expect(throws: ConfigurationError.self) { try SharedScalableAllocator(shards: 0) }
        #expect(throws: ConfigurationError.self) { try SharedBuddyMemory(capacity: 100, buddySize: 1 << 20) }
        #expect(throws: ConfigurationError.self) { try SharedBuddyMemory(buddySize: 3 << 20) }
        #expect(throws: ConfigurationError.self) { try SharedBuddyMemory(smallestBlock: 16) }
    }

    /// At the boundary of a child: one more block makes one, and from then on none is made or dropped.
    @Test func noChildComesAndGoesAroundABoundary() throws {
        let upstream = FailingAllocator(plan: .never)
        let allocator = try ScalableAllocator(initialSize: 8192, largestChild: 8192, source: .upstream(upstream))
        var full: [UnsafeMutableRawBufferPointer] = []
        for _ in 0..<4 { full.append(try allocator.allocate(byteCount: 8160)) }
        let filled = upstream.requestCount
        for _ in 0..<1000 {
            let one = try allocator.allocate(byteCount: 8160)
            let other = try allocator.allocate(byteCount: 64)
            allocator.deallocate(one)
            allocator.deallocate(other)
        }
        #expect(upstream.requestCount <= filled + 3)
        #expect(allocator.childCount <= 6 && allocator.brokenInvariant() == nil)
        for block in full { allocator.deallocate(block) }
        // One stays, and one more that was needed again.
        #expect((1...2).contains(allocator.childCount))
        let held = allocator.heldByteCount
        #expect(allocator.trim() == held && allocator.childCount == 0)
    }

    /// What goes up and down again and again is kept after some rounds; what is no longer needed goes.
    @Test func wavesAreLearnedAndForgotten() throws {
        let upstream = FailingAllocator(plan: .never)
        let allocator = try ScalableAllocator(initialSize: 4096, largestChild: 4096, source: .upstream(upstream))
        func wave(_ count: Int) throws {
            let blocks = try (0..<count).map { _ in try allocator.allocate(byteCount: 2000) }
            for block in blocks { allocator.deallocate(block) }
        }
        var made: [Int] = []
        for _ in 0..<12 {
            let before = upstream.requestCount
            try wave(20)
            made.append(upstream.requestCount - before)
        }
        #expect(made[0] == 10 && made.suffix(6).allSatisfy { $0 == 0 }, "\(made)")
        #expect(allocator.childCount == 10)
        // A hundred times the bytes in waves of two blocks.
        for _ in 0..<4000 { try wave(4) }
        #expect(allocator.childCount <= 3 && allocator.brokenInvariant() == nil)
    }

    @Test func recyclingKeepsWhatTheRoundNeeded() throws {
        let upstream = FailingAllocator(plan: .never)
        let allocator = try ScalableAllocator(initialSize: 1024, largestChild: 4096, source: .upstream(upstream))
        func round(_ seed: UInt64) throws {
            var random = SeededRandom(seed: seed)
            for step in 0..<60 {
                let block = try allocator.allocate(byteCount: 300 + Int(random.next() % 100))
                if step % 5 == 4 { allocator.deallocate(block) }
            }
            _ = try allocator.allocate(byteCount: 10_000)
        }
        try round(1)
        allocator.recycle()
        #expect(allocator.usedByteCount == 0 && allocator.findLeaks() == nil && allocator.brokenInvariant() == nil)
        #expect(allocator.children.filter(\.isAlone) == [])
        let (requests, children) = (upstream.requestCount, allocator.childCount)
        for seed in 1...5 as ClosedRange<UInt64> {
            try round(seed % 2 + 1)
            allocator.recycle()
        }
        // The large one each time, and none else but for what random sizes want more once.
        #expect(upstream.requestCount <= requests + 5 + 1)
        #expect(allocator.childCount <= children + 1)
        // In a row, which is the fast way.
        for _ in 0..<100 {
            for _ in 0..<10 { _ = try allocator.allocate(byteCount: 64) }
            allocator.recycle()
            #expect(allocator.brokenInvariant() == nil)
        }
        #expect(allocator.statistics.peakBlocks > 40)
        try allocator.close()
    }

    /// The source calls back while it is given a loan's memory: what was open is another range then.
    @Test func recyclingWithASourceThatCallsBack() throws {
        let source = SourceThatCallsBack()
        let allocator = try ScalableAllocator(source: .upstream(source))
        for _ in 0..<5 { _ = try allocator.allocate(byteCount: 64) }
        _ = try allocator.borrow(byteCount: 16 << 20).byteCount
        #expect(allocator.childCount == 2 && allocator.brokenInvariant() == nil)
        source.onDeallocate = { [unowned allocator] in
            for _ in 0..<40 { _ = allocator.tryAllocate(byteCount: 8000, alignment: 16) }
        }
        allocator.recycle()
        source.onDeallocate = nil
        #expect(source.calls == 1 && allocator.statistics.totalBlocks == 45)
        #expect(allocator.usedByteCount == 0 && allocator.brokenInvariant() == nil)
        try allocator.close()
    }

    /// A child alone has bits of nothing before they are written, which a row must not believe: here mostly those of
    /// the child before, whose record had the same place.
    @Test func aRowInABareChildIsNone() throws {
        let allocator = ScalableAllocator()
        for _ in 0..<4 {
            let block = try allocator.allocate(byteCount: 5 << 20)
            #expect(!allocator.deallocate(row: block.baseAddress!, byteCount: 1024, blocks: 1))
            #expect(allocator.byteCount(of: block.baseAddress!) == 5 << 20 && allocator.brokenInvariant() == nil)
            allocator.deallocate(part: UnsafeMutableRawBufferPointer(rebasing: block[1024..<2048]))
            allocator.recycle()
        }
        // Written, they are believed.
        let block = try allocator.allocate(byteCount: 5 << 20)
        allocator.deallocate(part: UnsafeMutableRawBufferPointer(rebasing: block[1024..<2048]))
        #expect(allocator.deallocate(row: block.baseAddress!, byteCount: 1024, blocks: 1))
        allocator.deallocate(block.baseAddress! + 2048)
        #expect(allocator.usedByteCount == 0 && allocator.brokenInvariant() == nil)
    }

    // MARK: - Parts

    @Test func partsAreBlocksOfTheirOwn() throws {
        let allocator = ScalableAllocator()
        let block = try allocator.allocate(byteCount: 160)
        for index in block.indices { block[index] = UInt8(index) }
        func part(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
            UnsafeMutableRawBufferPointer(rebasing: block[range])
        }
        // Whole granules: 50..<100 frees 64..<96.
        let freed = allocator.deallocate(part: part(50..<100))
        #expect(freed.baseAddress == block.baseAddress! + 64 && freed.count == 32)
        #expect(allocator.statistics.liveBlocks == 2 && allocator.usedByteCount == 128)
        #expect(allocator.byteCount(of: block.baseAddress!) == 64)
        #expect(allocator.byteCount(of: block.baseAddress! + 96) == 64)
        #expect(allocator.deallocate(part: part(1..<15)).count == 0)
        #expect(allocator.deallocate(part: part(0..<16)).count == 16)
        #expect(allocator.deallocate(part: part(150..<160)).count == 0)
        #expect(allocator.deallocate(part: part(140..<160)).count == 16)
        #expect((16..<64).allSatisfy { block[$0] == UInt8($0) } && (96..<144).allSatisfy { block[$0] == UInt8($0) })
        #expect(allocator.freeRest(of: block.baseAddress! + 16, keeping: 20).count == 32)
        #expect(allocator.statistics.totalBlocks == 1 && allocator.findLeaks()?.blocks == 2)
        #expect(allocator.findLeaks()?.bytes == 80)
        allocator.deallocate(block.baseAddress! + 16)
        allocator.deallocate(block.baseAddress! + 96)
        #expect(allocator.findLeaks() == nil && allocator.brokenInvariant() == nil)
    }

    /// A block of many words, and one alone: what is freed of both serves small requests.
    @Test func partsOfLargeBlocksServeAgain() throws {
        let upstream = FailingAllocator(plan: .never)
        let allocator = try ScalableAllocator(initialSize: 65536, largestChild: 65536, source: .upstream(upstream))
        for byteCount in [50_000, 500_000] {
            let block = try allocator.allocate(byteCount: byteCount)
            let bar = try allocator.allocate(byteCount: 16)
            let middle = UnsafeMutableRawBufferPointer(rebasing: block[16000..<48000])
            #expect(allocator.deallocate(part: middle).count == 32000)
            let requests = upstream.requestCount
            var blocks: [UnsafeMutableRawBufferPointer] = []
            for _ in 0..<60 { blocks.append(try allocator.allocate(byteCount: 512)) }
            #expect(upstream.requestCount <= requests + 1 && allocator.brokenInvariant() == nil)
            for block in blocks { allocator.deallocate(block) }
            allocator.deallocate(block.baseAddress! + 48000)
            allocator.deallocate(block)
            allocator.deallocate(bar)
            #expect(allocator.brokenInvariant() == nil && allocator.usedByteCount == 0)
        }
    }

    @Test func growingInPlace() throws {
        let allocator = ScalableAllocator()
        let (one, two, three) = try (
            allocator.allocate(byteCount: 64), allocator.allocate(byteCount: 64), allocator.allocate(byteCount: 64)
        )
        #expect(allocator.resize(one.baseAddress!, byteCount: 80) == nil)
        allocator.deallocate(two)
        #expect(allocator.resize(one.baseAddress!, byteCount: 129) == nil)
        #expect(allocator.resize(one.baseAddress!, byteCount: 128)?.count == 128)
        // The last one grows into what is open, also when it is the last no longer.
        #expect(allocator.resize(three.baseAddress!, byteCount: 1000)?.count == 1008)
        #expect(allocator.byteCount(of: one.baseAddress!) == 128)
        #expect(allocator.resize(three.baseAddress!, byteCount: 2000)?.count == 2000)
        #expect(allocator.resize(three.baseAddress!, byteCount: 1 << 30) == nil)
        #expect(allocator.brokenInvariant() == nil && allocator.usedByteCount == 2128)
        allocator.freeAll()

        // A block alone, of whole pages: what the pages have beyond it is behind it.
        let pages = try ScalableAllocator(initialSize: 4096, largestChild: 4096, source: .pages)
        let alone = try pages.allocate(byteCount: 100_000)
        let room = pages.children[0].largestFree
        #expect(room > 0)
        let grown = pages.resize(alone.baseAddress!, byteCount: 100_000 + room)
        #expect(grown?.count == 100_000 + room && pages.children[0].largestFree == 0)
        #expect(pages.resize(alone.baseAddress!, byteCount: 100_000 + room + 1) == nil)
        pages.deallocate(alone)
        #expect(pages.childCount == 0 && pages.brokenInvariant() == nil)
        let other = try pages.allocate(byteCount: 50_000)
        #expect(pages.resize(other.baseAddress!, byteCount: 50_016)?.count == 50_016)
        #expect(pages.brokenInvariant() == nil)
        pages.deallocate(other)
    }

    // MARK: - Borrowing

    @Test func borrowedMemoryIsTakenByNobody() throws {
        for source in [ScalableSource.upstream(SystemAllocator()), .withoutRecycling] {
            let allocator = try ScalableAllocator(
                initialSize: 4096, largestChild: 8192, source: source, checked: true)
            let block = try allocator.allocate(byteCount: 100)
            let before = allocator.statistics
            for byteCount in [0, 1, 100, 5000, 8000, 100_000] {
                var memory = try allocator.borrow(byteCount: byteCount, alignment: 64)
                #expect(memory.byteCount == byteCount && memory.mutableBytes.byteCount == byteCount)
                memory.withUnsafeMutableBytes {
                    #expect($0.count == byteCount && UInt(bitPattern: $0.baseAddress) % 64 == 0)
                    $0.initializeMemory(as: UInt8.self, repeating: 7)
                }
                #expect(memory.bytes.byteCount == byteCount)
                #expect(allocator.statistics.liveBlocks == 1 && allocator.statistics.totalBlocks == 1)
                #expect(allocator.brokenInvariant() == nil)
            }
            let count = try allocator.withBorrowed(byteCount: 10) { $0.byteCount }
            #expect(count == 10)
            struct Failed: Error {}
            #expect(throws: Failed.self) { try allocator.withBorrowed(byteCount: 10) { _ in throw Failed() } }
            #expect(allocator.statistics.liveBytes == before.liveBytes)
            allocator.deallocate(block)
            try allocator.close()
            #expect(allocator.heldByteCount == 0)
        }
    }

    // MARK: - Reading

    @Test func reading() throws {
        let allocator = ScalableAllocator()
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends where end >= 0 { close(end) } }
        #expect(write(ends[1], "hello", 5) == 5)
        let first = try allocator.read(upTo: 1000, from: ends[0])
        let block = try #require(first)
        #expect(block.count == 5 && block.elementsEqual("hello".utf8))
        #expect(allocator.byteCount(of: block.baseAddress!) == 16 && allocator.usedByteCount == 16)
        // Nothing yet: refused, and nothing is allocated.
        #expect(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
        let nothingYet = ScalableReadError.descriptor(DescriptorError(call: "readv", code: EAGAIN))
        #expect(throws: nothingYet) { try allocator.read(upTo: 1000, from: ends[0]) }
        let bad = ScalableReadError.descriptor(DescriptorError(call: "readv", code: EBADF))
        #expect(throws: bad) { try allocator.read(upTo: 10, from: -1) }
        #expect(nothingYet.isWouldBlock && !bad.isWouldBlock && "\(bad)" == "readv: Bad file descriptor (9)")
        #expect(allocator.statistics.liveBlocks == 1)
        close(ends[1])
        ends[1] = -1
        let atEnd = try allocator.read(upTo: 1000, from: ends[0])
        #expect(atEnd == nil)
        #expect(allocator.statistics.liveBlocks == 1 && allocator.brokenInvariant() == nil)

        struct Failed: Error {}
        #expect(throws: Failed.self) {
            try allocator.read(upTo: 500) { buffer in
                #expect(buffer.count == 500)
                throw Failed()
            }
        }
        let nothing = try allocator.read(upTo: 500) { _ in 0 }
        #expect(nothing == nil)
        #expect(allocator.statistics.liveBlocks == 1)
        // The closure may allocate: the block is its own.
        var inner: UnsafeMutableRawBufferPointer?
        let second = try allocator.read(upTo: 500) { buffer in
            inner = try allocator.allocate(byteCount: 10)
            buffer[99] = 1
            return 100
        }
        let read = try #require(second)
        #expect(read.count == 100 && read[99] == 1 && allocator.byteCount(of: read.baseAddress!) == 112)
        for block in [block, read, inner!] { allocator.deallocate(block) }
        try allocator.close()

        let poor = try ScalableAllocator(source: .upstream(FailingAllocator(plan: .after(0))))
        #expect(throws: ScalableReadError.self) { try poor.read(upTo: 10, from: 0) }
    }

    // MARK: - The account

    @Test func everythingGoesBackInTheEnd() throws {
        let upstream = FailingAllocator(plan: .never)
        var allocator: ScalableAllocator? = try ScalableAllocator(source: .upstream(upstream))
        _ = try allocator!.allocate(byteCount: 100)
        _ = try allocator!.allocate(byteCount: 10_000_000)
        let leak = try #require(allocator!.findLeaks())
        #expect(leak.allocator == "ScalableAllocator" && leak.blocks == 2 && leak.bytes == 10_000_112)
        #expect(throws: LeakError.self) { try allocator!.close() }
        let statistics = allocator!.statistics
        #expect(statistics.liveBytes + statistics.overheadBytes + statistics.freeBytes == statistics.heldBytes)
        #expect(allocator!.freeByteCount == statistics.freeBytes && allocator!.heldByteCount < statistics.heldBytes)
        #expect(upstream.findLeaks()?.blocks == 2)
        allocator = nil
        #expect(upstream.findLeaks() == nil)
    }
}

private final class SourceThatCallsBack: Allocator {
    var onDeallocate: (() -> Void)?
    private(set) var calls = 0

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try SystemAllocator().allocate(byteCount: byteCount, alignment: alignment)
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        SystemAllocator().deallocate(pointer)
        calls += onDeallocate == nil ? 0 : 1
        onDeallocate?()
    }
}
