// An array grows after it was finished.
import Mallow

func program() throws {
    let region = Region()
    var numbers = try region.makeArray(of: Int.self)  // error: 'numbers' used after consume
    let span = numbers.finish()
    try numbers.append(1)
    print(span.count)
}
