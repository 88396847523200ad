/// How the number of bytes of what follows is written in front of it: as an unsigned integer of a fixed size, in the
/// byte order that the call says, or as an unsigned LEB128 number.
@frozen
public enum LengthPrefix: Sendable {
    case oneByte, twoBytes, fourBytes, eightBytes, leb128

    /// The bytes that it takes; nil for LEB128, where it depends on the length.
    @inlinable
    public var byteCount: Int? {
        switch self {
        case .oneByte: 1
        case .twoBytes: 2
        case .fourBytes: 4
        case .eightBytes: 8
        case .leb128: nil
        }
    }
}
