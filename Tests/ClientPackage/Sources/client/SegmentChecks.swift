// Every way in which a sequence of buffers can end, in code that knows its type and in code that does not: a deinit
// that is lost keeps blocks, one that runs twice frees them twice.

import Mallow

struct MemoryHolder: ~Copyable {
    var memory: RecyclableMemory
    var number = 3
}

final class MemoryObject {
    var memory: RecyclableMemory?
    init(_ memory: consuming RecyclableMemory) { self.memory = consume memory }
}

/// A sequence of three buffers over an allocator that counts its blocks.
func makeMemory() throws -> RecyclableMemory {
    var memory = RecyclableMemory(allocator: StatelessAllocator())
    for number in 1...3 { _ = try memory.allocate(byteCount: 100 * number) }
    memory.setKept(true, at: 1)
    return memory
}

func checkRecyclableMemory() {
    check("RecyclableMemory, local", ends: 0) {
        let memory = try makeMemory()
        expect(memory.count == 3 && memory.byteCount == 600 && liveBlocks == 3, "the buffers of a sequence")
    }
    check("RecyclableMemory, discarded", ends: 0) { _ = try makeMemory() }
    check("RecyclableMemory, consumed", ends: 0) { end(try makeMemory()) }
    check("RecyclableMemory, in memory", ends: 0) { endInMemory(try makeMemory()) }
    check("RecyclableMemory, in an optional", ends: 0) {
        var memory: RecyclableMemory? = try makeMemory()
        memory = nil
        expect(liveBlocks == 0 && memory == nil, "nil ends the sequence")
    }
    check("RecyclableMemory, optional of a generic function", ends: 0) { endOptional(try makeMemory()) }
    check("RecyclableMemory, assigned", ends: 0) {
        var memory = try makeMemory()
        memory = try makeMemory()
        expect(liveBlocks == 3 && memory.count == 3, "assigning ends the old sequence")
    }
    check("RecyclableMemory, in a struct", ends: 0) { end(MemoryHolder(memory: try makeMemory())) }
    check("RecyclableMemory, in a class", ends: 0) {
        let object = MemoryObject(try makeMemory())
        expect(liveBlocks == 3 && object.memory != nil, "an object has the sequence")
    }
    check("RecyclableMemory, boxed", ends: 0) { _ = try Box(makeMemory(), in: StatelessAllocator()) }
    check("RecyclableMemory, recycled", ends: 0) {
        var memory = try makeMemory()
        let mark = memory.mark()
        _ = try memory.allocate(byteCount: 8)
        memory.recycle(from: mark)
        expect(liveBlocks == 3, "recycling from a mark")
        memory.recycle()
        expect(liveBlocks == 1 && memory.count == 1, "a kept buffer stays")
    }
    check("RecyclableMemory, its allocators", ends: 3) {
        var memory = RecyclableMemory(allocator: ClassAllocator())
        _ = try memory.allocate(byteCount: 8)
        memory.allocator = LargeAllocator()
        _ = try memory.allocate(byteCount: 8)
        memory.allocator = StatelessAllocator()
        _ = try memory.allocate(byteCount: 8)
        expect(tally.live == 3 && liveBlocks == 3, "a sequence keeps the allocators of its buffers")
        memory.recycle()
        expect(tally.live == 0 && liveBlocks == 0, "it keeps them no longer")
    }
    check("RecyclableMemory, shared and copied", ends: 1) {
        var memory = try makeMemory()
        memory.push(UnsafeRawBufferPointer(start: nil, count: 0), ownedBy: Witness())
        let share = memory.share()
        let copy = try share.copy()
        memory.recycleAll()
        expect(liveBlocks == 7 && share.count == 4 && copy.byteCount == 600, "a share and a copy")
    }
    check("RecyclableMemory, to segments", ends: 0) {
        var memory = try makeMemory()
        let shared = memory.shareSegments()
        let taken = memory.takeSegments()
        expect(memory.isEmpty && liveBlocks == 3 && shared.count == 600 && taken.count == 600, "segments own blocks")
    }
}
