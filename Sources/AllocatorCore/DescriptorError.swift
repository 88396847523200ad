// Why a call on a descriptor failed: what everything throws that reads memory from one or writes memory to one.
//
// Cost: a text is made when it is asked for. Thread-safety: a value.

internal import CMallowShims

/// A call of the operating system on a descriptor that failed: a read into memory of an allocator, or a write out of
/// it.
public struct DescriptorError: Error, Hashable, Sendable {
    /// The name of the call in C.
    public let call: String
    /// Its errno.
    public let code: Int32

    /// Makes an error, as what reads or writes throws it; for tests, and for sources and sinks of one's own.
    public init(call: String, code: Int32) {
        self.call = call
        self.code = code
    }

    /// Whether nothing is wrong: the descriptor does not wait, and has no bytes, or no room, now. `EAGAIN`, or
    /// `EWOULDBLOCK` where that is another. O(1).
    public var isWouldBlock: Bool { code == EAGAIN || code == EWOULDBLOCK }
}

extension DescriptorError: CustomStringConvertible {
    /// The call, what the C library says of the errno, and its number: "readv: Bad file descriptor (9)".
    public var description: String {
        // SAFETY: of a number that it knows, which is what the system gives, the text stays where it is; of another it
        // is this thread's until the next call, and copied before.
        guard let text = strerror(code) else { return "\(call): error \(code)" }
        return "\(call): \(String(cString: text)) (\(code))"
    }
}
