// What is done to an allocator, as values: what `checkAllocator` makes up and shortens, and what `RecordingAllocator`
// writes down. A block goes by a number, since addresses differ from run to run.

/// One call of an allocator. A block is named by its number.
public enum AllocatorOperation: Codable, Equatable, Hashable, Sendable {
    /// A request by `allocate(byteCount:alignment:)`.
    case allocate(id: Int, byteCount: Int, alignment: Int)
    /// A request by `tryAllocate(byteCount:alignment:)`.
    case tryAllocate(id: Int, byteCount: Int, alignment: Int)
    /// A request that was refused when it was recorded, or that every allocator must refuse.
    case refused(byteCount: Int, alignment: Int)
    /// A free of a block.
    case deallocate(id: Int)
    /// A change of size in place, which may be declined.
    case resize(id: Int, byteCount: Int)
    /// A call of `freeAll()`.
    case freeAll
    /// A call of `close()`, which throws where blocks are live.
    case close
}

extension AllocatorOperation: CustomStringConvertible {
    /// The call as a line of Swift.
    public var description: String {
        switch self {
        case .allocate(let id, let byteCount, let alignment):
            "let b\(id) = try allocator.allocate(byteCount: \(byteCount), alignment: \(alignment))"
        case .tryAllocate(let id, let byteCount, let alignment):
            "let b\(id) = allocator.tryAllocate(byteCount: \(byteCount), alignment: \(alignment))"
        case .refused(let byteCount, let alignment):
            "_ = try? allocator.allocate(byteCount: \(byteCount), alignment: \(alignment))  // refused"
        case .deallocate(let id): "allocator.deallocate(b\(id))"
        case .resize(let id, let byteCount): "_ = allocator.resize(b\(id).baseAddress!, byteCount: \(byteCount))"
        case .freeAll: "allocator.freeAll()"
        case .close: "try? allocator.close()"
        }
    }
}
