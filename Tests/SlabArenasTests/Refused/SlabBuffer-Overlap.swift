// Nothing changes, reads or gives away a handle while it is being written, nor changes one that is being read.
import Mallow

func readsWhatIsBeingWritten(_ arena: SlabArena) throws {
    var buffer = try arena.makeBuffer(byteCount: 5)
    var span = buffer.mutableSpan  // error: overlapping accesses to 'buffer'
    print(buffer.span.byteCount)
    span.storeBytes(of: 1, as: UInt8.self)
}

func duplicatesWhatIsBeingWritten(_ arena: SlabArena) throws {
    var buffer = try arena.makeBuffer(byteCount: 5)
    var span = buffer.mutableSpan  // error: overlapping accesses to 'buffer'
    let other = buffer.duplicate()
    span.storeBytes(of: 1, as: UInt8.self)
    print(other.count)
}

func writesWhatIsBeingRead(_ arena: SlabArena) throws {
    var buffer = try arena.makeBuffer(byteCount: 5)
    let span = buffer.span
    var other = buffer.mutableSpan  // error: overlapping accesses to 'buffer'
    other.storeBytes(of: 1, as: UInt8.self)
    print(span.byteCount)
}

func linksAnewWhatIsBeingRead(_ arena: SlabArena) throws {
    var buffer = try arena.makeBuffer(byteCount: 5)
    let span = buffer.span
    buffer.removeNext()  // error: overlapping accesses to 'buffer'
    print(span.byteCount)
}

func linksToItself(_ arena: SlabArena) throws {
    var buffer = try arena.makeBuffer(byteCount: 5)
    buffer.setNext(buffer)  // error: overlapping accesses to 'buffer'
}

func writesAnItemThatIsBeingRead(_ arena: SlabArena) throws {
    var item = try arena.makeItem(byteCount: 5)
    var spans = item.spans
    // error: overlapping accesses to 'item'
    item.withMutableSpans { span, _ in span.storeBytes(of: 1, as: UInt8.self) }
    print(spans.next()?.byteCount ?? 0)
}

func readsAnItemThatIsBeingWritten(_ arena: SlabArena) throws {
    var item = try arena.makeItem(byteCount: 5)
    item.withMutableSpans { _, _ in print(item.bytes()) }  // error: overlapping accesses to 'item'
}
