// An array grows after its region was reset.
import Mallow

func program() throws {
    var region = Region()
    var numbers = try region.makeArray(of: Int.self)
    region.reset()  // error: overlapping accesses to 'region'
    try numbers.append(1)
}
