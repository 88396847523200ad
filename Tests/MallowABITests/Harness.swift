// What every test here stands on: runs one command at a time per processor, with its own environment, directory,
// standard input and time limit, and tells what it wrote and how it ended. Standard output and error go to files, so
// no amount of either can block the command. A command leads its own process group, and what is left of the group is
// killed when the time is up.

import Foundation
import Testing

/// How a command ended.
enum Ending: Equatable, CustomStringConvertible {
    case exited(Int32)
    case killed(signal: Int32)
    case timedOut(seconds: Double)

    var description: String {
        switch self {
        case .exited(let status): "exited with status \(status)"
        case .killed(let signal): "killed by signal \(signal)"
        case .timedOut(let seconds): "was still running after \(seconds) s"
        }
    }
}

/// What a command left behind.
struct Outcome: Sendable {
    let output: Data
    let errorOutput: Data
    let ending: Ending
    let process: pid_t

    var succeeded: Bool { ending == .exited(0) }
    var text: String { String(decoding: output, as: UTF8.self) }
    var errorText: String { String(decoding: errorOutput, as: UTF8.self) }
    var lines: [String] { text.split(separator: "\n").map(String.init) }
    var errorLines: [String] { errorText.split(separator: "\n").map(String.init) }

    /// For a failed expectation's comment: the end of both outputs and how the command ended.
    var summary: String {
        "\(ending)\n--- output:\n\(text.suffix(1500))\n--- errors:\n\(errorText.suffix(1500))"
    }
}

struct CannotRun: Error, CustomStringConvertible {
    let description: String
}

/// A command line with all that surrounds it. `arguments[0]` is looked up in `PATH`.
struct Command: Sendable {
    var arguments: [String]
    /// Added to, or taken over, the test's own environment, which comes without preloads and `MALLOW_…` settings.
    var environment: [String: String] = [:]
    var inputFile: String = "/dev/null"
    var directory: URL?
    var timeLimit: Double = 300

    init(_ arguments: String..., environment: [String: String] = [:], in directory: URL? = nil) {
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
    }

    func run() async throws -> Outcome {
        await Turnstile.shared.enter()
        do {
            let outcome = try await withCheckedThrowingContinuation { continuation in
                DispatchQueue.global().async {
                    continuation.resume(with: Result { try runNow() })
                }
            }
            await Turnstile.shared.leave()
            return outcome
        } catch {
            await Turnstile.shared.leave()
            throw error
        }
    }

    /// Runs, and throws with the command's own words unless it exits with zero.
    @discardableResult
    func runOrThrow() async throws -> Outcome {
        let outcome = try await run()
        guard outcome.succeeded else {
            throw CannotRun(description: "\(arguments.joined(separator: " ")): \(outcome.summary)")
        }
        return outcome
    }

    private func runNow() throws -> Outcome {
        let folder = try TemporaryFolder.make("run")
        defer { try? FileManager.default.removeItem(at: folder) }
        let outputFile = folder.appendingPathComponent("output").path
        let errorFile = folder.appendingPathComponent("errors").path
        let process = try spawn(outputFile: outputFile, errorFile: errorFile)
        let ending = wait(for: process)
        return Outcome(
            output: try Data(contentsOf: URL(fileURLWithPath: outputFile)),
            errorOutput: try Data(contentsOf: URL(fileURLWithPath: errorFile)),
            ending: ending, process: process)
    }

    private func spawn(outputFile: String, errorFile: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, inputFile, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputFile, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errorFile, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        posix_spawnattr_setflags(&attributes, Int16(flags))

        var process: pid_t = 0
        let variables = Self.baseEnvironment.merging(environment) { $1 }.map { "\($0)=\($1)" }
        // `env -C` becomes the command: the process stays the same one.
        let line = directory.map { ["env", "-C", $0.path] + arguments } ?? arguments
        let failure = withCStrings(line) { argv in
            withCStrings(variables) { envp in
                posix_spawnp(&process, line[0], &actions, &attributes, argv, envp)
            }
        }
        guard failure == 0 else {
            throw CannotRun(description: "cannot start \(arguments[0]): \(String(cString: strerror(failure)))")
        }
        return process
    }

    private func wait(for process: pid_t) -> Ending {
        let start = ContinuousClock.now
        var status: Int32 = 0
        var pause: useconds_t = 200
        while waitpid(process, &status, WNOHANG) == 0 {
            if ContinuousClock.now - start > .seconds(timeLimit) {
                kill(-process, SIGKILL)
                waitpid(process, &status, 0)
                return .timedOut(seconds: timeLimit)
            }
            usleep(pause)
            pause = min(pause * 2, 10_000)
        }
        let signal = status & 0x7f
        return signal == 0 ? .exited((status >> 8) & 0xff) : .killed(signal: signal)
    }

    private static let baseEnvironment: [String: String] = {
        var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("MALLOW_") }
        variables["LD_PRELOAD"] = nil
        variables["LC_ALL"] = "C"
        variables["TZ"] = "UTC"
        return variables
    }()
}

private func withCStrings<Result>(
    _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
    let copies = strings.map { strdup($0) } + [nil]
    defer {
        for copy in copies { free(copy) }
    }
    return body(copies)
}

/// As many commands at a time as there are processors: their time limits are then honest, however many tests wait.
private actor Turnstile {
    static let shared = Turnstile()
    private var free = max(2, ProcessInfo.processInfo.activeProcessorCount)
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func leave() {
        if waiting.isEmpty {
            free += 1
        } else {
            waiting.removeFirst().resume()
        }
    }
}

/// Folders for one run of the tests, all inside one that goes away when the test process ends.
enum TemporaryFolder {
    private static let root: URL = {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("mallow-abi-tests-\(getpid())")
        atexit { try? FileManager.default.removeItem(at: TemporaryFolder.root) }
        return root
    }()

    static func make(_ purpose: String) throws -> URL {
        let folder = root.appendingPathComponent("\(purpose)-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }
}
