// Slab arenas over upstreams of many kinds: what they refuse, where their blocks lie, and what lies beside them.

import AllocatorTestKit
import Mallow
import Testing

@testable import SlabArenas

@Suite struct SlabUpstreamTests {
    /// The base of the slab that a chunk lies in.
    private func slab(_ arena: SlabArena, of pointer: UnsafeRawPointer) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: pointer) & arena.baseMask)!
    }

    /// A slab of 4112 bytes is aligned to 8192, and its block ends before the next multiple of that: what follows may be
    /// anybody's.
    @Test func whatLiesBehindASlabIsForeign() throws {
        let arena = try SlabArena(startChunkSize: 1024, slabSize: 4112, growthFactor: 2, upstream: SystemAllocator())
        let chunk = try arena.allocateChunk(byteCount: 1000)
        let base = slab(arena, of: chunk.baseAddress!)
        // The end of the last chunk, the header, and far behind the block: nothing of it is read.
        for offset in [4096, 4111, 4112, 4300, 8000, 8191] {
            #expect(!arena.owns(base + offset))
            #expect(!arena._deallocateIfOwned(base + offset))
            #expect(arena.location(of: UnsafeMutableRawBufferPointer(start: base + offset, count: 1)).isNil)
        }
        arena.release(chunk)
        try arena.close()
    }

    /// The same by a combinator: malloc puts its own blocks behind the slab.
    @Test func aFallbackFreesWhatLiesBehindASlab() throws {
        let arena = try SlabArena(startChunkSize: 1024, slabSize: 4112, growthFactor: 2, upstream: SystemAllocator())
        let both = FallbackAllocator(primary: arena, secondary: SystemAllocator())
        var blocks: [UnsafeMutableRawBufferPointer] = []
        for step in 0..<400 {
            blocks.append(try both.allocate(byteCount: step % 4 == 0 ? 1024 : 5000 + step, alignment: 8))
            if step % 4 != 0 { blocks.append(try SystemAllocator().allocate(byteCount: 40, alignment: 8)) }
        }
        for block in blocks { both.deallocate(block) }
        arena.checkInvariants()
        try both.close()
    }
}
