// What a server answers, to the byte as memcached 1.6.18 has it.

/// A line of an answer, with its line end.
public struct Reply: Sendable {
    public let text: StaticString

    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    public static let stored = Reply(text: "STORED\r\n")
    public static let notStored = Reply(text: "NOT_STORED\r\n")
    public static let exists = Reply(text: "EXISTS\r\n")
    public static let notFound = Reply(text: "NOT_FOUND\r\n")
    public static let deleted = Reply(text: "DELETED\r\n")
    public static let touched = Reply(text: "TOUCHED\r\n")
    public static let ok = Reply(text: "OK\r\n")
    public static let end = Reply(text: "END\r\n")
    /// The one place where the version stands. Clients read out of it what the server can do, so it begins with
    /// memcached's.
    public static let version = Reply(text: "VERSION 1.6.18-mallow\r\n")
    /// What ``version`` says, for `stats`.
    public static let versionName = "\(version.text)".split(whereSeparator: \.isWhitespace).dropFirst().joined()
    public static let reset = Reply(text: "RESET\r\n")

    /// No such command, or too few or too many words.
    public static let error = Reply(text: "ERROR\r\n")
    public static let badFormat = Reply(text: "CLIENT_ERROR bad command line format\r\n")
    public static let badDelete = Reply(
        text: "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n")
    public static let badDataChunk = Reply(text: "CLIENT_ERROR bad data chunk\r\n")
    public static let badDelta = Reply(text: "CLIENT_ERROR invalid numeric delta argument\r\n")
    public static let badExpiry = Reply(text: "CLIENT_ERROR invalid exptime argument\r\n")
    public static let notANumber = Reply(
        text: "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
    public static let tooLarge = Reply(text: "SERVER_ERROR object too large for cache\r\n")
    public static let outOfMemory = Reply(text: "SERVER_ERROR out of memory storing object\r\n")
    public static let outOfMemoryIncrementing = Reply(text: "SERVER_ERROR out of memory in incr\r\n")
    public static let tooManyConnections = Reply(text: "ERROR Too many open connections\r\n")
}
