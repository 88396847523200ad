// A region goes to an actor and is used here too.
import Mallow

actor Worker {
    func use(_ region: borrowing Region) {}
}

func program(_ worker: Worker) async throws {
    let region = Region()
    let number = try region.allocate(1)
    async let used: Void = worker.use(region)  // error: sending 'region' risks causing data races
    print(number.value)
    await used
}
