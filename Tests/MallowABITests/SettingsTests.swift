// The MALLOW_… variables: statistics at exit and on a signal, whose numbers are exact, and what is said of a setting
// that does not exist.

import Foundation
import Testing

@Suite struct SettingsTests {
    /// 1,000 blocks of 100 bytes, of which 400 are freed, against a run of the same program without any.
    @Test func countsExactly() async throws {
        let none = try await statistics("0", "0")
        let some = try await statistics("1000", "400")
        #expect(some.allocations - none.allocations == 1000)
        #expect(some.frees - none.frees == 400)
        #expect(some.remoteFrees == none.remoteFrees)
        #expect(some.requestedBytes - none.requestedBytes == 1000 * 100)
        #expect(some.grantedBytes - none.grantedBytes == 1000 * 112)
        #expect(some.liveBlocks - none.liveBlocks == 600)
        #expect(some.liveBytes - none.liveBytes == 600 * 112)
        #expect(some.peakLiveBytes - none.peakLiveBytes >= 600 * 112)
        #expect(some.peakLiveBytes >= some.liveBytes)
        #expect(some.threads == 1 && some.peakThreads == 1)

        let (before, after) = (sizeClass(112, of: none), sizeClass(112, of: some))
        #expect(after.allocations - before.allocations == 1000)
        #expect(after.liveBlocks - before.liveBlocks == 600)
        #expect(after.pages > 0)
        let others = { (statistics: Statistics) in statistics.sizeClasses.filter { $0.size != 112 } }
        #expect(others(some) == others(none))
    }

    /// What the totals say must be what the size classes say: the program has no block above them.
    @Test func sumsUp() async throws {
        let some = try await statistics("5000", "1234")
        #expect(some.allocations - some.frees == some.liveBlocks)
        #expect(some.sizeClasses.map(\.liveBlocks).reduce(0, +) == some.liveBlocks)
        #expect(some.sizeClasses.map(\.allocations).reduce(0, +) == some.allocations)
        #expect(some.sizeClasses.map { $0.liveBlocks * $0.size }.reduce(0, +) == some.liveBytes)
        #expect(some.sizeClasses.map(\.size) == some.sizeClasses.map(\.size).sorted())
        #expect(some.mappedBytes >= some.committedBytes && some.committedBytes >= some.liveBytes)
        #expect(some.peakCommittedBytes >= some.committedBytes)
        #expect(some.requestedBytes <= some.grantedBytes)
    }

    /// A second thread frees 250 of the 1,000 blocks.
    @Test func countsRemoteFrees() async throws {
        let none = try await statistics("1000", "400", "0")
        let some = try await statistics("1000", "400", "250")
        #expect(some.remoteFrees - none.remoteFrees == 250)
        #expect(some.frees - none.frees == 250)
        #expect(some.liveBlocks - none.liveBlocks == -250)
        #expect(some.liveBytes - none.liveBytes == -250 * 112)
        #expect(some.threads == 1 && some.peakThreads == 2)
    }

    /// A block that is too large for any size class counts all the same.
    @Test func countsLargeBlocks() async throws {
        let run = try await Command("perl", "-e", "my $text = 'x' x 50_000_000; print length $text").runOnMallow()
        let found = try #require(run.statistics)
        #expect(found.peakLiveBytes >= 50_000_000)
        #expect(found.peakCommittedBytes >= 50_000_000)
        #expect(found.requestedBytes >= 50_000_000)
    }

    @Test func printsToStandardError() async throws {
        let outcome = try await settings(["MALLOW_STATS": "1"], "1000", "400")
        #expect(outcome.succeeded && outcome.text == "done\n", "\(outcome.summary)")
        #expect(outcome.errorText.contains("mallow"), "\(outcome.errorText)")
        for number in ["allocations", "frees", "live", "peak", "committed", "purged", "threads"] {
            #expect(outcome.errorText.lowercased().contains(number), "\(number) is not in: \(outcome.errorText)")
        }
    }

    /// A path without `.json` at its end gets what standard error would.
    @Test func printsToAFile() async throws {
        let folder = try TemporaryFolder.make("text")
        let outcome = try await settings(["MALLOW_STATS": folder.path + "/statistics-%p-%p"], "1000", "400")
        #expect(outcome.succeeded && outcome.text == "done\n" && outcome.errorText == "", "\(outcome.summary)")
        let file = folder.appendingPathComponent("statistics-\(outcome.process)-\(outcome.process)")
        let text = try String(contentsOf: file, encoding: .utf8)
        #expect(text.contains("mallow") && text.contains("allocations"), "\(text)")
    }

    /// Without it nothing is printed, nor when it is empty.
    @Test func isSilentUnasked() async throws {
        for environment in [[:], ["MALLOW_STATS": ""]] {
            let outcome = try await settings(environment, "10", "5")
            #expect(outcome.succeeded && outcome.text == "done\n" && outcome.errorText == "", "\(outcome.summary)")
        }
    }

    /// Every process of a pipeline leaves its own file, none of which is another's; a path that cannot be written to
    /// is said once, and the program goes on.
    @Test func namesFilesByProcess() async throws {
        let folder = try TemporaryFolder.make("processes")
        let script = "ls / | sort | wc -l; ls -l / >/dev/null"
        var command = try Command("bash", "-c", script).preloaded()
        command.environment["MALLOW_STATS"] = folder.path + "/of.%p.json"
        try await command.runOrThrow()
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(files.count >= 5, "\(files)")
        for file in files {
            let statistics = try Statistics(contentsOf: folder.appendingPathComponent(file))
            #expect(file == "of.\(statistics.process).json")
        }
        let outcome = try await settings(["MALLOW_STATS": "/no/such/folder/%p"], "10", "5")
        #expect(outcome.succeeded && outcome.text == "done\n", "\(outcome.summary)")
        #expect(outcome.errorLines.count == 1 && outcome.errorText.contains("mallow"), "\(outcome.errorText)")
    }

    /// The program ends without exit handlers, so that what is there came with the signal.
    @Test(arguments: ["USR2", "SIGUSR2", "12"])
    func printsOnASignal(name: String) async throws {
        let folder = try TemporaryFolder.make("signal")
        let file = folder.appendingPathComponent("statistics.json")
        var environment = ["MALLOW_STATS": file.path, "MALLOW_STATS_SIGNAL": name]
        let outcome = try await settings(environment, "1000", "400", "0", "signal")
        #expect(outcome.succeeded && outcome.text == "after the signal\n", "\(outcome.summary)")
        #expect(outcome.errorText == "")
        let statistics = try Statistics(contentsOf: file)
        #expect(statistics.process == Int(outcome.process))
        #expect(sizeClass(112, of: statistics).liveBlocks >= 600)

        environment["MALLOW_STATS"] = "1"
        let printed = try await settings(environment, "1000", "400", "0", "signal")
        #expect(printed.succeeded && printed.text == "after the signal\n", "\(printed.summary)")
        #expect(printed.errorText.contains("mallow"), "\(printed.errorText)")
    }

    /// The signal comes hundreds of times, to threads in the middle of malloc and free: none may wait for itself,
    /// nor may a report change the heap that it interrupted. Four times, since it takes luck to meet what goes wrong.
    @Test(arguments: 1...4)
    func printsAmidstAllocations(time: Int) async throws {
        let folder = try TemporaryFolder.make("storm")
        var command = try Command(await Workshop.shared.program("signal_storm.c").path).preloaded()
        command.environment["MALLOW_STATS"] = folder.path + "/%p.json"
        command.environment["MALLOW_STATS_SIGNAL"] = "USR2"
        command.timeLimit = 300
        let outcome = try await command.run()
        #expect(outcome.succeeded && outcome.lines.last?.hasSuffix(" 0 failed") == true, "\(outcome.summary)")
        #expect(outcome.errorText == "")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(files == ["\(outcome.process).json"])
    }

    /// A program may have no standard error, or have made something else of descriptor 2.
    @Test func toleratesClosedDescriptors() async throws {
        let program = try await Workshop.shared.program("settings.c").path
        var command = try Command("bash", "-c", "exec \(program) 100 50 2>&-").preloaded()
        command.environment["MALLOW_STATS"] = "1"
        let outcome = try await command.run()
        #expect(outcome.succeeded && outcome.text == "done\n" && outcome.errorText == "", "\(outcome.summary)")
    }

    /// Each is said once, on one line that names it, and the program runs as ever.
    @Test(arguments: [
        ("MALLOW_FOO", "1"), ("MALLOW_", "x"), ("MALLOW_STATSS", "1"), ("MALLOW_STATS_SIGNAL", "NOSUCH"),
        ("MALLOW_STATS_SIGNAL", "0"), ("MALLOW_STATS_SIGNAL", "999"), ("MALLOW_STATS_SIGNAL", "KILL"),
        ("MALLOW_PURGE_DELAY", "soon"), ("MALLOW_PURGE_DELAY", "-1"), ("MALLOW_PURGE_DELAY", "1073741825"),
        ("MALLOW_GUARD_RATE", "often"), ("MALLOW_GUARD_RATE", "-1"), ("MALLOW_GUARD_RATE", "1073741825"),
        ("MALLOW_PURGE_DELAY", "99999999999999999999"), ("MALLOW_PURGE_DELAY", "5 "), ("MALLOW_BACKGROUND", "2"),
        ("MALLOW_LIMIT", "0"), ("MALLOW_LIMIT", "64M"), ("MALLOW_LIMIT", "1125899906842625"),
        ("MALLOW_HUGE_PAGES", "maybe"), ("MALLOW_STATS", "2"), ("MALLOW_STATS", "YES"),
    ])
    func complainsOnce(name: String, value: String) async throws {
        let outcome = try await settings([name: value], "1000", "400")
        #expect(outcome.succeeded && outcome.text == "done\n", "\(outcome.summary)")
        #expect(outcome.errorLines.count == 1, "\(outcome.errorText)")
        #expect(outcome.errorText.contains("mallow") && outcome.errorText.contains(name), "\(outcome.errorText)")
    }

    @Test(arguments: ["", "0", "7", "1073741824"]) func takesAPurgeDelay(value: String) async throws {
        let outcome = try await settings(["MALLOW_PURGE_DELAY": value], "100000", "99000")
        #expect(outcome.succeeded && outcome.text == "done\n" && outcome.errorText == "", "\(outcome.summary)")
    }

    /// A program that has stopped calling gives back what it freed, and its child does; the purger sleeps when nothing
    /// is left, wakes by what other threads free, and nobody waits for it at the end. Unasked no thread runs.
    @Test func purgesInTheBackground() async throws {
        let program = try await Workshop.shared.program("background.c").path
        for (value, arguments) in [("1", ["on"]), ("0", []), ("", [])] {
            var command = try Command(program).preloaded()
            command.arguments += arguments
            command.environment["MALLOW_BACKGROUND"] = value
            let outcome = try await command.run()
            #expect(outcome.succeeded && outcome.errorText == "", "\(outcome.summary)")
            #expect(outcome.lines.last?.hasSuffix(" 0 failed") == true, "\(outcome.summary)")
        }
    }

    /// Up to the limit and no further, in blocks of any kind; what is freed can be had again in another shape.
    @Test func keepsToALimit() async throws {
        let program = try await Workshop.shared.program("limit.c").path
        var command = try Command(program, "100000000").preloaded()
        command.environment["MALLOW_LIMIT"] = "100000000"
        let outcome = try await command.run()
        #expect(outcome.succeeded && outcome.errorText == "", "\(outcome.summary)")
        #expect(outcome.lines.last?.hasSuffix(" 0 failed") == true, "\(outcome.summary)")
    }

    /// A limit that leaves no room for the program's first blocks: it fails, it does not crash.
    @Test func survivesATinyLimit() async throws {
        var command = try Command("python3", "-c", "x = [bytes(1000) for i in range(100000)]").preloaded()
        command.environment["PYTHONMALLOC"] = "malloc"
        for limit in ["1", "100000", "30000000"] {
            command.environment["MALLOW_LIMIT"] = limit
            let outcome = try await command.run()
            guard case .exited(let status) = outcome.ending, status != 0 else {
                Issue.record("\(limit): \(outcome.summary)")
                continue
            }
        }
    }

    /// Huge pages back large blocks where they are asked for, if the system has any.
    @Test func takesHugePages() async throws {
        let system = (try? String(contentsOfFile: "/sys/kernel/mm/transparent_hugepage/enabled", encoding: .utf8)) ?? ""
        let program = try await Workshop.shared.program("huge_pages.c").path
        for (value, expected) in [("1", "huge"), ("0", "none")] {
            var command = try Command(program).preloaded()
            command.environment["MALLOW_HUGE_PAGES"] = value
            let outcome = try await command.run()
            #expect(outcome.succeeded && outcome.errorText == "", "\(outcome.summary)")
            if system.contains("[madvise]") || system.contains("[always]") {
                #expect(outcome.text == expected + "\n", "\(value): \(outcome.summary)")
            }
        }
    }

    @Test func leavesOthersSettingsAlone() async throws {
        let environment = ["MALLOW_LIBRARY": "/x", "MALLOW_TOOL": "y", "MALLOWED": "1", "MALLO": "2", "XMALLOW_A": "3"]
        let outcome = try await settings(environment, "10", "5")
        #expect(outcome.succeeded && outcome.text == "done\n" && outcome.errorText == "", "\(outcome.summary)")
    }

    private func statistics(_ arguments: String...) async throws -> Statistics {
        var command = Command(try await Workshop.shared.program("settings.c").path)
        command.arguments += arguments
        let run = try await command.runOnMallow()
        try #require(run.outcome.succeeded, "\(run.outcome.summary)")
        return try #require(run.statistics)
    }

    private func settings(_ environment: [String: String], _ arguments: String...) async throws -> Outcome {
        var command = Command(try await Workshop.shared.program("settings.c").path, environment: environment)
        command.arguments += arguments
        return try await command.preloaded().run()
    }

    /// Classes in which nothing ever was may be left out.
    private func sizeClass(_ size: Int, of statistics: Statistics) -> Statistics.SizeClass {
        statistics.sizeClasses.first { $0.size == size } ?? .init(size: size, allocations: 0, liveBlocks: 0, pages: 0)
    }
}
