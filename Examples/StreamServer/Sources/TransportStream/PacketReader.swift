// What the parser reads from: a position in bytes that may lie in several places. The parser is generic over it, so
// that it runs on segmented buffers and, for comparison, on others; it compiles to direct calls for each.

public import Mallow

/// A position in bytes, from which values are read. Copying it makes a second position.
public protocol PacketReader {
    /// What reading beyond the end throws.
    associatedtype Failure: Error
    /// The number of bytes before it.
    var position: Int { get }
    /// The number of bytes after it.
    var remaining: Int { get }

    mutating func readByte() throws(Failure) -> UInt8
    /// Big-endian, as everything in a transport stream is.
    mutating func readUInt32() throws(Failure) -> UInt32
    mutating func skip(_ count: Int) throws(Failure)
    /// Copies as many bytes as the destination has.
    mutating func readWhole(into destination: UnsafeMutableRawBufferPointer) throws(Failure)
    /// How far away the next such byte is, or nil where there is none.
    func distance(to byte: UInt8) -> Int?
}

extension SegmentedReader: PacketReader {
    @inlinable @inline(__always)
    public mutating func readUInt32() throws(SegmentedReadError) -> UInt32 { try readInteger() }

    @inlinable
    public func distance(to byte: UInt8) -> Int? { find(byte) }
}
