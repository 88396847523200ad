// Handles of a shared arena: who may write, who may read meanwhile, and what they are made of.

import Mallow
import Testing

@testable import SlabArenas

@Suite struct SharedSlabBufferTests {
    let arena: SharedSlabArena

    init() throws {
        arena = try SharedSlabArena(
            startChunkSize: 64, slabSize: 4096, growthFactor: 2, shardCount: 2, upstream: SystemAllocator())
    }

    /// A span of a handle that has the only reference is not read through another.
    @Test func noHandleIsMadeAtALocationThatHoldsNothing() throws {
        do {
            var buffer = try arena.makeBuffer(byteCount: 8)
            let location = buffer.location
            var span = buffer.mutableSpan
            #expect(arena.makeBuffer(at: location)?.count == nil)
            span.storeBytes(of: 7, as: UInt8.self)
            #expect(arena.isLive(location) && arena.slabStatistics.referencesAdded == 0)
        }
        do {
            let buffer = try arena.makeBuffer(byteCount: 8)
            let start = buffer.unsafeBytes.baseAddress!
            let location = buffer.duplicate().store()
            do {
                let other = try unwrap(arena.makeBuffer(at: location.slice(2..<5)))
                #expect(other.count == 3 && arena.referenceCount(of: start) == 3)
            }
            arena.release(at: location)
            #expect(arena.referenceCount(of: start) == 1 && arena.makeBuffer(at: location)?.count == nil)
            // The raw face is served: it says what it does.
            let raw = try #require(arena.bufferAddingReference(at: location))
            arena.release(raw)
        }
        try arena.close()
    }

    @Test func bytesAreCopiedAndRead() throws {
        do {
            let buffer = try arena.makeBuffer(copying: ([1, 2, 3] as [UInt8]).span.bytes)
            #expect(buffer.count == 3 && buffer.unsafeBytes.elementsEqual([1, 2, 3]))
            let last = buffer.withSpan { $0.unsafeLoad(fromByteOffset: $0.byteCount - 1, as: UInt8.self) }
            #expect(last == 3)
            struct Stop: Error {}
            #expect(throws: Stop.self) { try arena.makeBuffer(byteCount: 1).withSpan { _ in throw Stop() } }
            // 5000 bytes do not fit a slab.
            let tooMany = [UInt8](repeating: 0, count: 5000)
            let error = #expect(throws: AllocationError.self) {
                _ = try arena.makeBuffer(copying: tooMany.span.bytes)
            }
            #expect(error?.reason == .tooLarge(limit: 4096) && arena.statistics.liveBlocks == 1)
            let location = buffer.store()
            #expect(arena.release(at: location))
        }
        try arena.close()
    }

    /// A first link takes nothing from anybody; another, and none, are for who has the only reference.
    @Test func linksAreReplacedByWhoHasTheOnlyReference() throws {
        do {
            var head = try arena.makeBuffer(byteCount: 10)
            do {
                let other = head.duplicate()
                head.removeNext()
                head.setNext(try arena.makeBuffer(byteCount: 20))
                #expect(other.next()?.count == 20 && arena.statistics.liveBlocks == 2)
            }
            head.setNext(try arena.makeBuffer(byteCount: 30))
            #expect(head.next()?.count == 30 && arena.statistics.liveBlocks == 2)
            head.removeNext()
            #expect(head.next()?.count == nil && arena.statistics.liveBlocks == 1)
        }
        try arena.close()
    }

    /// Where no chunk size is given, it is a SlabArena's; what is wrong is refused as there, and links are counted.
    @Test func chainsAreAsASlabArenas() throws {
        let single = try SlabArena(startChunkSize: 64, slabSize: 4096, growthFactor: 2, upstream: SystemAllocator())
        #expect(arena.defaultChainChunkSize == single.defaultChainChunkSize && arena.defaultChainChunkSize < 4096)
        for (byteCount, chunkSize) in [(10_000, nil), (1, nil), (4096, nil), (1000, 100), (9000, 4096)] {
            let head = try arena.allocateChain(byteCount: byteCount, chunkSize: chunkSize)
            let other = try single.allocateChain(byteCount: byteCount, chunkSize: chunkSize)
            #expect(arena.segments(of: head).map(\.count) == single.chain(other).segments.map { $0.count })
            #expect(arena.slabStatistics.chainWrites == single.slabStatistics.chainWrites)
            arena.release(head)
            single.release(other)
        }
        // Also where the item is small enough for a chunk.
        for byteCount in [10, 10_000] {
            let error = #expect(throws: AllocationError.self) {
                try arena.allocateChain(byteCount: byteCount, chunkSize: 4097)
            }
            #expect(error?.reason == .tooLarge(limit: 4096) && error?.byteCount == 4097)
        }
        try arena.close()
        try single.close()
    }
}
