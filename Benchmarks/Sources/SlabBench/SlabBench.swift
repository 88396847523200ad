// slab-bench: Mallow's slab arenas beside malloc with a count, std::shared_ptr and SwiftNIO's ByteBuffer, in one
// program and in turn.

import ArgumentParser
import BenchSupport

@main
struct SlabBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slab-bench",
        abstract: "Compares Mallow's slab arenas with malloc, std::shared_ptr and SwiftNIO's ByteBuffer.",
        discussion: "The workloads: \(workloads.map(\.name).joined(separator: ", ")).")

    @OptionGroup var options: BenchOptions

    func validate() throws { try options.check(workloads) }

    func run() throws {
        printHeader(
            rounds: options.roundCount,
            unit: "what a title says, a block each (a pair of reference and release, of allocation and release, …)",
            contestants: nil)
        let results = try options.results(of: workloads)
        printTargets(results)
        try options.writeJSON(results)
    }
}
