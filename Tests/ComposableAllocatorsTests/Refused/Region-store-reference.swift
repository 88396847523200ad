// A reference is stored in a struct that outlives the region.
import Mallow

struct Holder: ~Copyable {
    var number: RegionReference<Int>  // error: of 'Escapable'-conforming struct 'Holder' has non-Escapable type
}
