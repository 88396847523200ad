// A C string is used after its region was reset.
import Mallow

func program() throws {
    var region = Region()
    let text = try region.makeCString("text")
    region.reset()  // error: overlapping accesses to 'region'
    print(text.count)
}
