// The parts of a file by themselves: the account of its space, checksums, errors, and what is never saved.

import AllocatorTestKit
import Foundation
import Mallow
import SystemMemory
import Testing

@testable import SlabArenas

@Suite struct SlabFilePartsTests {
    @Test(arguments: 0..<10) func spaceIsAccountedFor(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        var space = FileSpace(start: 4096)
        var inUse: [Range<UInt64>] = []
        for _ in 0..<400 {
            if Int.random(in: 0..<5, using: &random) < 3 {
                let count = UInt64.random(in: 1...6, using: &random) * 4096
                let offset = space.find(count)
                let range = offset..<offset + count
                #expect(offset >= 4096 && inUse.allSatisfy { !$0.overlaps(range) })
                // The first place where it fits.
                let earlier = ([4096] + inUse.map(\.upperBound)).filter { $0 < offset }
                #expect(earlier.allSatisfy { start in inUse.contains { $0.overlaps(start..<start + count) } })
                space.take(range)
                inUse.append(range)
            } else if let index = inUse.indices.randomElement(using: &random) {
                let range = inUse.remove(at: index)
                let hole = space.giveBack(range)
                #expect((hole == nil) == (space.end < range.upperBound))
                if let hole { #expect(hole.contains(range.lowerBound) && inUse.allSatisfy { !$0.overlaps(hole) }) }
            }
            #expect(space.end == inUse.map(\.upperBound).max() ?? 4096)
            #expect(space == FileSpace(start: 4096, inUse: inUse))
        }
    }

    @Test func rangesThatCannotBeAreRefused() {
        #expect(FileSpace(start: 10, inUse: [10..<20, 30..<40])?.holes == [20..<30])
        #expect(FileSpace(start: 10, inUse: [10..<20, 19..<40]) == nil)
        #expect(FileSpace(start: 10, inUse: [9..<20]) == nil)
        #expect(FileSpace(start: 10, inUse: [10..<10]) == nil)
        #expect(FileSpace(start: 10, inUse: [10..<20, 10..<20]) == nil)
        #expect(FileSpace(start: 10, inUse: [])?.end == 10)
    }

    /// Every change of one bit, of two, and of the length, makes another checksum.
    @Test func checksumsTellChanges() {
        var seen: Set<UInt64> = []
        func sum(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { SlabChecksum.of($0) } }
        for count in [0, 1, 7, 8, 9, 64, 100] {
            var bytes = [UInt8](repeating: 0, count: count)
            #expect(seen.insert(sum(bytes)).inserted)
            for bit in 0..<count * 8 {
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
                #expect(seen.insert(sum(bytes)).inserted)
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            }
        }
        var random = SeededGenerator(seed: 1)
        var words = (0..<24).map { _ in UInt8.random(in: 0...255, using: &random) }
        for first in 0..<192 {
            words[first / 8] ^= 1 << UInt8(first % 8)
            for second in 0..<first {
                words[second / 8] ^= 1 << UInt8(second % 8)
                #expect(seen.insert(sum(words)).inserted)
                words[second / 8] ^= 1 << UInt8(second % 8)
            }
            words[first / 8] ^= 1 << UInt8(first % 8)
        }
        // Whatever address they are at.
        let bytes = (0..<100).map { UInt8($0) }
        #expect(
            (1..<9).allSatisfy { shift in
                ([UInt8](repeating: 0, count: shift) + bytes).dropFirst(shift).withUnsafeBytes {
                    SlabChecksum.of($0)
                } == sum(bytes)
            })
    }

    @Test func errorsAreALineThatNamesTheFileAndAWayOut() {
        let kinds: [SlabFileError.Kind] = [
            .notASlabFile, .otherVersion(3, readable: 1), .otherByteOrder, .otherPageSize(65536),
            .truncated(byteCount: 1, saved: 2), .torn("x"), .unsound("x"), .inUse, .alreadyExists, .closed,
            .configuration("x"), .limitExceeded(limit: 4), .outOfMemory, .systemCall("open", errno: ENOENT),
            .systemCall("posix_fallocate", errno: ENOSPC), .systemCall("mmap", errno: EBADF),
        ]
        for kind in kinds {
            let text = SlabFileError(kind, "/tmp/a file.slabs").description
            #expect(text.hasPrefix("SlabFile: /tmp/a file.slabs: ") && !text.contains("\n") && text.utf8.count < 200)
            #expect(text.contains(": ") && !text.hasSuffix("."))
        }
        #expect(
            SlabFileError(.systemCall("posix_fallocate", errno: ENOSPC), "a").description
                == "SlabFile: a: posix_fallocate failed: No space left on device (errno 28): make room on the disk and "
                + "try again")
    }

    @Test func aRingIsNotSaved() throws {
        try withFile { path in
            let file = try SlabFile(creating: path, slabSize: 4096)
            let chunks = try (0..<3).map { _ in try file.arena.allocateChunk(byteCount: 64) }
            for index in 0..<3 { file.arena.setNext(chunks[(index + 1) % 3], of: chunks[index]) }
            let error = #expect(throws: SlabFileError.self) { try file.close() }
            #expect(error?.kind == .unsound("a chain of its chunks is a ring"))
            #expect(throws: SlabFileError.self) { try file.sync() }
            #expect(!file.isClosed)
            file.arena.setNext(nil, of: chunks[2])
            try file.close()
            #expect(refusal(path) == nil)
        }
    }

    @Test func aLongChainIsOpened() throws {
        try withFile { path in
            let file = try SlabFile(creating: path, startChunkSize: 8, slabSize: 1 << 16)
            var head: UnsafeMutableRawBufferPointer?
            for _ in 0..<100_000 {
                let chunk = try file.arena.allocateChunk(byteCount: 8)
                if let head {
                    file.arena.setNext(head, of: chunk)
                    file.arena.release(head)
                }
                head = chunk
            }
            file.root = file.arena.store(head!)
            try file.close()
            let again = try SlabFile(opening: path)
            #expect(again.arena.statistics.liveBlocks == 100_000)
            #expect(again.arena.release(at: again.root))
            #expect(again.arena.statistics.liveBlocks == 0)
        }
    }

    /// A program that wrote beyond its chunks finds out before it is kept for good.
    @Test func whatIsBrokenIsNotSaved() throws {
        try withFile { path in
            let file = try SlabFile(creating: path, slabSize: 4096)
            let chunk = try file.arena.allocateChunk(byteCount: 64)
            let record = file.arena.liveChunk(chunk.baseAddress!).record
            record.pointee.requested = 4096
            let error = #expect(throws: SlabFileError.self) { try file.close() }
            #expect(error?.kind == .unsound("slab 0's records contradict themselves"))
            record.pointee.requested = 64
            try file.close()
        }
    }
}
