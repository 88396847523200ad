// `mallow compare`: the rounds, the table, the record, and what becomes of output and exit status.

import Foundation
import Testing

@Suite struct CompareTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private var otherLibrary: String {
        get throws { try folder.compile("libother.so", Source.reportingLibrary, "-shared", "-fPIC") }
    }

    @Test func tableHasEverything() throws {
        let result = try mallow("compare", "--rounds", "2", "echo", "hello")
        #expect(result.status == 0)
        #expect(result.error == "")
        #expect(!result.output.contains("hello\n\n") && !result.output.hasPrefix("hello"), "output is not shown")
        for title in ["wall time", "CPU time", "peak memory (the largest process of the tree)", "page faults"] {
            let rows = #/\n  system +.*±[0-9.]+ %\n  mallow +.*±[0-9.]+ % +[0-9.]+  .*\n/#
            let section = try #require(result.output.range(of: "\n" + title)).upperBound
            #expect(result.output[section...].firstMatch(of: rows) != nil, "\(title)")
        }
        #expect(result.output.contains("2 rounds in turn"))
        #expect(result.output.contains("Output: the same in every run, 6 bytes."))
        #expect(result.output.contains("End: exit status 0 in every run."))
        #expect(!result.output.contains("\u{1B}"), "no colour but on a terminal")
    }

    @Test func recordHasEveryRun() throws {
        let json = folder.path("out.json")
        let other = try otherLibrary
        let result = try mallow(
            "compare", "--rounds", "3", "--allocator", "other=\(other)", "--json", json, "printf", "foobar")
        #expect(result.status == 0)
        #expect(result.output.contains("\n  other "))
        let record = try readJSON(json)
        #expect(record["mallow"] as? String == "0.1.0")
        #expect(record["command"] as? [String] == ["printf", "foobar"])
        #expect(record["rounds"] as? Int == 3)
        #expect(record["output"] as? String == "same")
        #expect(record["termination"] as? String == "same")
        let allocators = try #require(record["allocators"] as? [[String: Any]])
        #expect(allocators.map { $0["name"] as? String } == ["system", "mallow", "other"])
        #expect(allocators.map { $0["library"] as? String } == [nil, try Installation.library(), other])
        for allocator in allocators {
            let runs = try #require(allocator["runs"] as? [[String: Any]])
            #expect(runs.count == 3)
            for run in runs + [try #require(allocator["warmUp"] as? [String: Any])] {
                #expect(run["outputBytes"] as? Int == 6)
                #expect(run["outputHash"] as? String == "85944171f73967e8", "FNV-1a of foobar")
                #expect(run["termination"] as? [String: Int] == ["status": 0])
                #expect(try #require(run["wallSeconds"] as? Double) > 0)
                #expect(try #require(run["peakBytes"] as? Int) > 0)
                #expect(try #require(run["pageFaults"] as? Int) > 0)
            }
            let summary = try #require(allocator["summary"] as? [String: [String: Any]])
            #expect(summary.keys.sorted() == ["cpuSeconds", "pageFaults", "peakBytes", "wallSeconds"])
            let wall = try #require(summary["wallSeconds"])
            let times = runs.compactMap { $0["wallSeconds"] as? Double }.sorted()
            #expect(wall["median"] as? Double == times[1])
            #expect(wall["minimum"] as? Double == times[0])
            #expect(wall["maximum"] as? Double == times[2])
            let isSystem = allocator["name"] as? String == "system"
            #expect(wall["verdict"] as? String == (isSystem ? nil : "tooFewRounds"))
            #expect((wall["ratio"] == nil) == isSystem)
        }
    }

    @Test func mallocsTakeTurns() throws {
        let log = folder.path("log")
        let result = try mallow(
            "compare", "--rounds", "2", "--allocator", "other=\(try otherLibrary)", "sh", "-c",
            "echo \"${LD_PRELOAD##*/} [$MALLOW_STATS]\" >> \(log)",
            environment: ["LD_PRELOAD": try Installation.library()])
        #expect(result.status == 0)
        // The system's rounds are free of our library even where the user preloads it everywhere.
        let own = (try Installation.library() as NSString).lastPathComponent
        let (system, mallow, other) = (" []", own + " []", "libother.so []")
        let expected = [system, mallow, other, system, mallow, other, mallow, other, system]
        #expect(folder.contents("log").split(separator: "\n").map(String.init) == expected)
    }

    @Test func everyRoundReadsTheSameInput() throws {
        let input = Data((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        try input.write(to: URL(fileURLWithPath: folder.path("input")))
        let json = folder.path("out.json")
        // From a pipe, which can be read but once.
        let result = try shell(#"cat \#(folder.path("input")) | "$MALLOW" compare --rounds 2 --json \#(json) cat"#)
        #expect(result.status == 0)
        #expect(result.output.contains("Output: the same in every run, 3,000,000 bytes."))
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in input { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let allocators = try #require(try readJSON(json)["allocators"] as? [[String: Any]])
        for allocator in allocators {
            for run in try #require(allocator["runs"] as? [[String: Any]]) {
                #expect(run["outputHash"] as? String == String(hash, radix: 16))
            }
        }
    }

    @Test func differingOutputIsReported() throws {
        let json = folder.path("out.json")
        let result = try mallow("compare", "--rounds", "2", "--json", json, "sh", "-c", "echo $LD_PRELOAD")
        #expect(result.status == 3)
        #expect(result.output.contains("Output: DIFFERS from that under the system malloc: mallow in 3 of 3 runs."))
        #expect(result.output.contains("End: exit status 0 in every run."))
        #expect(try readJSON(json)["output"] as? String == "different")
    }

    @Test func differingExitStatusIsReported() throws {
        let script = "test -z \"$LD_PRELOAD\" || { echo broken here >&2; exit 9; }"
        let result = try mallow("compare", "--rounds", "1", "sh", "-c", script)
        #expect(result.status == 3)
        #expect(
            result.output.contains("End: DIFFERS: mallow in 2 of 2 runs (system exit status 0; mallow exit status 9)."))
        #expect(result.error.contains("failed under mallow"))
        #expect(result.error.contains("broken here"))
    }

    /// A shell command that sets `n` to 0, 1, 2, … from run to run.
    private func counting() throws -> String {
        let count = try folder.write("count", "0", mode: 0o644)
        return "n=$(cat \(count)); echo $((n + 1)) > \(count); "
    }

    @Test func aCrashUnderOneMallocCountsEvenIfTheProgramIsNotDeterministic() throws {
        let script = try counting() + "test -z \"$LD_PRELOAD\" || kill -SEGV $$; exit $((n % 2))"
        let result = try mallow("compare", "--rounds", "2", "sh", "-c", script)
        #expect(result.status == 3)
        #expect(result.output.contains("system exit status 0 or exit status 1; mallow killed by signal 11"))
    }

    @Test func aChangingExitStatusIsNotCompared() throws {
        let result = try mallow("compare", "--rounds", "2", "sh", "-c", try counting() + "exit $((n % 2))")
        #expect(result.status == 0)
        #expect(result.output.contains("End: not compared"))
    }

    @Test func whatIsNotDeterministicIsNotCompared() throws {
        let result = try mallow("compare", "--rounds", "1", "date", "+%N")
        #expect(result.status == 0)
        #expect(result.output.contains("Output: not compared"))
    }

    @Test func aFailureUnderEveryMallocIsPassedOn() throws {
        let result = try mallow("compare", "--rounds", "1", "sh", "-c", "echo sorry >&2; exit 9")
        #expect(result.status == 9)
        #expect(result.error.contains("failed in every run alike, exit status 9"))
        #expect(result.error.hasSuffix("\nsorry\n"))
        #expect(result.output.contains("End: exit status 9 in every run."))
        let killed = try mallow("compare", "--rounds", "1", "sh", "-c", "kill -TERM $$")
        #expect(killed.signal == SIGTERM)
    }

    @Test func onlyTheEndOfALongErrorIsShown() throws {
        let result = try mallow("compare", "--rounds", "1", "sh", "-c", "seq 100000 >&2; exit 1")
        #expect(result.error.hasSuffix("\n99999\n100000\n"))
        #expect(result.error.count < 4000)
    }

    @Test func aSlowerMallocIsCalledSlower() throws {
        let json = folder.path("out.json")
        // So much slower that a busy machine changes nothing of it.
        let script = "test -z \"$LD_PRELOAD\" || sleep 2"
        let result = try mallow("compare", "--json", json, "sh", "-c", script)
        #expect(result.status == 0, "slower is no failure")
        #expect(result.output.contains(#/\n  mallow .* times as much\n/#))
        let allocators = try #require(try readJSON(json)["allocators"] as? [[String: Any]])
        let wall = try #require((allocators[1]["summary"] as? [String: [String: Any]])?["wallSeconds"])
        #expect(wall["verdict"] as? String == "more")
        #expect(try #require(wall["ratio"] as? Double) > 2)
        #expect(try #require(wall["ratioLow"] as? Double) > 1)
    }

    @Test func aWideSpreadIsNotConcludedFrom() throws {
        // The second of every pair is the slower one, and that is Mallow in one round and the system malloc in the
        // next.
        let script = try counting() + "test $((n % 2)) = 0 || sleep 2"
        let result = try mallow("compare", "--rounds", "5", "sh", "-c", script)
        let row = #/wall time\n  system .*\n  mallow .*  spread too wide to conclude \(0\.[0-9]+ to [0-9.]+\)\n/#
        #expect(result.output.contains(row))
        #expect(result.output.contains("Too wide to conclude: the rounds disagree"))
    }

    @Test func aProcessLeftBehindIsNotWaitedFor() throws {
        let start = Date()
        let result = try mallow("compare", "--rounds", "1", "sh", "-c", "sleep 200 & echo hi")
        #expect(result.status == 0)
        #expect(Date().timeIntervalSince(start) < 150)
        #expect(result.output.contains("left behind"))
        #expect(result.output.contains("the same in every run, 3 bytes"))
    }

    @Test func terminalsGetColourAndProgress() throws {
        func onTerminal(_ environment: [String: String]) throws -> String {
            try shell(
                #"script -qec '"$MALLOW" compare --rounds 1 sleep 0.4' /dev/null < /dev/null"#, environment: environment
            )
            .output
        }
        let plain = try onTerminal(["TERM": "xterm"])
        #expect(plain.contains("\u{1B}[1m"))
        #expect(plain.contains("mallow: round 1 of 1, "), "after a second there is progress")
        #expect(!(try onTerminal(["TERM": "xterm", "NO_COLOR": "1"]).contains("\u{1B}[1m")))
    }
}
