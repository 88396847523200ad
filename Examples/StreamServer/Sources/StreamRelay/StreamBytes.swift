// The layer of buffers: what the relay and the server ask of the memory that packets are in. There are four, so that
// they can be compared in the same server: SegmentedBuffer in memory of a ScalableAllocator (SegmentedMemory.swift),
// parts that are slices of [UInt8] (ArrayMemory.swift) or ByteBuffers (ByteBufferMemory.swift), and one [UInt8] for
// each queue (CopyingMemory.swift). Only the last copies on the way; the others share what was read among the queues.

public import TransportStream

/// Bytes on their way: a list of parts in shared memory. A value; copies share the memory.
public protocol StreamBytes {
    associatedtype Reader: PacketReader

    /// No bytes.
    init()
    var count: Int { get }
    /// In how many places they lie.
    var partCount: Int { get }
    /// Puts bytes to the end, sharing their memory where that can be.
    mutating func append(_ more: Self)
    /// Some of the bytes, sharing their memory.
    func slice(_ range: Range<Int>) -> Self
    /// Gives up the first bytes, and their memory where nobody else has it.
    mutating func dropFirst(_ count: Int)
    /// Gives up all but the first bytes.
    mutating func keepFirst(_ count: Int)
    /// A reader at the first byte.
    func makeReader() -> Reader
    /// Writes to a socket that does not block, and gives up what was written, until the socket takes no more.
    mutating func send(to descriptor: Int32) -> SendOutcome
    /// A copy of the bytes.
    var contents: [UInt8] { get }
}

/// What came of writing.
public enum SendOutcome: Equatable {
    /// Everything was written.
    case all
    /// The socket took this much, which may be nothing, and takes no more now.
    case full
    /// The other side is gone.
    case gone(Int32)
}

/// Where bytes are read to.
public protocol StreamMemory: AnyObject {
    associatedtype Bytes: StreamBytes

    /// Reads once from a socket that does not block, and puts what was read behind `bytes`.
    func read(from descriptor: Int32, upTo count: Int, into bytes: inout Bytes) -> ReadOutcome
    /// Bytes in this memory.
    func copy(_ bytes: [UInt8]) -> Bytes
    /// How many bytes of memory what is on its way takes; nil where that isn't known.
    var liveByteCount: Int? { get }
    /// How many bytes the memory has from the system, for that and for what comes next; nil where that isn't known.
    var heldByteCount: Int? { get }
    /// Ends the use of it, when nothing of it is on its way. Throws where something is left; false where that isn't
    /// known.
    func close() throws -> Bool
}

/// What came of reading.
public enum ReadOutcome: Equatable {
    case bytes(Int)
    /// There is nothing to read now.
    case nothing
    /// The other side has closed the connection.
    case end
    case failed(Int32)
}
