/// In which order the bytes of an integer lie. Not called endianness, so that a program that uses SwiftNIO, too, need
/// not say whose `Endianness` it means.
@frozen
public enum ByteOrder: Sendable {
    /// The highest byte first: the order of network protocols.
    case big
    /// The lowest byte first.
    case little
}
