/// In which order the bytes of an integer lie.
@frozen
public enum ByteOrder: Sendable {
    /// The highest byte first: the order of network protocols.
    case big
    /// The lowest byte first.
    case little
}
