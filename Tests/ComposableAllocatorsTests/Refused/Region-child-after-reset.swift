// A child is used after its parent was reset.
import Mallow

func program() throws {
    var region = Region()
    let child = region.makeChild()
    region.reset()  // error: overlapping accesses to 'region'
    _ = try child.allocate(1)
}
