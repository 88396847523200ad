// What is special about an allocator, where `checkAllocator` cannot find it out by itself.

/// What `checkAllocator` must know of an allocator. The defaults suit most; what is nil is found out by trying.
public struct AllocatorTraits: Sendable {
    /// How much of what is live `findLeaks()` and `close()` know of.
    public enum LeakReporting: Sendable {
        /// Nothing: `close()` is only called when nothing is live.
        case nothing
        /// Possibly a part, as a combinator one of whose parts keeps no account.
        case some
        /// Every block and byte.
        case everything
    }

    /// The largest request that is served, in bytes; above it, requests may be refused.
    public var largestByteCount: Int?
    /// The largest alignment that is offered, in bytes.
    public var largestAlignment: Int?
    /// Everything for an allocator with statistics; otherwise some.
    public var leakReporting: LeakReporting?
    /// Whether a request to a new allocator is given just what `goodSize(for:alignment:)` says.
    public var givesGoodSize = true
    /// Whether any request may be refused at any time, as over an upstream that fails by chance. Then requests of which
    /// a new allocator ought to serve each need not be, and a refusal need not last.
    public var refusesAtRandom = false
    /// Whether freed memory serves again without `freeAll()` or `close()`: an allocator of which no block is live then
    /// serves small requests, whatever was before. Turn it off for bump allocation out of a limited room.
    public var reusesFreedMemory = true
    /// Whether requests that no allocator can serve are made (from `1 << 47` bytes up). Turn it off where malloc itself
    /// ends the program on them, as under the address sanitizer without `allocator_may_return_null=1`.
    public var refusesHugeSizes = true

    /// The defaults.
    public init() {}

    /// The defaults, changed by a closure: `.with { $0.largestByteCount = 64 }`.
    public static func with(_ change: (inout AllocatorTraits) -> Void) -> AllocatorTraits {
        var traits = AllocatorTraits()
        change(&traits)
        return traits
    }
}
