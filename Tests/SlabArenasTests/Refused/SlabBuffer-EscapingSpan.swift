// A span does not outlive its handle, nor an item's spans the item.
import Mallow

func keepsTheSpan(_ arena: SlabArena) throws -> UInt8 {
    var span: RawSpan  // error: lifetime-dependent variable 'span' escapes its scope
    do {
        let buffer = try arena.makeBuffer(byteCount: 5)
        span = buffer.span
    }
    return span.unsafeLoad(as: UInt8.self)
}

func keepsASpanOfAnItem(_ arena: SlabArena) throws -> Int {
    var span: RawSpan?  // error: lifetime-dependent variable 'span' escapes its scope
    do {
        let item = try arena.makeItem(byteCount: 5)
        var spans = item.spans
        span = spans.next()
    }
    return span?.byteCount ?? 0
}

func keepsTheSpansOfAnItem(_ arena: SlabArena) throws -> Int {
    var spans: SlabSpans  // error: lifetime-dependent variable 'spans' escapes its scope
    do {
        let item = try arena.makeItem(byteCount: 5)
        spans = item.spans
    }
    return spans.next()?.byteCount ?? 0
}
