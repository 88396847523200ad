// Values in a region: when they end, which chunks stay, and what the compiler does not see.

import Mallow
import Testing

/// Counts itself, and writes its name down when it goes.
final class RegionWitness {
    static func noted(_ body: (Diary) throws -> Void) rethrows -> [Int] {
        let diary = Diary()
        try body(diary)
        return diary.gone
    }

    final class Diary {
        var gone: [Int] = []
        var live = 0
    }

    let diary: Diary
    let number: Int

    init(_ diary: Diary, _ number: Int) {
        self.diary = diary
        self.number = number
        diary.live += 1
    }

    deinit {
        diary.gone.append(number)
        diary.live -= 1
    }
}

/// A value that cannot be copied and counts its end.
struct RegionToken: ~Copyable {
    let witness: RegionWitness
    deinit { witness.diary.gone.append(-witness.number) }
}

@Suite struct RegionTests {
    /// What the region must hold: addresses, and the byte that was written to all of the block.
    struct Model {
        var blocks: [(bytes: UnsafeMutableRawBufferPointer, mark: UInt8)] = []
        var total = 0
        var peakBlocks = 0
        var peakBytes = 0
        var liveBytes: Int { blocks.reduce(0) { $0 + $1.bytes.count } }

        mutating func enter(_ bytes: UnsafeMutableRawBufferPointer, alignment: Int, mark: UInt8) {
            #expect(Int(bitPattern: bytes.baseAddress!) % alignment == 0)
            for byte in bytes.indices { bytes[byte] = mark }
            blocks.append((bytes, mark))
            total += 1
            peakBlocks = max(peakBlocks, blocks.count)
            peakBytes = max(peakBytes, liveBytes)
        }

        func check(_ region: borrowing Region, _ source: PageSource) {
            let broken = region.unsafeAllocator.brokenInvariant()
            #expect(broken == nil)
            let statistics = region.statistics
            #expect(statistics.liveBlocks == blocks.count)
            #expect(statistics.liveBytes == liveBytes)
            #expect(statistics.totalBlocks == total)
            #expect(statistics.peakBlocks == peakBlocks && statistics.peakBytes == peakBytes)
            #expect(statistics.heldBytes == source.live.values.reduce(0, +))
            #expect(statistics.overheadBytes >= 0 && statistics.freeBytes >= 0)
            let held = statistics.liveBytes + statistics.overheadBytes + statistics.freeBytes
            #expect(held == statistics.heldBytes)
        }

        /// Contents kept, all inside the source's memory, none over another.
        func checkContents(_ source: PageSource) {
            for block in blocks { #expect(block.bytes.allSatisfy { $0 == block.mark }) }
            let sorted = blocks.map(\.bytes).filter { !$0.isEmpty }.sorted { $0.baseAddress! < $1.baseAddress! }
            for (low, high) in zip(sorted, sorted.dropFirst()) {
                #expect(low.baseAddress! + low.count <= high.baseAddress!)
            }
            for block in sorted { #expect(source.owns(block.baseAddress!)) }
        }
    }

    struct Wide: BitwiseCopyable {
        var lanes: SIMD8<UInt64> = .zero
    }

    func fill<T>(_ region: borrowing Region, with value: T, count: Int, _ model: inout Model, _ mark: UInt8) throws {
        var span = try region.allocate(repeating: value, count: count)
        span.withUnsafeMutableBufferPointer {
            model.enter(UnsafeMutableRawBufferPointer($0), alignment: MemoryLayout<T>.alignment, mark: mark)
        }
    }

    func step(_ region: borrowing Region, _ random: inout SeededRandom, _ model: inout Model) throws {
        let mark = UInt8(truncatingIfNeeded: random.next())
        let count = Int(random.next() % (random.next() % 20 == 0 ? 900 : 20))
        switch random.next() % 4 {
        case 0: try fill(region, with: UInt8(0), count: count, &model, mark)
        case 1: try fill(region, with: UInt16(0), count: count, &model, mark)
        case 2: try fill(region, with: Wide(), count: count, &model, mark)
        default:
            let reference = try region.allocate(random.next())
            let raw = UnsafeMutableRawPointer(reference.unsafePointer)
            model.enter(UnsafeMutableRawBufferPointer(start: raw, count: 8), alignment: 8, mark: mark)
        }
    }

    /// A level of checkpoints: works, goes deeper, and rewinds or leaves its checkpoint behind.
    func level(
        _ region: inout Region, _ depth: Int, _ random: inout SeededRandom, _ model: inout Model, _ source: PageSource
    ) throws {
        let mark = try region.checkpoint()
        let count = model.blocks.count
        for _ in 0..<(random.next() % 30) {
            try step(region, &random, &model)
            model.check(region, source)
        }
        if depth < 5 {
            for _ in 0..<(random.next() % 3) { try level(&region, depth + 1, &random, &model, source) }
        }
        model.checkContents(source)
        if random.next() % 4 != 0 {
            region.rewind(to: mark)
            model.blocks.removeSubrange(count...)
        }
        model.check(region, source)
    }

    @Test(arguments: 1...12)
    func randomSequencesKeepContentsAndInvariants(_ seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let source = PageSource()
        do {
            var region = try Region(initialChunkSize: 256, maximumChunkSize: 16 << 10, upstream: source)
            var model = Model()
            for _ in 0..<6 {
                for _ in 0..<4 { try level(&region, 0, &random, &model, source) }
                let kept = Int(random.next() % 40_000)
                region.reset(keeping: kept)
                model.blocks = []
                model.check(region, source)
                let held = source.live.values.reduce(0, +)
                #expect(held <= kept)
            }
        }
        #expect(source.live.isEmpty)
    }

    @Test func resetKeepsTheLargestChunksThatFit() throws {
        let source = PageSource()
        var region = try Region(
            initialChunkSize: 256, maximumChunkSize: 4096, keptByteCount: 10_000, upstream: source)
        for _ in 0..<40 { _ = try region.allocate(repeating: UInt64(1), count: 50) }
        #expect(Set(source.live.values) == [1024, 2048, 4096, 512])
        region.reset()
        // Newest first, and an older one where a larger does not fit.
        #expect(source.live.values.sorted() == [512, 1024, 4096, 4096])
        let requests = source.requests
        for _ in 0..<20 { _ = try region.allocate(repeating: UInt64(1), count: 50) }
        #expect(source.requests == requests)
        region.reset(keeping: 5000)
        #expect(source.live.values.sorted() == [512, 4096])
        region.reset(keeping: 0)
        #expect(source.live.isEmpty)
        _ = try region.allocate(1)
        #expect(source.live.values.sorted() == [256])
    }

    @Test func aLargeRequestHasAChunkOfItsOwnAndLeavesTheCurrentOne() throws {
        let source = PageSource()
        var region = try Region(initialChunkSize: 1024, maximumChunkSize: 4096, upstream: source)
        let before = UInt(bitPattern: try region.allocate(UInt64(1)).unsafePointer)
        do {
            var large = try region.allocate(repeating: UInt8(7), count: 100_000)
            large[99_999] = 8
            #expect(large[0] == 7)
        }
        let after = UInt(bitPattern: try region.allocate(UInt64(2)).unsafePointer)
        #expect(after == before + 8)
        #expect(source.live.count == 2)
        let mark = try region.checkpoint()
        _ = try region.allocate(repeating: UInt8(7), count: 50_000)
        #expect(source.live.count == 3)
        region.rewind(to: mark)
        #expect(source.live.count == 2)
        region.reset()
        #expect(source.live.values.sorted() == [1024])
    }

    @Test func valuesAreDeinitialisedInReverseOrder() throws {
        var liveAtEnd = -1
        let gone = try RegionWitness.noted { diary in
            do {
                var region = Region()
                _ = try region.allocate(RegionWitness(diary, 1))
                _ = try region.allocate(copying: [RegionWitness(diary, 2)])
                let mark = try region.checkpoint()
                _ = try region.allocate(RegionWitness(diary, 3))
                _ = try region.allocate(RegionToken(witness: RegionWitness(diary, 4)))
                region.rewind(to: mark)
                #expect(diary.gone == [-4, 4, 3])
                var array = try region.makeArray(of: RegionWitness.self)
                for number in 5...7 { try array.append(RegionWitness(diary, number)) }
                _ = array.popLast()
                #expect(diary.gone == [-4, 4, 3, 7])
                _ = array.finish()
                region.reset()
                #expect(diary.gone.count == 8)
                #expect(diary.gone.suffix(2) == [2, 1])
                #expect(Set(diary.gone[4...5]) == [5, 6])
                #expect(diary.live == 0)
                _ = try region.allocate(RegionWitness(diary, 8))
                _ = try region.allocate(RegionWitness(diary, 9))
            }
            liveAtEnd = diary.live
        }
        #expect(gone.suffix(2) == [9, 8])
        #expect(liveAtEnd == 0)
    }

    @Test func valuesInsideValuesAreReadAndChangedInPlace() throws {
        let region = Region()
        var text = try region.allocate("a text that is too long to be stored inline")
        text.value += "!"
        let copy = text.value
        #expect(copy == "a text that is too long to be stored inline!")
        var token = try region.allocate([1, 2, 3])
        token.value[1] = 7
        let values = token.value
        #expect(values == [1, 7, 3])
    }

    @Test func outputSpansInitialiseInPlace() throws {
        let source = PageSource()
        struct Stop: Error {}
        let gone = try RegionWitness.noted { diary in
            var region = Region(upstream: source)
            do {
                let span = try region.allocate(capacity: 10) { (output: inout OutputSpan<RegionWitness>) in
                    for number in 1...3 { output.append(RegionWitness(diary, number)) }
                }
                let count = span.count
                #expect(count == 3)
            }
            #expect(diary.live == 3)
            let before = region.statistics
            #expect(throws: Stop.self) {
                _ = try region.allocate(capacity: 10) { (output: inout OutputSpan<RegionWitness>) in
                    output.append(RegionWitness(diary, 4))
                    throw Stop()
                }
            }
            #expect(diary.live == 3)
            let after = region.statistics
            #expect(after.liveBlocks == before.liveBlocks && after.liveBytes == before.liveBytes)
            do {
                var output = try region.makeOutputSpan(of: RegionWitness.self, capacity: 2)
                output.append(RegionWitness(diary, 5))
                #expect(diary.live == 4)
            }
            #expect(diary.live == 3)
            region.reset()
            #expect(diary.live == 0)
        }
        #expect(gone.count == 5)
        #expect(source.live.isEmpty)
    }

    @Test func aSpanIsCopied() throws {
        let region = Region()
        let other = [3, 1, 4, 1, 5]
        let copy = try region.allocate(copying: other.span)
        let sum = (0..<copy.count).reduce(0) { $0 * 10 + copy[$1] }
        #expect(sum == 31415)
        let empty = try region.allocate(copying: [Int]())
        let count = empty.count
        #expect(count == 0)
    }

    @Test func cStringsEndWithAZeroByte() throws {
        let region = Region()
        for text in ["", "a", "Grüße, 世界", String(repeating: "x", count: 9000)] {
            let string = try region.makeCString(text)
            let (count, last) = (string.count, string.unsafePointer[string.count])
            let read = string.withUnsafePointer { String(cString: $0) }
            #expect(count == text.utf8.count && last == 0 && read == text)
        }
    }

    @Test func aFailingUpstreamLeavesTheRegionAsItWas() throws {
        let source = PageSource()
        var region = try Region(initialChunkSize: 256, maximumChunkSize: 1024, upstream: source)
        for limit in 0..<5 {
            source.room = limit
            var served = 0
            while true {
                let before = region.statistics
                do {
                    _ = try region.allocate(repeating: UInt64(served), count: 10)
                    served += 1
                } catch {
                    #expect(error.reason == .outOfMemory && error.byteCount == 80 && error.allocator == "Region")
                    let after = region.statistics
                    #expect(after == before)
                    break
                }
            }
            #expect(source.live.count == limit)
            #expect(limit == 0 || served >= 2 * limit)
            // What was refused can be had after a reset.
            region.reset()
            if limit > 0 { _ = try region.allocate(repeating: UInt64(1), count: 10) }
            region.reset(keeping: 0)
        }
        source.room = 0
        #expect(throws: AllocationError.self) { _ = try region.checkpoint() }
        #expect(throws: AllocationError.self) { _ = try region.makeArray(of: Int.self) }
        #expect(throws: AllocationError.self) { _ = try region.makeString("text") }
        #expect(throws: AllocationError.self) { _ = try region.makeCString("text") }
        let statistics = region.statistics
        #expect(statistics.liveBlocks == 0 && statistics.heldBytes == 0)
        source.room = 1
        _ = try region.allocate(1)
    }

    @Test func sizesThatDoNotFitAreRefused() throws {
        let region = Region()
        for count in [Int.max, Int.max / 8, Int.max / 16] {
            #expect(throws: AllocationError.self) { _ = try region.allocate(repeating: UInt64(1), count: count) }
            #expect(throws: AllocationError.self) {
                _ = try region.makeOutputSpan(of: String.self, capacity: count)
            }
            #expect(throws: AllocationError.self) { _ = try region.makeArray(of: String.self, capacity: count) }
        }
        let statistics = region.statistics
        #expect(statistics.liveBlocks == 0)
    }

    @Test func configurationIsChecked() throws {
        func argument(_ initial: Int, _ maximum: Int, _ kept: Int) -> String? {
            do throws(ConfigurationError) {
                _ = try Region(initialChunkSize: initial, maximumChunkSize: maximum, keptByteCount: kept)
                return nil
            } catch { return error.argument }
        }
        #expect(argument(255, 4096, 0) == "initialChunkSize")
        #expect(argument(264, 4096, 0) == "initialChunkSize")
        #expect(argument(512, 256, 0) == "maximumChunkSize")
        #expect(argument(512, 1 << 41, 0) == "maximumChunkSize")
        #expect(argument(512, 1000, 0) == "maximumChunkSize")
        #expect(argument(512, 1024, -1) == "keptByteCount")
        #expect(argument(256, 256, 0) == nil)
    }
}
