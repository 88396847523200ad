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

    /// Nothing is written behind what an upstream gave that does not keep the contract.
    @Test(arguments: [(8, 0), (0, 1)]) func anUpstreamThatGivesLessTraps(offset: Int, missing: Int) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            [offset, missing] in
            let arena = try SlabArena(slabSize: 4096, upstream: WrongUpstream(offset: offset, missing: missing))
            _ = try arena.allocateChunk(byteCount: 10)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(
            text.contains("is what upstream gave for a slab: too small, or not aligned as it was asked for"), "\(text)")
    }
}

/// Breaks the contract: its blocks are not aligned, or smaller than it was asked for.
final class WrongUpstream: Allocator {
    let offset: Int
    let missing: Int

    init(offset: Int, missing: Int) {
        self.offset = offset
        self.missing = missing
    }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let block = try SystemAllocator().allocate(byteCount: byteCount + offset, alignment: alignment)
        return UnsafeMutableRawBufferPointer(start: block.baseAddress! + offset, count: byteCount - missing)
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) { SystemAllocator().deallocate(pointer - offset) }
}
