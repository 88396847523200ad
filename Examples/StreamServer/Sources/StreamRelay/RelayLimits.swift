// What is bounded, and what happens at the bounds.

/// What becomes of a subscriber that takes less than is published.
public enum SlowPolicy: String, CaseIterable, Sendable {
    /// It misses what it has no room for, and goes on at the next keyframe.
    case skip
    /// It is disconnected.
    case drop
    /// The publisher waits: nobody misses anything, and the slowest sets the pace.
    case wait
}

public struct RelayLimits: Sendable {
    /// How many bytes may wait for one subscriber: a queue is looked at after each read, so it holds this and one
    /// read at most.
    public var queue = 8 << 20
    /// How many bytes since the last keyframe are kept for subscribers that come late.
    public var group = 4 << 20
    /// How many bytes in a row that are no packets a publisher may send.
    public var garbage = 64 << 10
    /// What happens where a queue is full.
    public var slow = SlowPolicy.skip

    public init() {}
}

/// Why a publisher or a subscriber is refused or disconnected. Its description is a line for the other side.
public enum RelayError: Error, Equatable, CustomStringConvertible {
    case malformedName
    case isPublished(String)
    case noTransportStream(skipped: Int)
    case tooSlow(waiting: Int)

    public var description: String {
        switch self {
        case .malformedName: "a name is 1 to 64 letters, digits, '.', '_', '-' and '/'"
        case .isPublished(let name): "\(name) is being published already"
        case .noTransportStream(let skipped): "no transport stream: \(skipped) bytes without a packet"
        case .tooSlow(let waiting): "too slow: \(waiting) bytes are waiting"
        }
    }
}

/// Whether streams may have this name.
public func isStreamName(_ name: some Sequence<UInt8>) -> Bool {
    var count = 0
    for byte in name {
        count += 1
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"),
            UInt8(ascii: "/"):
            continue
        default: return false
        }
    }
    return (1...64).contains(count)
}
