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
}
