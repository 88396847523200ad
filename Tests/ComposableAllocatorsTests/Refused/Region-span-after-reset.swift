// A span is used after its region was reset.
import Mallow

func program() throws {
    var region = Region()
    let numbers = try region.allocate(repeating: 1, count: 10)
    region.reset()  // error: overlapping accesses to 'region'
    print(numbers[0])
}
