// A C string outlives its region by an assignment.
import Mallow

func program() throws -> Int {
    let outer = Region()
    var text = try outer.makeCString("outer")  // error: lifetime-dependent variable 'text' escapes its scope
    do {
        let inner = Region()
        text = try inner.makeCString("inner")
    }
    return text.count
}
