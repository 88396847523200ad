// MALLOW_HARDENED: what each level finds and says, that programs without an error run as they always do, and the setting.

import Foundation
import Testing

@Suite struct HardenedTests {
    /// What is said of each error of `hardened.c`, and at which level at least.
    private static let findings: [(name: String, level: Int, words: String)] = [
        ("past_13_by_1", 1, "free(BLOCK): the block of 13 bytes was written past its end, at offset 13"),
        ("past_24_by_1", 1, "free(BLOCK): the block of 24 bytes was written past its end, at offset 24"),
        ("past_24_by_8", 1, "free(BLOCK): the block of 24 bytes was written past its end, at offset 31"),
        ("past_1000_by_1", 1, "free(BLOCK): the block of 1000 bytes was written past its end, at offset 1000"),
        ("past_30000_by_1", 1, "free(BLOCK): the block of 30000 bytes was written past its end, at offset 30000"),
        ("past_100001_by_1", 1, "free(BLOCK): the block of 100001 bytes was written past its end, at offset 100001"),
        ("past_20MiB_by_1", 1, "free(BLOCK): the block of 20971519 bytes was written past its end"),
        ("realloc_past_100", 1, "realloc(BLOCK): the block of 100 bytes was written past its end, at offset 100"),
        ("before_24_by_1", 1, "free(BLOCK): the block was written before its start, at offset -1; look for"),
        ("before_1000_by_8", 1, "free(BLOCK): the block was written before its start, at offset -8; look for"),
        ("before_100001_by_1", 1, "free(BLOCK): the block of 100001 bytes was written before its start, at offset -1"),
        // Seen when the block is handed out again, leaves the quarantine, or when its neighbour is freed.
        ("late_24_first", 1, ""), ("late_24_last", 1, ""), ("late_1000_middle", 1, ""), ("late_copy", 2, ""),
        ("twice_at_once", 1, "free(BLOCK): the block of 100 bytes was freed already (double free)"),
        ("twice_after_100", 1, "free(BLOCK): the block of 100 bytes was freed already (double free)"),
        ("twice_by_thread", 1, "free(BLOCK): the block of 48 bytes was freed already (double free)"),
        ("twice_100KiB", 2, "free(BLOCK): the block of 102400 bytes was freed already (double free)"),
        ("twice_20MiB", 2, "free(BLOCK): the block of 20971520 bytes was freed already (double free)"),
        ("realloc_freed", 1, "realloc(BLOCK): the block of 100 bytes was freed already (double free)"),
        ("inside_100_by_16", 1, "but 16 bytes behind that of the block of 100 bytes at BLOCK"),
        ("inside_100KiB_by_16", 1, "but 16 bytes behind that of the block of 102400 bytes at BLOCK"),
        ("inside_300KiB_by_128KiB", 1, "but 131072 bytes behind that of the block of 307200 bytes at BLOCK"),
        ("sized_24_as_32", 1, "free_sized(BLOCK): the caller says 32 bytes, but the block was allocated with 24;"),
        ("sized_100KiB_as_1", 1, "free_sized(BLOCK): the caller says 1 byte, but the block was allocated with 102400;"),
        ("aligned_64_as_128", 1, "an alignment of 128, but the block of 100 bytes was allocated with 64;"),
        ("aligned_64_as_none", 1, "an alignment of 1, but the block of 100 bytes was allocated with 64;"),
        ("never_freed", 2, "exit(BLOCK): the block of 40 bytes was written past its end, at offset 40"),
        ("fault_past_100KiB", 2, "past the end, at offset 102400, of the block of 102400 bytes at BLOCK"),
        ("fault_freed_100KiB", 2, "at offset 51200 of the freed block of 102400 bytes at BLOCK"),
    ]

    @Test(arguments: [1, 2]) func findsErrors(level: Int) async throws {
        var command = try await Command(Workshop.shared.program("hardened.c").path).preloaded()
        command.environment["MALLOW_HARDENED"] = "\(level)"
        let lines = try await command.runOrThrow().lines.map {
            $0.split(separator: "\t", omittingEmptySubsequences: false)
        }
        #expect(lines.map { String($0[0]) } == Self.findings.map(\.name))
        for (line, finding) in zip(lines, Self.findings) where level >= finding.level {
            #expect(line[1] == (finding.name.hasPrefix("fault") ? "faulted" : "aborted"), "\(line)")
            #expect(line[2].hasPrefix("mallow: ") && line[2].contains("; "), "\(line)")
            #expect(finding.words == "" || line[2].contains(finding.words), "\(line)")
        }
    }

    /// Programs without an error hear nothing of it.
    @Test(arguments: [
        ("conformance_family.c", 1), ("conformance_family.c", 2), ("conformance_limits.c", 2),
        ("conformance_after_main.c", 2), ("conformance_thread_local.cpp", 2), ("conformance_information.c", 1),
        ("conformance_thread_exit.c", 2), ("conformance_idle_memory.c", 2), ("extensions.c", 2),
    ])
    func leavesOthersAlone(source: String, level: Int) async throws {
        var command = try await Command(Workshop.shared.program(source).path).preloaded()
        command.environment["MALLOW_HARDENED"] = "\(level)"
        let outcome = try await command.run()
        #expect(outcome.succeeded && outcome.errorText == "", "\(outcome.summary)")
        #expect(outcome.lines.last?.hasSuffix(" 0 failed") == true, "\(outcome.summary)")
    }

    /// A setting of no level is told, and nothing is checked then; statistics count in hardened mode too.
    @Test func takesASetting() async throws {
        var command = try await Command(Workshop.shared.program("settings.c").path, "1000", "400").preloaded()
        for (value, words) in [("3", "MALLOW_HARDENED must be 0, 1 or 2: 3"), ("full", "full"), ("", ""), ("0", "")] {
            command.environment["MALLOW_HARDENED"] = value
            let outcome = try await command.run()
            #expect(outcome.succeeded && outcome.text == "done\n", "\(value): \(outcome.summary)")
            #expect(
                outcome.errorLines.count == (words == "" ? 0 : 1) && (words == "" || outcome.errorText.contains(words)),
                "\(value)")
        }
        var counted = Command(try await Workshop.shared.program("settings.c").path, "1000", "400")
        counted.environment["MALLOW_HARDENED"] = "2"
        let some = try #require(try await counted.runOnMallow().statistics)
        counted.arguments[1...] = ["0", "0"]
        let none = try #require(try await counted.runOnMallow().statistics)
        #expect(some.allocations - none.allocations == 1000)
        #expect(some.frees - none.frees == 400)
        #expect(some.liveBlocks - none.liveBlocks == 600)
        #expect(some.requestedBytes - none.requestedBytes == 100_000)
    }
}
