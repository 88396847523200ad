// A span is not returned, stored or taken out of a closure.
import Mallow

func returnsASpan(_ arena: SlabArena) throws -> RawSpan {  // error: a function cannot return a ~Escapable result
    try arena.makeBuffer(byteCount: 5).span
}

struct Keeper {
    // error: the 'get' accessor cannot return a ~Escapable result
    let span: RawSpan  // error: has non-Escapable type 'RawSpan'
}

func takesTheSpanOut(_ buffer: borrowing SlabBuffer) {
    print(buffer.withSpan { $0 }.byteCount)  // error: conform to 'Escapable'
}
