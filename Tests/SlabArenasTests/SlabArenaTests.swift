// A slab arena beside a simple model: what is live, what it holds, how many references it has.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabArenaTests {
    @Test func aChunkStartsWithOneReferenceAndTheLastReleaseRecyclesIt() throws {
        let arena = try SlabArena(startChunkSize: 16, slabSize: 4096, growthFactor: 2, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 20)
        #expect(chunk.count == 20)
        #expect(arena.byteCount(of: chunk.baseAddress!) == 32)
        #expect(arena.referenceCount(of: chunk.baseAddress!) == 1)
        arena.addReference(chunk)
        #expect(!arena.release(chunk))
        let location = arena.location(of: chunk)
        #expect(arena.isLive(location))
        #expect(arena.release(chunk))
        #expect(!arena.isLive(location))
        arena.checkInvariants()
        try arena.close()
    }

    @Test func keepsTheContract() throws {
        for (start, factor) in [(1, 1.05), (64, 1.25), (48, 2.0), (4096, 4.0)] {
            try checkAllocator(
                traits: .with {
                    $0.largestByteCount = 65536
                    $0.largestAlignment = 8
                }
            ) {
                try SlabArena(
                    startChunkSize: start, slabSize: 65536, growthFactor: factor, alignment: 8,
                    upstream: SystemAllocator())
            }
        }
    }
}

/// Random operations beside a model, for many factors, start sizes, delays and upstreams.
@Suite struct SlabArenaModelTests {
    struct Item {
        var buffer: UnsafeMutableRawBufferPointer
        var references: Int
        var location: SlabLocation
        var byte: UInt8
        var next: Int?
    }

    @Test(arguments: [1.05, 1.1, 1.25, 2, 4, 16.7], [1, 3, 64, 1000, 4096])
    func referencesAreTheModels(factor: Double, start: Int) throws {
        for delay in [Duration.zero, .seconds(1)] {
            let upstream = TrackingAllocator(upstream: SystemAllocator())
            let arena = try SlabArena(
                startChunkSize: start, slabSize: 8192, growthFactor: factor, alignment: start % 2 == 1 ? 1 : 8,
                upstream: upstream)
            arena.emptySlabDelay = delay
            try run(arena, seed: UInt64(start) &* 31 &+ UInt64(factor * 100), largest: 8192)
            try arena.close()
            #expect(upstream.statistics.liveBlocks == 0)
        }
    }

    func run(_ arena: SlabArena, seed: UInt64, largest: Int) throws {
        var random = SeededGenerator(seed: seed)
        var items: [Item] = []
        var stale: [SlabLocation] = []
        for step in 0..<1500 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                let size = Int.random(in: 0...(step % 3 == 0 ? largest : min(largest, 300)), using: &random)
                let buffer = try arena.allocateChunk(byteCount: size)
                let byte = UInt8.random(in: 0...255, using: &random)
                for index in buffer.indices { buffer[index] = byte }
                items.append(
                    Item(buffer: buffer, references: 1, location: arena.location(of: buffer), byte: byte, next: nil))
            case 4 where !items.isEmpty:
                let index = Int.random(in: items.indices, using: &random)
                arena.addReference(items[index].buffer)
                items[index].references += 1
            default:
                guard !items.isEmpty else { continue }
                let index = Int.random(in: items.indices, using: &random)
                let item = items[index]
                #expect(item.buffer.allSatisfy { $0 == item.byte })
                #expect(arena.referenceCount(of: item.buffer.baseAddress!) == item.references)
                #expect(arena.release(item.buffer) == (item.references == 1))
                items[index].references -= 1
                if items[index].references == 0 {
                    items.remove(at: index)
                    stale.append(item.location)
                }
            }
            if let broken = arena.brokenInvariant() {
                Issue.record("after step \(step): \(broken)")
                return
            }
        }
        for location in stale {
            #expect(arena.buffer(at: location) == nil && !arena.addReference(at: location))
        }
        for item in items {
            #expect(arena.buffer(at: item.location).map { $0.baseAddress } == item.buffer.baseAddress)
            for _ in 0..<item.references { arena.release(item.buffer) }
        }
    }
}
