// A region is given away and used.
import Mallow

func use(_ region: consuming Region) {}

func program() throws {
    let region = Region()  // error: 'region' used after consume
    use(region)
    print(region.statistics)
}
