// What cannot be done: one line, a distinct exit status, and nothing has run.

import Foundation
import Testing

@Suite struct FailureTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// Both commands must refuse alike.
    private func expectRefusal(
        _ status: Int32, _ words: [String], _ command: [String], environment: [String: String?] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        for verb in [["run"], ["compare", "--rounds", "1"]] {
            let result = try RunningTool(verb + ["--"] + command, environment: environment).result()
            #expect(result.signal == nil, sourceLocation: sourceLocation)
            #expect(result.status == status, sourceLocation: sourceLocation)
            #expect(result.isOneLineOfTheTool, "\(result.error)", sourceLocation: sourceLocation)
            for word in words {
                #expect(result.error.contains(word), "\(result.error)", sourceLocation: sourceLocation)
            }
            #expect(result.output == "", sourceLocation: sourceLocation)
        }
    }

    @Test func noSuchProgram() throws {
        try expectRefusal(127, ["no-such-program-x", "PATH"], ["no-such-program-x"])
        try expectRefusal(127, ["/nonexistent/x", "no such program"], ["/nonexistent/x", "argument"])
        try expectRefusal(127, ["empty"], [""])
    }

    @Test func noSuchInterpreter() throws {
        let script = try folder.write("script", "#!/nonexistent/interpreter -x\n")
        try expectRefusal(127, ["/nonexistent/interpreter", script], [script])
        let byName = try folder.write("by-name", "#!/usr/bin/env no-such-program-x\n")
        try expectRefusal(127, ["no-such-program-x", byName], [byName])
    }

    @Test func notExecutable() throws {
        let plain = try folder.write("plain", "#!/bin/sh\n", mode: 0o644)
        try expectRefusal(126, [plain, "chmod"], [plain])
        try expectRefusal(126, [folder.path, "a folder"], [folder.path])
        let text = try folder.write("text", "echo hello\n")
        try expectRefusal(126, [text, "#!", "sh \(text)"], [text])
        let loop = try folder.write("loop", "#!\(folder.path("loop"))\n")
        try expectRefusal(126, ["each other"], [loop])
    }

    @Test func searchPathIsTheShells() throws {
        // A file that may not be executed does not hide a later one.
        try FileManager.default.createDirectory(atPath: folder.path("first"), withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: folder.path("second"), withIntermediateDirectories: true)
        try folder.write("first/job", "#!/bin/sh\necho first\n", mode: 0o644)
        let environment = ["PATH": "\(folder.path("first")):\(folder.path("second")):/usr/bin:/bin"]
        try expectRefusal(126, [folder.path("first/job")], ["job"], environment: environment)
        try folder.write("second/job", "#!/bin/sh\necho second\n")
        #expect(try mallow("run", "--quiet", "job", environment: environment).output == "second\n")
    }

    @Test func scriptsRun() throws {
        let script = try folder.write("script", "#!/usr/bin/env -S sh -e\necho \"$1\" $LD_PRELOAD\n")
        let library = try Installation.library()
        #expect(try mallow("run", "--quiet", script, "x").output == "x \(library)\n")
    }

    @Test func staticallyLinked() throws {
        let program = try folder.compile("static", Source.nothing, "-static")
        try expectRefusal(120, [program, "statically linked", "libmallow.a"], [program])
        let script = try folder.write("script", "#!\(program)\n")
        try expectRefusal(120, [program, script, "statically linked"], [script])
        let position = try folder.compile("static-pie", Source.nothing, "-static-pie")
        try expectRefusal(120, [position, "statically linked"], [position])
    }

    @Test func setUserID() throws {
        if getuid() == 0 {
            let other = try folder.copy(truePath, as: "setuid", owner: 65534, mode: 0o4755)
            try expectRefusal(121, [other, "set-user-ID"], [other])
            let group = try folder.copy(truePath, as: "setgid", group: 65534, mode: 0o2755)
            try expectRefusal(121, [group, "set-group-ID"], [group])
            let script = try folder.write("script", "#!\(other)\n")
            try expectRefusal(121, [other, script], [script])
        } else {
            try expectRefusal(121, ["/usr/bin/passwd", "set-user-ID"], ["/usr/bin/passwd", "--help"])
        }
        // Nothing changes when a file of one's own has the bit: the loader preloads, and so the tool must not refuse.
        let own = try folder.copy("/bin/cat", as: "own", mode: 0o6755)
        let result = try mallow("run", "--quiet", own, "/proc/self/maps")
        #expect(result.status == 0)
        #expect(result.output.contains("libmallow"))
    }

    @Test(.enabled(if: getuid() == 0, "only root can give a file capabilities and be somebody else"))
    func capabilities() throws {
        let give = try folder.compile("give", Source.giveCapabilities)
        let program = try folder.copy("/bin/cat", as: "capable", mode: 0o755)
        let result = try shell("\(give) \(program)")
        try #require(result.status == 0, "the file system keeps no capabilities")
        // To root it gives nothing new.
        #expect(try mallow("run", "--quiet", program, "/dev/null").status == 0)
        let other = try shell(
            #"setpriv --reuid 65534 --regid 65534 --clear-groups "$MALLOW" run \#(program) /dev/null"#)
        #expect(other.status == 121)
        #expect(other.error.contains("capabilities"))
        #expect(other.isOneLineOfTheTool)
        // Where no new privileges may be had, the kernel gives none, and the loader preloads.
        let bound = try shell(
            #"setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs "$MALLOW" run --quiet \#(program) /dev/null"#
        )
        #expect(bound.status == 0)
    }

    @Test func libraryUnusable() throws {
        try expectRefusal(
            122, ["/nonexistent/lib.so", "MALLOW_LIBRARY"], ["true"],
            environment: ["MALLOW_LIBRARY": "/nonexistent/lib.so"])
        let text = try folder.write("text.so", "not a library\n")
        try expectRefusal(122, [text, "not a shared library"], ["true"], environment: ["MALLOW_LIBRARY": text])
        let empty = try folder.compile(
            "empty.so", "int nothing; void *malloc(unsigned long); void *f(void) { return malloc(1); }", "-shared",
            "-fPIC")
        try expectRefusal(122, [empty, "defines no malloc"], ["true"], environment: ["MALLOW_LIBRARY": empty])
        let spaced = folder.path("with space.so")
        try FileManager.default.createSymbolicLink(atPath: spaced, withDestinationPath: try Installation.library())
        try expectRefusal(122, ["' '"], ["true"], environment: ["MALLOW_LIBRARY": spaced])
    }

    @Test func libraryIsFoundBesideTheTool() throws {
        for name in ["bin", "lib", "elsewhere"] {
            try FileManager.default.createDirectory(atPath: folder.path(name), withIntermediateDirectories: true)
        }
        let tool = folder.path("bin/mallow")
        try folder.copy(try Installation.tool(), as: "bin/mallow", mode: 0o755)
        let link = folder.path("elsewhere/mallow")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: tool)
        let show = ["run", "--quiet", "sh", "-c", "echo $LD_PRELOAD"]
        let none = try RunningTool(executable: tool, show, environment: ["MALLOW_LIBRARY": nil]).result()
        #expect(none.status == 122)
        #expect(none.isOneLineOfTheTool)
        #expect(none.error.contains(folder.path("lib/libmallow.so")) && none.error.contains("make lib"))

        for place in ["bin/libmallow.so", "lib/libmallow.so"] {
            try folder.copy(try Installation.library(), as: place, mode: 0o755)
            for executable in [tool, link] {
                let found = try RunningTool(executable: executable, show, environment: ["MALLOW_LIBRARY": nil])
                #expect(try found.result().output == folder.path(place) + "\n")
            }
        }
    }

    @Test func wrongArchitecture() throws {
        func foreign(_ source: String, _ name: String) throws -> String {
            var bytes = try Data(contentsOf: URL(fileURLWithPath: source))
            // e_machine: S/390, which is neither of the two that Mallow is built for.
            bytes[18] = 22
            return try folder.write(name, bytes)
        }
        let program = try foreign(truePath, "foreign")
        try expectRefusal(123, [program, "S/390", try Installation.library()], [program])
        let library = try foreign(try Installation.library(), "libforeign.so")
        try expectRefusal(123, [library, "S/390"], ["true"], environment: ["MALLOW_LIBRARY": library])
    }

    @Test func unwritableRecordIsFoundOutBeforeTheRun() throws {
        let mark = folder.path("mark")
        for verb in ["run", "compare"] {
            for path in ["/nonexistent/out.json", folder.path] {
                let result = try mallow(verb, "--json", path, "touch", mark)
                #expect(result.status == 73)
                #expect(result.isOneLineOfTheTool)
                #expect(result.error.contains(path))
            }
        }
        #expect(!FileManager.default.fileExists(atPath: mark), "the program has not run")
    }

    @Test func inputThatCannotBeCopied() throws {
        let result = try mallow("compare", "cat", environment: ["TMPDIR": "/nonexistent"], input: Data("x".utf8))
        #expect(result.status == 71)
        #expect(result.isOneLineOfTheTool)
        #expect(result.error.contains("TMPDIR"))
    }

    @Test(arguments: [
        [], ["run"], ["compare"], ["run", "--"], ["run", "--bogus", "true"], ["compare", "--bogus", "true"],
        ["bogus"], ["run", "--json"], ["compare", "--rounds", "many", "true"],
    ])
    func wrongUsage(arguments: [String]) throws {
        let result = try RunningTool(arguments).result()
        // Without a word at all the tool shows its help, which is no error.
        #expect(result.status == (arguments.isEmpty ? 0 : 64))
        #expect(arguments.isEmpty || result.error.contains("Usage: mallow"))
    }

    @Test(arguments: [
        ["--rounds", "0"], ["--rounds=-1"], ["--allocator", "x"], ["--allocator", "=x"], ["--allocator", "x="],
        ["--allocator", "system=/x"], ["--allocator", "mallow=/x"],
    ])
    func wrongValues(options: [String]) throws {
        let result = try RunningTool(["compare"] + options + ["true"]).result()
        #expect(result.status == 64)
        #expect(result.isOneLineOfTheTool, "\(result.error)")
    }
}
