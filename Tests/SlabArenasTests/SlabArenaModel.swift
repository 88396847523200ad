// What should be true of a slab arena, and random operations that are done on both.

import AllocatorTestKit
import Mallow

@testable import SlabArenas

/// A slab arena, and what should be true of it.
final class SlabArenaModel {
    struct Item {
        let buffer: UnsafeMutableRawBufferPointer
        let chunkSize: Int
        let location: SlabLocation
        var requested: Int
        var byte: UInt8
        /// References of the model's own, which it releases by pointers.
        var own = 1
        /// The location that holds a reference.
        var held: SlabLocation?
        /// References of links.
        var incoming = 0
        var next: (id: Int, buffer: UnsafeMutableRawBufferPointer)?

        var references: Int { own + incoming + (held == nil ? 0 : 1) }
    }

    let arena: SlabArena
    let upstream: FailingAllocator<SystemAllocator>
    let seed: UInt64
    var random: SeededGenerator
    var items: [Int: Item] = [:]
    /// In the order of their making: a link leads from an item to a later one, so that there is no ring.
    var ids: [Int] = []
    var nextID = 0
    var stale: [SlabLocation] = []
    var counts = SlabStatistics()
    var (peakBlocks, peakBytes) = (0, 0)
    var time: UInt = 1000

    init(_ arena: SlabArena, _ upstream: FailingAllocator<SystemAllocator>, seed: UInt64) {
        self.arena = arena
        self.upstream = upstream
        self.seed = seed
        random = SeededGenerator(seed: seed)
    }

    struct Disagreement: Error, CustomStringConvertible {
        let description: String
    }

    func run(steps: Int) throws {
        arena.clock = { [unowned self] in time }
        for step in 0..<steps {
            let operation = below(100)
            do {
                try perform(operation, step)
                try checkAfterStep()
                if step % 16 == 0 { try checkEverything() }
            } catch let error as Disagreement {
                throw Disagreement(
                    description: "seed \(seed), step \(step), operation \(operation): \(error.description)")
            }
        }
        try checkEverything()
    }

    /// Releases all that is left, and closes the arena.
    func end() throws {
        while let id = ids.randomElement(using: &random) {
            if let held = items[id]!.held {
                try expect(arena.release(at: held) == (items[id]!.references == 1), "release(at:) is right")
                items[id]!.held = nil
                drop(id)
            } else if items[id]!.own > 0 {
                try release(id)
            } else {
                // A link alone has it.
                continue
            }
            try checkAfterStep()
        }
        try checkEverything()
        try arena.close()
        for location in stale { try expect(!arena.isLive(location), "what was there before close() is found out") }
        arena.clock = { 0 }
    }

    // MARK: - The operations

    private func perform(_ operation: Int, _ step: Int) throws {
        switch operation {
        case 0..<28: try allocate(step)
        case 28..<32: try prefill()
        case 32: arena.trim()
        case 33 where step % 5 == 0: freeAll()
        case 34..<37: time += UInt(below(900))
        case 37: try requestTooMuch()
        case 38: try closeIfPossible()
        case 39..<43: try checkStale()
        default:
            guard let id = ids.isEmpty ? nil : ids[below(ids.count)] else { return }
            try perform(operation, on: id)
        }
    }

    private func perform(_ operation: Int, on id: Int) throws {
        let item = items[id]!
        switch operation {
        case 43..<50:
            if below(2) == 0 {
                arena.addReference(part(of: item))
            } else {
                try expect(arena.addReference(at: item.location), "a live location gets a reference")
            }
            items[id]!.own += 1
            counts.referencesAdded += 1
        case 50..<58: try link(id)
        case 58..<60: setNext(nil, of: id)
        case 60..<64: try follow(id)
        case 64..<70 where item.held == nil && item.own > 0:
            let part = part(of: item)
            let location = arena.store(part)
            try expect(arena.buffer(at: location).map { $0.elementsEqual(part) } == true, "a stored part is found")
            items[id]!.own -= 1
            items[id]!.held = location
        case 70..<73:
            guard let held = item.held else {
                try expect(arena.take(item.location) == nil, "what holds nothing cannot be taken")
                return
            }
            let taken = arena.take(held)
            try expect(taken?.count == held.count && taken?.baseAddress == arena.buffer(at: held)?.baseAddress, "take")
            items[id]!.held = nil
            items[id]!.own += 1
        case 73..<77:
            guard let held = item.held ?? (item.own > 0 ? item.location : nil) else { return }
            try expect(arena.release(at: held) == (item.references == 1), "release(at:) says whether it was the last")
            if item.held == nil { items[id]!.own -= 1 } else { items[id]!.held = nil }
            drop(id)
        case 77..<79:
            let byteCount = below(item.chunkSize + 2)
            let resized = arena.resize(item.buffer.baseAddress!, byteCount: byteCount)
            try expect((resized != nil) == (byteCount <= item.chunkSize), "resize to \(byteCount)")
            guard resized != nil else { return }
            counts.bytesRequested += byteCount - item.requested
            items[id]!.requested = byteCount
        case 79..<82:
            for byte in item.buffer.indices { item.buffer[byte] = item.byte &+ 1 }
            items[id]!.byte &+= 1
        default:
            if item.own > 0 { try release(id) }
        }
    }

    private func allocate(_ step: Int) throws {
        let byteCount =
            switch below(10) {
            case 0: below(arena.slabSize + 1)
            case 1:
                [0, 1, arena.slabSize, arena.startChunkSize, arena.chunkSizes.randomElement(using: &random)!][below(5)]
            default: below(min(300, arena.slabSize) + 1)
            }
        let failures = upstream.failureCount
        var buffer: UnsafeMutableRawBufferPointer?
        if step % 2 == 0 {
            buffer = arena.tryAllocateChunk(byteCount: byteCount)
        } else {
            do throws(AllocationError) {
                buffer = try arena.allocate(byteCount: byteCount, alignment: arena.alignment)
            } catch {
                try expect(error.reason == .outOfMemory, "\(error)")
            }
        }
        guard let buffer else {
            try expect(upstream.failureCount > failures, "a request is refused only if upstream refused")
            return
        }
        let chunkSize = arena.chunkSizes.first { $0 >= byteCount }!
        try expect(buffer.count == (step % 2 == 0 ? byteCount : chunkSize), "a buffer has \(buffer.count) bytes")
        let location = arena.location(of: buffer)
        try expect(!location.isNil && location.count == buffer.count, "a chunk has a location")
        // Generations that begin anew would be seen here.
        try expect(!stale.contains(location), "\(location) is the name of a chunk that is gone")
        let item = Item(
            buffer: buffer, chunkSize: chunkSize, location: location, requested: byteCount,
            byte: UInt8.random(in: 0...255, using: &random))
        buffer.initializeMemory(as: UInt8.self, repeating: item.byte)
        items[nextID] = item
        ids.append(nextID)
        nextID += 1
        counts.allocations += 1
        counts.bytesRequested += byteCount
        peakBlocks = max(peakBlocks, items.count)
        peakBytes = max(peakBytes, items.values.reduce(0) { $0 + $1.chunkSize })
    }

    private func link(_ id: Int) throws {
        let index = ids.firstIndex(of: id)!
        guard index + 1 < ids.count else { return }
        let target = ids[index + 1 + below(ids.count - index - 1)]
        let part = part(of: items[target]!)
        setNext((target, part), of: id)
    }

    private func setNext(_ next: (id: Int, buffer: UnsafeMutableRawBufferPointer)?, of id: Int) {
        arena.setNext(next?.buffer, of: part(of: items[id]!))
        counts.chainWrites += 1
        if let next {
            items[next.id]!.incoming += 1
            counts.referencesAdded += 1
        }
        let old = items[id]!.next
        items[id]!.next = next
        if let old {
            items[old.id]!.incoming -= 1
            drop(old.id)
        }
    }

    private func follow(_ id: Int) throws {
        counts.chainReads += 1
        let found = arena.next(of: part(of: items[id]!))
        let next = items[id]!.next
        try expect(
            found?.baseAddress == next?.buffer.baseAddress && found?.count == next?.buffer.count,
            "a link keeps the part that it was given")
        guard let next else { return }
        items[next.id]!.own += 1
        counts.referencesAdded += 1
    }

    private func release(_ id: Int) throws {
        let item = items[id]!
        if below(4) == 0 {
            arena.deallocate(item.buffer)
        } else {
            try expect(
                arena.release(part(of: item)) == (item.references == 1), "release says whether it was the last")
        }
        items[id]!.own -= 1
        drop(id)
    }

    /// One reference of the item is gone.
    private func drop(_ id: Int) {
        var id = id
        while true {
            counts.referencesReleased += 1
            guard let item = items[id], item.references == 0 else { return }
            forget(id)
            counts.releasesToZero += 1
            guard let next = item.next else { return }
            id = next.id
            items[id]!.incoming -= 1
        }
    }

    private func forget(_ id: Int) {
        let item = items.removeValue(forKey: id)!
        ids.remove(at: ids.firstIndex(of: id)!)
        counts.bytesRequested -= item.requested
        stale.append(item.location)
    }

    private func freeAll() {
        arena.freeAll()
        for id in ids { forget(id) }
    }

    private func prefill() throws {
        let byteCount = below(arena.slabSize + 1)
        let chunkCount = below(2) == 0 ? 1 : below(20)
        let failures = upstream.failureCount
        do {
            try arena.prefill(byteCount: byteCount, chunkCount: chunkCount)
            let size = arena.chunkSizes.first { $0 >= byteCount }!
            let kind = arena.slabStatistics.classes.first { $0.chunkSize == size }!
            try expect(kind.chunksFree >= chunkCount, "\(kind.chunksFree) chunks are free, not \(chunkCount)")
        } catch let error as AllocationError {
            try expect(error.reason == .outOfMemory && upstream.failureCount > failures, "\(error)")
        }
    }

    private func requestTooMuch() throws {
        try expect(arena.tryAllocate(byteCount: arena.slabSize + 1 + below(100), alignment: 1) == nil, "too large")
        counts.requestsTooLarge += 1
        try expect(arena.tryAllocate(byteCount: 1, alignment: arena.alignment * 2) == nil, "alignment")
    }

    private func closeIfPossible() throws {
        do {
            try arena.close()
            try expect(items.isEmpty, "close() says nothing of \(items.count) chunks")
        } catch let error as LeakError {
            try expect(error.blocks == items.count && error.blocks > 0, "\(error)")
        }
    }

    // MARK: - Small things

    func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &random) }

    /// Any part of the chunk's bytes that were given out, its end left out.
    func part(of item: Item) -> UnsafeMutableRawBufferPointer {
        let offset = item.buffer.isEmpty ? 0 : below(item.buffer.count)
        let count = below(item.buffer.count - offset + 1)
        return UnsafeMutableRawBufferPointer(rebasing: item.buffer[offset..<offset + count])
    }

    func expect(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        if !condition { throw Disagreement(description: what()) }
    }
}
