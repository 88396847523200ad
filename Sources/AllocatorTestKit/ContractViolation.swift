// What `checkAllocator` throws: which promise was broken, and the shortest sequence of calls found that breaks it.

/// An allocator broke its contract.
public struct ContractViolation: Error, Equatable, Sendable {
    /// A clause of the contract, as it is numbered in `Allocator`'s source.
    public enum Clause: String, Equatable, Hashable, Sendable {
        /// C1: blocks do not overlap, and keep their contents.
        case separateBlocks = "C1"
        /// C2: at least the bytes that were asked for, aligned, all of them the caller's.
        case usableBytes = "C2"
        /// C3: zero bytes is a valid request.
        case zeroBytes = "C3"
        /// C4: a request that cannot be served throws, and nothing has changed.
        case refusals = "C4"
        /// C5: misuse traps. Never thrown, since a trap ends the process: test it with an exit test.
        case misuse = "C5"
        /// C6: what an allocator says that it can do, it does: sizes, ownership, resizing, statistics, leaks, closing.
        case capabilities = "C6"
    }

    /// The type of the allocator.
    public let allocator: String
    /// The promise that was broken.
    public let clause: Clause
    /// What the clause is about here: `alignment`, `owns`, `statistics.peakBytes`, …
    public let subject: String
    /// What happened, in a sentence.
    public let explanation: String
    /// The seed that was given to the check.
    public let seed: UInt64
    /// The calls that lead there from a new allocator, shortened; the last one is where it was noticed.
    public let operations: [AllocatorOperation]
}

extension ContractViolation: CustomStringConvertible {
    public var description: String {
        var text = "\(allocator) breaks \(clause.rawValue) (\(subject)): \(explanation)\n    seed \(seed)"
        if operations.isEmpty { return text + ", on a new allocator" }
        text += ", \(operations.count) operation\(operations.count == 1 ? "" : "s") on a new allocator:"
        for operation in operations { text += "\n        \(operation)" }
        return text
    }
}

/// A broken promise, before it is known how to get there.
struct Finding: Error, Equatable {
    var clause: ContractViolation.Clause
    var subject: String
    var explanation: String

    init(_ clause: ContractViolation.Clause, _ subject: String, _ explanation: String) {
        self.clause = clause
        self.subject = subject
        self.explanation = explanation
    }

    /// Whether it is the same defect, so far as can be told.
    func isLike(_ other: Finding) -> Bool { clause == other.clause && subject == other.subject }
}
