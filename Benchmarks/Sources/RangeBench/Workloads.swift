// The workloads, and who takes part in each.

import BenchSupport
import CBenchSupport
import RangeRivals

let workloads: [Workload] =
    [
        Workload(range: "one", title: "a range in an empty space, allocated and freed", RANGE_ONE, count: 500_000),
        Workload(
            range: "fill-100", title: "100 ranges in an empty space, then all freed in order", RANGE_FILL,
            count: 5000, blocksPerStep: 100, live: 100),
    ]
    + [1000, 10_000, 100_000].map { random(live: $0, count: 100_000) }
    + [random(live: 1_000_000, count: 200_000, mostRounds: 3)] + [
        Workload(
            range: "find-10000", title: "the place for a range, among 10,000 live ones", RANGE_FIND, count: 100_000,
            live: 10_000),
        Workload(
            range: "free-size-10000", title: "how much is free, and the largest free range, among 10,000 live ones",
            RANGE_FREE_SIZE, count: 100_000, live: 10_000),
    ] + [
        Workload(
            buddy: "buddy-small", title: "a block of 1 KiB, allocated and freed", RANGE_ONE, count: 500_000,
            sizes: [1024]),
        Workload(
            buddy: "buddy-large", title: "a block of 1 MiB, allocated and freed", RANGE_ONE, count: 500_000,
            sizes: [1 << 20]),
        Workload(
            buddy: "buddy-odd", title: "a block of 1-65,536, no powers of two, allocated and freed", RANGE_ONE,
            count: 500_000, sizes: randomCounts(1...65_536).filter { $0.nonzeroBitCount > 1 }),
        Workload(
            buddy: "buddy-sequential", title: "100 blocks of 4 KiB, then all freed in order", RANGE_FILL, count: 5000,
            blocksPerStep: 100, live: 100, sizes: [4096]),
        Workload(
            buddy: "buddy-random", title: "a random one of 1,000 live blocks of 1-64 KiB, powers of two, is replaced",
            RANGE_RANDOM, count: 100_000, live: 1000, sizes: randomCounts(10...16).map { 1 << $0 }),
    ]

/// What is asked for, over and over.
private func randomCounts(_ range: ClosedRange<UInt32>) -> [UInt32] {
    var generator = SplitMix64(state: 5)
    return (0..<65_536).map { _ in .random(in: range, using: &generator) }
}

private let counts: ClosedRange<UInt32> = 16...8015
private let requests = randomCounts(counts)

/// What a space has beyond the live ranges' average sum, as a part of it, where ranges live from run to run.
private let spare = 0.3

private func random(live: Int, count: Int, mostRounds: Int = .max) -> Workload {
    Workload(
        range: "random-\(live)",
        title: "a random one of \(live) live ranges is freed, and one allocated in its place"
            + (mostRounds < .max ? "; \(mostRounds) rounds" : ""),
        RANGE_RANDOM, count: count, live: live, mostRounds: mostRounds)
}

extension Workload {
    /// Of ranges of 16-8015.
    ///
    /// - Parameter live: the ranges that live at once.
    fileprivate init(
        range name: String, title: String, _ workload: range_workload, count: Int, blocksPerStep: Int = 1,
        live: Int = 0, mostRounds: Int = .max
    ) {
        let keepsLive = workload != RANGE_ONE && workload != RANGE_FILL
        let average = Double(counts.lowerBound + counts.upperBound) / 2
        self.init(
            name: name, title: title, count: count, blocksPerStep: blocksPerStep, blockCount: live,
            sizes: requests,
            extraTitles: workload == RANGE_RANDOM ? ["none", "false none", "bytes/free", "bytes/range"] : [],
            space: keepsLive ? Int(Double(live) * average * (1 + spare)) : 1 << 30,
            mostRounds: mostRounds, contestants: { rangeContestants(workload) })
    }

    /// In a space of 512 MiB over blocks of 1 KiB.
    fileprivate init(
        buddy name: String, title: String, _ workload: range_workload, count: Int, blocksPerStep: Int = 1,
        live: Int = 0, sizes: [UInt32]
    ) {
        self.init(
            name: name, title: title, count: count, blocksPerStep: blocksPerStep, blockCount: live, sizes: sizes,
            space: 512 << 20, contestants: { buddyContestants(workload) })
    }
}
