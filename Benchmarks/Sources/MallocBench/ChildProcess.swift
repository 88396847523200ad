// Runs a program to its end with a chosen environment, and returns what it printed, how it ended and what it cost. Not
// Foundation's `Process`: that can't tell the child's own processor time and page faults, nor give up after a while.

import Foundation

#if canImport(Glibc)
    import Glibc
#endif

struct ChildOutcome {
    let output: String
    /// Nil if it exited with status 0, else why not.
    let failure: String?
    let userSeconds: Double
    let systemSeconds: Double
    let minorPageFaults: Int

    func with(output: String) -> ChildOutcome {
        ChildOutcome(
            output: output, failure: failure, userSeconds: userSeconds, systemSeconds: systemSeconds,
            minorPageFaults: minorPageFaults)
    }
}

enum ChildProcess {
    /// Standard error is ours. A child that runs longer than `timeLimit` seconds is killed.
    static func run(_ path: String, arguments: [String], environment: [String], timeLimit: Double) -> ChildOutcome {
        var bytes: [UInt8] = []
        let outcome = run(path, arguments: arguments, environment: environment, timeLimit: timeLimit) {
            bytes.append(contentsOf: $0)
        }
        return outcome.with(output: String(decoding: bytes, as: UTF8.self))
    }

    /// What the child prints goes to `consume`, part by part, and is not kept.
    static func run(
        _ path: String, arguments: [String], environment: [String], timeLimit: Double,
        consume: (UnsafeRawBufferPointer) -> Void
    ) -> ChildOutcome {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return failed("cannot make a pipe: \(lastError())") }
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        posix_spawn_file_actions_addclose(&actions, ends[1])

        var child: pid_t = 0
        let error = withCStrings([path] + arguments) { arguments in
            withCStrings(environment) { environment in
                posix_spawn(&child, path, &actions, nil, arguments, environment)
            }
        }
        close(ends[1])
        defer { close(ends[0]) }
        guard error == 0 else { return failed("cannot start \(path): \(String(cString: strerror(error)))") }
        let isTimedOut = readToEnd(ends[0], timeLimit: timeLimit, consume: consume)
        if isTimedOut { kill(child, SIGKILL) }
        return outcome(of: child, timedOutAfter: isTimedOut ? timeLimit : nil)
    }

    /// Whether the time was up first.
    private static func readToEnd(
        _ descriptor: Int32, timeLimit: Double, consume: (UnsafeRawBufferPointer) -> Void
    ) -> Bool {
        let deadline = Date().addingTimeInterval(timeLimit)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let remaining = deadline.timeIntervalSinceNow
            guard remaining > 0 else { return true }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&entry, 1, Int32(remaining * 1000) + 1)
            guard ready > 0 else { continue }
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            buffer.withUnsafeBytes { consume(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    private static func outcome(of child: pid_t, timedOutAfter limit: Double?) -> ChildOutcome {
        var status: Int32 = 0
        var usage = rusage()
        while wait4(child, &status, 0, &usage) < 0 && errno == EINTR {}
        let signal = status & 0x7f
        let exitStatus = (status >> 8) & 0xff
        var failure: String?
        if let limit {
            failure = "did not end within \(Int(limit)) s"
        } else if signal != 0 {
            failure = "ended by signal \(signal) (\(String(cString: strsignal(signal))))"
        } else if exitStatus != 0 {
            failure = "exit status \(exitStatus)"
        }
        return ChildOutcome(
            output: "", failure: failure, userSeconds: seconds(usage.ru_utime),
            systemSeconds: seconds(usage.ru_stime), minorPageFaults: usage.ru_minflt)
    }

    private static func failed(_ reason: String) -> ChildOutcome {
        ChildOutcome(output: "", failure: reason, userSeconds: 0, systemSeconds: 0, minorPageFaults: 0)
    }

    private static func lastError() -> String { String(cString: strerror(errno)) }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }

    /// A NULL-terminated array of C strings that lives as long as `body`.
    private static func withCStrings<R>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R
    ) -> R {
        let copies = strings.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }
}
