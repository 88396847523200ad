// What is said to rebalancing, what it says, and what the arena remembers for it.
//
// M1. `creditInThousandths` is from 0 to the burst, in thousandths of a move; `lastRefill` says up to when it was
//     counted.
// M2. `isRebalancing` exactly while chunks are being moved, and the callback runs.

/// Which slab ``SlabArena/rebalance(to:policy:limit:moved:)`` empties, of those that it can empty.
///
/// It can empty a slab whose live chunks can all be moved, and whose class has as many free chunks on its other slabs.
public enum SlabRebalancePolicy: Hashable, Codable, Sendable {
    /// The slab with the fewest bytes in live chunks: what costs the least copying.
    case emptiest
    /// The slab that has been its class's for longest. For caches: what is on it has lived for long, and its neighbours
    /// were mostly evicted.
    case oldest
    /// A slab of the class with the most free bytes, and of those the emptiest: no class is left without free chunks
    /// while another has many.
    case mostFree
}

/// What ``SlabArena/rebalance(to:policy:limit:moved:)`` did.
public struct SlabRebalanceResult: Hashable, Codable, Sendable {
    /// Slabs that were emptied by moving their chunks.
    public var slabsEmptied = 0
    /// Chunks that were moved.
    public var chunksMoved = 0
    /// The bytes of those chunks.
    public var bytesMoved = 0
    /// Slabs that the class got: 1 or 0.
    public var slabsHandedOver = 0
    /// Bytes that went back to upstream, those that a slab for the class then took from there included.
    public var bytesGivenBack = 0

    /// Nothing was done.
    public init() {}
}

/// How much ``SlabArena/automaticRebalancing`` may move.
///
/// Moving takes time from the request that found no memory. This bounds it: a credit of moves that grows with time, up
/// to a burst, and from which each chunk that is moved is taken. A slab is moved off whole or not at all, so that one
/// with more live chunks than the burst is never emptied: let the burst be no less than the chunks of a slab. Beyond
/// the credit ``SlabArena/onShortage`` is called instead.
public struct SlabAutomaticRebalancing: Hashable, Sendable {
    /// Chunks a second, in the long run.
    public let movesPerSecond: Int
    /// The most chunks at once, after a time without moves.
    public let burst: Int
    /// Which slabs are emptied.
    public let policy: SlabRebalancePolicy

    /// Makes a limit. Traps where a number is negative.
    ///
    /// - Parameters:
    ///   - movesPerSecond: chunks a second, in the long run.
    ///   - burst: the most chunks at once.
    ///   - policy: which slabs are emptied.
    public init(movesPerSecond: Int = 100_000, burst: Int = 16_384, policy: SlabRebalancePolicy = .emptiest) {
        guard movesPerSecond >= 0, burst >= 0 else {
            fatalError("SlabAutomaticRebalancing: a negative number of moves (\(movesPerSecond) a second, \(burst))")
        }
        self.movesPerSecond = movesPerSecond
        self.burst = burst
        self.policy = policy
    }
}

/// The arena's state for rebalancing.
struct SlabMoving {
    var automatic: SlabAutomaticRebalancing?
    var onMove: ((SlabLocation, SlabLocation) -> Void)?
    var isRebalancing = false
    var creditInThousandths = 0
    var lastRefill: UInt = 0
    /// When it is worth looking for a slab again, after none was found.
    var outlook = SlabOutlook()
    /// The last serial that a slab got.
    var serial: UInt32 = 0
    /// Upstream refused a slab though as much had just gone back to it: memory that it gets is lost for us, so slabs
    /// are handed over in place, whatever their records take.
    var prefersInPlace = false
    /// The bytes that have gone back since upstream was last asked.
    var bytesJustGivenBack = 0

    /// Adds what the time since the last call allows, and says how many chunks may be moved.
    mutating func credit(_ limit: SlabAutomaticRebalancing, now: UInt) -> Int {
        let most = limit.burst.multipliedReportingOverflow(by: 1000)
        let grown = limit.movesPerSecond.multipliedReportingOverflow(by: Int(clamping: now &- lastRefill))
        let sum = creditInThousandths.addingReportingOverflow(grown.overflow ? .max : grown.partialValue)
        creditInThousandths = min(sum.overflow ? .max : sum.partialValue, most.overflow ? .max : most.partialValue)
        lastRefill = now
        return creditInThousandths / 1000
    }

    mutating func pay(_ moves: Int) { creditInThousandths -= moves * 1000 }
}

/// What must happen before a look for a slab that can be emptied may find one: a release makes one more chunk free, and
/// one slab cheaper by one move. Looking touches every slab, which a cache that evicts one item after the other must
/// not pay for each of them.
struct SlabOutlook {
    /// For which class the last look was: its own slabs were left out.
    var receiver = -1
    /// References released when the last look was.
    var released = 0
    /// Releases until a class may have enough free chunks, or a slab's chunks can all be moved.
    var releasesNeeded = 0
    /// The moves that the cheapest slab would have taken beyond the limit, or `.max`.
    var movesNeeded = Int.max

    func isWorthALook(for receiver: Int, released now: Int, credit: Int) -> Bool {
        guard receiver == self.receiver else { return true }
        let since = now &- released
        return since >= releasesNeeded || (movesNeeded != .max && credit >= movesNeeded - since)
    }
}
