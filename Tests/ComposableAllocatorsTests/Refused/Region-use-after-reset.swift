// A reference is used after its region was reset.
import Mallow

func program() throws {
    var region = Region()
    let number = try region.allocate(1)
    region.reset()  // error: overlapping accesses to 'region'
    print(number.value)
}
