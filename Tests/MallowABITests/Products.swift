// What the tests test, and what they test it with: the built library (`MALLOW_LIBRARY`, or `build/lib/libmallow.so` of
// this checkout) with the archive and header beside it, and the programs of `Programs/`, each compiled once a run.
// A library that is not there fails the test that asks for it: nothing is skipped.

import Foundation
import Testing

/// The files that `make lib` leaves.
enum Library {
    static func shared() throws -> URL {
        let file = ProcessInfo.processInfo.environment["MALLOW_LIBRARY"].map(URL.init(fileURLWithPath:))
        return try present(file ?? Checkout.root.appendingPathComponent("build/lib/libmallow.so"))
    }

    static func archive() throws -> URL {
        try present(shared().deletingLastPathComponent().appendingPathComponent("libmallow.a"))
    }

    /// The folder of `mallow.h`.
    static func headers() throws -> URL {
        let prefix = try shared().deletingLastPathComponent().deletingLastPathComponent()
        return try present(prefix.appendingPathComponent("include/mallow.h")).deletingLastPathComponent()
    }

    private static func present(_ file: URL) throws -> URL {
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw CannotRun(description: "\(file.path) is not there: run `make lib` first, or set MALLOW_LIBRARY")
        }
        return file.absoluteURL
    }
}

enum Checkout {
    static let tests = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
    static let root = tests.deletingLastPathComponent().deletingLastPathComponent()
    static let programs = tests.appendingPathComponent("Programs")
}

/// Compiles the files of `Programs/`, each combination of sources and flags once.
actor Workshop {
    static let shared = Workshop()
    private var builds: [[String]: Task<URL, any Error>] = [:]

    /// The program compiled from `sources`, by the compiler that the first one's extension asks for. `flags` come
    /// after the sources on the command line, so that libraries can be among them.
    func program(_ sources: String..., flags: [String] = []) async throws -> URL {
        let key = sources + flags
        if let build = builds[key] { return try await build.value }
        let build = Task { try await Self.compile(sources, flags) }
        builds[key] = build
        return try await build.value
    }

    private static let misuseIsMeant = [
        "-Wno-use-after-free", "-Wno-free-nonheap-object", "-Wno-alloc-size-larger-than", "-Wno-unknown-warning-option",
    ]

    private static func compile(_ sources: [String], _ flags: [String]) async throws -> URL {
        let folder = try TemporaryFolder.make("build")
        let first = URL(fileURLWithPath: sources[0])
        let output = folder.appendingPathComponent(first.deletingPathExtension().lastPathComponent)
        var command = Command()
        // `-fno-builtin`: the compiler must not answer for malloc, nor remove a call to it.
        let common = ["-O2", "-g", "-pthread", "-fno-builtin", "-Wall", "-Wextra", "-Werror"] + misuseIsMeant
        switch first.pathExtension {
        case "swift": command.arguments = ["swiftc", "-O", "-parse-as-library", "-warnings-as-errors"]
        case "cpp": command.arguments = ["c++", "-std=c++17"] + common
        default: command.arguments = ["cc", "-std=gnu11"] + common
        }
        command.arguments += ["-o", output.path]
        command.arguments += sources.map { Checkout.programs.appendingPathComponent($0).path }
        command.arguments += flags
        command.timeLimit = 300
        try await command.runOrThrow()
        return output
    }
}

extension Command {
    /// The same command on Mallow, preloaded.
    func preloaded() throws -> Command {
        var command = self
        command.environment["LD_PRELOAD"] = try Library.shared().path
        return command
    }
}

/// One process's line of statistics, as `MALLOW_STATS=path` leaves it.
struct Statistics: Decodable {
    struct SizeClass: Decodable, Equatable {
        let size, allocations, liveBlocks, pages: Int
    }
    let mallow: String
    let process: Int
    let requestedBytes, grantedBytes, allocations, frees, remoteFrees: Int
    let liveBlocks, liveBytes, peakLiveBytes: Int
    let mappedBytes, committedBytes, peakCommittedBytes, purgedBytes: Int
    let threads, peakThreads: Int
    let sizeClasses: [SizeClass]

    /// Reads the file of one process, which must be one line that holds one JSON object.
    init(contentsOf file: URL) throws {
        let all = try Self.all(in: file)
        guard all.count == 1 else { throw CannotRun(description: "\(file.path) has \(all.count) lines") }
        self = all[0]
    }

    /// Reads a file with a line for every process that had its number: in a long test numbers come round again.
    static func all(in file: URL) throws -> [Statistics] {
        let data = try Data(contentsOf: file)
        let lines = data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.count >= 2, lines.last!.isEmpty else {
            throw CannotRun(description: "\(file.path) is not ended: \(String(decoding: data, as: UTF8.self))")
        }
        return try lines.dropLast().map { try JSONDecoder().decode(Statistics.self, from: $0) }
    }
}

/// A run on Mallow, and what its processes said of it as they ended.
struct MallowRun {
    let outcome: Outcome
    /// Of every process that ended by `exit` or by the end of `main`.
    let processes: [Statistics]

    /// Of the process that was started itself, whatever it became by `exec`.
    var statistics: Statistics? { processes.last { $0.process == Int(outcome.process) } }
}

extension Command {
    /// Runs the command on Mallow, and gives its statistics along with its outcome: the proof that it was Mallow.
    func runOnMallow() async throws -> MallowRun {
        let folder = try TemporaryFolder.make("statistics")
        defer { try? FileManager.default.removeItem(at: folder) }
        var command = try preloaded()
        command.environment["MALLOW_STATS"] = folder.path + "/%p.json"
        let outcome = try await command.run()
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return MallowRun(outcome: outcome, processes: try files.flatMap(Statistics.all))
    }
}
