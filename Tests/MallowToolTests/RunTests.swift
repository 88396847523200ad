// `mallow run`: what must not change about a program, and the report.

import Foundation
import Testing

@Suite struct RunTests {
    @Test func programAndToolKeepApart() throws {
        let result = try mallow("run", "sh", "-c", "printf out; printf 'err\\n' >&2; exit 7")
        #expect(result.status == 7)
        #expect(result.signal == nil)
        #expect(result.output == "out")
        #expect(result.error.hasPrefix("err\nmallow: sh on "))
        #expect(result.error.contains("exit status 7"))
    }

    @Test(arguments: [0, 1, 3, 64, 120, 127, 255]) func exitStatusIsTheProgramsOwn(status: Int32) throws {
        let result = try mallow("run", "--quiet", "sh", "-c", "exit \(status)")
        #expect(result.status == status)
        #expect(result.error == "")
    }

    @Test func reportHasItsFields() throws {
        let folder = try TemporaryFolder()
        let program = try folder.compile("memory", Source.memory)
        let result = try mallow("run", program, "8")
        let report = result.error
        #expect(report.contains(#/(?m)^mallow: memory on .*: exit status 0$/#))
        #expect(report.contains(#/(?m)^  time +[0-9.]+ m?s wall, [0-9.]+ m?s user, [0-9.]+ m?s system$/#))
        #expect(report.contains(#/(?m)^  peak memory +[0-9.]+ MiB, the largest process of the tree$/#))
        #expect(report.contains(#/(?m)^  page faults +[0-9,]+ minor, [0-9,]+ major$/#))
        #expect(report.contains(#/(?m)^  heap +[0-9,]+ allocations?, [0-9,]+ frees?/#))
        #expect(report.contains(#/(?m)^    live +.* at most, .* at exit$/#))
        #expect(!report.contains("processes"), "there was one process")
    }

    @Test func quietIsSilent() throws {
        let result = try mallow("run", "--quiet", "echo", "x")
        #expect(result.output == "x\n")
        #expect(result.errorData.isEmpty)
        #expect(result.status == 0)
    }

    @Test func standardInputIsTheTools() throws {
        let input = Data((0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        let result = try mallow("run", "--quiet", "cat", input: input)
        #expect(result.outputData == input)
    }

    @Test func optionsOfTheProgramAreNotOurs() throws {
        let folder = try TemporaryFolder()
        let words = [
            "--quiet", "--json", folder.path("out.json"), "-h", "--help", "--version", "--", "--no-statistics", "",
        ]
        let script = ["sh", "-c", "for word; do echo \"[$word]\"; done", "sh"]
        let expected = words.map { "[\($0)]\n" }.joined()
        for command in [["run"] + script + words, ["run", "--"] + script + words] {
            let result = try RunningTool(command).result()
            #expect(result.output == expected)
            #expect(result.error.contains("mallow: sh on "), "--quiet was the program's")
            #expect(try folder.names() == [])
        }
    }

    @Test func bytesThatAreNoTextArriveUnchanged() throws {
        let result = try shell(
            #"X=$(printf '\377') "$MALLOW" run --quiet sh -c 'printf "%s%s" "$1" "$X"' sh "$(printf '\376')""#)
        #expect(result.outputData == Data([0xFE, 0xFF]))
    }

    @Test func preloadIsPutInFront() throws {
        let folder = try TemporaryFolder()
        let other = try folder.compile("other.so", "int nothing;", "-shared", "-fPIC")
        let library = try Installation.library()
        let show = ["run", "--quiet", "sh", "-c", "echo $LD_PRELOAD"]
        #expect(try RunningTool(show).result().output == library + "\n")
        let both = try RunningTool(show, environment: ["LD_PRELOAD": other]).result()
        #expect(both.output == library + ":" + other + "\n")
        let again = try RunningTool(show, environment: ["LD_PRELOAD": "\(other):\(library)"]).result()
        #expect(again.output == library + ":" + other + "\n", "the library is not named twice")
        // Another malloc goes: it would go on serving what ours does not define.

        let malloc = try folder.compile(
            "malloc.so",
            "extern void *__libc_malloc(unsigned long); void *malloc(unsigned long n) { return __libc_malloc(n); }",
            "-shared", "-fPIC")
        let alone = try RunningTool(show, environment: ["LD_PRELOAD": malloc]).result()
        #expect(alone.output == library + "\n")
    }

    @Test func theProgramRunsOnTheLibrary() throws {
        let result = try mallow("run", "--quiet", "cat", "/proc/self/maps")
        #expect(result.output.contains((try Installation.library() as NSString).resolvingSymlinksInPath))
    }

    @Test func peakMemoryIsTheProgramsNotTheTools() throws {
        let folder = try TemporaryFolder()
        let json = folder.path("out.json")
        _ = try mallow("run", "--json", json, truePath)
        var record = try readJSON(json)
        #expect(record["peakIsAtFloor"] as? Bool == true)
        // The tool itself takes 12 MiB and more.
        #expect(try #require(record["peakBytes"] as? Int) < 8 << 20)

        let program = try folder.compile("memory", Source.memory)
        _ = try mallow("run", "--json", json, program, "100")
        record = try readJSON(json)
        #expect(record["peakIsAtFloor"] as? Bool == false)
        let peak = try #require(record["peakBytes"] as? Int)
        #expect(peak >= 100 << 20 && peak < 120 << 20)
        #expect(try #require(record["minorPageFaults"] as? Int) > 0)
    }

    @Test func jsonHasEverything() throws {
        let folder = try TemporaryFolder()
        let json = folder.path("out.json")
        let result = try mallow("run", "--quiet", "--json", json, "sh", "-c", "sleep 0.1; exit 5")
        #expect(result.status == 5)
        #expect(result.error == "", "--json does not make --quiet talk")
        let record = try readJSON(json)
        #expect(record["mallow"] as? String == "0.1.0")
        #expect(record["command"] as? [String] == ["sh", "-c", "sleep 0.1; exit 5"])
        #expect(record["library"] as? String == (try Installation.library()))
        #expect(record["termination"] as? [String: Int] == ["status": 5])
        let wall = try #require(record["wallSeconds"] as? Double)
        #expect(wall >= 0.1 && wall < 120)
        for key in ["userSeconds", "systemSeconds", "peakBytes", "majorPageFaults", "minorPageFaults"] {
            #expect(record[key] as? NSNumber != nil, "\(key)")
        }
    }

    @Test func jsonReplacesALongerFile() throws {
        let folder = try TemporaryFolder()
        let json = try folder.write("out.json", String(repeating: "x", count: 100_000))
        #expect(try mallow("run", "--json", json, truePath).status == 0)
        #expect(try readJSON(json)["termination"] as? [String: Int] == ["status": 0])
    }

    @Test func versionAndHelp() throws {
        #expect(try mallow("--version").output == "0.1.0\n")
        let help = try mallow("--help")
        #expect(help.status == 0)
        #expect(help.output.contains("run") && help.output.contains("compare") && help.output.contains("120"))
        for arguments in [["run", "--help"], ["run", "-h"], ["help", "run"]] {
            let result = try RunningTool(arguments).result()
            #expect(result.status == 0)
            #expect(result.output.contains("USAGE: mallow run "))
        }
    }
}
