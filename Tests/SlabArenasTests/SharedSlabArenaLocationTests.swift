// Locations of a shared arena's chunks: of slices, of a chunk on its way back, of what is another arena's.

import AllocatorTestKit
import Mallow
import Synchronization
import Testing

@testable import SlabArenas

@Suite struct SharedSlabArenaLocationTests {
    @Test func slicesHaveLocationsAndLinksOfTheirOwn() throws {
        let arena = try SharedSlabArena(startChunkSize: 64, slabSize: 4096, shardCount: 2, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 60)
        let slice = UnsafeMutableRawBufferPointer(rebasing: chunk[7..<20])
        let location = arena.location(of: slice)
        #expect(location.count == 13 && arena.buffer(at: location)?.baseAddress == slice.baseAddress)
        #expect(arena.buffer(at: location.slice(3..<5))?.baseAddress == slice.baseAddress! + 3)
        arena.addReference(slice)
        #expect(!arena.release(at: location.slice(1..<2)))
        let head = try arena.allocateChunk(byteCount: 10)
        arena.setNext(slice, of: UnsafeMutableRawBufferPointer(rebasing: head[3..<4]))
        #expect(arena.next(of: head).map { ($0.baseAddress!, $0.count) }! == (slice.baseAddress!, 13))
        #expect(!arena.release(slice))
        #expect(!arena.release(chunk))
        #expect(arena.release(UnsafeRawPointer(head.baseAddress! + 9)))
        #expect(!arena.isLive(location) && arena.statistics.liveBlocks == 0)
        try arena.close()
    }

    /// A thread has taken the last reference away, and waits for the lock to recycle: nobody gets the chunk any more.
    @Test func aChunkThatIsBeingRecycledIsNotHandedOut() throws {
        let arena = try SharedSlabArena(startChunkSize: 64, slabSize: 4096, shardCount: 2, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 64)
        let location = arena.store(chunk)
        let (slab, record) = arena.chunk(chunk.baseAddress!)
        record.atomicState.pointee.wrappingSubtract(1, ordering: .acquiringAndReleasing)
        #expect(arena.bufferAddingReference(at: location) == nil && arena.buffer(at: location) == nil)
        #expect(!arena.addReference(at: location) && !arena.isLive(location) && arena.take(location) == nil)
        #expect(arena.location(of: chunk).isNil && arena.chunkLocation(of: location).isNil)
        arena.forEachLiveChunk { _ in Issue.record("it is visited") }
        // Its slab stays up to then.
        #expect(arena.trim() == 0 && arena.statistics.liveBlocks == 1)
        arena.recycle(record, of: slab)
        #expect(arena.statistics.liveBlocks == 0 && !arena.isLive(location))
        arena.checkInvariants()
        try arena.close()
    }

    @Test func whatIsForeignHasTheNilLocation() throws {
        let arena = try SharedSlabArena(slabSize: 4096, shardCount: 2, upstream: SystemAllocator())
        let other = try SharedSlabArena(slabSize: 4096, shardCount: 2, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 64)
        #expect(arena.owns(chunk.baseAddress!) && !other.owns(chunk.baseAddress!))
        #expect(other.location(of: chunk).isNil)
        #expect(arena.location(of: UnsafeRawBufferPointer(start: nil, count: 0)).isNil)
        let beyond = UnsafeRawBufferPointer(start: chunk.baseAddress, count: 65)
        #expect(arena.location(of: beyond).isNil)
        let never = UnsafeRawBufferPointer(start: chunk.baseAddress! + 3900, count: 1)
        #expect(arena.location(of: never).isNil)
        // Nothing is mapped there: asking must not look.
        var random = SeededGenerator(seed: 5)
        for _ in 0..<1000 {
            let address = UnsafeRawPointer(bitPattern: UInt(random.next() >> 17) | 1)!
            if arena.owns(address) { #expect(abs(address - UnsafeRawPointer(chunk.baseAddress!)) < 4096) }
            _ = arena.location(of: UnsafeRawBufferPointer(start: address, count: 1))
        }
        #expect(arena.buffer(at: .nil) == nil && !arena.addReference(at: .nil) && !arena.release(at: .nil))
        let madeUp = SlabLocation(slab: .max, position: .max, length: .max, generation: .max)
        #expect(arena.buffer(at: madeUp) == nil)
        arena.release(chunk)
        try arena.close()
        try other.close()
    }
}
