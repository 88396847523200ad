// RangedMemory beside a model: which granules of a buffer are allocated; what is refused, snapshots, misuse.

import AllocatorTestKit
import Mallow
import Testing

@testable import ComposableAllocators

/// Which granules of a buffer are allocated: everything else follows from it.
private struct RangedModel {
    var isUsed: [Bool]
    let granule: Int
    /// The address of the first granule.
    let base: Int

    /// The lowest place of a request, in bytes from the buffer's start.
    func place(_ byteCount: Int, _ alignment: Int) -> Int? {
        let count = (byteCount + granule - 1) / granule
        if count == 0 { return nil }
        var start = 0
        for index in isUsed.indices {
            if isUsed[index] { start = index + 1 }
            while start <= index, (base + start * granule) % alignment != 0 { start += 1 }
            if index + 1 - start >= count { return start * granule }
        }
        return nil
    }

    /// The granules of a piece, if it has whole ones and lies in the buffer.
    func granules(_ offset: Int, _ count: Int) -> Range<Int>? {
        guard offset >= 0, count >= 0, offset % granule == 0, count % granule == 0,
            offset + count <= isUsed.count * granule
        else { return nil }
        return offset / granule..<(offset + count) / granule
    }

    /// The runs of granules that are, or are not, allocated, in bytes.
    func runs(used: Bool) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var start: Int?
        for index in 0...isUsed.count {
            if index < isUsed.count, isUsed[index] == used {
                start = start ?? index
            } else if let first = start {
                runs.append(first * granule..<index * granule)
                start = nil
            }
        }
        return runs
    }
}

// What mutates a noncopyable value is no part of an expectation: functions that take it `inout`, of the pool's tests,
// too.

func allocate(
    from memory: inout RangedMemory, _ byteCount: Int, _ alignment: Int
) -> UnsafeMutableRawBufferPointer? {
    memory.allocate(byteCount: byteCount, alignment: alignment)
}

func deallocate(from memory: inout RangedMemory, _ piece: UnsafeMutableRawBufferPointer) -> Bool {
    memory.deallocate(piece)
}

@Suite struct RangedMemoryTests {
    /// What must hold at every moment.
    private func agree(_ memory: borrowing RangedMemory, _ model: RangedModel) -> Bool {
        let start = UnsafeRawPointer(memory.buffer.baseAddress!)
        func offsets(_ pieces: [UnsafeMutableRawBufferPointer]) -> [Range<Int>] {
            pieces.map { piece in
                let offset = UnsafeRawPointer(piece.baseAddress!) - start
                return offset..<offset + piece.count
            }
        }
        let free = model.runs(used: false)
        let freeBytes = free.reduce(0) { $0 + $1.count }
        let size = model.isUsed.count * model.granule
        return memory.brokenInvariant() == nil && memory.byteCount == size && memory.freeByteCount == freeBytes
            && memory.usedByteCount == size - freeBytes && memory.isEmpty == (freeBytes == size)
            && offsets(memory.freePieces) == free && offsets(memory.usedPieces) == model.runs(used: true)
            && memory.largestFree == free.map(\.count).max() ?? 0
            && memory.freeAtEnd == (free.last?.upperBound == size ? free.last!.count : 0)
            && memory.snapshot
                == RangeSnapshot(
                    size: size / model.granule,
                    freeRanges: free.map { $0.lowerBound / model.granule..<$0.upperBound / model.granule })
            && memory.statistics.usedRanges == model.runs(used: true).count
            && memory.statistics.usedCount == memory.usedByteCount / model.granule
    }

    @Test(arguments: [(1, 0), (1, 3), (16, 0), (16, 5), (64, 64)])
    func randomSequencesAreAsTheModelSays(_ granule: Int, _ skew: Int) throws {
        let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096 + skew, alignment: 4096)
        defer { whole.deallocate() }
        whole.initializeMemory(as: UInt8.self, repeating: 0)
        var length = 1024
        let given = UnsafeMutableRawBufferPointer(rebasing: whole[skew..<skew + length])
        var memory = try RangedMemory(given, granule: granule)
        let start = memory.buffer.baseAddress!
        let skipped = start - given.baseAddress!
        #expect(skipped == (granule - skew % granule) % granule && memory.granule == granule)
        var model = RangedModel(
            isUsed: Array(repeating: false, count: (length - skipped) / granule), granule: granule,
            base: Int(bitPattern: start))
        var random = SeededRandom(seed: UInt64(granule * 100 + skew))
        func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }
        func piece(_ offset: Int, _ count: Int) -> UnsafeMutableRawBufferPointer {
            UnsafeMutableRawBufferPointer(start: start + offset, count: count)
        }

        for step in 0..<700 {
            let size = model.isUsed.count * granule
            switch below(20) {
            case 0...7:
                let byteCount = below(below(4) == 0 ? 600 : 60)
                let alignment = 1 << below(10)
                let place = model.place(byteCount, alignment)
                let found = memory.find(byteCount: byteCount, alignment: alignment)
                let block = memory.allocate(byteCount: byteCount, alignment: alignment)
                #expect(block?.baseAddress == found?.baseAddress && block?.count == found?.count)
                #expect((byteCount == 0) == (block?.count == 0))
                guard byteCount > 0 else { break }
                #expect(block.map { $0.baseAddress! - start } == place)
                guard let place, let block else { break }
                #expect(block.count == (byteCount + granule - 1) / granule * granule)
                for index in model.granules(place, block.count)! { model.isUsed[index] = true }
            case 8...14:
                // Any part: of what is allocated, mostly; else wherever it may be.
                var (offset, count) = (below(size + 200) - 100, below(200))
                let used = model.runs(used: true)
                if below(4) != 0, let run = used.randomElement(using: &random) {
                    offset = run.lowerBound + below(run.count) / granule * granule
                    count = below(run.upperBound - offset + 1) / granule * granule
                }
                let range = model.granules(offset, count)
                let isOwn = range.map { model.isUsed[$0].allSatisfy { $0 } } ?? false
                let isFreed = memory.deallocate(piece(offset, count))
                #expect(isFreed == isOwn, "\(offset), \(count)")
                if isOwn { for index in range! { model.isUsed[index] = false } }
            case 15, 16:
                let (offset, count) = (below(size + 200) - 100, below(100))
                let range = model.granules(offset, count)
                let isFree = range.map { !model.isUsed[$0].contains(true) } ?? false
                let isTaken = memory.allocate(piece(offset, count))
                #expect(isTaken == isFree)
                if isFree { for index in range! { model.isUsed[index] = true } }
            case 17 where length < 3500:
                length += below(200)
                memory.grow(to: UnsafeMutableRawBufferPointer(rebasing: whole[skew..<skew + length]))
                let granules = (length - skipped) / granule
                model.isUsed += Array(repeating: false, count: granules - model.isUsed.count)
            case 18:
                let address = start + below(size + 200) - 100
                #expect(memory.owns(address) == (address >= start && address < start + size))
            case 19 where below(10) == 0:
                memory.freeAll()
                model.isUsed = Array(repeating: false, count: model.isUsed.count)
            default: break
            }
            guard agree(memory, model) else {
                Issue.record("step \(step), granule \(granule), skew \(skew)")
                return
            }
        }
        #expect(whole.allSatisfy { $0 == 0 }, "the buffer is never written")
    }

    @Test func whatIsNotItsOwnIsRefused() throws {
        let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 64)
        defer { whole.deallocate() }
        func part(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
            UnsafeMutableRawBufferPointer(rebasing: whole[range])
        }
        var memory = try RangedMemory(part(256..<768))
        let piece = try #require(allocate(from: &memory, 512, 1))
        #expect(allocate(from: &memory, 1, 1) == nil && piece.baseAddress == whole.baseAddress! + 256)
        for foreign in [0..<10, 250..<260, 760..<770, 768..<769, 0..<1024] {
            #expect(!deallocate(from: &memory, part(foreign)) && memory.usedByteCount == 512)
        }
        #expect(!deallocate(from: &memory, UnsafeMutableRawBufferPointer(start: nil, count: 0)))
        #expect(!deallocate(from: &memory, UnsafeMutableRawBufferPointer(start: piece.baseAddress, count: .max)))
        #expect(deallocate(from: &memory, part(300..<300)) && deallocate(from: &memory, part(300..<400)))
        // Freed already: as it was, around it, inside of it, and over several free and allocated ones.
        for again in [300..<400, 290..<310, 290..<410, 320..<330, 256..<768] {
            #expect(!deallocate(from: &memory, part(again)) && memory.usedByteCount == 412)
            #expect(memory.brokenInvariant() == nil)
        }
        #expect(
            deallocate(from: &memory, part(256..<300)) && deallocate(from: &memory, part(400..<768)) && memory.isEmpty)
    }

    @Test func aSnapshotIsOfOffsets() throws {
        let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: 2048, alignment: 64)
        defer { whole.deallocate() }
        var first = try RangedMemory(UnsafeMutableRawBufferPointer(rebasing: whole[..<1000]), granule: 4)
        _ = first.allocate(byteCount: 100)
        let middle = try #require(allocate(from: &first, 200, 4))
        _ = first.allocate(byteCount: 300, alignment: 4)
        _ = first.deallocate(middle)
        let snapshot = first.snapshot
        #expect(snapshot == RangeSnapshot(size: 250, freeRanges: [25..<75, 150..<250]))
        // In another buffer, which lies elsewhere.
        var second = try RangedMemory(UnsafeMutableRawBufferPointer(rebasing: whole[1032..<2032]), granule: 4)
        try second.restore(snapshot)
        #expect(second.snapshot == snapshot && second.brokenInvariant() == nil && second.usedByteCount == 400)
        let piece = try #require(allocate(from: &second, 200, 4))
        #expect(piece.baseAddress == whole.baseAddress! + 1032 + 100)
        // Of a shorter buffer: what is behind it is free, and joined.
        for (shorter, free) in [
            (RangeSnapshot(size: 100, freeRanges: [90..<100]), [90..<250]),
            (RangeSnapshot(size: 100, freeRanges: [10..<90]), [10..<90, 100..<250]),
        ] {
            var third = try RangedMemory(UnsafeMutableRawBufferPointer(rebasing: whole[4..<1004]), granule: 4)
            try third.restore(shorter)
            #expect(third.snapshot.freeRanges == free && third.brokenInvariant() == nil)
        }
        for wrong in [RangeSnapshot(size: 251, freeRanges: []), RangeSnapshot(size: 250, freeRanges: [240..<251])] {
            do throws(RangeSnapshotError) {
                try second.restore(wrong)
                Issue.record("a wrong snapshot is restored")
            } catch { #expect(second.usedByteCount == 600 && second.brokenInvariant() == nil) }
        }
    }

    @Test func piecesAreAlignedByAddress() throws {
        let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 8192)
        defer { whole.deallocate() }
        var memory = try RangedMemory(UnsafeMutableRawBufferPointer(rebasing: whole[24...]), granule: 8)
        for shift in 0...12 {
            let piece = try #require(allocate(from: &memory, 100, 1 << shift))
            #expect(Int(bitPattern: piece.baseAddress!) % (1 << shift) == 0 && piece.count == 104)
        }
        #expect(allocate(from: &memory, 8, 1 << 31) == nil)
        #expect(allocate(from: &memory, .max, 1) == nil)
    }

    @Test func anEmptyBufferServesNothing() throws {
        for buffer in [
            UnsafeMutableRawBufferPointer(start: nil, count: 0),
            UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: 0x1001), count: 14),
        ] {
            var memory = try RangedMemory(buffer, granule: 16)
            #expect(memory.byteCount == 0 && memory.isEmpty && memory.largestFree == 0 && memory.freeAtEnd == 0)
            #expect(allocate(from: &memory, 1, 1) == nil && allocate(from: &memory, 0, 1)?.count == 0)
            memory.freeAll()
            #expect(memory.brokenInvariant() == nil && memory.freePieces.isEmpty && memory.usedPieces.isEmpty)
        }
    }

    @Test func granulesThatCannotBe() {
        for granule in [0, -16, 24, 1 << 17] {
            do throws(ConfigurationError) {
                _ = try RangedMemory(UnsafeMutableRawBufferPointer(start: nil, count: 0), granule: granule)
                Issue.record("a granule of \(granule)")
            } catch { #expect(error.argument == "granule" && error.value == granule) }
        }
    }
}

@Suite struct RangedMemoryMisuseTests {
    @Test func whatMakesNoSenseTraps() async {
        let negative = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = try RangedMemory.pooled(byteCount: 100)
            _ = memory.allocate(byteCount: -1)
        }
        #expect(says(negative?.standardErrorContent, "RangedMemory: a request for a negative number of bytes (-1)"))
        let alignment = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = try RangedMemory.pooled(byteCount: 100)
            _ = memory.allocate(byteCount: 1, alignment: 12)
        }
        #expect(says(alignment?.standardErrorContent, "with the alignment 12, which is no power of two"))
    }

    @Test func growingIntoAnotherBufferTraps() async {
        let elsewhere = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 100, alignment: 16)
            var memory = try RangedMemory(UnsafeMutableRawBufferPointer(rebasing: buffer[..<50]))
            memory.grow(to: UnsafeMutableRawBufferPointer(rebasing: buffer[1...]))
        }
        #expect(says(elsewhere?.standardErrorContent, "is not the memory, grown in place"))
        let pooled = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var memory = try RangedMemory.pooled(byteCount: 100)
            memory.grow(to: memory.buffer)
        }
        #expect(says(pooled?.standardErrorContent, "is of a pool, and grown"))
    }
}
