// The server as the kernel sees it.

import Glibc

struct ServerProcess {
    private let pid: pid_t
    private let clock: clockid_t

    init(_ pid: pid_t) throws {
        self.pid = pid
        var clock = clockid_t()
        let error = clock_getcpuclockid(pid, &clock)
        guard error == 0 else { throw LoadError("no CPU clock of process \(pid): \(String(cString: strerror(error)))") }
        self.clock = clock
    }

    /// What all threads of the process have used, those that have ended too, in user and in kernel mode. In
    /// nanoseconds, where the times of `/proc/PID/stat` count ticks of 10 ms.
    func cpuSeconds() throws -> Double {
        var time = timespec()
        guard clock_gettime(clock, &time) == 0 else { throw LoadError("process \(pid) has ended") }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    func residentBytes() throws -> Int {
        guard let status = fopen("/proc/\(pid)/status", "r") else { throw LoadError("process \(pid) has ended") }
        defer { fclose(status) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, 256, status) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                .split(whereSeparator: \.isWhitespace)
            if words.first == "VmRSS:", let kibibytes = Int(words[1]) { return kibibytes << 10 }
        }
        throw LoadError("no VmRSS in /proc/\(pid)/status")
    }
}
