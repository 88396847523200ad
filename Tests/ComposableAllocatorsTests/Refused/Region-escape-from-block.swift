// A reference leaves the block whose region it is in.
import Mallow

func program() throws -> Int {
    let number: RegionReference<Int>  // error: lifetime-dependent variable 'number' escapes its scope
    do {
        let region = Region()
        number = try region.allocate(2)
    }
    return number.value
}
