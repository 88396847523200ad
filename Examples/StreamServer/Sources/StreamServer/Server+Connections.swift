// What a connection is ready for.

import CLinuxEvents
import Glibc
import StreamRelay
import TransportStream

extension Server {
    func handle(_ connection: Connection<Memory>, _ readiness: Readiness) {
        switch connection.role {
        case .handshake(let bytes): readRequest(connection, bytes)
        case .publisher(let stream): readPackets(connection, stream)
        case .subscriber(let stream, let subscriber):
            if readiness.contains(.writable) {
                send(connection, stream, subscriber)
                resumePublisher(of: stream)
            }
            if !readiness.isDisjoint(with: [.readable, .broken]) { discardInput(connection) }
            if readiness.contains(.broken), connection.hasEnded { drop(connection) }
        case .closing:
            discardInput(connection)
            if connection.hasEnded { drop(connection) }
        }
    }

    // MARK: Publishers

    private func readPackets(_ connection: Connection<Memory>, _ stream: Stream) {
        var bytes = Memory.Bytes()
        switch relay.memory.read(from: connection.descriptor, upTo: options.readSize, into: &bytes) {
        case .bytes:
            connection.lastProgress = now
            receive(connection, stream, bytes)
        case .nothing: break
        case .end, .failed: end(connection, stream)
        }
    }

    func receive(_ connection: Connection<Memory>, _ stream: Stream, _ bytes: Memory.Bytes) {
        do {
            var bytes = bytes
            if connection.chunks != nil { bytes = try connection.chunks!.unwrap(bytes) }
            try stream.receive(bytes)
        } catch {
            refusedPublishers += 1
            end(connection, stream, fault: "\(error)")
            return
        }
        sendAll(stream)
        if connection.chunks?.isAtEnd == true {
            end(connection, stream)
        } else if stream.isFull {
            // S3
            connection.isPaused = true
            setInterest(connection, [])
        }
    }

    /// Sends each subscriber what has come, and looks at those who take too little.
    private func sendAll(_ stream: Stream) {
        for subscriber in stream.subscribers where subscriber.queue.count > 0 {
            guard let connection = connections[Int32(subscriber.tag)] else { continue }
            // S2
            if !connection.interest.contains(.writable) { send(connection, stream, subscriber) }
        }
        for subscriber in stream.enforceLimit() {
            droppedAsSlow += 1
            if let connection = connections[Int32(subscriber.tag)] { drop(connection) }
        }
    }

    /// Ends a publisher, with a reason or as it wanted.
    func end(_ connection: Connection<Memory>, _ stream: Stream, fault: String? = nil) {
        connection.role = .closing
        if let fault {
            refuse(connection, fault)
        } else if connection.isHTTP {
            say(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            closeGently(connection)
        } else {
            drop(connection)
        }
        endStream(stream)
    }

    /// Ends a stream: its subscribers get what is waiting for them.
    func endStream(_ stream: Stream) {
        relay.end(stream)
        for subscriber in stream.subscribers {
            guard let connection = connections[Int32(subscriber.tag)] else { continue }
            if !connection.interest.contains(.writable) { send(connection, stream, subscriber) }
        }
    }

    /// Goes on reading from a publisher that waits, where there is room again.
    func resumePublisher(of stream: Stream) {
        guard options.limits.slow == .wait, stream.hasPublisher, stream.hasRoom else { return }
        for connection in connections.values where connection.isPaused {
            if case .publisher(let paused) = connection.role, paused === stream {
                connection.isPaused = false
                connection.lastProgress = now
                setInterest(connection, .readable)
            }
        }
    }

    // MARK: Subscribers

    func send(_ connection: Connection<Memory>, _ stream: Stream, _ subscriber: Subscriber<Memory.Bytes>) {
        let before = subscriber.sentCount
        let outcome = subscriber.send(to: connection.descriptor)
        if subscriber.sentCount != before { connection.lastProgress = now }
        switch outcome {
        case .all:
            if subscriber.state == .ending {
                relay.remove(subscriber, from: stream)
                closeGently(connection)
            } else {
                setInterest(connection, connection.interest.subtracting(.writable))
            }
        case .full:
            // S2
            setInterest(connection, connection.interest.union(.writable))
        case .gone:
            drop(connection)
        }
    }

    /// Reads what nobody wants. A side that was closed may still read.
    private func discardInput(_ connection: Connection<Memory>) {
        guard !connection.hasEnded else { return }
        // The kernel drops it without copying.
        let count = recv(connection.descriptor, nil, 1 << 20, Int32(MSG_TRUNC))
        if count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        connection.hasEnded = true
        if count < 0 {
            drop(connection)
        } else {
            setInterest(connection, connection.interest.subtracting(.readable))
        }
    }
}
