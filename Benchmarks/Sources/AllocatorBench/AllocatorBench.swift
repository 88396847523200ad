// allocator-bench: Mallow's allocators beside malloc, std::pmr and Boost.Pool, in one program and in turn.

import ArgumentParser
import Foundation

@main
struct AllocatorBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allocator-bench",
        abstract: "Compares Mallow's allocators with malloc, std::pmr and Boost.Pool: time and memory per block.",
        discussion: "The workloads: \(workloads.map(\.name).joined(separator: ", ")).")

    @Option(name: .customLong("workload"), help: "Run this workload alone (may be repeated).")
    var names: [String] = []

    @Option(help: "How many rounds each workload has.")
    var rounds = 9

    @Option(help: "Only those whose name contains this.")
    var only: String?

    @Option(help: ArgumentHelp("Write every round's figures to this file too.", valueName: "file"))
    var json: String?

    func validate() throws {
        guard rounds > 0 else { throw ValidationError("--rounds must be at least 1") }
        for name in names where !workloads.contains(where: { $0.name == name }) {
            let known = workloads.map(\.name).joined(separator: ", ")
            throw ValidationError("no workload is called '\(name)'; there are: \(known)")
        }
    }

    func run() throws {
        printHeader(rounds: rounds)
        let memory = InputMemory()
        var results: [Result] = []
        for workload in workloads where names.isEmpty || names.contains(workload.name) {
            let result = try measure(workload, rounds: rounds, only: only, memory: memory)
            printTable(result)
            results.append(result)
        }
        printTargets(results)
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            try (encoder.encode(results) + Data("\n".utf8)).write(to: URL(fileURLWithPath: json))
        }
    }
}
