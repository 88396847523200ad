// Ranged memories that end, in code that knows their type and in code that does not: one whose deinit is lost keeps its
// pool alive, and so the pool's buffers.

import Mallow

struct RangedHolder: ~Copyable {
    var memory: RangedMemory
    var number = 3
}

/// Runs a body with a pool that keeps nothing, and demands that no memory of it is left.
func checkRanged(_ name: String, _ body: (RangedMemoryPool) throws -> Void) {
    check("RangedMemory, \(name)", ends: 0) {
        let pool = try RangedMemoryPool(keptByteCount: 0, upstream: StatelessAllocator())
        try body(pool)
        expect(pool.statistics.liveMemories == 0 && liveBlocks == 0, "\(name): a memory is left")
    }
}

func checkRangedMemory() {
    checkRanged("local") { pool in
        var memory = try pool.makeMemory(byteCount: 100)
        let piece = memory.allocate(byteCount: 1000)
        expect(piece?.count == 1000 && memory.freeByteCount == 24 && liveBlocks == 1, "a piece of a memory")
    }
    checkRanged("discarded") { pool in _ = try pool.makeMemory(byteCount: 100) }
    checkRanged("consumed") { pool in end(try pool.makeMemory(byteCount: 100)) }
    checkRanged("in memory") { pool in endInMemory(try pool.makeMemory(byteCount: 100)) }
    checkRanged("in an optional") { pool in
        var memory: RangedMemory? = try pool.makeMemory(byteCount: 100)
        memory = nil
        expect(liveBlocks == 0 && memory == nil, "nil ends the memory")
    }
    checkRanged("optional of a generic function") { pool in endOptional(try pool.makeMemory(byteCount: 100)) }
    checkRanged("assigned") { pool in
        var memory = try pool.makeMemory(byteCount: 100)
        memory = try pool.makeMemory(byteCount: 5000)
        expect(liveBlocks == 1 && memory.byteCount == 16384, "assigning ends the old memory")
    }
    checkRanged("in a struct") { pool in end(RangedHolder(memory: try pool.makeMemory(byteCount: 100))) }
    checkRanged("boxed") { pool in _ = try Box(pool.makeMemory(byteCount: 100), in: StatelessAllocator()) }
    check("RangedMemory, of a buffer", ends: 0) {
        let buffer = try StatelessAllocator().allocate(byteCount: 256)
        var memory = try RangedMemory(buffer, granule: 8)
        guard let piece = memory.allocate(byteCount: 100) else { return expect(false, "a piece of a buffer") }
        let tail = UnsafeMutableRawBufferPointer(rebasing: piece[64...])
        expect(memory.deallocate(tail) && !memory.deallocate(tail) && memory.usedByteCount == 64, "a part goes back")
        StatelessAllocator().deallocate(buffer)
    }
}
