// segment-bench: scalable memory, segmented buffers and their reader, beside malloc, [UInt8] and SwiftNIO's ByteBuffer,
// in one program and in turn.

import ArgumentParser
import BenchSupport

@main
struct SegmentBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "segment-bench",
        abstract: "Compares Mallow's scalable memory and segmented buffers with malloc, [UInt8] and ByteBuffer.",
        discussion: "The workloads: \(workloads.map(\.name).joined(separator: ", ")).")

    @OptionGroup var options: BenchOptions

    func validate() throws { try options.check(workloads) }

    func run() throws {
        printHeader(rounds: options.roundCount, unit: "what a title says", contestants: nil)
        let results = try options.results(of: workloads)
        printTargets(results)
        try options.writeJSON(results)
    }
}
