// A region is rewound twice to one checkpoint.
import Mallow

func program() throws {
    var region = Region()
    let mark = try region.checkpoint()  // error: 'mark' consumed more than once
    region.rewind(to: mark)
    region.rewind(to: mark)
}
