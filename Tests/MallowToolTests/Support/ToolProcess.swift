// Runs the built tool as a process, as a user would, and hands back all that could be seen of it.
//
// The tool is found where MALLOW_TOOL says, else beside the test bundle (`swift test` builds the product `mallow` there),
// else in build/bin. The library is found where MALLOW_LIBRARY says, else in build/lib, where `make test` puts it first.
// What is missing fails the tests; nothing is skipped.

import Foundation
import Testing

/// What one run of the tool gave.
struct ToolResult {
    let status: Int32
    /// The signal that killed the tool, if one did; then `status` means nothing.
    let signal: Int32?
    let outputData: Data
    let errorData: Data

    var output: String { String(decoding: outputData, as: UTF8.self) }
    var error: String { String(decoding: errorData, as: UTF8.self) }

    /// Exactly one line, of the tool.
    var isOneLineOfTheTool: Bool {
        error.hasPrefix("mallow: ") && error.hasSuffix("\n") && error.filter { $0 == "\n" }.count == 1
    }
}

/// A started tool, for tests that do something meanwhile.
final class RunningTool {
    let process = Process()
    private let folder: TemporaryFolder

    /// - Parameters:
    ///   - environment: changes; nil removes a variable.
    ///   - input: what the tool reads; nothing by default.
    init(
        executable: String? = nil, _ arguments: [String], environment: [String: String?] = [:], input: Data = Data(),
        folder currentFolder: String? = nil
    ) throws {
        folder = try TemporaryFolder()
        process.executableURL = URL(fileURLWithPath: try executable ?? Installation.tool())
        process.arguments = arguments
        process.environment = try Installation.environment(environment)
        if let currentFolder { process.currentDirectoryURL = URL(fileURLWithPath: currentFolder) }
        try input.write(to: URL(fileURLWithPath: folder.path("input")))
        for name in ["output", "error"] { try Data().write(to: URL(fileURLWithPath: folder.path(name))) }
        process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: folder.path("input")))
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.path("output")))
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.path("error")))
        try process.run()
    }

    var outputSoFar: String { folder.contents("output") }

    /// Waits until the program has printed something; fails after ten seconds.
    func waitForOutput(_ text: String) throws {
        let deadline = Date(timeIntervalSinceNow: 10)
        while !outputSoFar.contains(text) {
            try #require(Date() < deadline, "the program never printed \(text)")
            usleep(5000)
        }
    }

    /// Waits for the end; after half a minute the tool is killed and the test has failed.
    func result() throws -> ToolResult {
        let deadline = Date(timeIntervalSinceNow: 30)
        while process.isRunning, Date() < deadline { usleep(1000) }
        if process.isRunning {
            kill(process.processIdentifier, SIGKILL)
            Issue.record("mallow \(process.arguments ?? []) did not end")
        }
        process.waitUntilExit()
        return ToolResult(
            status: process.terminationStatus,
            signal: process.terminationReason == .uncaughtSignal ? process.terminationStatus : nil,
            outputData: try Data(contentsOf: URL(fileURLWithPath: folder.path("output"))),
            errorData: try Data(contentsOf: URL(fileURLWithPath: folder.path("error"))))
    }
}

/// Runs the tool to its end.
func mallow(
    _ arguments: String..., environment: [String: String?] = [:], input: Data = Data(), folder: String? = nil
) throws -> ToolResult {
    try RunningTool(arguments, environment: environment, input: input, folder: folder).result()
}

/// Runs a shell script in which `$MALLOW` is the tool.
func shell(_ script: String, environment: [String: String?] = [:]) throws -> ToolResult {
    var environment = environment
    environment["MALLOW"] = try Installation.tool()
    return try RunningTool(executable: "/bin/sh", ["-c", script], environment: environment).result()
}

/// Where the tool and the library are.
enum Installation {
    struct Missing: Error, CustomStringConvertible {
        let description: String
    }

    /// The checkout.
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    static func tool() throws -> String {
        if let path = ProcessInfo.processInfo.environment["MALLOW_TOOL"] { return path }
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let candidates = [
            bundle.appendingPathComponent("mallow").path, own.appendingPathComponent("mallow").path,
            root + "/.build/debug/mallow", root + "/build/bin/mallow",
        ]
        guard let path = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            throw Missing(description: "no tool at \(candidates): run `swift build`, or set MALLOW_TOOL")
        }
        return path
    }

    static func library() throws -> String {
        let path = ProcessInfo.processInfo.environment["MALLOW_LIBRARY"] ?? root + "/build/lib/libmallow.so"
        guard FileManager.default.fileExists(atPath: path) else {
            throw Missing(description: "no library at \(path): run `make lib`, or set MALLOW_LIBRARY")
        }
        return path
    }

    /// The environment of the tests with the real library, and nothing else that the tool looks at.
    static func environment(_ changes: [String: String?]) throws -> [String: String] {
        var result = ProcessInfo.processInfo.environment
        for name in ["LD_PRELOAD", "MALLOW_STATS", "NO_COLOR"] { result[name] = nil }
        result["MALLOW_LIBRARY"] = try changes.keys.contains("MALLOW_LIBRARY") ? nil : library()
        for (name, value) in changes { result[name] = value }
        return result
    }
}
