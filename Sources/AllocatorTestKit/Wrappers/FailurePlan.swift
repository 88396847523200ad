// When a FailingAllocator fails.

/// Which requests a ``FailingAllocator`` refuses: those that any part of the plan names.
public struct FailurePlan: Sendable {
    /// The numbers of the requests that fail; the first request is number 1.
    public var requests: Range<Int> = 0..<0
    /// The most usable bytes that may be live; a request that would go beyond fails.
    public var byteLimit: Int?
    /// How likely each request is to fail, from 0 to 1.
    public var probability = 0.0
    /// The same seed makes the same requests fail.
    public var seed: UInt64 = 1

    /// Nothing fails.
    public init() {}

    /// No request fails.
    public static var never: FailurePlan { FailurePlan() }

    /// The request of this number fails, and those that follow until `count` have. Traps where the number is below 1 or
    /// the count is negative.
    public static func request(_ number: Int, count: Int = 1) -> FailurePlan {
        precondition(number >= 1 && count >= 0, "requests are numbered from 1")
        var plan = FailurePlan()
        plan.requests = number..<(count > .max - number ? .max : number + count)
        return plan
    }

    /// So many requests are served, and none after them. Traps where the number is negative.
    public static func after(_ served: Int) -> FailurePlan {
        precondition(served >= 0, "requests are numbered from 1")
        var plan = FailurePlan()
        plan.requests = served + 1..<Int.max
        return plan
    }

    /// Requests fail that would make more usable bytes live.
    public static func byteLimit(_ limit: Int) -> FailurePlan {
        var plan = FailurePlan()
        plan.byteLimit = limit
        return plan
    }

    /// Each request fails by chance. Traps where the probability is not from 0 to 1.
    public static func probability(_ probability: Double, seed: UInt64) -> FailurePlan {
        precondition((0...1).contains(probability), "a probability is between 0 and 1")
        var plan = FailurePlan()
        plan.probability = probability
        plan.seed = seed
        return plan
    }
}
