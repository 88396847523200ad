// One connection, and what it is.

import StreamRelay

final class Connection<Memory: StreamMemory> {
    typealias Bytes = Memory.Bytes

    enum Role {
        /// It has not yet said what it wants; this much it has said.
        case handshake(Bytes)
        case publisher(PublishedStream<Memory>)
        case subscriber(PublishedStream<Memory>, Subscriber<Bytes>)
        /// It was told all there is to tell: what it still sends is read and dropped, until it has understood.
        case closing
    }

    let descriptor: Int32
    var role: Role
    /// What the poller waits for.
    var interest: Readiness
    /// When it last sent or took something, in milliseconds.
    var lastProgress: Int
    /// The publisher's body is in chunks.
    var chunks: ChunkedBody?
    /// It spoke HTTP, and wants to be answered so.
    var isHTTP = false
    /// The publisher waits for a subscriber.
    var isPaused = false
    /// It has closed its side; it may still read.
    var hasEnded = false

    init(descriptor: Int32, role: Role, interest: Readiness, now: Int) {
        self.descriptor = descriptor
        self.role = role
        self.interest = interest
        lastProgress = now
    }
}
