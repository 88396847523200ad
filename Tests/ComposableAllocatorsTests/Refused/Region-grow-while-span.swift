// An array grows, and may move, while a span of its elements is in use.
import Mallow

func program() throws {
    let region = Region()
    var numbers = try region.makeArray(of: Int.self)
    let span = numbers.span
    try numbers.append(1)  // error: overlapping accesses to 'numbers'
    print(span.count)
}
