// An output span is appended to after its region was reset.
import Mallow

func program() throws {
    var region = Region()
    var output = try region.makeOutputSpan(of: Int.self, capacity: 4)
    region.reset()  // error: overlapping accesses to 'region'
    output.append(1)
}
