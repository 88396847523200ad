// Files that were cut, changed, killed, copied in mid-use, or made to harm: refused, and never a crash.

import AllocatorTestKit
import Foundation
import Mallow
import Testing

@testable import SlabArenas

/// A saved file as bytes, with checksums that can be made right again: what an enemy can write.
struct FileImage {
    var bytes: [UInt8]

    init(_ path: String) throws { bytes = try contents(path) }

    func load<Value: BitwiseCopyable>(_ offset: Int, as type: Value.Type) -> Value {
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) }
    }

    mutating func store<Value: BitwiseCopyable>(_ value: Value, _ offset: Int) {
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: Value.self) }
    }

    var superblock: SlabFileSuperblock {
        get { load(0, as: SlabFileSuperblock.self) }
        set { store(newValue, 0) }
    }

    var tableRange: Range<Int> {
        let start = Int(clamping: superblock.tableOffset)
        return start..<start + Int(clamping: superblock.tableByteCount)
    }
    var table: SlabFileTable { load(tableRange.lowerBound, as: SlabFileTable.self) }
    var slotsOffset: Int {
        tableRange.lowerBound + MemoryLayout<SlabFileTable>.size
            + Int(table.classCount) * MemoryLayout<SlabFileClass>.size
    }
    /// Where the entries of slabs are, each with the range of the slab's carved records and of its carved chunks.
    var slabs: [(entry: Int, records: Range<Int>, data: Range<Int>)] {
        let sizes = SlabSizes(
            startChunkSize: Int(superblock.startChunkSize), slabSize: Int(superblock.slabSize),
            growthFactor: Double(bitPattern: superblock.growthFactor), alignment: Int(superblock.alignment))!
        defer { sizes.free() }
        let headerOffset = Int(superblock.slabSize + 15) & ~15
        return (0..<Int(table.slotCount)).compactMap { number in
            let entry = slotsOffset + number * MemoryLayout<SlabFileSlot>.size
            let slot = load(entry, as: SlabFileSlot.self)
            guard slot.offset != 0 else { return nil }
            let first = Int(slot.offset) + headerOffset + MemoryLayout<SlabHeader>.size
            return (
                entry, first..<first + Int(slot.carved) * MemoryLayout<ChunkRecord>.stride,
                Int(slot.offset)..<Int(slot.offset) + Int(slot.carved) * sizes.sizes[Int(slot.classIndex)]
            )
        }
    }

    /// Makes the checksums right, for the slabs as they were before they were changed.
    mutating func seal(_ slabs: [(entry: Int, records: Range<Int>, data: Range<Int>)], table: Range<Int>) {
        for (entry, records, data) in slabs {
            var slot = load(entry, as: SlabFileSlot.self)
            slot.recordsChecksum = bytes[records].withUnsafeBytes { SlabChecksum.of($0) }
            slot.dataChecksum = bytes[data].withUnsafeBytes { SlabChecksum.of($0) }
            store(slot, entry)
        }
        superblock.tableChecksum = bytes[table].withUnsafeBytes { SlabChecksum.of($0) }
        superblock.checksum = superblock.expectedChecksum
    }
}

@Suite struct SlabFileDamageTests {
    /// A file with all that there can be in one, and what it holds.
    private func makeFile(_ path: String, checksummingData: Bool = false, steps: Int = 400) throws -> FileModel {
        var random = SeededGenerator(seed: 3)
        var model = FileModel()
        let file = try SlabFile(creating: path, startChunkSize: 48, slabSize: 4096, growthFactor: 3)
        file.arena.emptySlabDelay = .zero
        for _ in 0..<steps { try model.step(file.arena, &random) }
        file.root = model.items.values.first!.location
        try file.close(checksummingData: checksummingData)
        return model
    }

    @Test func filesThatAreCutAreRefused() throws {
        try withFile { path in
            let model = try makeFile(path)
            let image = try FileImage(path)
            let page = Int(image.superblock.pageByteCount)
            var lengths = [0, 1, 7, 8, 9, 100, SlabFileSuperblock.byteCount - 1, SlabFileSuperblock.byteCount]
            lengths += [page - 1, page, page + 1]
            for slab in image.slabs {
                let slot = image.load(slab.entry, as: SlabFileSlot.self)
                for edge in [Int(slot.offset), slab.records.lowerBound, Int(slot.offset + slot.byteCount)] {
                    lengths += [edge - 1, edge, edge + 1]
                }
            }
            lengths += [image.tableRange.lowerBound + 1, image.tableRange.upperBound - 1, image.tableRange.upperBound]
            lengths.append(image.bytes.count - 1)
            for length in Set(lengths).sorted() where length < image.bytes.count {
                try write(Array(image.bytes[..<length]), path)
                let kind = refusal(path)
                if length == 0 {
                    #expect(kind == .notASlabFile)
                } else if length < SlabFileSuperblock.byteCount {
                    #expect(kind == .truncated(byteCount: length, saved: SlabFileSuperblock.byteCount))
                } else {
                    #expect(kind == .truncated(byteCount: length, saved: image.bytes.count))
                }
                #expect(try contents(path).count == length)
            }
            try write(image.bytes + [0], path)
            #expect(refusal(path)?.isTorn == true)
            try write(image.bytes, path)
            let file = try SlabFile(opening: path)
            #expect(model.difference(from: file.arena) == nil)
        }
    }

    @Test func everyChangedByteOfWhatTheArenaReliesOnIsRefused() throws {
        try withFile { path in
            _ = try makeFile(path)
            let image = try FileImage(path)
            var random = SeededGenerator(seed: 8)
            var places = Array(0..<SlabFileSuperblock.byteCount) + Array(image.tableRange)
            for slab in image.slabs {
                places += slab.records.filter { _ in Int.random(in: 0..<9, using: &random) == 0 }
            }
            #expect(places.count > 1000)
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            for place in places {
                let changed = image.bytes[place] ^ 1 << Int.random(in: 0..<8, using: &random)
                try handle.seek(toOffset: UInt64(place))
                try handle.write(contentsOf: [changed])
                #expect(refusal(path) != nil, "byte \(place)")
                try handle.seek(toOffset: UInt64(place))
                try handle.write(contentsOf: [image.bytes[place]])
            }
            // Refusing changed nothing.
            #expect(try contents(path) == image.bytes)
            #expect(refusal(path) == nil)
        }
    }

    @Test(arguments: [false, true]) func changedDataAreRefusedWhereTheyHaveChecksums(checksummingData: Bool) throws {
        try withFile { path in
            _ = try makeFile(path, checksummingData: checksummingData)
            var random = SeededGenerator(seed: 9)
            let image = try FileImage(path)
            for slab in image.slabs where !slab.data.isEmpty {
                var changed = image.bytes
                changed[slab.data.randomElement(using: &random)!] ^= 16
                try write(changed, path)
                #expect((refusal(path) != nil) == checksummingData)
            }
            // What nothing relies on may be anything: the slabs' old headers, the ends of pages.
            for slab in image.slabs {
                var changed = image.bytes
                for place in slab.records.lowerBound - MemoryLayout<SlabHeader>.size..<slab.records.lowerBound {
                    changed[place] = .random(in: 0...255, using: &random)
                }
                try write(changed, path)
                #expect(refusal(path) == nil)
            }
        }
    }

    @Test func filesOfOtherKindsAreRefused() throws {
        try withFile { path in
            _ = try makeFile(path)
            let image = try FileImage(path)
            func refusal(_ change: (inout SlabFileSuperblock) -> Void) throws -> SlabFileError.Kind? {
                var changed = image
                change(&changed.superblock)
                changed.superblock.checksum = changed.superblock.expectedChecksum
                try write(changed.bytes, path)
                return SlabArenasTests.refusal(path)
            }
            let version = Int(SlabFileSuperblock.version)
            #expect(try refusal { $0.version += 1000 } == .otherVersion(version + 1000, readable: version))
            #expect(try refusal { $0.version = .max } == .otherVersion(.max, readable: version))
            #expect(try refusal { $0.byteOrder = $0.byteOrder.byteSwapped } == .otherByteOrder)
            #expect(try refusal { $0.pageByteCount = 2048 } == .otherPageSize(2048))
            #expect(try refusal { $0.magic ^= 1 } == .notASlabFile)
            for change: (inout SlabFileSuperblock) -> Void in [
                { $0.byteOrder = 1 }, { $0.state = 0 }, { $0.pageByteCount = 0 }, { $0.pageByteCount = 5000 },
                { $0.slabSize = 0 }, { $0.slabSize = .max }, { $0.startChunkSize = 0 }, { $0.alignment = 3 },
                { $0.growthFactor = Double.nan.bitPattern }, { $0.growthFactor = (1.0).bitPattern },
                { $0.growthFactor = (1 + 1e-9).bitPattern }, { $0.growthFactor = (2.0).bitPattern },
                { $0.tableOffset = .max }, { $0.tableByteCount = .max }, { $0.tableOffset -= $0.pageByteCount },
                { $0.tableByteCount = 0 }, { $0.state = SlabFileSuperblock.inUse },
            ] {
                #expect(try refusal(change)?.isTorn == true)
            }
            #expect(try refusal { $0.root = .nil } == nil)

            try write(Array("#!/bin/sh\nexit\n".utf8), path)
            #expect(SlabArenasTests.refusal(path) == .notASlabFile)
            try FileManager.default.removeItem(atPath: path)
            #expect(SlabArenasTests.refusal(path) == .systemCall("open", errno: ENOENT))
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            #expect(SlabArenasTests.refusal(path) == .systemCall("open", errno: EISDIR))
            try FileManager.default.removeItem(atPath: path)
            try #require(mkfifo(path, 0o600) == 0)
            #expect(SlabArenasTests.refusal(path) == .notASlabFile)
            #expect(SlabArenasTests.refusal(path + "\0") == .systemCall("open", errno: EINVAL))
        }
    }

    /// Fields changed at random, to numbers that hurt, with checksums that are right: refused, or an arena in which
    /// every invariant holds and which can be used up.
    @Test(arguments: 0..<8) func filesThatWereMadeToHarmAreRefusedOrSound(seed: Int) throws {
        try withFile { path in
            _ = try makeFile(path, checksummingData: seed % 2 == 0, steps: 60 + 40 * seed)
            let image = try FileImage(path)
            let (slabs, tableRange) = (image.slabs, image.tableRange)
            var random = SeededGenerator(seed: UInt64(seed) + 100)
            var (opened, refused) = (0, 0)
            for _ in 0..<250 {
                var changed = image
                for _ in 0..<Int.random(in: 1...3, using: &random) { changed.hurt(slabs, tableRange, &random) }
                changed.seal(slabs, table: tableRange)
                try write(changed.bytes, path)
                do throws(SlabFileError) {
                    let file = try SlabFile(opening: path)
                    opened += 1
                    #expect(file.arena.brokenInvariant() == nil)
                    useUp(file.arena)
                    try file.close()
                } catch {
                    refused += 1
                    #expect(!error.description.contains("\n"))
                }
            }
            #expect(opened > 0 && refused > 100, "\(opened) opened, \(refused) refused")
        }
    }

    /// Touches, moves and frees everything.
    private func useUp(_ arena: SlabArena) {
        var locations: [SlabLocation] = []
        arena.forEachLiveChunk { locations.append($0) }
        for location in locations {
            let buffer = arena.buffer(at: location)!
            buffer.initializeMemory(as: UInt8.self, repeating: 1)
            var (next, steps) = (arena.next(of: buffer), 0)
            while let found = next {
                found.initializeMemory(as: UInt8.self, repeating: 2)
                next = arena.next(of: found)
                arena.release(found)
                steps += 1
                #expect(steps <= locations.count)
            }
        }
        for size in stride(from: 0, through: arena.slabSize, by: arena.slabSize / 40 + 1) {
            guard let chunk = arena.tryAllocateChunk(byteCount: size) else { continue }
            chunk.initializeMemory(as: UInt8.self, repeating: 3)
            arena.release(chunk)
        }
        #expect(arena.brokenInvariant() == nil)
        for location in locations {
            if let buffer = arena.buffer(at: location) { arena.setNext(nil, of: buffer) }
        }
        for location in locations {
            // What a file says that is referenced a billion times is left.
            for _ in 0..<100 where arena.isLive(location) { arena.release(at: location) }
        }
        arena.trim()
        #expect(arena.brokenInvariant() == nil)
        _ = arena.statistics.freeBytes
    }
}

extension FileImage {
    /// Changes one field.
    fileprivate mutating func hurt(
        _ slabs: [(entry: Int, records: Range<Int>, data: Range<Int>)], _ tableRange: Range<Int>,
        _ random: inout SeededGenerator
    ) {
        func bad(_ old: UInt64, _ width: Int) -> UInt64 {
            let small: [UInt64] = [0, 1, 2, 31, 32, 255, 4095, 4096, 1 << 31, 1 << 32, 1 << 33, .max, .max - 1]
            switch Int.random(in: 0..<6, using: &random) {
            case 0: return old &+ 1
            case 1: return old &- 1
            case 2: return old ^ 1 << UInt64.random(in: 0..<UInt64(width * 8), using: &random)
            case 3: return .random(in: 0...UInt64.max, using: &random)
            case 4: return .random(in: 0...200, using: &random)
            default: return small.randomElement(using: &random)!
            }
        }
        func change(_ image: inout FileImage, _ offset: Int, _ width: Int) {
            if width == 8 {
                image.store(bad(image.load(offset, as: UInt64.self), 8), offset)
            } else {
                image.store(UInt32(truncatingIfNeeded: bad(UInt64(image.load(offset, as: UInt32.self)), 4)), offset)
            }
        }
        let slab = slabs.randomElement(using: &random)!
        switch Int.random(in: 0..<8, using: &random) {
        case 0: change(&self, 8 * Int.random(in: 0..<SlabFileSuperblock.byteCount / 8, using: &random), 8)
        case 1: change(&self, tableRange.lowerBound + 8 * Int.random(in: 0..<tableRange.count / 8, using: &random), 8)
        case 2, 3: change(&self, slab.entry + 4 * Int.random(in: 0..<14, using: &random), 4)
        default:
            guard !slab.records.isEmpty else { return }
            let record = slab.records.lowerBound + 24 * Int.random(in: 0..<slab.records.count / 24, using: &random)
            change(&self, record + 4 * Int.random(in: 0..<6, using: &random), 4)
        }
    }
}
