// A reference leaves the function whose region it is in.
import Mallow

func number() throws -> RegionReference<Int> {  // error: a function cannot return a ~Escapable result
    let region = Region()
    return try region.allocate(1)
}
