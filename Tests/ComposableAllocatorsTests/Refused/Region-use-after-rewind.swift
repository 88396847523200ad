// A region is rewound while a reference is in use.
import Mallow

func program() throws {
    var region = Region()
    let mark = try region.checkpoint()
    let number = try region.allocate(1)
    region.rewind(to: mark)  // error: overlapping accesses to 'region'
    print(number.value)
}
