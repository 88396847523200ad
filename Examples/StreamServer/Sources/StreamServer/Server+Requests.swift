// What connections ask for.

import StreamRelay

extension Server {
    func readRequest(_ connection: Connection<Memory>, _ before: Memory.Bytes) {
        var bytes = before
        // While it is read, the connection has no copy.
        connection.role = .closing
        switch relay.memory.read(from: connection.descriptor, upTo: options.readSize, into: &bytes) {
        case .bytes: break
        case .nothing:
            connection.role = .handshake(bytes)
            return
        case .end, .failed:
            drop(connection)
            return
        }
        switch Handshake(bytes) {
        case .needsMore: connection.role = .handshake(bytes)
        case .malformed(let reason):
            malformedRequests += 1
            refuse(connection, reason)
        case .request(let request, let byteCount):
            bytes.dropFirst(byteCount)
            connection.lastProgress = now
            answer(connection, request, rest: bytes)
        }
    }

    private func answer(_ connection: Connection<Memory>, _ request: Request, rest: Memory.Bytes) {
        switch request {
        case .publish(let name):
            publish(connection, name, "OK\n", rest)
        case .publishUnnamed:
            publish(connection, options.unnamed, nil, rest)
        case .post(let name, let isChunked, let expectsContinue):
            connection.isHTTP = true
            if isChunked { connection.chunks = ChunkedBody() }
            publish(connection, name, expectsContinue ? "HTTP/1.1 100 Continue\r\n\r\n" : nil, rest)
        case .subscribe(let name):
            subscribe(connection, name, "OK\n")
        case .statistics:
            say(connection, statistics)
            closeGently(connection)
        case .get(""), .head(""):
            connection.isHTTP = true
            let text = statistics
            say(connection, head("text/plain", byteCount: text.utf8.count) + (request == .get("") ? text : ""))
            closeGently(connection)
        case .get(let name):
            connection.isHTTP = true
            // A player that asks too early is told so; SUBSCRIBE waits for a publisher.
            if relay.streams[name]?.hasPublisher == true {
                subscribe(connection, name, head("video/mp2t", byteCount: nil))
            } else {
                refuse(connection, "nobody publishes this", status: "404 Not Found")
            }
        case .head(let name):
            connection.isHTTP = true
            if relay.streams[name]?.hasPublisher == true {
                say(connection, head("video/mp2t", byteCount: nil))
                closeGently(connection)
            } else {
                refuse(connection, "nobody publishes this", status: "404 Not Found")
            }
        }
    }

    private func publish(_ connection: Connection<Memory>, _ name: String, _ answer: String?, _ rest: Memory.Bytes) {
        do throws(RelayError) {
            let stream = try relay.publish(name)
            connection.role = .publisher(stream)
            if let answer { say(connection, answer) }
            if rest.count > 0 { receive(connection, stream, rest) }
        } catch {
            refusedPublishers += 1
            refuse(connection, error.description, status: "409 Conflict")
        }
    }

    private func subscribe(_ connection: Connection<Memory>, _ name: String, _ answer: String) {
        do throws(RelayError) {
            let (stream, subscriber) = try relay.subscribe(name, tag: Int(connection.descriptor))
            connection.role = .subscriber(stream, subscriber)
            guard say(connection, answer) else {
                drop(connection)
                return
            }
            send(connection, stream, subscriber)
        } catch {
            malformedRequests += 1
            refuse(connection, error.description)
        }
    }

    private func head(_ type: String, byteCount: Int?) -> String {
        let length = byteCount.map { "Content-Length: \($0)\r\n" } ?? ""
        return
            "HTTP/1.1 200 OK\r\nContent-Type: \(type)\r\n\(length)Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    }

    /// Lines of a name and a number.
    private var statistics: String {
        var lines = relay.statistics
        lines += [
            // Without the one that asks.
            ("connections", connections.count - 1),
            ("accepted", accepted),
            ("malformed_requests", malformedRequests),
            ("refused_publishers", refusedPublishers),
            ("timed_out", timedOut),
            ("dropped_as_slow", droppedAsSlow),
        ]
        return lines.map { "\($0.name) \($0.value)\n" }.joined()
    }
}
