// How a program ended and what it took, as the kernel counts it.

/// How a program ended.
enum Termination: Equatable {
    case exited(Int32)
    case killed(signal: Int32)

    /// From the status that `wait4` gives: the macros of <sys/wait.h> are not visible to Swift.
    init(waitStatus: Int32) {
        let signal = waitStatus & 0x7F
        self = signal == 0 ? .exited(waitStatus >> 8 & 0xFF) : .killed(signal: signal)
    }

    var isSuccess: Bool { self == .exited(0) }

    /// "exit status 3", "killed by signal 15 (Terminated)".
    var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .killed(let signal): "killed by signal \(signal) (\(String(cString: strsignal(signal))))"
        }
    }

    /// Ends the tool as the program ended: by its exit status, or by the same signal, so that a shell, `make` or a
    /// service manager that looks at the tool sees what it would have seen of the program. No second core file is
    /// written.
    func passOn() -> Never {
        guard case .killed(let signal) = self else {
            if case .exited(let status) = self { leave(with: status) }
            fatalError("unreachable")
        }
        var noCore = rlimit(rlim_cur: 0, rlim_max: 0)
        #if canImport(Glibc)
            setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &noCore)
        #else
            setrlimit(RLIMIT_CORE, &noCore)
        #endif
        resetSignal(signal)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, signal)
        sigprocmask(SIG_UNBLOCK, &set, nil)
        kill(getpid(), signal)
        // A signal that cannot kill (the first process of a container): what a shell would show.
        leave(with: 128 + signal)
    }
}

/// What a program took, its waited-for descendants included.
struct ResourceUsage {
    var wallSeconds: Double
    var userSeconds: Double
    var systemSeconds: Double
    /// The resident memory of the *largest* process of the tree at its largest: the kernel keeps no sum.
    var peakBytes: Int
    /// What `peakBytes` reads as for a program that takes next to nothing; see `ChildProcess`.
    var peakFloorBytes: Int
    var minorPageFaults: Int
    var majorPageFaults: Int

    init(_ usage: rusage, wallSeconds: Double, peakFloorBytes: Int) {
        self.wallSeconds = wallSeconds
        userSeconds = Self.seconds(usage.ru_utime)
        systemSeconds = Self.seconds(usage.ru_stime)
        peakBytes = Int(usage.ru_maxrss) * Self.bytesPerUnitOfPeak
        self.peakFloorBytes = peakFloorBytes
        minorPageFaults = Int(usage.ru_minflt)
        majorPageFaults = Int(usage.ru_majflt)
    }

    /// Whether the peak is only an upper bound. A process may take on some more pages between the moment that the floor
    /// is read and the end of `execve`: hence the margin.
    var peakIsAtFloor: Bool { peakBytes < peakFloorBytes + 3 << 19 }

    #if os(Linux)
        static let bytesPerUnitOfPeak = 1024
    #else
        static let bytesPerUnitOfPeak = 1
    #endif

    private static func seconds(_ time: timeval) -> Double {
        Double(time.tv_sec) + Double(time.tv_usec) / 1e6
    }
}

/// Seconds on a clock that nothing sets.
func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
