// range-bench: Mallow's range allocators beside trees of the free ranges and the virtual blocks of the Vulkan Memory
// Allocator, in one program and in turn.

import ArgumentParser
import BenchSupport
import RangeRivals

@main
struct RangeBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "range-bench",
        abstract: "Compares Mallow's range allocators with std::map, Boost.Intrusive and VMA's virtual blocks.",
        discussion: "The workloads: \(workloads.map(\.name).joined(separator: ", ")).")

    @OptionGroup var options: BenchOptions

    func validate() throws { try options.check(workloads) }

    func run() throws {
        let boost = range_boost_version().map { "Boost.Intrusive \(String(cString: $0))" }
        printHeader(
            rounds: options.roundCount,
            unit: "what a title says, a range each (allocated and freed, or one look-up)",
            contestants: (boost ?? "without Boost.Intrusive (libboost-dev)") + ", "
                + (range_has_vma() ? "VMA" : "without VMA (libvulkan-memory-allocator-dev)"))
        let results = try options.results(of: workloads)
        printTargets(results)
        try options.writeJSON(results)
    }
}
