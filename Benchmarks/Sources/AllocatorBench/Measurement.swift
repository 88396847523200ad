// Rounds: every contestant once a round, in an order that rotates, so that what the machine does meanwhile hits all alike.

import AllocatorRivals
import Foundation

struct Figures: Codable {
    let contestant: String
    let isMallow: Bool
    /// Nanoseconds a block, the fastest run of each round.
    let rounds: [Double]
    /// Bytes of malloc's a block, where a million blocks of 64 bytes were live.
    var bytesPerBlock: Double?

    var median: Double {
        let sorted = rounds.sorted()
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// From the fastest to the slowest round, as a part of the median.
    var spread: Double { (rounds.max()! - rounds.min()!) / median }
}

struct Result: Codable {
    let workload: String
    let title: String
    let figures: [Figures]

    func median(of contestant: String) -> Double? { figures.first { $0.contestant == contestant }?.median }
}

func measure(_ workload: Workload, rounds: Int, only: String?, memory: InputMemory) throws -> Result {
    let input = memory.input(for: workload)
    let contestants = try (Contestant.rivals(of: workload.kind) + workload.contestants()).filter { contestant in
        only.map { contestant.name.localizedCaseInsensitiveContains($0) } ?? true
    }
    let blocks = Double(workload.count * workload.blocksPerStep)
    var times = [[Double]](repeating: [], count: contestants.count)
    for round in -1..<rounds {
        for position in contestants.indices {
            let index = (max(round, 0) + position) % contestants.count
            var fastest = UInt64.max
            for _ in 0..<(round < 0 ? 1 : workload.runsPerRound) {
                fastest = min(fastest, try contestants[index].run(input))
            }
            // The first one is for caches and page tables.
            if round >= 0 { times[index].append(Double(fastest) / blocks) }
        }
    }
    let figures = try contestants.indices.map { index in
        let bytes = try contestants[index].bytesWhenFull.map { Double(try $0(input)) / Double(workload.count) }
        return Figures(
            contestant: contestants[index].name, isMallow: contestants[index].isMallow, rounds: times[index],
            bytesPerBlock: bytes)
    }
    return Result(workload: workload.name, title: workload.title, figures: figures)
}
