// A closure that outlives the region captures a reference.
import Mallow

func program() throws -> () -> Int {
    let region = Region()
    let number = try region.allocate(1)  // error: lifetime-dependent value escapes its scope
    return { number.value }
}
