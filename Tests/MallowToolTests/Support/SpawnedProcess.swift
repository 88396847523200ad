// A process started and waited for by hand. Foundation's `Process` will not do here: it sees the end of a process only
// when all that this one left behind has ended too, and it passes on the blocked signals of the thread that it is used
// on.

import Foundation
import Testing

/// A process of the tests, or one that has ended.
final class SpawnedProcess {
    let processID: pid_t
    private var waitStatus: Int32?

    /// - Parameters:
    ///   - files: what the standard descriptors are opened on, for reading, writing and writing.
    ///   - blocked: signals that the process finds blocked; all others are as they are by default.
    init(
        _ executable: String, _ arguments: [String], environment: [String: String],
        files: (input: String, output: String, error: String), blocked: [Int32]
    ) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, files.input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, files.output, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        posix_spawn_file_actions_addopen(&actions, 2, files.error, O_WRONLY | O_CREAT | O_TRUNC, 0o644)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var mask = sigset_t()
        sigemptyset(&mask)
        for signal in blocked { sigaddset(&mask, signal) }
        posix_spawnattr_setsigmask(&attributes, &mask)
        var standard = sigset_t()
        sigfillset(&standard)
        posix_spawnattr_setsigdefault(&attributes, &standard)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let words = ([executable] + arguments).map { strdup($0) } + [nil]
        let variables = environment.map { strdup($0.key + "=" + $0.value) } + [nil]
        defer { for pointer in words + variables { free(pointer) } }
        var started: pid_t = 0
        let code = posix_spawn(&started, executable, &actions, &attributes, words, variables)
        try #require(code == 0, "\(executable): \(String(cString: strerror(code)))")
        processID = started
    }

    /// Nothing outlives a test that failed meanwhile.
    deinit {
        if !hasEnded() {
            kill(processID, SIGKILL)
            waitpid(processID, nil, 0)
        }
    }

    /// Waits for the end; after half a minute the process is killed and the test has failed.
    ///
    /// - Returns: the status of `waitpid`.
    func wait() -> Int32 {
        let deadline = Date(timeIntervalSinceNow: 180)
        while !hasEnded() {
            if Date() > deadline {
                Issue.record("process \(processID) did not end")
                kill(processID, SIGKILL)
            }
            usleep(1000)
        }
        return waitStatus ?? 0
    }

    private func hasEnded() -> Bool {
        if waitStatus != nil { return true }
        var status: Int32 = 0
        guard waitpid(processID, &status, WNOHANG) == processID else { return false }
        waitStatus = status
        return true
    }
}
