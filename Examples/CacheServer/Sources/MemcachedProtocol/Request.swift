// A line of the text protocol, taken apart. Everything points into the line: a request is used before the line's memory
// is, and nothing is allocated.

/// A command with its arguments. Only the fields that the verb has a use for are set.
public struct Request {
    public var verb: Verb
    /// The key; of `get` and its kin, the first one.
    public var key = UnsafeRawBufferPointer(start: nil, count: 0)
    /// What follows: further keys of `get` and its kin, the arguments of `stats`.
    public var rest = Words(UnsafeRawBufferPointer(start: nil, count: 0))
    public var flags: UInt32 = 0
    /// Seconds, or a date: as the client gave it.
    public var expiry: Int32 = 0
    /// How many bytes of data follow the line, without the line end behind them.
    public var byteCount = 0
    /// What `cas` compares with, and by how much `incr` and `decr` change the value.
    public var number: UInt64 = 0
    /// `noreply`
    public var isQuiet = false

    /// The longest key, in bytes.
    public static let longestKey = 250

    init(_ verb: Verb) { self.verb = verb }
}

/// What a line is.
public enum ParsedLine {
    case request(Request)
    /// To be answered by this.
    case refused(Reply)
    /// Wrong, and the client wants no answer.
    case refusedQuietly
}
