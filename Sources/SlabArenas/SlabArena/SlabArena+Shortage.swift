// What happens when upstream has no more: memory that nothing lives in changes its class or goes back; then live chunks
// are gathered so that a slab becomes empty, if that is allowed; then whoever uses the arena may free something.
//
// Each step ends with another try. There is an end to it: a slab that was empty is one no more, or is upstream's; a
// move empties a slab, of which there are so many; and the handler is heard again for as long as less and less is live.

/// What is missing: what ``SlabArena/onShortage`` is told.
public struct SlabShortage: Hashable, Sendable {
    /// The bytes of the chunk that is needed.
    public let chunkSize: Int
    /// How often the handler was called for this request before.
    public let attempt: Int
}

/// What was done for one request.
struct SlabRelief {
    /// Calls of the handler that have helped nothing, in a row: as many as these, and it isn't asked again.
    static var mostIdleCalls: Int { 1000 }

    var calls = 0
    var idleCalls = 0
    /// The least that has been live, in bytes of chunks.
    var leastLive = Int.max
}

extension SlabArena {
    /// Called when a request finds no memory: free something (a cache evicts), and return true to have the request
    /// tried again, or false to have it refused.
    ///
    /// It is called until the request succeeds, or it returns false; or until it has returned true a thousand times in
    /// a row without less being live than before, which refuses the request, too. Before it, slabs that are empty
    /// change their class or go back, and ``automaticRebalancing`` does what it may.
    ///
    /// To be of use for a class of another size, a whole slab must become empty: release what lies on few slabs, or let
    /// rebalancing gather what is left, which works as soon as a slab's worth of chunks of one size is free.
    ///
    /// The handler may call everything of the arena. A request that finds no memory meanwhile does not call it again:
    /// it is refused. Evict several items a call, such as half a slab's bytes: each call is followed by a look whether
    /// upstream has more.
    ///
    /// Any allocation may run it: a location that was looked up before one may be stale after it. The arena keeps the
    /// closure: capture what owns the arena as `unowned`; in an actor, call its methods through `assumeIsolated`.
    public var onShortage: ((SlabShortage) -> Bool)? {
        get { shortageHandler }
        set { shortageHandler = newValue }
    }

    /// Tries to make room for a class after upstream refused. Whether it is worth another try.
    func relieveShortage(_ kind: UnsafeMutablePointer<SlabClass>, _ relief: inout SlabRelief) -> Bool {
        gatherIdle(except: kind)
        if takeEmpty(for: kind) { return true }
        if let slab = empty.first {
            empty.remove(slab)
            giveBack(slab)
            return true
        }
        if rebalanceAutomatically(to: kind) { return true }
        guard let shortageHandler, !isHandlingShortage else { return false }
        if liveBytes < relief.leastLive {
            relief.leastLive = liveBytes
            relief.idleCalls = 0
        }
        guard relief.idleCalls < SlabRelief.mostIdleCalls else { return false }
        let shortage = SlabShortage(chunkSize: kind.pointee.chunkSize, attempt: relief.calls)
        relief.calls += 1
        relief.idleCalls += 1
        isHandlingShortage = true
        defer { isHandlingShortage = false }
        return shortageHandler(shortage)
    }

    /// Makes an empty slab that suits the class one of its slabs with room. Whether there was one.
    func takeEmpty(for kind: UnsafeMutablePointer<SlabClass>) -> Bool {
        guard let slab = emptySlab(for: kind) else { return false }
        kind.pointee.partial.prepend(slab, as: .partial)
        return true
    }
}
