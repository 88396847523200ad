// Programs that know nothing of Mallow, on real work: interpreters, a database, tools of every day, a debugger, and a
// server under load. Each gives under Mallow, byte for byte, what it gives under the system malloc.

import Foundation
import Testing

@Suite struct RealProgramTests {
    /// `PYTHONMALLOC=malloc`, or Python would take nearly all its blocks from an allocator of its own.
    @Test func python() async throws {
        var comparison = Comparison("python3", program("workload.py"))
        comparison.command.environment = ["PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"]
        comparison.modes = [.limited]
        comparison.status = 3
        let run = try await comparison.expectSame()
        #expect(run.statistics?.allocations ?? 0 > 1_000_000)
        #expect(run.processes.count >= 4, "its three child processes left no statistics")
    }

    /// As it comes, with its own allocator on top.
    @Test func pythonWithItsOwnAllocator() async throws {
        var comparison = Comparison("python3", program("workload.py"))
        comparison.command.environment = ["PYTHONHASHSEED": "0"]
        comparison.modes = [.strict]
        comparison.status = 3
        try await comparison.expectSame()
    }

    @Test func perl() async throws {
        var comparison = Comparison("perl", program("workload.pl"))
        comparison.command.environment = ["PERL_HASH_SEED": "0", "PERL_PERTURB_KEYS": "0"]
        comparison.modes = [.hardened]
        comparison.status = 5
        let run = try await comparison.expectSame()
        #expect(run.statistics?.allocations ?? 0 > 100_000)
    }

    @Test(.enabled(if: isInstalled("node"), "Node is tested where it is installed"))
    func node() async throws {
        var comparison = Comparison("node", program("workload.js"))
        comparison.modes = [.background]
        comparison.status = 7
        try await comparison.expectSame()
    }

    @Test func bash() async throws {
        var comparison = Comparison("bash", "--norc", program("workload.sh"))
        comparison.modes = [.guarded]
        comparison.status = 9
        try await comparison.expectSame()
    }

    @Test func sqlite() async throws {
        var comparison = Comparison("sqlite3", "-batch", "-init", "/dev/null", "database")
        comparison.modes = [.limited]
        comparison.command.inputFile = program("workload.sql")
        comparison.files = ["database"]
        try await comparison.expectSame()
    }

    @Test(arguments: [["--parallel=4"], ["--parallel=4", "-k2,2n", "-k1,1r"], ["--parallel=2", "-u", "-S", "8M"]])
    func sort(options: [String]) async throws {
        var comparison = Comparison("sort")
        comparison.command.arguments += options + ["lines"]
        comparison.modes = [options.count == 1 ? .noDelay : options[1] == "-u" ? .guarded : .hardened]
        comparison.prepare = { folder in
            let script = """
                BEGIN { s = 1; for (i = 0; i < 1000000; i++) {
                    s = (s * 16807) % 2147483647; print s " " int(i * 7 / 11) % 5003 " " i % 77
                } }
                """
            let lines = try await Command("awk", script).runOrThrow()
            try lines.output.write(to: folder.appendingPathComponent("lines"))
        }
        try await comparison.expectSame()
    }

    @Test func archives() async throws {
        let script = """
            set -e
            tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - -C "$1" . | gzip -n9 >packed
            mkdir unpacked
            tar -xzf packed -C unpacked
            diff -r "$1" unpacked
            find unpacked -type f | sort | xargs cat | cksum
            """
        var comparison = Comparison("bash", "--norc", "-c", script, "-", Checkout.tests.path)
        comparison.files = ["packed"]
        comparison.modes = Mode.allCases
        try await comparison.expectSame()
    }

    @Test func listsFolders() async throws {
        var comparison = Comparison("ls", "-lR", "/usr/include")
        comparison.modes = Mode.allCases
        try await comparison.expectSame()
        comparison = Comparison("find", "/usr/include", "-type", "f", "-size", "+4k", "-printf", "%s %p\n")
        comparison.modes = Mode.allCases
        try await comparison.expectSame()
    }

    /// A history of eighty commits with merges, which the test makes: logged, repacked by several threads, checked.
    @Test func git() async throws {
        let repository = try TemporaryFolder.make("repository")
        let environment = [
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_AUTHOR_NAME": "A Tester",
            "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A Tester", "GIT_PAGER": "cat",
            "GIT_COMMITTER_EMAIL": "a@example.org", "HOME": repository.path,
        ]
        try await Command("bash", program("repository.sh"), environment: environment, in: repository).runOrThrow()
        for arguments in [
            ["log", "-p", "--stat", "--graph", "--all", "-M"], ["log", "--format=%H %P %T %s", "--topo-order"],
            ["blame", "-s", "file3"], ["diff", "HEAD~30", "HEAD"], ["grep", "-n", "line 1.*7"],
            ["shortlog", "-sn", "HEAD"],
        ] {
            var comparison = Comparison("git", "-C", repository.path, environment: environment)
            comparison.command.arguments += arguments
            comparison.modes = arguments[0] == "log" ? [.noDelay] : Mode.allCases
            let run = try await comparison.expectSame()
            #expect(!run.outcome.output.isEmpty)
        }
        let script = """
            set -e
            git clone -q --no-hardlinks "$1" copy
            cd copy
            git repack -q -adf --threads=4
            git fsck --strict --no-progress
            git log -p | cksum
            git rev-list --objects --all | sort | cksum
            """
        let comparison = Comparison("bash", "--norc", "-c", script, "-", repository.path, environment: environment)
        try await comparison.expectSame()
    }

    /// gdb reads the symbols of a real program, runs it to a breakpoint and on, and prints what it finds.
    @Test func debugger() async throws {
        let program = try await Workshop.shared.program("settings.c").path
        try await Comparison("gdb", "--version").expectSame()
        var comparison = Comparison("gdb", "-nx", "-batch")
        // The stack begins below the environment, which is not the same: no addresses of what is on it.
        let commands = [
            "set debuginfod enabled off", "set width 0", "set print frame-arguments none",
            "info functions free_some", "ptype struct pthread_attr_t", "break free_some", "run 300 20", "info args",
            "print first", "backtrace", "print sizeof blocks", "finish", "info line main", "list main",
        ]
        for command in commands { comparison.command.arguments += ["-ex", command] }
        comparison.command.arguments += ["--args", program, "300", "20"]
        comparison.comparesErrors = false
        let run = try await comparison.expectSame()
        #expect(run.outcome.text.contains("blocks"), "\(run.outcome.summary)")
    }

    /// Debian's redis-server allocates by `malloc` from libjemalloc.so.2, so a preload comes before it. That its blocks
    /// are Mallow's is read from its own statistics, which it leaves at SHUTDOWN.
    @Test func redis() async throws {
        let library = try Library.shared().path
        var outputs: [String] = []
        var runs: [[String: String]?] = [nil, [:]]
        if Mode.areAllWanted { runs += Mode.exact.map { $0.settings(peak: 0) } }
        for settings in runs {
            let preloaded = settings != nil
            let folder = try TemporaryFolder.make("redis")
            var command = Command("bash", "--norc", program("redis.sh"), folder.path)
            if preloaded {
                command.arguments += ["LD_PRELOAD=\(library)", "MALLOW_STATS=\(folder.path)/server.%p.json"]
            }
            command.arguments += (settings ?? [:]).map { "\($0)=\($1)" }
            let outcome = try await command.run()
            let name = "on Mallow: \(preloaded), \(settings ?? [:])"
            #expect(outcome.succeeded && outcome.errorText == "", "\(name), \(outcome.summary)")
            outputs.append(outcome.text)
            if preloaded {
                let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
                    .filter { $0.lastPathComponent.hasPrefix("server.") }
                let servers = try files.map(Statistics.init(contentsOf:))
                #expect(servers.contains { $0.allocations > 500_000 && $0.peakLiveBytes > 20_000_000 }, "\(servers)")
            }
        }
        #expect(Set(outputs).count == 1, "\(outputs)")
        #expect(outputs[0].contains("PONG") && outputs[0].contains("LRANGE_100"), "\(outputs[0])")
    }

    private func program(_ name: String) -> String {
        Checkout.programs.appendingPathComponent(name).path
    }
}

func isInstalled(_ program: String) -> Bool {
    let folders = ProcessInfo.processInfo.environment["PATH"]?.split(separator: ":") ?? []
    return folders.contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(program)") }
}
