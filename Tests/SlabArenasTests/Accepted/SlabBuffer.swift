import Mallow

func readsAndWrites(_ arena: SlabArena) throws -> Int {
    var buffer = try arena.makeBuffer(byteCount: 16)
    var writer = buffer.mutableSpan
    writer.storeBytes(of: 1, as: UInt64.self)
    let span = buffer.span
    return Int(span.unsafeLoad(as: UInt64.self))
}

func readsAndStores(_ arena: SlabArena) throws -> SlabLocation {
    let buffer = try arena.makeBuffer(byteCount: 16)
    print(buffer.withSpan { $0.byteCount })
    return buffer.store()
}

func readsAndStoresAnItem(_ arena: SlabArena) throws -> SlabLocation {
    let item = try arena.makeItem(byteCount: 1 << 24)
    item.withSpans { span, offset in print(span.byteCount, offset) }
    return item.store()
}

func readsWhatWasLent(_ buffer: borrowing SlabBuffer, _ item: borrowing SlabItem) -> Int {
    var count = buffer.span.byteCount
    var spans = item.spans
    while let span = spans.next() { count += span.byteCount }
    return count
}

func takesAndStores(_ arena: SlabArena, _ location: inout SlabLocation) {
    if var buffer = arena.takeBuffer(at: location) {
        buffer.shorten(to: 3)
        location = buffer.store()
    }
}

func storesOnEachPath(_ arena: SlabArena, _ condition: Bool) throws -> SlabLocation {
    let buffer = try arena.makeBuffer(byteCount: 16)
    if condition { return buffer.store() }
    return buffer.slice(0..<8).store()
}

struct Entry: ~Copyable {
    var key: SlabBuffer
    var value: SlabItem
}

func isPartOfAStruct(_ arena: SlabArena) throws -> Entry {
    var entry = Entry(key: try arena.makeBuffer(byteCount: 4), value: try arena.makeItem(byteCount: 5000))
    entry.key.shorten(to: 2)
    entry.value.withMutableSpans { span, _ in span.storeBytes(of: 7, as: UInt8.self) }
    return entry
}

func sendsAnArenaThatNobodyElseHas() async throws -> Int {
    let arena = try SlabArena()
    let task = Task { try arena.makeBuffer(byteCount: 5).count }
    return try await task.value
}
