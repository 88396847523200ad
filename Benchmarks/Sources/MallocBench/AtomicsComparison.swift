// `malloc-bench --atomics`: what each malloc does that other processors feel, counted in a trace of each workload:
// instructions that lock a cache line, and writes to lines that several threads access.

import ArgumentParser
import Foundation

struct AtomicsComparison {
    let program: WorkloadProgram
    let allocators: [AllocatorUnderTest]
    let workloads: [String]
    /// A library whose clock goes slower, as the run does.
    let clock: String?

    /// As many as show what goes on when the workload has come into its stride.
    private static let operations = [
        "small-fill-drain": 20_000, "small-500": 10_000, "small-window-500": 10_000, "pair-8": 5000, "pair-64": 5000,
        "pair-512": 5000, "random-small": 60_000, "random-medium": 15_000, "random-large": 400, "random-huge": 40,
        "random-5-25": 40, "realloc-strings": 8000, "realloc-large": 100, "calloc": 2000, "aligned": 3000,
        "thread-start-end": 100,
        "nbody-tree": 5000, "generations": 80_000, "server-sessions": 24_000, "producer-consumer": 12_000,
        "only-frees": 26_000, "thread-storms": 8000, "factorise": 5000, "minimise-logic": 5000,
        "small-threads-build": 10_000, "cache-thrash": 1600, "cache-scratch": 1600,
    ]

    func run() throws {
        #if !arch(x86_64)
            throw BenchmarkError("--atomics reads the instructions of x86-64 alone")
        #endif
        let known = try program.workloadNames(includesLarge: false)
        for name in workloads where !known.contains(name) {
            throw BenchmarkError("no workload is called '\(name)'; there are: \(known.joined(separator: ", "))")
        }
        guard let valgrind = Self.findValgrind() else {
            throw BenchmarkError("valgrind is missing: apt-get install valgrind")
        }
        let copies = try StrippedCopies(program: program.path, allocators: allocators)
        defer { copies.remove() }
        Self.printLine(
            """
            Counted in traces of shortened runs, inside the program's calls of malloc and free, for each allocation \
            with its free: instructions that lock a cache line (atomic operations), writes to lines that more than \
            one thread accesses (the malloc's own; and those that blocks lie in), and instructions.

            | workload | malloc | atomic operations | shared lines written: own | of blocks | instructions |
            |---|---|--:|--:|--:|--:|
            """)
        var failed = false
        for name in workloads.isEmpty ? known : workloads {
            for allocator in allocators {
                do throws(BenchmarkError) {
                    Self.printLine(Self.row(name, allocator.name, try trace(name, allocator, copies, valgrind)))
                } catch {
                    Self.printLine("| \(name) | \(allocator.name) | FAILED: \(error.description) |")
                    failed = true
                }
            }
        }
        if failed { throw ExitCode.failure }
    }

    private func trace(
        _ name: String, _ allocator: AllocatorUnderTest, _ copies: StrippedCopies, _ valgrind: String
    ) throws(BenchmarkError) -> AccessTrace.Counts {
        var environment = program.baseEnvironment + ["LD_BIND_NOW=1"]
        let library = copies.libraries[allocator.name]
        let preloads = [library, clock].compactMap(\.self)
        if !preloads.isEmpty { environment.append("LD_PRELOAD=\(preloads.joined(separator: " "))") }
        let valgrindArguments = ["--tool=lackey", "--log-fd=1"]
        let addresses = ChildProcess.run(
            valgrind, arguments: valgrindArguments + [copies.program, "--addresses"], environment: environment,
            timeLimit: 60)
        if let failure = addresses.failure { throw BenchmarkError("--addresses: \(failure)") }
        let code = try CodeMap(addresses.output)

        let operations = Self.operations[name] ?? 5000
        var trace = AccessTrace(code: code, warmUp: operations / 4)
        let outcome = ChildProcess.run(
            valgrind,
            arguments: valgrindArguments + ["--trace-mem=yes", "--trace-sched=yes", copies.program]
                + ["--operations", "\(operations)", name],
            environment: environment, timeLimit: 1200
        ) { trace.consume($0) }
        if let failure = outcome.failure { throw BenchmarkError(failure) }
        let served = library ?? "libc"
        guard trace.otherOutput.contains(served) else {
            throw BenchmarkError("malloc did not come from \(served): \(trace.otherOutput)")
        }
        let counts = trace.finished()
        guard counts.allocations > 0 else { throw BenchmarkError("the trace shows no call of malloc") }
        return counts
    }

    private static func row(_ workload: String, _ allocator: String, _ counts: AccessTrace.Counts) -> String {
        func each(_ count: Int, _ format: String) -> String {
            String(format: format, Double(count) / Double(counts.allocations))
        }
        let cells = [
            workload, allocator, each(counts.lockedInstructions, "%.3f"), each(counts.writesToOwnLines, "%.3f"),
            each(counts.writesToBlockLines, "%.2f"), each(counts.instructions, "%.0f"),
        ]
        return "| " + cells.joined(separator: " | ") + " |"
    }

    /// Line by line, also when standard output is a file that someone watches.
    private static func printLine(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

    private static func findValgrind() -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin"
        return path.split(separator: ":").map { "\($0)/valgrind" }.first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }
}

/// The program and the libraries without debug information, which valgrind may be too old to read. The code is the
/// same.
private struct StrippedCopies {
    let folder: URL
    let program: String
    /// By the malloc's name.
    let libraries: [String: String]

    init(program: String, allocators: [AllocatorUnderTest]) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("malloc-bench-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        func copy(_ path: String) throws -> String {
            let source = URL(fileURLWithPath: path).resolvingSymlinksInPath()
            let target = folder.appendingPathComponent(source.lastPathComponent).path
            let outcome = ChildProcess.run(
                "/usr/bin/env", arguments: ["objcopy", "--strip-debug", source.path, target],
                environment: ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }, timeLimit: 60)
            if let failure = outcome.failure {
                throw BenchmarkError("objcopy (apt-get install binutils): \(failure)")
            }
            return target
        }
        self.folder = folder
        self.program = try copy(program)
        var libraries: [String: String] = [:]
        for allocator in allocators {
            if let path = allocator.libraryPath { libraries[allocator.name] = try copy(path) }
        }
        self.libraries = libraries
    }

    func remove() { try? FileManager.default.removeItem(at: folder) }
}
