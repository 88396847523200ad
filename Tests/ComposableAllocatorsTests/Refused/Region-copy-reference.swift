// A reference is copied: two could write the value at once.
import Mallow

func program() throws {
    let region = Region()
    let number = try region.allocate(1)
    var other = number  // error: noncopyable 'number' cannot be consumed
    other.value += number.value
}
