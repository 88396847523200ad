// What comes of reading from a descriptor, or a sink, and of writing to one. What the system refuses is a
// DescriptorError.

public import AllocatorCore

/// Why a buffer was not filled.
public enum FillError: Error, Equatable, Sendable {
    /// The descriptor could not be read.
    case descriptor(DescriptorError)
    /// There was no memory to read into; nothing was read.
    case allocation(AllocationError)
}

extension FillError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .descriptor(let error): "\(error)"
        case .allocation(let error): "a buffer found no memory to be filled: \(error)"
        }
    }
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
