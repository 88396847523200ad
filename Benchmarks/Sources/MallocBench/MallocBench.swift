// malloc-bench: runs every workload of MallocWorkloads under every malloc it finds, in turn, and compares Mallow with
// the rest. A run is a process of its own with the malloc preloaded; the mallocs alternate within each round, and their
// order rotates from round to round, so that what the machine does meanwhile hits all of them alike.

import ArgumentParser
import Foundation

@main
struct MallocBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "malloc-bench",
        abstract: "Compares Mallow with the other mallocs of this machine: time per operation and peak memory.",
        discussion: """
            Runs each workload of MallocWorkloads (found beside this program) under glibc's malloc, Mallow, and \
            whichever of mimalloc, jemalloc and tcmalloc are installed. Exits with status 1 if a run failed or was \
            not served by the malloc that it was meant for.
            """)

    @Option(name: .customLong("workload"), help: "Run this workload alone (may be repeated).")
    var workloads: [String] = []

    @Option(help: "How many times each workload runs under each malloc.")
    var rounds = 5

    @Option(help: "Where libmallow.so is, if not in build/lib or ../build/lib.")
    var mallow: String?

    @Option(
        name: .customLong("allocator"),
        help: ArgumentHelp("One more malloc to compare with (may be repeated).", valueName: "NAME=PATH"))
    var extraAllocators: [NamedPath] = []

    @Option(help: "Use these mallocs alone, separated by commas: glibc, mallow, mimalloc, …")
    var only: String?

    @Option(help: "This many times as many operations as usual.")
    var scale = 1.0

    @Option(help: ArgumentHelp("Write every sample to this file too.", valueName: "file"))
    var json: String?

    @Flag(help: "Include the workloads that need gigabytes.")
    var large = false

    @Flag(help: "Compare what stays resident when a burst is over, instead of times.")
    var memory = false

    @Flag(help: "Count atomic operations and writes to shared cache lines, by valgrind, instead of measuring times.")
    var atomics = false

    @Option(help: ArgumentHelp("With --atomics: a library with a slower clock, built by bench.sh.", valueName: "path"))
    var clock: String?

    @Flag(help: "Print the tables as Markdown.")
    var markdown = false

    func validate() throws {
        guard rounds > 0 else { throw ValidationError("--rounds must be at least 1") }
        guard scale > 0 else { throw ValidationError("--scale must be above 0") }
    }

    func run() throws {
        let found = try AllocatorUnderTest.find(mallowPath: mallow, extra: extraAllocators, only: only)
        found.notes.forEach(printError)
        let program = WorkloadProgram(path: try WorkloadProgram.findBesideThisProgram(), scale: scale)
        if memory {
            try MemoryComparison(program: program, allocators: found.allocators, rounds: rounds, workloads: workloads)
                .run()
            return
        }
        if atomics {
            return try AtomicsComparison(
                program: program, allocators: found.allocators, workloads: workloads, clock: clock
            ).run()
        }
        let names = try selectedWorkloads(of: program)

        let machine = MachineDescription.current(allocators: found.allocators)
        let report = Report(style: markdown ? .markdown : .plain, allocators: found.allocators)
        report.printHeader(machine: machine, rounds: rounds, scale: scale)

        var results: [WorkloadResult] = []
        let session = Session(program: program, allocators: found.allocators, rounds: rounds)
        for (index, name) in names.enumerated() {
            let result = session.run(workload: name, progress: "\(index + 1)/\(names.count)")
            report.printWorkload(result)
            results.append(result)
        }
        let summary = Summary(results: results, allocators: found.allocators)
        report.printSummary(summary)
        if let json {
            let document = JSONReport(
                machine: machine, rounds: rounds, scale: scale, results: results, summary: summary)
            try document.write(to: json)
        }
        if results.contains(where: { !$0.failures.isEmpty }) { throw ExitCode.failure }
    }

    private func selectedWorkloads(of program: WorkloadProgram) throws -> [String] {
        guard !workloads.isEmpty else { return try program.workloadNames(includesLarge: large) }
        let known = try program.workloadNames(includesLarge: true)
        for name in workloads where !known.contains(name) {
            throw BenchmarkError("no workload is called '\(name)'; there are: \(known.joined(separator: ", "))")
        }
        return workloads
    }
}

/// The value of `--allocator NAME=PATH`.
struct NamedPath: ExpressibleByArgument {
    let name: String
    let path: String

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        name = String(parts[0])
        path = String(parts[1])
    }
}

func printError(_ message: String) {
    FileHandle.standardError.write(Data((message + "\n").utf8))
}
