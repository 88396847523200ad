/// Why a ``SegmentedReader`` could not read what it was asked for. It is where it was before the call.
public enum SegmentedReadError: Error, Hashable, Sendable {
    /// The data ends before the value does: `needed` bytes from the position on, as far as the data tells, of which
    /// `available` are there. More of them may be what a stream brings next.
    case endOfData(needed: Int, available: Int)
    /// A LEB128 number that has more bytes than its type can need, or a value that its type can't hold.
    case malformedLEB128
    /// An Exp-Golomb code with 64 zeros or more in front.
    case malformedExpGolomb
    /// Bytes that are no UTF-8, where a string was asked for.
    case malformedUTF8
    /// A length in front of a value that is larger than the caller allows.
    case lengthOverLimit(length: UInt64, limit: Int)
    /// A negative count, a count of bytes or bits that no integer has, or a position outside the data.
    case outOfRange(Int)
}

extension SegmentedReadError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .endOfData(let needed, let available): "the data ends: \(needed) bytes needed, \(available) available"
        case .malformedLEB128: "a LEB128 number that is too long or too large for its type"
        case .malformedExpGolomb: "an Exp-Golomb code that is longer than any number needs"
        case .malformedUTF8: "a string that is not UTF-8"
        case .lengthOverLimit(let length, let limit): "a length of \(length) bytes, over the limit of \(limit)"
        case .outOfRange(let value): "a count or position that is out of range: \(value)"
        }
    }
}
