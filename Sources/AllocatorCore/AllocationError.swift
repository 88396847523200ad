// Why memory was refused. The error is four words, so that a typed throw returns it in registers: one that is larger
// goes through memory, for which every caller of `any Allocator` makes room, also in calls that succeed.

/// Why a request for memory was not served. Nothing has changed where it is thrown.
public struct AllocationError: Error {
    /// What was wrong with the request, or with the moment.
    public enum Reason: Hashable, Sendable {
        /// There is no memory now, here or upstream.
        case outOfMemory
        /// The allocator never serves so many bytes: the limit is its largest request, in bytes.
        case tooLarge(limit: Int)
        /// The alignment is not a power of two.
        case invalidAlignment
        /// The allocator never aligns so far: the limit is the largest alignment that it offers, in bytes.
        case unsupportedAlignment(limit: Int)
        /// It would go beyond the limit that was set for what is live, in bytes.
        case quotaExceeded(limit: Int)
    }

    /// The bytes that were asked for.
    public let byteCount: Int
    private let name: UnsafePointer<UInt8>
    private let limit: Int
    /// The alignment, shifted by 8, and the number of the reason.
    private let alignmentAndReason: Int

    /// Makes an error, as an allocator throws it that refuses. Traps where the allocator's name is not stored as text,
    /// as a `StaticString` made from a single Unicode scalar is not.
    ///
    /// - Parameters:
    ///   - allocator: the type of the allocator that refuses.
    ///   - byteCount: the bytes that were asked for.
    ///   - alignment: the alignment that was asked for, in bytes; kept to 55 bits.
    ///   - reason: what was wrong.
    public init(allocator: StaticString, byteCount: Int, alignment: Int, reason: Reason) {
        precondition(allocator.hasPointerRepresentation, "the name of an allocator has more than one character")
        name = allocator.utf8Start
        self.byteCount = byteCount
        let number: Int
        switch reason {
        case .outOfMemory: (number, limit) = (0, 0)
        case .tooLarge(let most): (number, limit) = (1, most)
        case .invalidAlignment: (number, limit) = (2, 0)
        case .unsupportedAlignment(let most): (number, limit) = (3, most)
        case .quotaExceeded(let most): (number, limit) = (4, most)
        }
        alignmentAndReason = min(max(alignment, -1 << 54), 1 << 54) << 8 | number
    }

    /// The type of the allocator that refused. O(length of the name).
    public var allocator: String { String(cString: name) }

    /// The alignment that was asked for, in bytes.
    public var alignment: Int { alignmentAndReason >> 8 }

    /// What was wrong with the request, or with the moment. O(1).
    public var reason: Reason {
        switch alignmentAndReason & 0xff {
        case 0: .outOfMemory
        case 1: .tooLarge(limit: limit)
        case 2: .invalidAlignment
        case 3: .unsupportedAlignment(limit: limit)
        default: .quotaExceeded(limit: limit)
        }
    }
}

// The name points to a literal, which lives as long as the program.
extension AllocationError: @unchecked Sendable {}

extension AllocationError: Equatable {
    public static func == (left: Self, right: Self) -> Bool {
        left.byteCount == right.byteCount && left.alignment == right.alignment && left.reason == right.reason
            && left.allocator == right.allocator
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
        case .quotaExceeded(let limit): return request + "goes beyond its limit of \(limit) live bytes"
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

    /// Makes an error, as an allocator's initialiser throws it.
    ///
    /// - Parameters:
    ///   - allocator: the type of the allocator.
    ///   - argument: the argument's label.
    ///   - value: the value that was given.
    ///   - requirement: what the value must be, to be read after "must be".
    public init(allocator: String, argument: String, value: Int, requirement: String) {
        self.allocator = allocator
        self.argument = argument
        self.value = value
        self.requirement = requirement
    }

    public var description: String { "\(allocator): \(argument) is \(value) and must be \(requirement)" }
}
