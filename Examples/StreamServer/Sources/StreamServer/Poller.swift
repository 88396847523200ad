// Waiting for sockets, by epoll. Every call to the operating system about sockets that isn't reading or writing is
// here.

import CLinuxEvents
import Glibc

/// An error of the operating system's.
struct SystemError: Error, CustomStringConvertible {
    let call: String
    let code: Int32

    init(_ call: String, _ code: Int32 = errno) {
        self.call = call
        self.code = code
    }

    var description: String { "\(call): \(String(cString: strerror(code)))" }
}

/// What is waited for at a descriptor, or has come.
struct Readiness: OptionSet {
    let rawValue: UInt32

    static let readable = Readiness(rawValue: EPOLLIN.rawValue)
    static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
    /// Both directions are closed, or the connection is broken: reported without being asked for.
    static let broken = Readiness(rawValue: EPOLLHUP.rawValue | EPOLLERR.rawValue)
}

/// Descriptors that are waited for together.
final class Poller {
    private let descriptor: Int32
    private var events = [epoll_event](repeating: epoll_event(), count: 128)

    init() throws(SystemError) {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        if descriptor < 0 { throw SystemError("epoll_create1") }
    }

    deinit { Glibc.close(descriptor) }

    func add(_ watched: Int32, for readiness: Readiness) throws(SystemError) {
        try control(EPOLL_CTL_ADD, watched, readiness)
    }

    func change(_ watched: Int32, for readiness: Readiness) throws(SystemError) {
        try control(EPOLL_CTL_MOD, watched, readiness)
    }

    private func control(_ operation: Int32, _ watched: Int32, _ readiness: Readiness) throws(SystemError) {
        var event = epoll_event()
        event.events = readiness.rawValue
        event.data.fd = watched
        if epoll_ctl(descriptor, operation, watched, &event) != 0 { throw SystemError("epoll_ctl") }
    }

    /// Waits for at most so many milliseconds, and hands out what has come.
    func wait(milliseconds: Int32, _ body: (Int32, Readiness) -> Void) throws(SystemError) {
        let count = epoll_wait(descriptor, &events, Int32(events.count), milliseconds)
        if count < 0 {
            if errno == EINTR { return }
            throw SystemError("epoll_wait")
        }
        for event in events.prefix(Int(count)) { body(event.data.fd, Readiness(rawValue: event.events)) }
    }
}

/// A socket that listens on an address, and does not block; and the port that it has.
func listen(on address: String, port: UInt16) throws(SystemError) -> (descriptor: Int32, port: UInt16) {
    var place = sockaddr_in()
    place.sin_family = sa_family_t(AF_INET)
    place.sin_port = port.bigEndian
    guard inet_pton(AF_INET, address, &place.sin_addr) == 1 else { throw SystemError("inet_pton", EINVAL) }
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard listener >= 0 else { throw SystemError("socket") }
    set(listener, SOL_SOCKET, SO_REUSEADDR, 1)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &place) { place in
        place.withMemoryRebound(to: sockaddr.self, capacity: 1) { place in
            bind(listener, place, size) == 0 && Glibc.listen(listener, 1024) == 0
                && getsockname(listener, place, &size) == 0
        }
    }
    guard isBound else {
        let error = SystemError("bind")
        close(listener)
        throw error
    }
    return (listener, UInt16(bigEndian: place.sin_port))
}

/// Takes the next connection, whose socket does not block. Nil where there is none now.
func accept(_ listener: Int32) throws(SystemError) -> Int32? {
    while true {
        let connection = linux_accept(listener)
        if connection >= 0 {
            // A client that vanished without a word is found out at last.
            set(connection, SOL_SOCKET, SO_KEEPALIVE, 1)
            set(connection, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
            return connection
        }
        switch errno {
        case EAGAIN: return nil
        // Connections that were gone before they were taken.
        case EINTR, ECONNABORTED, EPROTO: continue
        default: throw SystemError("accept")
        }
    }
}

/// Sets an option that is a number.
func set(_ socket: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
    var value = value
    setsockopt(socket, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
}

/// A descriptor that is readable when the process is asked to stop: by SIGTERM or SIGINT.
func stopSignals() throws(SystemError) -> Int32 {
    // A client that is gone is an error of writing, not the end.
    signal(SIGPIPE, SIG_IGN)
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGINT)
    sigprocmask(SIG_BLOCK, &signals, nil)
    let descriptor = signalfd(-1, &signals, Int32(SFD_NONBLOCK | SFD_CLOEXEC))
    if descriptor < 0 { throw SystemError("signalfd") }
    return descriptor
}
