// What `mallow run` prints and records about a run.

/// Everything about one finished run.
struct RunReport {
    var command: [String]
    var library: MallocLibrary
    var termination: Termination
    var usage: ResourceUsage
    var statistics: Statistics

    enum Statistics {
        case collected(CollectedStatistics)
        /// Why there are none.
        case none(String)
    }

    /// The lines for standard error.
    var text: String {
        var lines = [
            "mallow: \(Program.lastComponent(command[0])) on \(library.path): \(termination.description)",
            row(
                "time",
                "\(Format.seconds(usage.wallSeconds)) wall, \(Format.seconds(usage.userSeconds)) user, "
                    + "\(Format.seconds(usage.systemSeconds)) system"),
            row(
                "peak memory",
                usage.peakIsAtFloor
                    ? "at most \(Format.bytes(usage.peakBytes)), which is the least that can be measured"
                    : "\(Format.bytes(usage.peakBytes)), the largest process of the tree"),
            row(
                "page faults",
                "\(Format.count(usage.minorPageFaults)) minor, \(Format.count(usage.majorPageFaults)) major"),
        ]
        switch statistics {
        case .none(let reason):
            lines.append(row("heap", "no statistics: \(reason)"))
        case .collected(let collected):
            if let main = collected.main {
                lines += heapLines(main)
            } else {
                lines.append(row("heap", Self.silence(termination)))
            }
            if collected.processCount > 1 || collected.main == nil && collected.processCount > 0 {
                lines.append(
                    row(
                        "processes",
                        "\(Format.count(collected.processCount)) wrote statistics, "
                            + "\(Format.plural(collected.allocations, "allocation", "allocations")) together"))
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func heapLines(_ heap: HeapStatistics) -> [String] {
        var lines = [
            row(
                "heap",
                joined([
                    heap.allocations.map { Format.plural($0, "allocation", "allocations") },
                    heap.frees.map { frees in
                        let remote = heap.remoteFrees.map { " (\(Format.count($0)) by another thread)" } ?? ""
                        return Format.plural(frees, "free", "frees") + remote
                    },
                ])),
            row(
                "  asked for",
                joined([
                    heap.requestedBytes.map { Format.bytes($0) }, heap.grantedBytes.map { "given \(Format.bytes($0))" },
                ])),
            row(
                "  live",
                joined([
                    heap.peakLiveBytes.map { "\(Format.bytes($0)) at most" },
                    heap.liveBytes.map { bytes in
                        let blocks = heap.liveBlocks.map { " in \(Format.plural($0, "block", "blocks"))" } ?? ""
                        return "\(Format.bytes(bytes))\(blocks) at exit"
                    },
                ])),
            row(
                "  committed",
                joined([
                    heap.peakCommittedBytes.map { "\(Format.bytes($0)) at most" },
                    heap.committedBytes.map { "\(Format.bytes($0)) at exit" },
                    heap.purgedBytes.map { "\(Format.bytes($0)) given back" },
                    heap.mappedBytes.map { "\(Format.bytes($0)) of addresses" },
                ])),
            row(
                "  threads",
                joined([
                    heap.peakThreads.map { "\(Format.count($0)) at most" },
                    heap.threads.map { "\(Format.count($0)) at exit" },
                ])),
        ]
        let total = max(1, heap.allocations ?? 0)
        let busiest = heap.busiestSizes(4).map { entry in
            "\(Format.bytes(entry.size)) \(Format.fixed(100 * Double(entry.allocations) / Double(total), 0)) %"
        }
        lines.append(row("  busiest", joined(busiest)))
        return lines.filter { !$0.isEmpty }
    }

    /// Why the main process may have written nothing.
    private static func silence(_ termination: Termination) -> String {
        if case .killed = termination {
            return "no statistics: they are written at exit, and a signal ended the program"
        }
        return "no statistics: the program wrote none (a malloc of its own, or an exit by _exit)"
    }

    private func row(_ label: String, _ value: String) -> String {
        value.isEmpty ? "" : "  " + Format.padded(label, to: 13) + value
    }

    private func joined(_ parts: [String?]) -> String {
        parts.compactMap { $0 }.joined(separator: ", ")
    }
}

/// What `mallow run --json` writes.
struct RunRecord: Encodable {
    var mallow = toolVersion
    var command: [String]
    var library: String
    var termination: TerminationRecord
    var wallSeconds: Double
    var userSeconds: Double
    var systemSeconds: Double
    var peakBytes: Int
    var peakFloorBytes: Int
    var peakIsAtFloor: Bool
    var minorPageFaults: Int
    var majorPageFaults: Int
    /// Of the main process; absent if there are none.
    var statistics: HeapStatistics?
    var processes: Processes?

    struct Processes: Encodable {
        var count: Int
        var allocations: Int
    }

    init(_ report: RunReport) {
        command = report.command
        library = report.library.path
        termination = TerminationRecord(report.termination)
        wallSeconds = report.usage.wallSeconds
        userSeconds = report.usage.userSeconds
        systemSeconds = report.usage.systemSeconds
        peakBytes = report.usage.peakBytes
        peakFloorBytes = report.usage.peakFloorBytes
        peakIsAtFloor = report.usage.peakIsAtFloor
        minorPageFaults = report.usage.minorPageFaults
        majorPageFaults = report.usage.majorPageFaults
        if case .collected(let collected) = report.statistics {
            statistics = collected.main
            processes = Processes(count: collected.processCount, allocations: collected.allocations)
        }
    }
}
