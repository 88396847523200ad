// Signals: the tool ends as its program ends, passes on what it alone gets, and changes nothing of what it inherited.

import Foundation
import Testing

@Suite struct SignalTests {
    @Test(arguments: [SIGTERM, SIGKILL, SIGSEGV, SIGABRT, SIGINT, SIGPIPE])
    func aKilledProgramKillsTheToolAlike(signal: Int32) throws {
        let result = try mallow("run", "sh", "-c", "kill -\(signal) $$")
        #expect(result.signal == signal)
        #expect(result.error.contains("killed by signal \(signal) ("))
    }

    @Test func theRecordSaysWhichSignal() throws {
        let folder = try TemporaryFolder()
        _ = try mallow("run", "--quiet", "--json", folder.path("out.json"), "sh", "-c", "kill -TERM $$")
        #expect(try readJSON(folder.path("out.json"))["termination"] as? [String: Int] == ["signal": 15])
    }

    @Test(arguments: [("TERM", SIGTERM), ("HUP", SIGHUP), ("INT", SIGINT), ("QUIT", SIGQUIT), ("USR1", SIGUSR1)])
    func whatTheToolGetsReachesTheProgram(name: String, signal: Int32) throws {
        let script = "trap 'echo got \(name); exit 7' \(name); echo ready; while :; do sleep 0.02; done"
        let tool = try RunningTool(["run", "--quiet", "sh", "-c", script])
        try tool.waitForOutput("ready")
        kill(tool.processID, signal)
        let result = try tool.result()
        #expect(result.signal == nil)
        #expect(result.status == 7)
        #expect(result.output == "ready\ngot \(name)\n")
    }

    @Test func theToolOutlivesASignalThatTheProgramHandles() throws {
        let script = "trap 'echo again; got=1' TERM; echo ready; while [ -z $got ]; do sleep 0.02; done; exit 6"
        let tool = try RunningTool(["run", "sh", "-c", script])
        try tool.waitForOutput("ready")
        kill(tool.processID, SIGTERM)
        let result = try tool.result()
        #expect(result.status == 6)
        #expect(result.output == "ready\nagain\n")
        #expect(result.error.contains("exit status 6"), "the report comes all the same")
    }

    @Test func blockedSignalsReachTheProgramAllTheSame() throws {
        // `sh` unblocks what it traps, as the tool does what it passes on.
        let script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"
        let tool = try RunningTool(["run", "--quiet", "sh", "-c", script], blocked: [SIGTERM])
        try tool.waitForOutput("ready")
        kill(tool.processID, SIGTERM)
        #expect(try tool.result().status == 7)
        let show = ["run", "--quiet", "grep", "SigBlk", "/proc/self/status"]
        #expect(try RunningTool(show, blocked: [SIGTERM]).result().output == "SigBlk:\t0000000000004000\n")
        #expect(try RunningTool(show).result().output == "SigBlk:\t0000000000000000\n")
    }

    @Test func ignoredSignalsStayIgnored() throws {
        let result = try shell(#"trap '' HUP; "$MALLOW" run --quiet sh -c 'kill -HUP $$; echo survived; exit 4'"#)
        #expect(result.output == "survived\n")
        #expect(result.status == 4)
    }

    @Test func anIgnoredEndOfChildrenLosesNoExitStatus() throws {
        // The kernel forgets at once how the children of such a parent ended. Shells don't hand this on: hence C.
        let folder = try TemporaryFolder()
        let ignore = try folder.compile("ignore", Source.ignoreChildren)
        let script = "grep SigIgn /proc/self/status; exit 4"
        let result = try shell(#""\#(ignore)" "$MALLOW" run --quiet bash -c '\#(script)'"#)
        #expect(result.status == 4)
        // The program finds it as the tool did: bit 16 is SIGCHLD. (Higher ones are those that libc keeps for itself.)
        #expect(result.output.hasSuffix("00010000\n") || result.output.hasSuffix("80010000\n"), "\(result.output)")
    }

    @Test func aClosedPipeKillsTheProgramQuietly() throws {
        let folder = try TemporaryFolder()
        let status = folder.path("status")
        let result = try shell(#"{ "$MALLOW" run --quiet yes; echo $? > \#(status); } | head -n 1"#)
        #expect(result.output == "y\n")
        // `yes` complains when it finds SIGPIPE ignored.
        #expect(result.error == "" || !result.error.contains("yes:"))
        #expect(folder.contents("status") == "141\n")
    }

    @Test func aReportThatNobodyReadsChangesNothing() throws {
        let folder = try TemporaryFolder()
        let status = folder.path("status")
        _ = try shell(#"{ "$MALLOW" run sh -c 'sleep 0.2; exit 5'; echo $? > \#(status); } 2>&1 | true"#)
        #expect(folder.contents("status") == "5\n")
    }

    @Test func closedDescriptorsAreNoTrap() throws {
        let result = try shell(#""$MALLOW" run sh -c 'exit 5' <&- >&- 2>&-"#)
        #expect(result.status == 5)
        let compared = try shell(#""$MALLOW" compare --rounds 1 echo x <&-"#)
        #expect(compared.status == 0)
        #expect(compared.output.contains("the same in every run, 2 bytes"))
    }

    @Test func comparisonEndsBySignal() throws {
        let folder = try TemporaryFolder()
        let running = folder.path("running")
        let tool = try RunningTool([
            "compare", "sh", "-c", "echo $$ > \(running).new; mv \(running).new \(running); exec sleep 300",
        ])
        let deadline = Date(timeIntervalSinceNow: 120)
        while folder.contents("running").isEmpty, Date() < deadline { usleep(5000) }
        let program = try #require(pid_t(folder.contents("running").dropLast()))
        kill(tool.processID, SIGTERM)
        let result = try tool.result()
        #expect(result.signal == SIGTERM)
        #expect(result.output == "")
        #expect(kill(program, 0) == -1, "the program is gone as well")
    }
}
