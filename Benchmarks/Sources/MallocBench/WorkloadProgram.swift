// MallocWorkloads, the C program that does the work: where it is, what it can run, one run of it, and the proof that
// the run was served by the malloc that was meant.

import Foundation

/// What one run of one workload measured.
struct Sample: Codable, Sendable {
    let operations: Int
    let seconds: Double
    let peakBytes: Int
    /// The peak less what was resident before the workload began.
    let peakDeltaBytes: Int
    /// Of the whole process, its start included.
    let userSeconds: Double
    let systemSeconds: Double
    let minorPageFaults: Int

    var nanosecondsPerOperation: Double { seconds * 1e9 / Double(operations) }
}

/// Why a run, or the whole comparison, could not be done: one line for the user.
struct BenchmarkError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

struct WorkloadProgram {
    let path: String
    let scale: Double
    /// Far above what any workload takes: a malloc that hangs must not hang the comparison.
    var timeLimit: Double { max(120, 120 * scale) }

    static func findBesideThisProgram() throws -> String {
        let here = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let path = here.deletingLastPathComponent().appendingPathComponent("MallocWorkloads").path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw BenchmarkError("MallocWorkloads is not beside malloc-bench: build the whole package (`swift build`)")
        }
        return path
    }

    func workloadNames(includesLarge: Bool) throws -> [String] {
        let arguments = includesLarge ? ["--list", "--large"] : ["--list"]
        let outcome = ChildProcess.run(path, arguments: arguments, environment: baseEnvironment, timeLimit: 10)
        if let failure = outcome.failure { throw BenchmarkError("MallocWorkloads --list: \(failure)") }
        return outcome.output.split(separator: "\n").compactMap { $0.split(separator: " ").first.map(String.init) }
    }

    func run(workload: String, under allocator: AllocatorUnderTest) throws(BenchmarkError) -> Sample {
        var environment = baseEnvironment
        if let library = allocator.libraryPath { environment.append("LD_PRELOAD=\(library)") }
        let outcome = ChildProcess.run(
            path, arguments: ["--scale", "\(scale)", workload], environment: environment, timeLimit: timeLimit)
        if let failure = outcome.failure { throw BenchmarkError(failure) }
        let fields = Self.fields(of: outcome.output)
        try Self.check(mallocObject: fields["malloc"] ?? "", is: allocator)
        guard let operations = fields["operations"].flatMap({ Int($0) }), operations > 0,
            let seconds = fields["seconds"].flatMap({ Double($0) }),
            let peak = fields["peak"].flatMap({ Int($0) }),
            let delta = fields["delta"].flatMap({ Int($0) })
        else {
            throw BenchmarkError("unreadable output: \(outcome.output)")
        }
        return Sample(
            operations: operations, seconds: seconds, peakBytes: peak, peakDeltaBytes: delta,
            userSeconds: outcome.userSeconds, systemSeconds: outcome.systemSeconds,
            minorPageFaults: outcome.minorPageFaults)
    }

    /// The names of what `--memory` compares.
    func memoryNames() throws -> [String] {
        let outcome = ChildProcess.run(path, arguments: ["--memory"], environment: baseEnvironment, timeLimit: 10)
        if let failure = outcome.failure { throw BenchmarkError("MallocWorkloads --memory: \(failure)") }
        return outcome.output.split(separator: "\n").compactMap { $0.split(separator: " ").first.map(String.init) }
    }

    func runMemory(_ name: String, under allocator: AllocatorUnderTest) throws(BenchmarkError) -> MemorySample {
        var environment = baseEnvironment
        if let library = allocator.libraryPath { environment.append("LD_PRELOAD=\(library)") }
        let outcome = ChildProcess.run(
            path, arguments: ["--memory", name], environment: environment + allocator.settings, timeLimit: timeLimit)
        if let failure = outcome.failure { throw BenchmarkError(failure) }
        let fields = Self.fields(of: outcome.output)
        try Self.check(mallocObject: fields["malloc"] ?? "", is: allocator)
        guard let full = fields["full"].flatMap({ Int($0) }), let resident = fields["resident"].flatMap({ Int($0) }),
            let least = fields["least"].flatMap({ Int($0) }), let first = fields["first"].flatMap({ Double($0) }),
            let again = fields["again"].flatMap({ Double($0) })
        else {
            throw BenchmarkError("unreadable output: \(outcome.output)")
        }
        return MemorySample(
            fullBytes: full, residentBytes: resident, leastBytes: least, firstSeconds: first, againSeconds: again)
    }

    /// Ours without preloads: settings of the mallocs (`MALLOW_…`, `MALLOC_CONF`, …) stay as the user made them.
    var baseEnvironment: [String] {
        ProcessInfo.processInfo.environment.filter { $0.key != "LD_PRELOAD" }.map { "\($0.key)=\($0.value)" }
    }

    /// The last field may hold spaces: it is a path.
    private static func fields(of output: String) -> [String: String] {
        let line = output.split(separator: "\n").last ?? ""
        var fields: [String: String] = [:]
        for part in line.split(separator: " ", maxSplits: 5) {
            let pair = part.split(separator: "=", maxSplits: 1)
            if pair.count == 2 { fields[String(pair[0])] = String(pair[1]) }
        }
        return fields
    }

    /// `object` is the file that defines `malloc` in the child, as its loader sees it.
    private static func check(mallocObject object: String, is allocator: AllocatorUnderTest) throws(BenchmarkError) {
        let resolved = URL(fileURLWithPath: object).resolvingSymlinksInPath()
        if let library = allocator.libraryPath {
            let expected = URL(fileURLWithPath: library).resolvingSymlinksInPath()
            guard resolved.path == expected.path else {
                throw BenchmarkError("NOT PRELOADED: malloc came from \(object), not from \(library)")
            }
        } else if !resolved.lastPathComponent.hasPrefix("libc.so") && !resolved.lastPathComponent.hasPrefix("libc-") {
            throw BenchmarkError("NOT the system's malloc: it came from \(object)")
        }
    }
}
