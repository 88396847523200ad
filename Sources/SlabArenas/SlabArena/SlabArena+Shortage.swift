// What happens when upstream has no more: empty slabs of other classes go back to it, and then whoever uses the arena may
// free something.

/// What is missing: what ``SlabArena/onShortage`` is told.
public struct SlabShortage: Sendable {
    /// The bytes of the chunk that is needed.
    public let chunkSize: Int
    /// How often the handler was called for this request before.
    public let attempt: Int
}

extension SlabArena {
    /// Called when a request finds no memory: free something (a cache evicts), and return true to have the request tried
    /// again, or false to have it refused. It is called until the request succeeds, or it returns false.
    ///
    /// To be of use for a class of another size, a whole slab must become empty: release what lies on few slabs, or let
    /// ``rebalance(to:policy:limit:moved:)`` gather what is left. The handler may call everything of the arena but what
    /// would call the handler: a request that finds no memory meanwhile is refused.
    public var onShortage: ((SlabShortage) -> Bool)? {
        get { shortageHandler }
        set { shortageHandler = newValue }
    }

    /// Tries to make room for a class after upstream refused. Whether it is worth another try.
    func relieveShortage(_ kind: UnsafeMutablePointer<SlabClass>) -> Bool {
        let missing = SlabShortage(chunkSize: kind.pointee.chunkSize, attempt: 0)
        if let first = empty.first {
            empty.remove(first)
            giveBack(first)
            return true
        }
        guard let shortageHandler, !isHandlingShortage else { return false }
        isHandlingShortage = true
        defer { isHandlingShortage = false }
        return shortageHandler(missing)
    }
}
