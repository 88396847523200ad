// One that a stream's packets are sent to.
//
// Q1. What is in the queue, with what was sent of it before, is whole packets in the stream's order: where packets are
//     missing, they end before a keyframe, and the tables lie between. So sentCount % packetSize is how much of a
//     packet is on its way.

import TransportStream

public final class Subscriber<Bytes: StreamBytes> {
    public enum State: Equatable, Sendable {
        /// Gets nothing before the next keyframe.
        case waiting
        /// Gets all that comes.
        case running
        /// Gets what is in the queue, and then is done: the stream has ended.
        case ending
    }

    public internal(set) var state: State
    /// What is to be sent.
    public internal(set) var queue = Bytes()
    /// How many bytes were sent.
    public private(set) var sentCount = 0
    /// How often it was too slow and went on at a keyframe.
    public internal(set) var skips = 0
    /// How many bytes it missed by that.
    public internal(set) var missedCount = 0
    /// Whose it is: the server's number for the connection.
    public let tag: Int

    init(state: State, tag: Int) {
        self.state = state
        self.tag = tag
    }

    /// Sends as much as the socket takes.
    public func send(to descriptor: Int32) -> SendOutcome {
        let before = queue.count
        let outcome = queue.send(to: descriptor)
        sentCount += before - queue.count
        return outcome
    }

    /// Takes the next bytes out, as a socket would: for tests.
    public func take(_ count: Int) -> [UInt8] {
        let taken = queue.slice(0..<min(count, queue.count))
        queue.dropFirst(taken.count)
        sentCount += taken.count
        return taken.contents
    }

    /// Gives up what waits, but for the rest of the packet that is on its way.
    func skipAhead() {
        // Q1
        let rest = (packetSize - sentCount % packetSize) % packetSize
        skips += 1
        missedCount += queue.count - rest
        queue.keepFirst(rest)
        state = .waiting
    }
}
