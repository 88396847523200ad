// A reference is used after its region was given away.
import Mallow

func use(_ region: consuming Region) {}

func program() throws {
    let region = Region()
    let number = try region.allocate(1)
    use(region)  // error: noncopyable 'region' cannot be consumed when captured by an escaping closure or borrowed
    print(number.value)
}
