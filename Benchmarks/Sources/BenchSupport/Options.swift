// The options that the benchmarks share, and what is done by them.

package import ArgumentParser
import Foundation

package struct BenchOptions: ParsableArguments {
    @Option(name: .customLong("workload"), help: "Run this workload alone (may be repeated).")
    package var names: [String] = []

    @Option(help: "How many rounds each workload has.")
    package var rounds = 9

    @Option(help: "Only those whose name contains this.")
    package var only: String?

    @Option(help: ArgumentHelp("Write every round's figures to this file too.", valueName: "file"))
    package var json: String?

    @Flag(help: "One round of a twentieth of the steps: too few to conclude from.")
    package var quick = false

    /// How many rounds there are in the end.
    package var roundCount: Int { quick ? 1 : rounds }

    package init() {}

    package func validate() throws {
        guard rounds > 0 else { throw ValidationError("--rounds must be at least 1") }
    }

    /// Throws where a workload was chosen that there is not.
    package func check(_ workloads: [Workload]) throws {
        for name in names where !workloads.contains(where: { $0.name == name }) {
            let known = workloads.map(\.name).joined(separator: ", ")
            throw ValidationError("no workload is called '\(name)'; there are: \(known)")
        }
    }

    /// Measures the workloads that were chosen, and prints a table of each as soon as it is known.
    package func results(of workloads: [Workload]) throws -> [WorkloadResult] {
        let memory = InputMemory()
        var results: [WorkloadResult] = []
        for workload in workloads where names.isEmpty || names.contains(workload.name) {
            let result = try measure(
                workload, rounds: min(roundCount, workload.mostRounds), only: only, part: quick ? 20 : nil,
                memory: memory)
            printTable(result)
            results.append(result)
        }
        return results
    }

    package func writeJSON(_ results: [WorkloadResult]) throws {
        guard let json else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try (encoder.encode(results) + Data("\n".utf8)).write(to: URL(fileURLWithPath: json))
    }
}
