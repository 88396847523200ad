// A string grows after its region was reset.
import Mallow

func program() throws {
    var region = Region()
    var text = try region.makeString("text")
    region.reset(keeping: 0)  // error: overlapping accesses to 'region'
    try text.append("more")
}
