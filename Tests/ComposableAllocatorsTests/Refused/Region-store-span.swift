// A span is stored in an object that outlives the region.
import Mallow

final class Holder {
    var numbers: MutableSpan<Int>?  // error: accessor cannot return a ~Escapable result
}

func program(_ holder: Holder) throws {
    let region = Region()
    holder.numbers = try region.allocate(repeating: 1, count: 10)
}
