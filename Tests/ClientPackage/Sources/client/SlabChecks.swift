// Every way in which a handle on a chunk can end, in code that knows its type and in code that does not. A handle whose
// deinit is lost keeps its chunk, its arena and so the arena's slabs; one whose deinit runs twice traps.

import Mallow

struct BufferHolder: ~Copyable {
    var buffer: SlabBuffer
    var number = 3
}

struct ItemNode: ~Copyable {
    let item: SlabItem
    var next: Box<ItemNode, StatelessAllocator>?
}

final class BufferObject {
    var buffer: SlabBuffer?
    init(_ buffer: consuming SlabBuffer) { self.buffer = consume buffer }
}

/// Reads through a handle that nothing else mentions behind the span: it must not end before the last read.
@inline(never)
func lastByte(_ buffer: consuming SlabBuffer) -> UInt8 {
    let span = buffer.span
    return span.unsafeLoad(fromByteOffset: span.byteCount - 1, as: UInt8.self)
}

/// Runs a body with an arena, and demands that it released so many references and left no chunk.
func checkSlabs(_ name: String, releases: Int, _ body: (SlabArena) throws -> Void) {
    check("SlabBuffer, \(name)", ends: 0) {
        let arena = try SlabArena(slabSize: 4096, growthFactor: 2, upstream: StatelessAllocator())
        try body(arena)
        expect(arena.statistics.liveBlocks == 0, "\(name): a chunk is left")
        let released = arena.slabStatistics.referencesReleased
        expect(released == releases, "\(name): \(released) references released, not \(releases)")
        arena.trim()
        expect(liveBlocks == 0, "\(name): a slab is left")
    }
}

func checkSlabBuffers() {
    checkSlabs("local", releases: 1) { arena in
        let buffer = try arena.makeBuffer(byteCount: 10)
        expect(buffer.count == 10 && buffer.capacity >= 10, "the bytes of a buffer")
    }
    checkSlabs("discarded", releases: 1) { arena in _ = try arena.makeBuffer(byteCount: 10) }
    checkSlabs("consumed", releases: 1) { arena in end(try arena.makeBuffer(byteCount: 10)) }
    checkSlabs("in memory", releases: 1) { arena in endInMemory(try arena.makeBuffer(byteCount: 10)) }
    checkSlabs("optional", releases: 1) { arena in
        var buffer: SlabBuffer? = try arena.makeBuffer(byteCount: 10)
        buffer = nil
        expect(arena.statistics.liveBlocks == 0 && buffer == nil, "nil ends the handle")
    }
    checkSlabs("optional of a generic function", releases: 1) { arena in
        endOptional(try arena.makeBuffer(byteCount: 10))
    }
    checkSlabs("assigned", releases: 2) { arena in
        var buffer = try arena.makeBuffer(byteCount: 10)
        buffer = try arena.makeBuffer(byteCount: 20)
        expect(arena.statistics.liveBlocks == 1 && buffer.count == 20, "assigning ends the old handle")
    }
    checkSlabs("duplicated and sliced", releases: 3) { arena in
        let buffer = try arena.makeBuffer(byteCount: 10)
        let other = buffer.duplicate()
        end(other.slice(3..<5))
        expect(!buffer.isOnlyReference, "a duplicate has a reference")
    }
    checkSlabs("in a struct", releases: 1) { arena in _ = BufferHolder(buffer: try arena.makeBuffer(byteCount: 10)) }
    checkSlabs("in a struct, generic", releases: 1) { arena in
        end(BufferHolder(buffer: try arena.makeBuffer(byteCount: 10)))
    }
    checkSlabs("in a class", releases: 1) { arena in _ = BufferObject(try arena.makeBuffer(byteCount: 10)) }
    checkSlabs("in a box of the same arena", releases: 2) { arena in
        _ = try Box(arena.makeBuffer(byteCount: 10), in: arena)
    }
    checkSlabs("in an inline array", releases: 3) { arena in
        let array = try InlineArray<3, SlabBuffer> { try arena.makeBuffer(byteCount: $0) }
        expect(array[2].count == 2, "a handle of an array")
    }
    checkSlabs("on each path", releases: 2) { arena in
        for condition in [false, true] {
            let buffer = try arena.makeBuffer(byteCount: 10)
            if condition { end(buffer) }
        }
    }
    checkSlabs("where an error is thrown", releases: 1) { arena in
        do {
            let buffer = try arena.makeBuffer(byteCount: 10)
            _ = try arena.makeBuffer(byteCount: 5000)
            expect(buffer.count == 0, "5000 bytes do not fit a slab of 4096")
        } catch {}
    }
    checkSlabs("stored and taken", releases: 2) { arena in
        let location = try arena.makeBuffer(byteCount: 10).store()
        expect(arena.statistics.liveBlocks == 1, "a location holds the chunk")
        let taken = arena.takeBuffer(at: location)
        expect(taken != nil && arena.takeBuffer(at: location) == nil, "it is taken once")
        let other = try arena.makeBuffer(byteCount: 10).store()
        expect(arena.release(at: other), "a location releases what it holds")
    }
    checkSlabs("found by a location that holds it", releases: 2) { arena in
        let buffer = try arena.makeBuffer(byteCount: 10)
        let part = buffer.location.slice(3..<5)
        expect(arena.makeBuffer(at: part) == nil, "a location that holds nothing makes no handle")
        let location = buffer.store()
        expect(arena.makeBuffer(at: part)?.count == 2, "a handle on a part")
        expect(arena.release(at: location), "the location's reference was left")
    }
    checkSlabs("by C and back", releases: 1) { arena in
        let bytes = try arena.makeBuffer(byteCount: 10).intoUnsafeBytes()
        expect(arena.statistics.liveBlocks == 1, "C has the reference")
        end(arena.adopt(bytes))
    }
    checkSlabs("read to the end", releases: 2) { arena in
        let bytes: [UInt8] = [1, 2, 3]
        let last = lastByte(try arena.makeBuffer(copying: bytes.span.bytes))
        expect(last == 3, "a span is read while its handle lives")
        var buffer = try arena.makeBuffer(copying: bytes.span.bytes)
        var span = buffer.mutableSpan
        span.storeBytes(of: 9, toByteOffset: 2, as: UInt8.self)
        expect(lastByte(buffer) == 9, "what was written")
    }
    check("SlabBuffer, the arena lives as long as a handle", ends: 0) {
        var buffer: SlabBuffer? = try SlabArena(upstream: StatelessAllocator()).makeBuffer(byteCount: 10)
        expect(liveBlocks == 1 && buffer != nil, "a handle keeps its arena")
        buffer = nil
        expect(liveBlocks == 0, "the last handle ends it")
    }
    checkSlabItems()
}

func checkSlabItems() {
    let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
    checkSlabs("an item", releases: 10) { arena in
        let item = try arena.makeItem(copying: bytes.span.bytes, chunkSize: 1000)
        expect(item.bytes() == bytes, "the bytes of an item")
    }
    checkSlabs("an item, consumed", releases: 10) { arena in end(try arena.makeItem(byteCount: 1000, chunkSize: 100)) }
    checkSlabs("an item, in memory", releases: 10) { arena in
        endInMemory(try arena.makeItem(byteCount: 1000, chunkSize: 100))
    }
    checkSlabs("an item, duplicated", releases: 11) { arena in
        let item = try arena.makeItem(byteCount: 1000, chunkSize: 100)
        endOptional(item.duplicate())
    }
    checkSlabs("an item, read span by span", releases: 10) { arena in
        let item = try arena.makeItem(copying: bytes.span.bytes, chunkSize: 1000)
        var (count, sum) = (0, 0)
        var spans = item.spans
        while let span = spans.next() {
            count += 1
            for index in 0..<span.byteCount { sum += Int(span.unsafeLoad(fromByteOffset: index, as: UInt8.self)) }
        }
        expect(count == 10 && sum == bytes.reduce(0) { $0 + Int($1) }, "the spans of an item")
    }
    checkSlabs("an item, stored", releases: 10) { arena in
        let location = try arena.makeItem(copying: bytes.span.bytes, chunkSize: 1000).store()
        let item = arena.takeItem(at: location)
        expect(item?.bytes() == bytes, "an item that was stored")
    }
    checkSlabs("a list of items", releases: 30) { arena in
        var head: Box<ItemNode, StatelessAllocator>?
        for _ in 0..<10 {
            let item = try arena.makeItem(byteCount: 300, chunkSize: 100)
            let next = head.take()
            head = try Box(ItemNode(item: item, next: consume next), in: StatelessAllocator())
        }
        expect(head != nil, "a list")
    }
    checkSlabs("a chain of handles", releases: 200) { arena in
        var head = try arena.makeBuffer(byteCount: 10)
        for _ in 1..<100 {
            var next = try arena.makeBuffer(byteCount: 10)
            next.setNext(head)
            head = next
        }
        // A handle's reference, and a link's, for each but the last chunk.
        expect(arena.statistics.liveBlocks == 100, "the chunks of a chain")
        let second = head.next()
        expect(second?.count == 10, "the second of a chain")
    }
}
