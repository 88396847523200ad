// Files that are closed and opened again, by this process and by others, beside a model.

import AllocatorTestKit
import Foundation
import Mallow
import SystemMemory
import Testing

@testable import SlabArenas

@Suite struct SlabFileTests {
    @Test func locationsAndLinksHoldAfterOpening() throws {
        try withFile { path in
            let file = try SlabFile(creating: path, startChunkSize: 32, slabSize: 1 << 16, growthFactor: 2)
            let arena = file.arena
            let head = try arena.allocateChunk(byteCount: 3)
            let tail = try arena.allocateChunk(byteCount: 700)
            head.copyBytes(from: [1, 2, 3])
            tail.initializeMemory(as: UInt8.self, repeating: 9)
            arena.setNext(UnsafeMutableRawBufferPointer(rebasing: tail[100..<300]), of: head)
            arena.release(tail)
            file.root = arena.store(head)
            #expect(file.byteCount == (try contents(path)).count)
            try file.close()
            #expect(file.isClosed && file.byteCount == 0)

            let again = try SlabFile(opening: path)
            #expect(again.arena.startChunkSize == 32 && again.arena.growthFactor == 2)
            #expect(again.arena.slabSize == 1 << 16 && again.arena.alignment == 8)
            let found = try #require(again.arena.take(again.root))
            #expect(found.elementsEqual([1, 2, 3]))
            let next = try #require(again.arena.next(of: found))
            #expect(next.count == 200 && next.allSatisfy { $0 == 9 })
            again.arena.release(next)
            #expect(again.arena.release(found))
            #expect(again.arena.statistics.liveBlocks == 0)
            again.arena.checkInvariants()
            try again.arena.close()
            try again.close()
        }
    }

    /// Two copies cannot lie at the same addresses.
    @Test func copiesAreOpenSideBySide() throws {
        try withFile { path in
            let file = try SlabFile(creating: path, slabSize: 1 << 16)
            let chunk = try file.arena.allocateChunk(byteCount: 5)
            chunk.copyBytes(from: [5, 4, 3, 2, 1])
            file.root = file.arena.store(chunk)
            try file.close()
            try FileManager.default.copyItem(atPath: path, toPath: path + ".copy")
            let (first, second) = (try SlabFile(opening: path), try SlabFile(opening: path + ".copy"))
            let (one, other) = (first.arena.buffer(at: first.root)!, second.arena.buffer(at: second.root)!)
            #expect(first.root == second.root && one.baseAddress != other.baseAddress)
            one[0] = 7
            #expect(one.elementsEqual([7, 4, 3, 2, 1]) && other.elementsEqual([5, 4, 3, 2, 1]))
            #expect(second.arena.location(of: one).isNil)
        }
    }

    @Test func anArenaThatEndsSavesItsFile() throws {
        try withFile { path in
            var file: SlabFile? = try SlabFile(creating: path, slabSize: 1 << 16)
            var arena: SlabArena? = file!.arena
            file!.root = arena!.store(try arena!.allocateChunk(byteCount: 10))
            let root = file!.root
            file = nil
            withExtendedLifetime(arena) { #expect(refusal(path) == .inUse) }
            arena = nil
            let again = try SlabFile(opening: path)
            #expect(again.root == root && again.arena.isLive(root))
        }
    }

    @Test func afterClosingTheArenaIsEmptyAndRefuses() throws {
        try withFile { path in
            let file = try SlabFile(creating: path, slabSize: 1 << 16)
            let location = file.arena.store(try file.arena.allocateChunk(byteCount: 10))
            try file.close()
            #expect(file.arena.buffer(at: location) == nil)
            #expect(file.arena.statistics.liveBlocks == 0)
            file.arena.checkInvariants()
            #expect(throws: AllocationError.self) { try file.arena.allocateChunk(byteCount: 10) }
            #expect(file.lastRefusal?.kind == .closed)
            #expect(throws: SlabFileError.self) { try file.close() }
            #expect(throws: SlabFileError.self) { try file.sync() }
        }
    }

    @Test func keepsTheContract() throws {
        for (start, slabSize) in [(1, 4096), (64, 65536)] {
            try withFile { path in
                try checkAllocator(
                    sequences: 2, steps: 150,
                    traits: .with {
                        $0.largestByteCount = slabSize
                        $0.largestAlignment = 8
                    }
                ) {
                    try? FileManager.default.removeItem(atPath: path)
                    let file = try SlabFile(creating: path, startChunkSize: start, slabSize: slabSize)
                    return file.arena
                }
            }
        }
    }

    @Test(arguments: [(1.1, 1, 4096), (1.25, 64, 8192), (2, 48, 65536), (4, 1000, 10_000)])
    func sequencesGoOnWhereTheyWere(factor: Double, start: Int, slabSize: Int) throws {
        try withFile { path in
            var random = SeededGenerator(seed: UInt64(start))
            var model = FileModel()
            var file = try SlabFile(
                creating: path, startChunkSize: start, slabSize: slabSize, growthFactor: factor,
                alignment: start % 2 == 1 ? 1 : 8)
            for round in 0..<12 {
                file.arena.emptySlabDelay = [.zero, .seconds(1), nil][round % 3]
                for _ in 0..<120 { try model.step(file.arena, &random) }
                let before = file.arena.slabStatistics
                if round % 4 == 3 { try file.sync() }
                try file.close(checksummingData: round % 2 == 0)
                file = try SlabFile(opening: path)
                #expect(model.difference(from: file.arena) == nil)
                expectSame(before, file.arena.slabStatistics)
            }
            model.end(file.arena)
            #expect(model.difference(from: file.arena) == nil)
            try file.arena.close()
            try file.close()
            // Nothing but the superblock and the room for the table.
            #expect(try contents(path).count < 1 << 20)
            file = try SlabFile(opening: path)
            #expect(model.difference(from: file.arena) == nil)
            // New slabs in the places of old ones: no location of before is live again.
            for _ in 0..<150 { try model.step(file.arena, &random) }
            #expect(model.difference(from: file.arena) == nil)
        }
    }

    /// What is counted goes on, but what the arena's own tables take in a process, and the chains that the model read.
    private func expectSame(_ before: SlabStatistics, _ after: SlabStatistics) {
        var (before, after) = (before, after)
        (after.referencesAdded, after.referencesReleased, after.chainReads) = (0, 0, 0)
        (before.referencesAdded, before.referencesReleased, before.chainReads) = (0, 0, 0)
        (before.bytesHeld, before.bytesOverhead, after.bytesHeld, after.bytesOverhead) = (0, 0, 0, 0)
        #expect(before == after)
    }

    @Test func anotherProcessGoesOn() async throws {
        try await withFileAsync { path in
            var random = SeededGenerator(seed: 77)
            var model = FileModel()
            let file = try SlabFile(creating: path, startChunkSize: 16, slabSize: 8192, growthFactor: 1.5)
            for _ in 0..<300 { try model.step(file.arena, &random) }
            try file.close()
            for round in 0..<3 {
                try JSONEncoder().encode(model).write(to: URL(fileURLWithPath: path + ".model"))
                await #expect(processExitsWith: .success) { [path = path as String, round = round as Int] in
                    let url = URL(fileURLWithPath: path + ".model")
                    var model = try JSONDecoder().decode(FileModel.self, from: Data(contentsOf: url))
                    var random = SeededGenerator(seed: UInt64(round))
                    let file = try SlabFile(opening: path)
                    #expect(model.difference(from: file.arena) == nil)
                    for _ in 0..<300 { try model.step(file.arena, &random) }
                    try file.close()
                    try JSONEncoder().encode(model).write(to: url)
                }
                model = try JSONDecoder().decode(
                    FileModel.self, from: Data(contentsOf: URL(fileURLWithPath: path + ".model")))
                let file = try SlabFile(opening: path)
                #expect(model.difference(from: file.arena) == nil)
                for _ in 0..<100 { try model.step(file.arena, &random) }
                try file.close()
            }
            #expect(model.steps == 300 + 3 * 400)
        }
    }

    /// Slabs that change their class have room for other numbers of records than their chunks need.
    @Test func rebalancingGoesOnWhereItWas() throws {
        try withFile { path in
            var random = SeededGenerator(seed: 4)
            var model = FileModel()
            var file = try SlabFile(creating: path, startChunkSize: 64, slabSize: 8192, growthFactor: 2)
            for size in [60, 120, 250, 500, 1000] {
                file.maximumByteCount = 400_000
                while true {
                    do { try model.allocate(file.arena, size, &random) } catch is AllocationError { break }
                    model.items[model.lastNumber]!.isStored = true
                    #expect(
                        file.arena.store(file.arena.buffer(at: model.items[model.lastNumber]!.location)!).count == size)
                }
                for number in model.items.keys.sorted() where Int.random(in: 0..<3, using: &random) > 0 {
                    file.arena.release(at: model.items[number]!.location)
                    model.remove(number)
                }
                try file.close()
                file = try SlabFile(opening: path)
                #expect(model.difference(from: file.arena) == nil)
                model.rebalance(file.arena, to: 2 * size)
                model.rebalance(file.arena, to: 4000)
                try file.close()
                file = try SlabFile(opening: path)
                #expect(model.difference(from: file.arena) == nil)
                let moves = model.moves
                model.rebalance(file.arena)
                #expect(moves > 0 && model.difference(from: file.arena) == nil)
            }
            #expect(file.arena.slabStatistics.chunksMoved == model.moves)
            #expect(file.arena.slabStatistics.slabsReassigned > 0)
        }
    }

    @Test func generationsThatAreUsedUpStayUsedUp() throws {
        try withFile { path in
            let file = try SlabFile(creating: path, startChunkSize: 64, slabSize: 4096, growthFactor: 64)
            let arena = file.arena
            let kept = arena.store(try arena.allocateChunk(byteCount: 10))
            let chunk = try arena.allocateChunk(byteCount: 10)
            arena.liveChunk(chunk.baseAddress!).record.pointee.state |= UInt64(ChunkRecord.lastGeneration) << 33
            arena.release(chunk)
            arena.checkInvariants()
            #expect(arena.slabStatistics.classes[0].chunksRetired == 1)
            try file.close()
            var again = try SlabFile(opening: path)
            #expect(again.arena.slabStatistics.classes[0].chunksRetired == 1)
            again.arena.checkInvariants()
            again.arena.release(at: kept)
            again.arena.trim()
            try again.close()
            // The number went with its generations: the next slab has another.
            again = try SlabFile(opening: path)
            let fresh = again.arena.location(of: try again.arena.allocateChunk(byteCount: 10))
            #expect(fresh.slab == 1 && fresh.generation == 1)
            again.arena.checkInvariants()
        }
    }

    @Test func spaceIsUsedAgainAndGivenBack() throws {
        try withFile { path in
            let file = try SlabFile(creating: path, startChunkSize: 1 << 16, slabSize: 1 << 16, growthFactor: 2)
            file.arena.emptySlabDelay = .zero
            let chunks = try (0..<10).map { _ in try file.arena.allocateChunk(byteCount: 1 << 16) }
            let full = file.byteCount
            for chunk in chunks { chunk.initializeMemory(as: UInt8.self, repeating: 1) }
            try file.sync()
            let blocks = try diskBytes(path)
            #expect(blocks >= 10 << 16)
            // Holes in the middle: as long as before, and less on the disk.
            for index in [2, 3, 7] { file.arena.release(chunks[index]) }
            #expect(file.byteCount == full)
            #expect(try diskBytes(path) <= blocks - 3 << 16)
            // Used again before the end moves.
            for _ in 0..<3 { _ = try file.arena.allocateChunk(byteCount: 1 << 16) }
            #expect(file.byteCount == full)
            // The end goes, and the holes before it.
            for index in [9, 8, 6, 5, 4] { file.arena.release(chunks[index]) }
            #expect(file.byteCount < full)
            #expect(try contents(path).count == file.byteCount)
            file.arena.checkInvariants()
            try file.close()
            #expect(refusal(path) == nil)
        }
    }

    @Test func growsToItsLimitAndNotBeyond() throws {
        try withFile { path in
            let file = try SlabFile(creating: path, startChunkSize: 4096, slabSize: 1 << 16)
            file.maximumByteCount = 1 << 20
            var chunks: [UnsafeMutableRawBufferPointer] = []
            while let chunk = file.arena.tryAllocateChunk(byteCount: 4096) { chunks.append(chunk) }
            #expect(file.lastRefusal?.kind == .limitExceeded(limit: 1 << 20))
            #expect(file.byteCount <= 1 << 20 && chunks.count >= 13 * 16)
            // A cache frees something, and has its request tried again.
            file.arena.onShortage = { _ in
                guard let chunk = chunks.popLast() else { return false }
                file.arena.release(chunk)
                return true
            }
            file.arena.release(try file.arena.allocateChunk(byteCount: 1 << 16))
            file.arena.onShortage = nil
            file.arena.checkInvariants()
            try file.close()
            #expect(refusal(path) == nil)
        }
    }
}

/// What a file takes on the disk.
func diskBytes(_ path: String) throws -> Int {
    var status = stat()
    try #require(stat(path, &status) == 0)
    return Int(status.st_blocks) * 512
}
