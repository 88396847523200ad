// A value is written while a span of the same array is written.
import Mallow

func program() throws {
    let region = Region()
    var numbers = try region.makeArray(of: Int.self)
    try numbers.append(1)
    var span = numbers.mutableSpan  // error: overlapping accesses to 'numbers'
    numbers[0] = 2
    span[0] = 3
}
