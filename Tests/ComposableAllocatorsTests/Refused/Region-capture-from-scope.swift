// A reference made in a scope goes into a variable outside it.
import Mallow

func program() throws {
    var region = Region()
    var text: RegionCString?  // error: lifetime-dependent variable 'text' escapes its scope
    region.withCheckpoint { scope in
        text = try? scope.makeCString("text")
    }
    print(text?.count ?? 0)
}
