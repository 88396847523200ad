// A reference leaves the scope that is rewound behind it.
import Mallow

func program() throws {
    var region = Region()
    let number: RegionReference<Int> =
        try region.withCheckpoint { try $0.allocate(1) }  // error: conform to 'Escapable'
    print(number.value)
}
