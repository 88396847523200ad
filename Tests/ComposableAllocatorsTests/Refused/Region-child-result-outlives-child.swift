// A reference into a child is used when the child has ended, though its parent is there.
import Mallow

func program() throws {
    let region = Region()
    let number: RegionReference<Int>  // error: lifetime-dependent variable 'number' escapes its scope
    do {
        let child = region.makeChild()
        number = try child.allocate(2)
    }
    print(number.value)
}
