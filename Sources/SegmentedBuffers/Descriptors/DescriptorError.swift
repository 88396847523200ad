// What comes of reading from a descriptor, or a sink, and of writing to one.

public import AllocatorCore
import SystemMemory

/// A call of the operating system on a descriptor that failed.
public struct DescriptorError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The name of the call in C.
    public let call: String
    /// Its errno.
    public let code: Int32

    init(_ failure: FailedCall) {
        call = failure.name
        code = failure.code
    }

    public var description: String { "\(call) failed with errno \(code)" }
}

/// Why a buffer was not filled.
public enum FillError: Error, Equatable, Sendable {
    /// The descriptor could not be read.
    case descriptor(DescriptorError)
    /// There was no memory to read into; nothing was read.
    case memory(AllocationError)
}

/// How far writing a buffer came.
@frozen
public enum WriteProgress: Hashable, Sendable {
    /// All of it was taken: so many bytes, and the buffer is empty.
    case complete(written: Int)
    /// Only so many bytes were taken, and the buffer has the rest: try again when there is room.
    case wouldBlock(written: Int)

    /// The bytes that were taken.
    @inlinable
    public var written: Int {
        switch self {
        case .complete(let written), .wouldBlock(let written): written
        }
    }

    /// Whether all of it was taken.
    @inlinable
    public var isComplete: Bool {
        if case .complete = self { true } else { false }
    }
}

/// What one reading brought.
@frozen
public enum FillProgress: Hashable, Sendable {
    /// So many bytes, one at least, which the buffer has at its end now.
    case read(Int)
    /// There are none yet, and the descriptor does not wait.
    case wouldBlock
    /// There are no more.
    case end
}
