/// Why a request for memory was not served. Nothing has changed where it is thrown.
public struct AllocationError: Error, Equatable, Sendable {
    /// What was wrong with the request, or with the moment.
    public enum Reason: Equatable, Sendable {
        /// There is no memory now, here or upstream.
        case outOfMemory
        /// The allocator never serves so many bytes.
        case tooLarge(limit: Int)
        /// The alignment is not a power of two.
        case invalidAlignment
        /// The allocator never aligns so far.
        case unsupportedAlignment(limit: Int)
        /// It would go beyond the limit that was set for what is live, in bytes.
        case quotaExceeded(limit: Int, live: Int)
    }

    /// The type of the allocator that refused.
    public let allocator: String
    /// The bytes that were asked for.
    public let byteCount: Int
    /// The alignment that was asked for, in bytes.
    public let alignment: Int
    public let reason: Reason

    public init(allocator: String, byteCount: Int, alignment: Int, reason: Reason) {
        self.allocator = allocator
        self.byteCount = byteCount
        self.alignment = alignment
        self.reason = reason
    }
}

extension AllocationError: CustomStringConvertible {
    public var description: String {
        let request = "\(allocator): a request for \(byteCount) bytes, aligned to \(alignment), "
        switch reason {
        case .outOfMemory: return request + "found no memory"
        case .tooLarge(let limit): return request + "is above the largest that it serves, \(limit) bytes"
        case .invalidAlignment: return request + "asks for an alignment that is not a power of two"
        case .unsupportedAlignment(let limit): return request + "is above the alignment that it offers, \(limit)"
        case .quotaExceeded(let limit, let live):
            return request + "goes beyond its limit of \(limit) bytes, of which \(live) are live"
        }
    }
}

/// An argument with which an allocator cannot be made.
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The type of the allocator.
    public let allocator: String
    /// The argument's label, such as `pageSize`.
    public let argument: String
    /// The value that was given.
    public let value: Int
    /// What the value must be, such as "a multiple of blockSize (48)".
    public let requirement: String

    public init(allocator: String, argument: String, value: Int, requirement: String) {
        self.allocator = allocator
        self.argument = argument
        self.value = value
        self.requirement = requirement
    }

    public var description: String { "\(allocator): \(argument) is \(value) and must be \(requirement)" }
}
