// What the tests of files share: folders of their own, files as bytes, and an arena in a file beside a model.

import AllocatorTestKit
import Foundation
import Testing

@testable import SlabArenas

/// Runs the body with the name of a file in a folder of its own, which is removed afterwards.
func withFile<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = try makeFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder.appendingPathComponent("arena.slabs").path)
}

@discardableResult
func withFileAsync<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let folder = try makeFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder.appendingPathComponent("arena.slabs").path)
}

private func makeFolder() throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mallow-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
}

func contents(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

/// Writes a file in place, so that it keeps its disk space.
func write(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

/// Why a file is not opened; nil where it is. A file that is opened is let go of as it was found.
func refusal(_ path: String) -> SlabFileError.Kind? {
    do throws(SlabFileError) {
        try SlabFile(opening: path).close()
        return nil
    } catch {
        return error.kind
    }
}

extension SlabFileError.Kind {
    var isTorn: Bool { if case .torn = self { true } else { false } }
}

/// What an arena in a file should hold. A value, so that it can go to another process.
struct FileModel: Codable {
    struct Item: Codable {
        var location: SlabLocation
        /// References without those of links.
        var references: Int
        var links = 0
        var byte: UInt8
        /// A number below this item's own, so that there are no rings.
        var next: Int?
        var isStored = false
    }

    var items: [Int: Item] = [:]
    var lastNumber = 0
    var stale: [SlabLocation] = []
    var allocations = 0
    var steps = 0
    var moves = 0

    /// One random operation.
    mutating func step(_ arena: SlabArena, _ random: inout SeededGenerator) throws {
        steps += 1
        let numbers = items.keys.sorted()
        guard let number = numbers.randomElement(using: &random) else { return try allocate(arena, &random) }
        let item = items[number]!
        let buffer = arena.buffer(at: item.location)!
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<7: try allocate(arena, &random)
        case 7, 8:
            guard item.references > 0 else { return }
            arena.addReference(buffer)
            items[number]!.references += 1
        case 9, 10:
            let older = numbers.prefix { $0 < number }.randomElement(using: &random)
            arena.setNext(
                older.map { UnsafeRawBufferPointer(arena.buffer(at: items[$0]!.location)!) },
                of: UnsafeRawPointer(buffer.baseAddress!))
            if let older { items[older]!.links += 1 }
            items[number]!.next = older
            if let old = item.next { unlink(old) }
        case 11, 12:
            guard item.references > 0 else { return }
            if item.isStored {
                #expect(arena.take(item.location) != nil)
            } else {
                #expect(arena.store(buffer) == item.location)
            }
            items[number]!.isStored.toggle()
        case 13 where steps % 5 == 0: arena.trim()
        case 13 where steps % 5 == 1: rebalance(arena)
        case 13 where steps % 7 == 0:
            try arena.prefill(byteCount: Int.random(in: 1...500, using: &random), chunkCount: 9)
        default:
            guard item.references > 0 else { return }
            let wasLast = item.references + item.links == 1
            if item.isStored, item.references == 1 {
                #expect(arena.release(at: item.location) == wasLast)
                items[number]!.isStored = false
            } else {
                #expect(arena.release(buffer) == wasLast)
            }
            items[number]!.references -= 1
            if wasLast { remove(number) }
        }
    }

    private mutating func allocate(_ arena: SlabArena, _ random: inout SeededGenerator) throws {
        try allocate(arena, Int.random(in: 0...(steps % 4 == 0 ? arena.slabSize : 200), using: &random), &random)
    }

    mutating func allocate(_ arena: SlabArena, _ size: Int, _ random: inout SeededGenerator) throws {
        let buffer = try arena.allocateChunk(byteCount: size)
        let byte = UInt8.random(in: 0...255, using: &random)
        buffer.initializeMemory(as: UInt8.self, repeating: byte)
        lastNumber += 1
        allocations += 1
        items[lastNumber] = Item(location: arena.location(of: buffer), references: 1, byte: byte)
    }

    mutating func rebalance(_ arena: SlabArena, to byteCount: Int? = nil) {
        var numbers: [SlabLocation: Int] = [:]
        for (number, item) in items { numbers[item.location] = number }
        arena.rebalance(to: byteCount, limit: 200) { old, new in
            guard let number = numbers[old] else { fatalError("\(old) was moved, which nobody stored") }
            numbers[old] = nil
            numbers[new] = number
            items[number]!.location = new
            stale.append(old)
            moves += 1
        }
    }

    private mutating func unlink(_ number: Int) {
        items[number]!.links -= 1
        if items[number]!.references + items[number]!.links == 0 { remove(number) }
    }

    mutating func remove(_ number: Int) {
        let item = items.removeValue(forKey: number)!
        stale.append(item.location)
        if let next = item.next { unlink(next) }
    }

    /// What of the arena is not as it should be, or nil.
    func difference(from arena: SlabArena) -> String? {
        if let broken = arena.brokenInvariant() { return broken }
        for (number, item) in items {
            guard let buffer = arena.buffer(at: item.location) else { return "item \(number) is gone" }
            if buffer.count != item.location.count || !buffer.allSatisfy({ $0 == item.byte }) {
                return "item \(number) has other bytes"
            }
            if arena.referenceCount(of: buffer.baseAddress!) != item.references + item.links {
                return "item \(number) has other references"
            }
            if arena.chunk(at: item.location)!.record.pointee.isHeldByLocation != item.isStored {
                return "item \(number) is not held as it should be"
            }
            let next = arena.next(of: buffer)
            if next.map({ arena.location(of: $0) }) != item.next.map({ items[$0]!.location }) {
                return "item \(number) has another link"
            }
            if let next { arena.release(next) }
        }
        if let alive = stale.first(where: { arena.isLive($0) }) { return "\(alive) is live again" }
        let statistics = arena.slabStatistics
        if arena.statistics.liveBlocks != items.count { return "there are \(arena.statistics.liveBlocks) chunks" }
        if statistics.allocations != allocations { return "\(statistics.allocations) chunks were allocated" }
        let requested = items.values.reduce(0) { $0 + $1.location.count }
        return statistics.bytesRequested == requested ? nil : "\(statistics.bytesRequested) bytes were asked for"
    }

    /// Releases everything.
    mutating func end(_ arena: SlabArena) {
        for number in items.keys.sorted(by: >) {
            while items[number]?.references ?? 0 > 0 {
                let item = items[number]!
                arena.release(arena.buffer(at: item.location)!)
                items[number]!.references -= 1
                if items[number]!.references + item.links == 0 { remove(number) }
            }
        }
    }
}
