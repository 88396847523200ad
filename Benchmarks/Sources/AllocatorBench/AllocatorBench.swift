// allocator-bench: Mallow's allocators beside malloc, std::pmr and Boost.Pool, in one program and in turn.

import AllocatorRivals
import ArgumentParser
import BenchSupport

@main
struct AllocatorBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allocator-bench",
        abstract: "Compares Mallow's allocators with malloc, std::pmr and Boost.Pool: time and memory per block.",
        discussion: "The workloads: \(workloads.map(\.name).joined(separator: ", ")).")

    @OptionGroup var options: BenchOptions

    func validate() throws { try options.check(workloads) }

    func run() throws {
        let boost = bench_boost_version().map { "Boost " + String(cString: $0).replacing("_", with: ".") }
        printHeader(
            rounds: options.roundCount, unit: "the whole life of a block",
            contestants: boost ?? "Boost is not installed (libboost-dev): nothing to compare with Boost.Pool")
        let results = try options.results(of: workloads)
        printTargets(results)
        try options.writeJSON(results)
    }
}
