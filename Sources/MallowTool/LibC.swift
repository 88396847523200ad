// The few things of the C library that Swift's overlay leaves out, and the C library itself for every other file.
//
// `@_silgen_name` stands in for a C declaration: `fork` is marked unavailable in Swift (a child of a threaded process
// may only make async-signal-safe calls; ours has one thread and calls nothing else before `execve`), and `getxattr` is
// in a header that the Glibc module lacks. Both take words and return a word, for which Swift's and C's conventions
// agree.

#if canImport(Glibc)
    @_exported import Glibc
#elseif canImport(Musl)
    @_exported import Musl
#elseif canImport(Darwin)
    @_exported import Darwin
#endif

@_silgen_name("fork")
func forkProcess() -> pid_t

#if os(Linux)
    @_silgen_name("getxattr")
    private func getExtendedAttribute(
        _ path: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>, _ value: UnsafeMutableRawPointer?, _ size: Int
    ) -> Int
#endif

/// Whether the file carries capabilities of its own, which a process gains by executing it.
func hasFileCapabilities(_ path: String) -> Bool {
    #if os(Linux)
        return getExtendedAttribute(path, "security.capability", nil, 0) > 0
    #else
        return false
    #endif
}

/// The system's words for `errno`'s value.
func systemMessage(_ code: Int32 = errno) -> String {
    String(cString: strerror(code))
}

/// The value of an environment variable of the tool; nil if it is unset or empty.
func environmentValue(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
}

/// Ends the tool at once: nothing of it needs `atexit`.
func leave(with status: Int32) -> Never {
    exit(status)
}

/// Reads up to `buffer.count` bytes, resumed when a signal interrupts. Zero at the end, negative on an error.
func readBytes(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    while true {
        let count = read(descriptor, buffer.baseAddress, buffer.count)
        if count >= 0 || errno != EINTR { return count }
    }
}

/// Writes all bytes, or gives up and returns false (`errno` says why).
@discardableResult
func writeBytes(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
        let count = write(descriptor, rest.baseAddress, rest.count)
        if count > 0 {
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        } else if errno != EINTR {
            return false
        }
    }
    return true
}

/// Keeps a descriptor of the tool out of the programs it starts.
func closeOnExec(_ descriptor: Int32) {
    // 1 is FD_CLOEXEC, everywhere.
    _ = fcntl(descriptor, F_SETFD, 1)
}
