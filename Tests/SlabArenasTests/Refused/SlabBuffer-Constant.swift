// A handle that is a constant, or lent, is not written or changed.
import Mallow

func writesAConstant(_ arena: SlabArena) throws {
    let buffer = try arena.makeBuffer(byteCount: 5)
    var span = buffer.mutableSpan  // error: cannot use mutating getter on immutable value
    span.storeBytes(of: 1, as: UInt8.self)
    buffer.shorten(to: 1)  // error: cannot use mutating member on immutable value
    buffer.removeNext()  // error: cannot use mutating member on immutable value
}

func writesWhatWasLent(_ item: borrowing SlabItem) {
    item.withMutableSpans { span, _ in span.storeBytes(of: 1, as: UInt8.self) }  // error: cannot use mutating member
}
