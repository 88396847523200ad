// What `mallow compare` prints: a block for every metric, a line for every malloc.

struct ComparisonTable {
    let comparison: Comparison
    let style: Style

    var text: String {
        let comparison = self.comparison
        let rounds = Format.plural(comparison.roundCount, "round", "rounds")
        var lines = [
            style.bold("mallow compare: \(comparison.command.joined(separator: " "))"),
            "\(rounds) in turn, after a warm-up of each; the ratio is to the system malloc's median",
            "",
            heading,
        ]
        for metric in Metric.allCases {
            lines.append(style.bold(metric.title))
            lines += comparison.allocators.indices.map { line($0, metric) }
        }
        lines.append("")
        lines += notes
        return lines.joined(separator: "\n") + "\n"
    }

    private var nameWidth: Int {
        max(12, comparison.allocators.map(\.name.count).max() ?? 0) + 4
    }

    private var heading: String {
        style.faint(columns("", "median", "spread", "ratio"))
    }

    private func columns(_ name: String, _ median: String, _ spread: String, _ ratio: String) -> String {
        Format.padded("  " + name, to: nameWidth) + Format.padded(median, to: 14, right: true)
            + Format.padded(spread, to: 11, right: true) + Format.padded(ratio, to: 9, right: true)
    }

    private func line(_ index: Int, _ metric: Metric) -> String {
        let allocator = comparison.allocators[index]
        let summary = SampleSummary(allocator.values(metric))
        let bound = metric == .peakMemory && comparison.isAtFloor(index) ? "≤ " : ""
        let spread = summary.spread.map { "±\(Format.fixed(100 * $0, 1)) %" } ?? "-"
        let ratio = comparison.ratio(index, metric)
        let row = columns(
            allocator.name, bound + metric.format(summary.median), spread,
            index == 0 ? "" : ratio.map { Format.fixed($0.ratio, 2) } ?? "-")
        guard index > 0, let verdict = comparison.verdict(index, metric) else { return trimmed(row) }
        return row + "  " + words(verdict, ratio)
    }

    private func words(_ verdict: Verdict, _ ratio: PairedRatio?) -> String {
        let value = ratio?.ratio ?? 1
        switch verdict {
        case .less: return style.good("\(percent(1 - value)) less")
        case .more where value >= 2: return style.bad("\(Format.fixed(value, 1)) times as much")
        case .more: return style.bad("\(percent(value - 1)) more")
        case .same: return "the same"
        case .undecided:
            let range = ratio.map { " (\(Format.fixed($0.low, 2)) to \(Format.fixed($0.high, 2)))" } ?? ""
            return style.faint("spread too wide to conclude\(range)")
        case .tooFewRounds: return style.faint("too few rounds to conclude")
        case .tooSmall: return style.faint("too small to measure")
        }
    }

    /// The medians may lie on the other side of 1 than the pairs do, by a hair.
    private func percent(_ part: Double) -> String {
        part < 0.01 ? "slightly" : "\(Format.fixed(100 * part, part < 0.1 ? 1 : 0)) %"
    }

    private var notes: [String] {
        var notes: [String] = []
        let indices = comparison.allocators.indices
        let verdicts = indices.flatMap { index in Metric.allCases.map { comparison.verdict(index, $0) } }
        if verdicts.contains(.tooFewRounds) {
            notes.append("Five rounds are the fewest from which a difference can be concluded: see --rounds.")
        }
        if verdicts.contains(.undecided) {
            notes.append(
                "Too wide to conclude: the rounds disagree on which is less. More rounds may tell: see --rounds.")
        }
        if comparison.allocators.contains(where: { $0.allRuns.contains(where: \.leftOutputOpen) }) {
            notes.append(
                "Processes that the program left behind held its output; what they wrote later is not compared.")
        }
        return notes + [outputNote, terminationNote]
    }

    private var outputNote: String {
        switch comparison.outputAgreement {
        case .same:
            let output = comparison.allocators[0].warmUp.output
            return "Output: the same in every run, \(Format.plural(output.byteCount, "byte", "bytes"))."
        case .notDeterministic:
            return "Output: not compared, since it differs from run to run under the system malloc itself."
        case .differs(let differences):
            return style.bad("Output: DIFFERS from that under the system malloc: \(list(differences)).")
        }
    }

    private var terminationNote: String {
        switch comparison.terminationAgreement {
        case .same: return "End: \(comparison.allocators[0].warmUp.termination.description) in every run."
        case .notDeterministic:
            return "End: not compared, since it differs from run to run under the system malloc itself."
        case .differs(let differences):
            let ends = comparison.allocators.map { allocator in
                let seen = allocator.allRuns.map(\.termination.description)
                let distinct = seen.enumerated().filter { !seen[..<$0.offset].contains($0.element) }.map(\.element)
                return "\(allocator.name) \(distinct.joined(separator: " or "))"
            }
            return style.bad("End: DIFFERS: \(list(differences)) (\(ends.joined(separator: "; "))).")
        }
    }

    private func list(_ differences: [Agreement.Difference]) -> String {
        differences.map { "\($0.name) in \($0.count) of \($0.total) runs" }.joined(separator: ", ")
    }

    private func trimmed(_ line: String) -> String {
        var line = line
        while line.last == " " { line.removeLast() }
        return line
    }
}
