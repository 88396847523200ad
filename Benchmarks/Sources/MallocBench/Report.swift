// The tables, plain or as Markdown: one per workload as soon as it is measured, and the summary at the end.

import Foundation

struct Report {
    enum Style { case plain, markdown }

    let style: Style
    let allocators: [AllocatorUnderTest]

    private static let columns = ["", "ns/op", "spread", "ratio", "peak MB", "ratio"]

    func printHeader(machine: MachineDescription, rounds: Int, scale: Double) {
        let scaleNote = scale == 1 ? "" : ", scale \(scale)"
        let explanation = """
            Median of \(rounds) rounds\(scaleNote); spread is from the fastest to the slowest round; ratios are to the \
            best of the mallocs other than Mallow.
            """
        for line in machine.lines + [explanation] { printLine(style == .markdown ? "> \(line)  " : line) }
        if style == .markdown {
            printLine("\n| workload | malloc | " + Self.columns.dropFirst().joined(separator: " | ") + " |")
            printLine("|---|---|" + String(repeating: "--:|", count: Self.columns.count - 1))
        }
    }

    func printWorkload(_ result: WorkloadResult) {
        let best = BestRival(in: result, among: allocators)
        let rows = allocators.map { allocator in
            [allocator.name] + cells(for: allocator, in: result, best: best)
        }
        switch style {
        case .markdown:
            for (index, row) in rows.enumerated() {
                let name = index == 0 ? result.workload : ""
                printLine("| \(name) | " + row.joined(separator: " | ") + " |")
            }
        case .plain:
            var header = Self.columns
            header[0] = result.workload
            printLine("")
            for row in [header] + rows { printLine(Self.aligned(row)) }
        }
    }

    private func cells(
        for allocator: AllocatorUnderTest, in result: WorkloadResult, best: BestRival?
    ) -> [String] {
        if result.failures[allocator.name] != nil { return ["FAILED", "", "", "", ""] }
        guard let figures = result.figures(of: allocator) else { return ["–", "", "", "", ""] }
        return [
            Self.nanoseconds(figures.nanoseconds),
            String(format: "%.0f %%", figures.spread * 100),
            best.map { String(format: "%.2f", figures.nanoseconds / $0.nanoseconds) } ?? "",
            String(format: "%.1f", figures.peakBytes / 1e6),
            best.map { String(format: "%.2f", figures.peakBytes / $0.peakBytes) } ?? "",
        ]
    }

    func printSummary(_ summary: Summary) {
        printLine("")
        for comparison in summary.comparisons {
            let line = String(
                format: "time %.3f, peak memory %.3f (geometric means over %d workloads)",
                comparison.time, comparison.peak, comparison.workloadCount)
            printItem("Mallow to \(comparison.rival): \(line)")
        }
        if !summary.comparisons.isEmpty {
            let slow = summary.slowWorkloads.map { String(format: "%@ (%.2f)", $0.workload, $0.ratio) }
            let list = slow.isEmpty ? "none" : slow.joined(separator: ", ")
            printItem("slower than \(Summary.slowLimit) of the best: \(list)")
        }
        for failure in summary.failures {
            printItem("FAILED: \(failure.workload) under \(failure.allocator): \(failure.reason)")
            if style == .markdown { printError("FAILED: \(failure.workload) under \(failure.allocator)") }
        }
    }

    private func printItem(_ text: String) { printLine(style == .markdown ? "- \(text)" : text) }

    /// Line by line, also when standard output is a file that someone watches.
    private func printLine(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

    private static func nanoseconds(_ value: Double) -> String {
        String(format: value < 100 ? "%.2f" : "%.0f", value)
    }

    private static func aligned(_ row: [String]) -> String {
        let widths = [22, 10, 8, 7, 9, 7]
        return zip(row, widths).enumerated().map { index, cell in
            let padding = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
            return index == 0 ? cell.0 + padding : padding + cell.0
        }.joined()
    }
}
