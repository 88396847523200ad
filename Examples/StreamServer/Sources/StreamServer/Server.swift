// The server: one thread that waits for sockets and does what they are ready for.
//
// S1. A connection is in `connections` as long as its descriptor is open, and only then.
// S2. A subscriber whose queue is not empty is waited for until it is writable; others are not.
// S3. A publisher is paused while a subscriber's queue is full, where publishers are to wait.

import CLinuxEvents
import Glibc
import StreamRelay
import TransportStream

final class Server<Memory: StreamMemory> {
    typealias Stream = PublishedStream<Memory>

    let options: ServerOptions
    let relay: Relay<Memory>
    let poller: Poller
    var connections: [Int32: Connection<Memory>] = [:]
    /// What was counted beside the relay's statistics.
    var accepted = 0
    var malformedRequests = 0
    var refusedPublishers = 0
    var timedOut = 0
    var droppedAsSlow = 0
    /// In milliseconds since some start.
    private(set) var now = 0
    private let listener: Int32
    private let stopSignal: Int32
    let port: UInt16
    private var listens = true
    private var lastCheck = 0

    init(_ options: ServerOptions, memory: Memory) throws(SystemError) {
        self.options = options
        relay = Relay(memory: memory, limits: options.limits)
        poller = try Poller()
        stopSignal = try stopSignals()
        (listener, port) = try listen(on: options.address, port: options.port)
        try poller.add(listener, for: .readable)
        try poller.add(stopSignal, for: .readable)
    }

    /// Serves until the process is asked to stop. Then subscribers get what is waiting for them, as far as they take it
    /// within two seconds.
    func run() throws(SystemError) {
        var isAsked = false
        while !isAsked {
            try poll { isAsked = true }
            if now - lastCheck >= 1000 { checkTimes() }
        }
        close(listener)
        for connection in Array(connections.values) {
            switch connection.role {
            case .publisher(let stream): end(connection, stream)
            case .subscriber: break
            case .handshake, .closing: drop(connection)
            }
        }
        for connection in Array(connections.values) {
            if case .subscriber(_, let subscriber) = connection.role, subscriber.queue.count == 0 { drop(connection) }
        }
        let deadline = now + 2000
        while now < deadline, hasSubscribers { try poll {} }
        for connection in Array(connections.values) { drop(connection) }
        close(stopSignal)
    }

    private var hasSubscribers: Bool {
        connections.values.contains { if case .subscriber = $0.role { true } else { false } }
    }

    private func poll(stopped: () -> Void) throws(SystemError) {
        try poller.wait(milliseconds: 250) { descriptor, readiness in
            readClock()
            if descriptor == listener {
                acceptConnections()
            } else if descriptor == stopSignal {
                var signal = signalfd_siginfo()
                if read(stopSignal, &signal, MemoryLayout<signalfd_siginfo>.size) > 0 { stopped() }
            } else if let connection = connections[descriptor] {
                handle(connection, readiness)
            }
        }
        readClock()
    }

    private func readClock() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        now = time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    private func acceptConnections() {
        do throws(SystemError) {
            while let descriptor = try accept(listener) {
                accepted += 1
                let connection = Connection<Memory>(
                    descriptor: descriptor, role: .handshake(Memory.Bytes()), interest: .readable, now: now)
                do throws(SystemError) { try poller.add(descriptor, for: .readable) } catch {
                    close(descriptor)
                    continue
                }
                // S1
                connections[descriptor] = connection
                if connections.count > options.connections { refuse(connection, "too many connections") }
            }
        } catch {
            // No more descriptors, or no memory: those who wait are taken when there is room.
            listens = false
            try? poller.change(listener, for: [])
        }
    }

    /// Does what is due with time: once a second.
    private func checkTimes() {
        lastCheck = now
        if !listens {
            listens = true
            try? poller.change(listener, for: .readable)
        }
        for connection in Array(connections.values) {
            let idle = now - connection.lastProgress
            switch connection.role {
            case .closing:
                if idle > 2000 { drop(connection) }
            case .handshake:
                if idle > options.timeout {
                    timedOut += 1
                    refuse(connection, "nothing was asked for in time")
                }
            case .publisher(let stream):
                if !connection.isPaused, idle > options.timeout {
                    timedOut += 1
                    end(connection, stream, fault: "nothing was sent in time")
                }
            case .subscriber(_, let subscriber):
                // Who has nothing to take is not late.
                if subscriber.queue.count == 0 {
                    connection.lastProgress = now
                } else if idle > options.timeout {
                    timedOut += 1
                    drop(connection)
                }
            }
        }
    }

    // MARK: What connections have in common

    func setInterest(_ connection: Connection<Memory>, _ interest: Readiness) {
        guard connection.interest != interest else { return }
        connection.interest = interest
        try? poller.change(connection.descriptor, for: interest)
    }

    /// Sends a short answer. A socket that has no room for it has not read the ones before.
    @discardableResult
    func say(_ connection: Connection<Memory>, _ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            Glibc.send(connection.descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
        }
    }

    /// Says why not, and closes.
    func refuse(_ connection: Connection<Memory>, _ reason: String, status: String = "400 Bad Request") {
        say(
            connection,
            connection.isHTTP
                ? "HTTP/1.1 \(status)\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\(reason)\n"
                : "ERROR \(reason)\n")
        closeGently(connection)
    }

    /// Closes when the other side has read what it was told: a socket closed with something unread in it would take the
    /// answer back.
    func closeGently(_ connection: Connection<Memory>) {
        connection.role = .closing
        connection.lastProgress = now
        guard !connection.hasEnded, shutdown(connection.descriptor, Int32(SHUT_WR)) == 0 else {
            drop(connection)
            return
        }
        setInterest(connection, .readable)
    }

    /// Closes, whatever it is.
    func drop(_ connection: Connection<Memory>) {
        switch connection.role {
        case .publisher(let stream):
            connection.role = .closing
            endStream(stream)
        case .subscriber(let stream, let subscriber):
            connection.role = .closing
            relay.remove(subscriber, from: stream)
            resumePublisher(of: stream)
        case .handshake, .closing:
            connection.role = .closing
        }
        // S1
        if connections.removeValue(forKey: connection.descriptor) != nil { close(connection.descriptor) }
    }
}
