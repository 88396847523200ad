// The pool's account, and its invariants.

/// The account of a ``BuddyPool``, as of one moment. A value: it doesn't change.
public struct BuddyPoolStatistics: Codable, Hashable, Sendable {
    /// Buddies that have a number: those from which blocks are allocated.
    public var buddies = 0
    /// Those of them in which nothing is in use.
    public var emptyBuddies = 0
    /// Buddies that callers have taken and not given back.
    public var takenBuddies = 0
    /// Reset buddies without a number, kept for those who need one.
    public var keptBuddies = 0
    /// Buddies that got a number since the pool was made.
    public var buddiesAdded = 0
    /// Buddies that lost their number.
    public var buddiesDropped = 0
    /// How much is in use in the buddies with a number, in whole blocks.
    public var usedCount = 0
    /// How much is free in them.
    public var freeCount = 0
    /// The bytes of memory that the bookkeeping takes, that of the taken buddies left out.
    public var metadataByteCount = 0

    /// An account of nothing.
    public init() {}
}

extension BuddyPoolStatistics: CustomStringConvertible {
    public var description: String {
        """
        \(usedCount) in use and \(freeCount) free in \(buddies) buddies (\(emptyBuddies) of them empty, \
        \(buddiesAdded) added and \(buddiesDropped) dropped so far), \(takenBuddies) taken, \(keptBuddies) kept, \
        \(metadataByteCount) bytes of records
        """
    }
}

extension BuddyPool {
    /// The account as of one moment, exact also while other threads allocate. O(buddies).
    public var statistics: BuddyPoolStatistics {
        lock.withLock {
            var statistics = BuddyPoolStatistics()
            statistics.buddies = serving
            statistics.emptyBuddies = emptyCount
            statistics.takenBuddies = taken
            statistics.keptBuddies = kept.count
            statistics.buddiesAdded = added
            statistics.buddiesDropped = dropped
            for case let buddy? in buddies {
                statistics.usedCount += buddy.usedCount
                statistics.freeCount += buddy.freeCount
                statistics.metadataByteCount += buddy.metadataByteCount
            }
            for buddy in kept { statistics.metadataByteCount += buddy.metadataByteCount }
            return statistics
        }
    }

    /// What is broken, or nil: for tests. O(buddies · `buddySize / smallestBlock`).
    public func brokenInvariant() -> String? {
        lock.withLock {
            let all = buddies.compactMap(\.self)
            for buddy in all + kept {
                if let broken = buddy.brokenInvariant() { return broken }
                if buddy.pool != nil { return "P5: a buddy of the pool's own is a caller's" }
            }
            if let last = buddies.last, last == nil { return "P1: no buddy at the end" }
            if places.count != buddies.count { return "P1: \(places.count) places" }
            for (buddy, place) in zip(buddies, places) {
                guard let buddy else {
                    if place.refused >= 0 { return "P1: a place without a buddy" }
                    continue
                }
                if place.buddy.toOpaque() != Unmanaged.passUnretained(buddy).toOpaque() { return "P1: another buddy" }
                if place.refused < 0 { return "P1: a buddy without a place" }
                if place.refused < 64, buddy.largestFree >= smallestBlock << place.refused {
                    return "P1: a buddy has room for order \(place.refused), which it refused"
                }
            }
            let empty = all.reduce(0) { $0 + ($1.isEmpty ? 1 : 0) }
            if empty != emptyCount || empty > reserve { return "P2: \(empty) are empty, \(emptyCount) are counted" }
            if kept.count > reserve || !kept.allSatisfy(\.isEmpty) { return "P3" }
            if all.count != serving || taken < 0 || serving + taken > limit { return "P4" }
            return added - dropped == serving ? nil : "buddies added and dropped"
        }
    }
}

// Reflection copies each stored property, and traps where one can't be copied, as a lock can't: `dump`, debuggers and
// tests that fail are given this in its place.
extension BuddyPool: CustomReflectable {
    /// The geometry and the account.
    public var customMirror: Mirror {
        Mirror(
            self, children: ["buddySize": buddySize, "smallestBlock": smallestBlock, "statistics": statistics],
            displayStyle: .class)
    }
}
