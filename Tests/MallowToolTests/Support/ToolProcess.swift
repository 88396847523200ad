// Runs the built tool as a process, as a user would, and hands back all that could be seen of it.
//
// The tool is found where MALLOW_TOOL says, else beside the test bundle (`swift test` builds the product `mallow`
// there), else in build/bin. The library is found where MALLOW_LIBRARY says, else in build/lib, where `make test` puts
// it first. What is missing fails the tests; nothing is skipped.

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
struct RunningTool {
    private let process: SpawnedProcess
    private let folder: TemporaryFolder

    var processID: pid_t { process.processID }
    var outputSoFar: String { folder.contents("output") }

    /// - Parameters:
    ///   - environment: changes; nil removes a variable.
    ///   - input: what the tool reads; nothing by default.
    ///   - blocked: signals that the tool finds blocked.
    init(
        executable: String? = nil, _ arguments: [String], environment: [String: String?] = [:], input: Data = Data(),
        blocked: [Int32] = []
    ) throws {
        folder = try TemporaryFolder()
        try input.write(to: URL(fileURLWithPath: folder.path("input")))
        process = try SpawnedProcess(
            try executable ?? Installation.tool(), arguments, environment: try Installation.environment(environment),
            files: (folder.path("input"), folder.path("output"), folder.path("error")),
            blocked: blocked)
    }

    /// Waits until the program has printed something; fails after ten seconds.
    func waitForOutput(_ text: String) throws {
        let deadline = Date(timeIntervalSinceNow: 120)
        while !outputSoFar.contains(text) {
            try #require(Date() < deadline, "the program never printed \(text)")
            usleep(5000)
        }
    }

    func result() throws -> ToolResult {
        let status = process.wait()
        return ToolResult(
            status: status >> 8 & 0xFF, signal: status & 0x7F == 0 ? nil : status & 0x7F,
            outputData: try Data(contentsOf: URL(fileURLWithPath: folder.path("output"))),
            errorData: try Data(contentsOf: URL(fileURLWithPath: folder.path("error"))))
    }
}

/// Runs the tool to its end.
func mallow(
    _ arguments: String..., environment: [String: String?] = [:], input: Data = Data()
) throws -> ToolResult {
    try RunningTool(arguments, environment: environment, input: input).result()
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
