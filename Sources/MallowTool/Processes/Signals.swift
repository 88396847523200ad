// Signals: the tool must not die before its program, and what is sent to the tool alone must reach the program.
//
// A terminal sends its signals (Ctrl-C, Ctrl-\, hang-up) to every process of the foreground group, so the program has
// them already: the kernel marks those as its own, and the tool only survives them. What a process sends (`kill`, a
// service manager, `timeout`) is passed on. Whoever signals the whole group by `kill` therefore signals the program
// twice. Signals that stop and continue a job keep their effect: the terminal sends those to the group as well.

/// The signals that the tool passes on, and would otherwise die of.
private let forwardedSignals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2]

/// What the handlers share with the rest. Words, written with the signals blocked or by a handler.
enum SignalState {
    /// The program; zero when there is none to signal.
    nonisolated(unsafe) static var program: pid_t = 0
    /// The last signal that the tool got; zero if none.
    nonisolated(unsafe) static var received: Int32 = 0
    /// What the tool itself had inherited, which its programs inherit in turn.
    nonisolated(unsafe) static var inheritedMask = sigset_t()
    nonisolated(unsafe) static var inheritedPipeAction = sigaction()
    nonisolated(unsafe) static var inheritedChildAction = sigaction()
}

/// Called once, before the first program is started.
func takeOverSignals() {
    SignalState.program = 0
    SignalState.received = 0
    var forward = action { signal, information, _ in
        let saved = errno
        SignalState.received = signal
        if SignalState.program > 0, let information, isFromAProcess(information.pointee) {
            kill(SignalState.program, signal)
        }
        errno = saved
    }
    for signal in forwardedSignals {
        var inherited = sigaction()
        sigaction(signal, nil, &inherited)
        // `nohup` and shells without job control start programs with signals ignored: that stays.
        if !isIgnored(inherited) { sigaction(signal, &forward, nil) }
    }
    // A reader of our report that goes away must not kill the tool before it has passed the exit status on.
    var ignore = sigaction()
    setHandler(&ignore, SIG_IGN)
    sigaction(SIGPIPE, &ignore, &SignalState.inheritedPipeAction)
    // Were SIGCHLD ignored, `wait4` would find nothing. The handler only makes `poll` return.
    var note = action { _, _, _ in }
    sigaction(SIGCHLD, &note, &SignalState.inheritedChildAction)
    // A parent may have left signals blocked. The program inherits that, but the tool must hear them to pass them on.
    var heard = sigset_t()
    sigemptyset(&heard)
    for signal in forwardedSignals + [SIGCHLD] { sigaddset(&heard, signal) }
    sigprocmask(SIG_UNBLOCK, &heard, &SignalState.inheritedMask)
}

/// In the new process, before `execve`: signals as the tool found them. `execve` itself resets those that have a
/// handler, but between unblocking and `execve` none of ours may run.
func giveBackSignals() {
    for signal in forwardedSignals {
        var current = sigaction()
        sigaction(signal, nil, &current)
        if !isIgnored(current) { resetSignal(signal) }
    }
    sigaction(SIGPIPE, &SignalState.inheritedPipeAction, nil)
    sigaction(SIGCHLD, &SignalState.inheritedChildAction, nil)
    sigprocmask(SIG_SETMASK, &SignalState.inheritedMask, nil)
}

/// Blocks every signal and returns what was blocked before.
func blockSignals() -> sigset_t {
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    sigprocmask(SIG_SETMASK, &all, &before)
    return before
}

func resetSignal(_ signal: Int32) {
    var standard = sigaction()
    setHandler(&standard, SIG_DFL)
    sigaction(signal, &standard, nil)
}

private func isFromAProcess(_ information: siginfo_t) -> Bool {
    #if os(Linux)
        // SI_USER, SI_QUEUE and SI_TKILL are zero or less; the kernel's own, SI_KERNEL, is above.
        return information.si_code <= 0
    #else
        return information.si_pid != 0
    #endif
}

// The handler is in a union, which is called differently by every C library.

private typealias InformedHandler =
    @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void

private func action(_ handler: @escaping InformedHandler) -> sigaction {
    var result = sigaction()
    #if canImport(Glibc)
        result.__sigaction_handler.sa_sigaction = handler
    #elseif canImport(Musl)
        result.__sa_handler.sa_sigaction = handler
    #elseif canImport(Darwin)
        result.__sigaction_u.__sa_sigaction = handler
    #endif
    result.sa_flags = SA_SIGINFO
    return result
}

private func setHandler(_ action: inout sigaction, _ handler: (@convention(c) (Int32) -> Void)?) {
    #if canImport(Glibc)
        action.__sigaction_handler.sa_handler = handler
    #elseif canImport(Musl)
        action.__sa_handler.sa_handler = handler
    #elseif canImport(Darwin)
        action.__sigaction_u.__sa_handler = handler
    #endif
}

private func isIgnored(_ action: sigaction) -> Bool {
    #if canImport(Glibc)
        let handler = action.__sigaction_handler.sa_handler
    #elseif canImport(Musl)
        let handler = action.__sa_handler.sa_handler
    #elseif canImport(Darwin)
        let handler = action.__sigaction_u.__sa_handler
    #endif
    return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
}
