// A program that the tool started, and waits for.
//
// Why `fork` and not `posix_spawn`: peak memory. Linux carries the peak of a process over `execve`, and until then a
// child made by `posix_spawn` (or `vfork`) *is* the tool's memory, so that `/bin/true` reads as the tool's 12 MiB. A
// child made by `fork` starts with the pages that it would have to copy, and nothing of libraries and code: some 2 MiB,
// if the tool keeps its heap small. That is the floor under every peak; the child reads its own just before `execve`
// and reports it.
//
//     tool ── fork ──> child: the floor of its peak ──> pipe
//                             execve failed, errno ──> pipe     (the pipe closes by itself when execve succeeds)

/// A running program.
struct ChildProcess {
    let processID: pid_t
    let startSeconds: Double
    let peakFloorBytes: Int

    /// Where a program's standard descriptors lead; nil is where the tool's lead.
    struct Redirection {
        var input: Int32?
        var output: Int32?
        var error: Int32?
    }

    /// Starts a program. Its signals are as the tool found its own, and it inherits no descriptor of the tool's making.
    ///
    /// - Throws: `systemError`, or `notExecutable` where the kernel refuses what the checks had passed.
    static func start(
        path: String, arguments: CStringArray, environment: CStringArray, redirection: Redirection = Redirection()
    ) throws(ToolFailure) -> ChildProcess {
        let ends = try makePipe()
        defer { close(ends.reading) }
        let mask = blockSignals()
        let start = monotonicSeconds()
        let processID = forkProcess()
        if processID == 0 {
            becomeProgram(path, arguments, environment, redirection, reportingTo: ends.writing)
        }
        let failure = errno
        close(ends.writing)
        if processID > 0 { SignalState.program = processID }
        var unblocked = mask
        sigprocmask(SIG_SETMASK, &unblocked, nil)
        guard processID > 0 else {
            throw ToolFailure(.systemError, "\(path): the system starts no process (\(systemMessage(failure)))")
        }

        let peak = readInt(ends.reading) ?? 0
        if let code = readInt(ends.reading) {
            SignalState.program = 0
            var status: Int32 = 0
            while waitpid(processID, &status, 0) < 0, errno == EINTR {}
            let reason =
                code == Int(ENOENT)
                ? "the loader or the interpreter that it names is not there" : systemMessage(Int32(code))
            throw ToolFailure(.notExecutable, "\(path): cannot be executed: \(reason)")
        }
        return ChildProcess(
            processID: processID, startSeconds: start, peakFloorBytes: peak * ResourceUsage.bytesPerUnitOfPeak)
    }

    /// Waits for the end of the program.
    func wait() -> (Termination, ResourceUsage) {
        while true {
            if let ended = reap(options: WEXITED) { return ended }
        }
    }

    /// How the program ended, if it has.
    func check() -> (Termination, ResourceUsage)? {
        reap(options: WEXITED | WNOHANG)
    }

    /// The process stays a zombie until no handler of ours will signal it any more: its number could be another's by
    /// then.
    private func reap(options: Int32) -> (Termination, ResourceUsage)? {
        var information = siginfo_t()
        guard waitid(P_PID, id_t(processID), &information, options | WNOWAIT) == 0, information.si_signo == SIGCHLD
        else {
            return nil
        }
        let wall = monotonicSeconds() - startSeconds
        SignalState.program = 0
        var status: Int32 = 0
        var usage = rusage()
        while wait4(processID, &status, 0, &usage) < 0, errno == EINTR {}
        return (
            Termination(waitStatus: status), ResourceUsage(usage, wallSeconds: wall, peakFloorBytes: peakFloorBytes)
        )
    }

    /// In the new process. No allocation and no lock from here on: only what may be called after `fork`.
    private static func becomeProgram(
        _ path: String, _ arguments: CStringArray, _ environment: CStringArray, _ redirection: Redirection,
        reportingTo report: Int32
    ) -> Never {
        if let input = redirection.input { dup2(input, STDIN_FILENO) }
        if let output = redirection.output { dup2(output, STDOUT_FILENO) }
        if let error = redirection.error { dup2(error, STDERR_FILENO) }
        giveBackSignals()
        // Fails, and brings in the pages that the real one needs, so that the floor is read as late as can be.
        execve("", arguments.pointers, environment.pointers)
        var usage = rusage()
        #if canImport(Glibc)
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        #else
            getrusage(RUSAGE_SELF, &usage)
        #endif
        writeInt(report, Int(usage.ru_maxrss))
        execve(path, arguments.pointers, environment.pointers)
        writeInt(report, Int(errno))
        _exit(127)
    }

    private static func readInt(_ descriptor: Int32) -> Int? {
        var value = 0
        return withUnsafeMutableBytes(of: &value) { readBytes(descriptor, into: $0) == $0.count } ? value : nil
    }

    private static func writeInt(_ descriptor: Int32, _ value: Int) {
        withUnsafeBytes(of: value) { _ = writeBytes(descriptor, $0) }
    }
}

/// A pipe, neither end of which a program inherits.
func makePipe() throws(ToolFailure) -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else {
        throw ToolFailure(.systemError, "the system makes no pipe (\(systemMessage()))")
    }
    // A pipe must not take the number of a standard descriptor that the tool was started without: `dup2` would clobber
    // it.
    for index in 0...1 {
        let moved = fcntl(ends[index], F_DUPFD, 3)
        close(ends[index])
        guard moved >= 0 else {
            throw ToolFailure(.systemError, "the system makes no pipe (\(systemMessage()))")
        }
        ends[index] = moved
        closeOnExec(moved)
    }
    return (ends[0], ends[1])
}
