// A reference is stored in a struct that outlives the region.
import Mallow

struct Holder: ~Copyable {
    // error: '_read' accessor cannot return a ~Escapable result
    // error: '_modify' accessor cannot return a ~Escapable result
    var number: RegionReference<Int>  // error: of 'Escapable'-conforming struct 'Holder' has non-Escapable type
}
