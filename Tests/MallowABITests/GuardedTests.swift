// MALLOW_GUARD_RATE: what is printed of a memory error at a guarded block, how the program ends then, and that whatever
// else happens is as it would be without.

import Foundation
import Testing

@Suite struct GuardedTests {
    /// What a way of guarded.c is told as. Where a block lies at one end of its memory or the other by chance, it is told
    /// by a fault or when the block is freed.
    struct Way: Sendable {
        let name: String
        /// What the first line begins with, and holds.
        let kind: String
        let parts: [String]
        let functions: [String]

        init(_ name: String, _ kind: String, _ parts: [String], _ functions: [String]) {
            self.name = name
            self.kind = kind
            self.parts = parts
            self.functions = functions
        }
    }

    static let ways = [
        Way("read_1", "heap-use-after-free: read of 1 byte at", ["16 bytes inside a block of 40 bytes"], both),
        Way("read_2", "heap-use-after-free: read of 2 bytes at", [], both),
        Way("read_4", "heap-use-after-free: read of 4 bytes at", [], both),
        Way("read_8", "heap-use-after-free: read of 8 bytes at", [], both),
        Way("read_float", "heap-use-after-free: read of 8 bytes at", [], both),
        Way("write_1", "heap-use-after-free: write of 1 byte at", ["which was freed;"], both),
        Way("write_8", "heap-use-after-free: write of 8 bytes at", [], both),
        Way("write_large", "heap-use-after-free: write", ["5 bytes inside a block of 100000 bytes"], both),
        Way("overflow_1", "heap-buffer-overflow: ", ["0 bytes behind a block of 48 bytes"], ["make_block"]),
        Way("overflow_in_slack", "heap-buffer-overflow: 1 byte at", ["was written (free found it)"], ["make_block"]),
        Way("overflow_string", "heap-buffer-overflow: ", ["0 bytes behind a block of 8 bytes"], ["make_block"]),
        Way("underflow_1", "heap-buffer-underflow: ", ["1 byte before a block of 48 bytes"], ["make_block"]),
        Way("double_free", "double-free: free(0x", ["of a block of 40 bytes"], both),
        Way("double_realloc", "double-free: realloc(0x", [], both + ["grow_block"]),
        Way("invalid_free", "invalid-free: free(0x", ["8 bytes inside a block of 40 bytes"], both),
        Way("usable_size_inside", "invalid-free: malloc_usable_size(0x", [], ["make_block"]),
        Way("after_realloc", "heap-use-after-free: read", ["block of 40 bytes"], ["make_block", "grow_block"]),
        Way("zeros", "heap-use-after-free: read", ["block of 40 bytes"], ["make_zeros", "drop_block"]),
        Way("aligned", "heap-use-after-free: read", ["block of 40 bytes"], ["make_aligned", "drop_block"]),
        Way("in_a_child", "heap-use-after-free: read", ["block of 40 bytes"], both),
        Way("by_another_thread", "heap-use-after-free: read", ["10 bytes inside"], both),
    ]
    /// How a first line ends.
    static let advice = [
        (kind: "heap-use-after-free: ", text: "free it later, or forget the pointer"),
        (kind: "heap-buffer-overflow: ", text: "allocate more, or stop at the block's end"),
        (kind: "heap-buffer-underflow: ", text: "look for an index below 0"),
        (kind: "double-free: ", text: "make clear who owns the block"),
        (kind: "invalid-free: ", text: "pass the pointer that malloc returned"),
    ]
    static let both = ["make_block", "drop_block"]
    static let others = [
        "own_handler", "chaining_handler", "null_pointer", "raised", "bus_error", "own_handler_for_null",
    ]

    @Test func listIsWhole() async throws {
        let outcome = try await Command(Workshop.shared.program("guarded.c").path).runOrThrow()
        #expect(outcome.lines == Self.ways.map(\.name) + Self.others)
    }

    /// The first line says what, where and what to do; the traces below it lead to the functions that allocated and
    /// freed; the program ends by the fault's signal or by `abort`.
    @Test(arguments: ways)
    func reports(way: Way) async throws {
        let outcome = try await guarded(way.name)
        let text = outcome.errorText
        #expect(text.hasPrefix("mallow: " + way.kind), "\(way.name): \(text)")
        let headline = outcome.errorLines.first ?? ""
        for part in way.parts { #expect(headline.contains(part), "\(way.name): \(part) is not in: \(headline)") }
        for function in way.functions { #expect(text.contains(" (\(function)"), "\(way.name): \(text)") }
        let isFault = headline.contains(": read") || headline.contains(": write")
        let advice = try #require(Self.advice.first { headline.hasPrefix("mallow: " + $0.kind) })
        #expect(headline.contains("; " + advice.text), "\(headline)")
        let role = isFault ? "accessed" : headline.contains("found it)") ? "found" : "called"
        #expect(text.contains("\n    \(role) by thread "), "\(text)")
        let lines = outcome.errorLines
        let allocation = try #require(lines.firstIndex { $0.hasPrefix("    allocated by thread ") }, "\(text)")
        #expect(!lines[allocation + 1].contains("libmallow"), "it begins inside Mallow: \(text)")
        #expect(headline.contains("freed") == text.contains("\n    freed by thread "), "\(text)")
        if way.name == "in_a_child" { return #expect(outcome.succeeded) }
        #expect(outcome.ending == .killed(signal: isFault ? SIGSEGV : SIGABRT), "\(way.name): \(outcome.summary)")
    }

    /// The offsets are what the usual tools take: the line of source is the call's.
    @Test(.enabled(if: isInstalled("addr2line"), "addr2line names the lines where it is installed"))
    func offsetsLeadToTheSource() async throws {
        let outcome = try await guarded("double_free")
        let frames = outcome.errorLines.filter { $0.contains(" (make_block") || $0.contains(" (drop_block") }
        #expect(frames.count >= 3, "\(outcome.errorText)")
        for frame in frames {
            let place = try #require(frame.split(separator: " ").first).split(separator: "+")
            let line = try await Command("addr2line", "-e", String(place[0]), String(place[1])).runOrThrow()
            #expect(line.text.contains("guarded.c:"), "\(frame): \(line.text)")
        }
    }

    /// A program's own handler has the signal; one that calls what it found gets our report as well. Faults elsewhere,
    /// and signals that are sent, end the program as ever, with no word from us.
    @Test func leavesSignalsAlone() async throws {
        for way in Self.others {
            let outcome = try await guarded(way)
            switch way {
            case "own_handler", "own_handler_for_null":
                #expect(outcome.ending == .exited(42) && outcome.errorText == "", "\(way): \(outcome.summary)")
            case "chaining_handler":
                #expect(outcome.ending == .killed(signal: SIGSEGV) && outcome.text.contains("handled"))
                #expect(outcome.errorText.contains("heap-use-after-free"), "\(outcome.summary)")
            case "bus_error":
                #expect(outcome.ending == .killed(signal: SIGBUS) && outcome.errorText == "", "\(outcome.summary)")
            default:
                #expect(outcome.ending == .killed(signal: SIGSEGV) && outcome.errorText == "", "\(outcome.summary)")
            }
        }
    }

    /// The cheaper conformance programs, with every block and with one in ten guarded.
    @Test(arguments: [
        "conformance_family.c", "conformance_limits.c", "conformance_realloc_race.c", "conformance_after_main.c",
        "conformance_information.c",
    ])
    func conforms(source: String) async throws {
        for rate in source.contains("race") || source.contains("family") ? ["10"] : ["1", "10"] {
            var command = try Command(await Workshop.shared.program(source).path).preloaded()
            command.environment["MALLOW_GUARD_RATE"] = rate
            let outcome = try await command.run()
            #expect(outcome.succeeded && outcome.errorText == "", "rate \(rate): \(outcome.summary)")
            #expect(outcome.lines.last?.hasSuffix(" 0 failed") == true, "rate \(rate): \(outcome.summary)")
        }
    }

    /// Guarded blocks count as ones of their class, to the block, and the report says how many there were.
    @Test func countsExactly() async throws {
        var command = Command(try await Workshop.shared.program("settings.c").path, "1000", "400")
        command.environment["MALLOW_GUARD_RATE"] = "3"
        let run = try await command.runOnMallow()
        let figures = try #require(run.statistics)
        let size = try #require(figures.sizeClasses.first { $0.size == 112 })
        #expect(run.outcome.succeeded && run.outcome.errorText == "", "\(run.outcome.summary)")
        #expect(size.allocations >= 1000 && size.liveBlocks >= 600 && size.allocations - size.liveBlocks >= 400)
        #expect(figures.sizeClasses.map(\.liveBlocks).reduce(0, +) == figures.liveBlocks)
        #expect(figures.sizeClasses.map { $0.liveBlocks * $0.size }.reduce(0, +) == figures.liveBytes)
        #expect(figures.allocations - figures.frees == figures.liveBlocks)

        var plain = try Command(await Workshop.shared.program("settings.c").path, "1000", "400").preloaded()
        plain.environment = plain.environment.merging(["MALLOW_GUARD_RATE": "1", "MALLOW_STATS": "1"]) { $1 }
        let text = try await plain.run().errorText
        let line = try #require(text.split(separator: "\n").first { $0.contains("guarded allocations") })
        #expect(try #require(line.split(separator: " ").last.flatMap { Int($0) }) >= 1000, "\(text)")
    }

    private func guarded(_ way: String) async throws -> Outcome {
        var command = try Command(await Workshop.shared.program("guarded.c").path, way).preloaded()
        command.environment["MALLOW_GUARD_RATE"] = "1"
        return try await command.run()
    }
}
