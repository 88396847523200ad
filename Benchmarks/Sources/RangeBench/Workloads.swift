// The workloads. All ask for 16-8015 integers: 65,536 random counts, over and over.

import BenchSupport
import CBenchSupport
import RangeRivals

private let smallest: UInt32 = 16
private let largest: UInt32 = 8015

private let requests: [UInt32] = {
    var generator = SplitMix64(state: 5)
    return (0..<65_536).map { _ in .random(in: smallest...largest, using: &generator) }
}()

/// What a space has beyond the live ranges' average sum, as a part of it, where ranges live from run to run.
private let spare = 0.3

let workloads: [Workload] =
    [
        Workload(
            range: "one", title: "a range in an empty space, allocated and freed", RANGE_ONE, count: 500_000),
        Workload(
            range: "fill-100", title: "100 ranges in an empty space, then all freed in order", RANGE_FILL,
            count: 5000, blocksPerStep: 100, live: 100),
    ]
    + [(1000, 300_000, 5), (10_000, 300_000, 5), (100_000, 250_000, 3), (1_000_000, 200_000, 3)].map(random) + [
        Workload(
            range: "find-10000", title: "the place for a range, among 10,000 live ones", RANGE_FIND, count: 300_000,
            live: 10_000),
        Workload(
            range: "free-size-10000", title: "how much is free, and the largest free range, among 10,000 live ones",
            RANGE_FREE_SIZE, count: 500_000, live: 10_000),
    ]

private func random(live: Int, count: Int, runsPerRound: Int) -> Workload {
    Workload(
        range: "random-\(live)", title: "a random one of \(live) live ranges is freed, and one allocated in its place",
        RANGE_RANDOM, count: count, live: live, runsPerRound: runsPerRound)
}

extension Workload {
    /// - Parameter live: the ranges that live at once.
    fileprivate init(
        range name: String, title: String, _ workload: range_workload, count: Int, blocksPerStep: Int = 1,
        live: Int = 0, runsPerRound: Int = 5
    ) {
        let keepsLive = workload != RANGE_ONE && workload != RANGE_FILL
        self.init(
            name: name, title: title, count: count, blocksPerStep: blocksPerStep, blockCount: live,
            runsPerRound: runsPerRound, sizes: requests,
            extraTitles: workload == RANGE_RANDOM ? ["none", "false none", "bytes/free", "bytes/range"] : [],
            space: keepsLive ? Int(Double(live) * Double(smallest + largest) / 2 * (1 + spare)) : 1 << 30,
            contestants: { takingPart(in: workload) })
    }
}
