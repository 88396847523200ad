// `mallow run`: the statistics that the library writes, read back. A made-up library writes known ones; the real one
// has its say at the end.

import Foundation
import Testing

@Suite struct RunStatisticsTests {
    private let folder: TemporaryFolder
    private let library: String

    init() throws {
        folder = try TemporaryFolder()
        library = try folder.compile("libreporting.so", Source.reportingLibrary, "-shared", "-fPIC")
    }

    @Test func lastLineOfTheMainProcessCounts() throws {
        let json = folder.path("out.json")
        let result = try mallow("run", "--json", json, truePath, environment: ["MALLOW_LIBRARY": library])
        #expect(result.error.contains(#/(?m)^  heap +42 allocations$/#))
        #expect(result.error.contains(#/(?m)^    busiest +48 B 95 %, 16 B 5 %$/#))
        #expect(!result.error.contains("threads"), "what the library does not tell is not shown")
        let record = try readJSON(json)
        let statistics = try #require(record["statistics"] as? [String: Any])
        #expect(statistics["mallow"] as? String == "9.9")
        #expect(statistics["allocations"] as? Int == 42)
        #expect(statistics["frees"] == nil)
        #expect((statistics["sizeClasses"] as? [[String: Int]])?.first == ["size": 48, "allocations": 40])
        #expect(record["processes"] as? [String: Int] == ["count": 1, "allocations": 42])
    }

    @Test func allProcessesAreSummed() throws {
        let program = try folder.compile("three", Source.threeProcesses)
        let json = folder.path("out.json")
        let result = try mallow("run", "--json", json, program, environment: ["MALLOW_LIBRARY": library])
        #expect(result.status == 0)
        #expect(result.error.contains(#/(?m)^  processes +3 wrote statistics, 126 allocations together$/#))
        let record = try readJSON(json)
        #expect(record["processes"] as? [String: Int] == ["count": 3, "allocations": 126])
        #expect((record["statistics"] as? [String: Any])?["allocations"] as? Int == 42)
    }

    @Test func temporaryFolderGoesAway() throws {
        let temporary = try TemporaryFolder()
        let environment = ["MALLOW_LIBRARY": library, "TMPDIR": temporary.path]
        let result = try mallow("run", "sh", "-c", "ls $TMPDIR; echo $MALLOW_STATS", environment: environment)
        #expect(result.output.hasPrefix("mallow-"), "it was there while the program ran")
        #expect(result.output.hasSuffix("/%p.json\n"))
        #expect(try temporary.names() == [])
    }

    @Test func noTemporaryFolderIsNoReasonToGiveUp() throws {
        let result = try mallow("run", "echo", "x", environment: ["TMPDIR": "/nonexistent"])
        #expect(result.status == 0)
        #expect(result.output == "x\n")
        #expect(result.error.contains("no statistics: no temporary folder"))
    }

    @Test func theUsersOwnSettingIsLeftAlone() throws {
        let environment = ["MALLOW_LIBRARY": library, "MALLOW_STATS": folder.path("mine-%p.json")]
        let result = try mallow("run", "sh", "-c", "echo $MALLOW_STATS; exec true", environment: environment)
        #expect(result.output == folder.path("mine-%p.json") + "\n")
        #expect(result.error.contains("no statistics: MALLOW_STATS is set"))
        #expect(try folder.names().filter { $0.hasPrefix("mine-") }.count == 1)
    }

    @Test func noStatisticsSetsNothing() throws {
        let result = try mallow("run", "--no-statistics", "sh", "-c", "echo [$MALLOW_STATS]")
        #expect(result.output == "[]\n")
        #expect(result.error.contains("no statistics: switched off"))
    }

    @Test func aKilledProgramWritesNone() throws {
        let result = try mallow(
            "run", "sh", "-c", "kill -KILL $$", environment: ["MALLOW_LIBRARY": library])
        #expect(result.error.contains("no statistics: they are written at exit, and a signal ended the program"))
    }

    @Test func theRealLibraryWritesThem() throws {
        let program = try folder.compile("memory", Source.memory)
        let json = folder.path("out.json")
        let result = try mallow("run", "--json", json, program, "8")
        #expect(result.status == 0)
        let statistics = try #require(try readJSON(json)["statistics"] as? [String: Any])
        for key in [
            "process", "requestedBytes", "grantedBytes", "allocations", "frees", "remoteFrees", "liveBlocks",
            "liveBytes", "peakLiveBytes", "mappedBytes", "committedBytes", "peakCommittedBytes", "purgedBytes",
            "threads", "peakThreads",
        ] {
            #expect(statistics[key] as? Int != nil, "\(key)")
        }
        #expect(try #require(statistics["peakLiveBytes"] as? Int) >= 8 << 20)
        #expect(try #require(statistics["allocations"] as? Int) >= 1)
        #expect(try #require(statistics["sizeClasses"] as? [Any]).count >= 1)
    }
}
