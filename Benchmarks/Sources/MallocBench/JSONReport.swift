// Every sample of a comparison with its medians, for programs that draw curves or watch for regressions.

import Foundation

struct JSONReport: Encodable {
    struct Entry: Encodable {
        let workload: String
        let allocator: String
        let failure: String?
        let median: Figures?
        let samples: [Sample]
    }

    let machine: MachineDescription
    let rounds: Int
    let scale: Double
    let entries: [Entry]
    let comparisons: [Summary.Comparison]
    let slowWorkloads: [Summary.SlowWorkload]

    init(machine: MachineDescription, rounds: Int, scale: Double, results: [WorkloadResult], summary: Summary) {
        self.machine = machine
        self.rounds = rounds
        self.scale = scale
        comparisons = summary.comparisons
        slowWorkloads = summary.slowWorkloads
        entries = results.flatMap { result in
            Set(result.samples.keys).union(result.failures.keys).sorted().map { name in
                let samples = result.samples[name] ?? []
                let failure = result.failures[name]
                return Entry(
                    workload: result.workload, allocator: name, failure: failure,
                    median: failure == nil ? Figures(samples: samples) : nil, samples: samples)
            }
        }
    }

    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try (encoder.encode(self) + Data("\n".utf8)).write(to: URL(fileURLWithPath: path))
    }
}
