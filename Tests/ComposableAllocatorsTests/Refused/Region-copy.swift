// A region is copied.
import Mallow

func program() throws {
    let region = Region()
    let other = region  // error: noncopyable 'region' cannot be consumed
    _ = try region.allocate(1)
    _ = try other.allocate(2)
}
