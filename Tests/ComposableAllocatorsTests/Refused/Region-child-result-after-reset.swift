// A reference into a child is used after the child was reset.
import Mallow

func program() throws {
    let region = Region()
    var child = region.makeChild()
    let number = try child.allocate(1)
    child.reset()  // error: overlapping accesses to 'child'
    print(number.value)
}
