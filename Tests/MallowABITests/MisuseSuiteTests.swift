// A hundred and more programs that commit one error each (Misuse/), in every mode. What each mode must catch is what
// Documentation/CaughtMisuse.md says: so the page cannot promise more than is true, and nothing that was caught is lost
// without a word there. Caught is what ended with a line of Mallow's, and what did no harm by design.
//
// `make misuse` prints the page's table anew.

import Foundation
import Testing

@Suite struct MisuseSuiteTests {
    struct Mode: Sendable, CustomTestStringConvertible {
        /// As the table's heading says.
        let name: String
        let settings: [String]
        /// Of all errors, what must be caught.
        let leastShare: Double
        var testDescription: String { name }
    }

    static let modes = [
        Mode(name: "default", settings: [], leastShare: 0.6),
        Mode(name: "hardened", settings: ["MALLOW_HARDENED=1"], leastShare: 0.9),
        Mode(name: "hardened 2", settings: ["MALLOW_HARDENED=2"], leastShare: 0.9),
        Mode(name: "guarded", settings: ["MALLOW_GUARD_RATE=1"], leastShare: 0.85),
    ]

    /// The errors that there are, and what the table says of each.
    @Test func tableIsWhole() async throws {
        let table = try Table()
        let listed = try await Command(suite().path).runOrThrow().lines.map { $0.components(separatedBy: "\t") }
        #expect(listed.map { "\($0[1]) \($0[2])" } == table.rows.map { "\($0.name) \($0.description)" })
        let errors = listed.filter { $0[0] != "innocent" }
        #expect(errors.count >= 121)
        // An honest mix: each kind has its share.
        let kinds = Dictionary(grouping: errors) { $0[0] }
        #expect(kinds.count == 7)
        for (kind, cases) in kinds {
            #expect(Double(cases.count) >= 0.08 * Double(errors.count), "\(kind): \(cases.count) errors")
            #expect(Double(cases.count) <= 0.19 * Double(errors.count), "\(kind): \(cases.count) errors")
        }
        for row in table.rows {
            #expect(row.cells.count == Self.modes.count, "\(row.name)")
            #expect(row.cells.values.allSatisfy { ["yes", "no", "by chance"].contains($0) }, "\(row.name)")
        }
    }

    @Test(arguments: modes) func catches(mode: Mode) async throws {
        let table = try Table()
        var command = try await Command(suite().path, "--all", "4", "LD_PRELOAD=\(Library.shared().path)")
        command.arguments += mode.settings
        let results = try await command.runOrThrow().lines.map { $0.components(separatedBy: "\t") }
        let outcomes = Dictionary(uniqueKeysWithValues: results.map { ($0[0], (outcome: $0[1], line: $0[2])) })
        #expect(Set(outcomes.keys) == Set(table.rows.map(\.name)))
        var errors = 0
        var stopped = 0
        for row in table.rows {
            let found = try #require(outcomes[row.name])
            let isInnocent = row.name.hasPrefix("right_")
            let isStopped = ["caught", "harmless"].contains(found.outcome)
            #expect(!["absent", "hung", "broken", "remarked"].contains(found.outcome), "\(row.name): \(found)")
            if isInnocent {
                #expect(found.outcome == "harmless", "a false alarm: \(row.name): \(found)")
                continue
            }
            errors += 1
            if isStopped { stopped += 1 }
            if row.cells[mode.name] == "yes" { #expect(isStopped, "\(row.name): \(found)") }
            if found.outcome == "caught" {
                #expect(found.line.hasPrefix("mallow: ") && found.line.contains("0x"), "\(row.name): \(found)")
            }
        }
        let share = Double(stopped) / Double(errors)
        #expect(share >= mode.leastShare, "\(stopped) of \(errors) errors were stopped")
    }

    private func suite() async throws -> URL {
        let sources = [
            "suite", "double_free", "invalid_free", "out_of_bounds", "after_free", "mismatched_sizes", "dirty_reads",
            "overwritten_metadata", "innocents",
        ]
        let files = sources.map { Checkout.tests.appendingPathComponent("Misuse/\($0).c").path }
        return try await Workshop.shared.program("../Misuse/suite.c", flags: Array(files.dropFirst()))
    }
}

/// The table of Documentation/CaughtMisuse.md: rows whose first cell is a name in backquotes, and whose heading names
/// the modes.
private struct Table {
    struct Row {
        let name: String
        let description: String
        let cells: [String: String]
    }
    private(set) var rows: [Row] = []

    init() throws {
        let page = Checkout.root.appendingPathComponent("Documentation/CaughtMisuse.md")
        var modes: [String] = []
        for line in try String(contentsOf: page, encoding: .utf8).split(separator: "\n") where line.hasPrefix("| ") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            if cells[0] == "error" {
                modes = Array(cells.dropFirst(2))
            } else if cells[0].hasPrefix("`"), cells.count == modes.count + 2 {
                let name = cells[0].trimmingCharacters(in: ["`"])
                let found = Dictionary(zip(modes, cells.dropFirst(2))) { $1 }
                rows.append(Row(name: name, description: cells[1], cells: found))
            }
        }
    }
}
