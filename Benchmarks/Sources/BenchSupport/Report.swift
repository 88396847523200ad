// The header and the tables.

import Foundation

private let nameWidth = 30

/// The machine, who takes part where that is not sure (`contestants`), and what the figures are.
package func printHeader(rounds: Int, unit: String, contestants: String?) {
    let cpu = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n")
        .first { $0.hasPrefix("model name") || $0.hasPrefix("CPU part") }?
        .split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) }
    let load = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8))?.split(separator: " ").first ?? "unknown"
    printLine("\(cpu ?? "unknown processor"), \(ProcessInfo.processInfo.activeProcessorCount) cores; load \(load)")
    if let contestants { printLine(contestants) }
    printLine(
        """
        Nanoseconds for \(unit): the median of \(rounds) rounds, of each the fastest run; spread is from the fastest \
        to the slowest round; then the ratio to each rival.
        """)
}

func printTable(_ result: WorkloadResult) {
    let rivals = result.figures.filter(\.hasColumn)
    var header = ["ns/block", "spread"] + rivals.map { "/" + $0.contestant }
    let hasBytes = result.figures.contains { $0.bytesPerBlock != nil }
    if hasBytes { header.append(result.bytesTitle) }
    header += result.extraTitles
    printLine("\n\(result.workload): \(result.title)")
    let widths = header.map { max($0.count, 7) + 2 }
    printRow("", header, widths)
    for figures in result.figures {
        var cells = [String(format: "%.2f", figures.median), String(format: "%.0f %%", figures.spread * 100)]
        cells += rivals.map { String(format: "%.2f", figures.median / $0.median) }
        if hasBytes { cells.append(figures.bytesPerBlock.map { String(format: "%.2f", $0) } ?? "") }
        cells += (figures.extras ?? []).map { String(format: $0 == $0.rounded() ? "%.0f" : "%.2f", $0) }
        printRow(figures.contestant, cells, widths)
    }
}

private func printRow(_ name: String, _ cells: [String], _ widths: [Int]) {
    let padded = zip(cells, widths).map { String(repeating: " ", count: max(0, $1 - $0.count)) + $0 }
    let line = "  " + name + String(repeating: " ", count: max(0, nameWidth - name.count)) + padded.joined()
    printLine(line.replacing(/[ ]+$/, with: ""))
}

/// At once, also when standard output is a file that someone watches.
package func printLine(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
