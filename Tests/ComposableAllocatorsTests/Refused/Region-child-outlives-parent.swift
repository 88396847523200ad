// A child outlives its parent.
import Mallow

func program() throws {
    let child: ChildRegion  // error: lifetime-dependent variable 'child' escapes its scope
    do {
        let parent = Region()
        child = parent.makeChild()
    }
    _ = try child.allocate(1)
}
