// Buddies of one geometry, for several threads.
//
// P1. `buddies[n]` is the buddy of number n, or nil; the last is not nil. `places[n]` has the same one without a count
//     of references, which would cost as much as the lock, and `refused`, the least order that it had no block for
//     since something was freed in it, or 64; -1 where there is no buddy.
// P2. `emptyCount` of them have no block in use: at most `reserve`.
// P3. `kept` are reset buddies without a number and with nothing in use: at most `reserve`.
// P4. `serving`, the buddies with a number, and `taken`, those that callers have, are at most `limit` together.
// P5. A buddy's `pool` is this one's `identity` exactly while a caller has it. No two pools have the same one.
//
// Cost: the lock, and a look at each buddy in front of the one that serves. Thread-safe: everything below is touched
// under the lock only.

import Synchronization

/// A block of a ``BuddyPool``: which buddy it is in, and where.
public struct BuddyBlock: Hashable, Codable, Sendable {
    /// The number of the buddy, from 0.
    public var buddy: Int
    /// The whole block, in offsets within the buddy.
    public var range: Range<Int>

    /// Makes the name of a block. That it is one is checked where it is used.
    public init(buddy: Int, range: Range<Int>) {
        self.buddy = buddy
        self.range = range
    }
}

/// Buddy allocators of one geometry, shared by several threads.
///
/// It serves in two ways. ``allocate(_:)`` returns a block of one of its buddies: of the first that has room, so that
/// later ones run empty. It adds a buddy when all are full, and drops one that has become empty when more than a
/// reserve of them are. And ``take()`` returns a whole buddy, for a caller who allocates from it without a lock and
/// gives it back: cheaper than making one, whose bookkeeping must be cleared.
///
/// What stands behind a buddy, a mapping or a GPU's heap, is made and freed by `onAdd` and `onDrop`. Or all of it is
/// there from the beginning: with a `limit` of 8 buddies, the numbers are from 0 to 7.
///
/// Not where one thread allocates: ``BuddyAllocator`` by itself needs no lock. Thread-safe, and `Sendable`.
public final class BuddyPool: @unchecked Sendable {
    /// The size of each buddy's space.
    public let buddySize: Int
    /// The size of the smallest blocks.
    public let smallestBlock: Int
    /// The most buddies in use at once.
    public let limit: Int
    /// How many empty buddies keep their number, and how many reset ones are kept for those to come.
    public let reserve: Int

    struct Place {
        var buddy: Unmanaged<BuddyAllocator>
        var refused = 64
    }

    private let onAdd: (@Sendable (Int) -> Bool)?
    private let onDrop: (@Sendable (Int) -> Void)?
    private static let pools = Atomic<Int>(0)
    let identity = BuddyPool.pools.wrappingAdd(1, ordering: .relaxed).newValue
    let lock = PoolLock()
    @exclusivity(unchecked) var buddies: [BuddyAllocator?] = []
    @exclusivity(unchecked) var places: [Place] = []
    @exclusivity(unchecked) var kept: [BuddyAllocator] = []
    @exclusivity(unchecked) var serving = 0
    @exclusivity(unchecked) var taken = 0
    @exclusivity(unchecked) var emptyCount = 0
    @exclusivity(unchecked) var added = 0
    @exclusivity(unchecked) var dropped = 0

    /// Makes a pool without buddies.
    ///
    /// - Parameters:
    ///   - buddySize: the size of each buddy's space.
    ///   - smallestBlock: the size of the smallest blocks: a power of two.
    ///   - limit: the most buddies in use at once, those that were taken included. Traps where it is negative.
    ///   - reserve: how many empty buddies stay as they are, so that a buddy isn't dropped and added at each call
    ///     around a boundary; and how many reset ones are kept, for ``take()`` and for new numbers. Traps where it is
    ///     negative.
    ///   - onAdd: called with a number before a buddy gets it, or nil. False: there is nothing to stand behind it, and
    ///     the request is refused.
    ///   - onDrop: called with a number when its buddy has been dropped, or nil.
    ///
    /// Both are called by whichever thread allocates or frees, under the pool's lock, so that no block of a number is
    /// handed out before or after. They must not call the pool.
    ///
    /// - Throws: what ``BuddyAllocator/init(size:smallestBlock:)`` throws.
    public init(
        buddySize: Int, smallestBlock: Int, limit: Int = .max, reserve: Int = 1,
        onAdd: (@Sendable (Int) -> Bool)? = nil, onDrop: (@Sendable (Int) -> Void)? = nil
    ) throws(BuddyError) {
        guard limit >= 0, reserve >= 0 else {
            fatalError("BuddyPool: a negative limit (\(limit)) or reserve (\(reserve))")
        }
        _ = try BuddyAllocator.unitCount(size: buddySize, smallestBlock: smallestBlock)
        self.buddySize = buddySize
        self.smallestBlock = smallestBlock
        self.limit = limit
        self.reserve = reserve
        self.onAdd = onAdd
        self.onDrop = onDrop
    }

    // MARK: Blocks

    /// Allocates a block with room for `count`.
    ///
    /// - Parameter count: how much: 0 is served as 1. Traps where it is negative.
    /// - Returns: the block: `count` rounded up to the smallest block or the next power of two.
    /// - Throws: ``BuddyError/noRoom(count:)`` where no buddy has room and none can be added, and
    ///   ``BuddyError/tooLarge(count:largestBlock:)`` where `count` is more than a buddy's largest block.
    /// - Complexity: O(buddies), and O(`buddySize / smallestBlock`) where a buddy is made.
    public func allocate(_ count: Int) throws(BuddyError) -> BuddyBlock {
        if let block = tryAllocate(count) { return block }
        if orderOf(count) > topOrder { throw .tooLarge(count: count, largestBlock: smallestBlock << topOrder) }
        throw .noRoom(count: count)
    }

    /// Allocates as ``allocate(_:)`` does, with nil in place of an error.
    public func tryAllocate(_ count: Int) -> BuddyBlock? {
        if count < 0 { fatalError("BuddyPool: a negative count (\(count))") }
        let order = orderOf(count)
        return lock.withLock {
            for number in places.indices where order < places[number].refused {
                let range = places[number].buddy._withUnsafeGuaranteedRef { buddy in
                    let wasEmpty = buddy.isEmpty
                    let range = buddy.tryAllocate(count)
                    if wasEmpty, range != nil { emptyCount -= 1 }
                    return range
                }
                if let range { return BuddyBlock(buddy: number, range: range) }
                places[number].refused = order
            }
            return allocateFromNewBuddy(count)
        }
    }

    /// Frees a block, whichever thread allocated it.
    ///
    /// - Throws: ``BuddyError/unknownBuddy(_:)``, and what ``BuddyAllocator/deallocate(_:)-(Range<Int>)`` throws.
    /// - Complexity: O(1) as a rule; O(buddies) where a buddy is dropped.
    public func deallocate(_ block: BuddyBlock) throws(BuddyError) {
        try deallocate(inBuddy: block.buddy) { buddy throws(BuddyError) in try buddy.deallocate(block.range) }
    }

    /// Frees the block that starts at an offset of a buddy, of whatever size it is, and whichever thread allocated it.
    ///
    /// - Throws: ``BuddyError/unknownBuddy(_:)``, and what ``BuddyAllocator/deallocate(_:)-(Int)`` throws.
    /// - Complexity: that of ``deallocate(_:)``.
    public func deallocate(_ offset: Int, inBuddy number: Int) throws(BuddyError) {
        try deallocate(inBuddy: number) { buddy throws(BuddyError) in try buddy.deallocate(offset) }
    }

    /// The size of the block in use that starts at an offset of a buddy, or nil where none does.
    public func blockSize(at offset: Int, inBuddy number: Int) -> Int? {
        lock.withLock { buddies.indices.contains(number) ? buddies[number]?.blockSize(at: offset) : nil }
    }

    /// Drops the buddies in which nothing is in use, also those of the reserve, and the reset ones that are kept.
    ///
    /// - Returns: how many of them had a number.
    @discardableResult
    public func trim() -> Int {
        lock.withLock {
            let before = serving
            // A drop may shorten the list by more than one.
            for number in buddies.indices.reversed() where number < buddies.count && buddies[number]?.isEmpty == true {
                drop(number)
            }
            kept.removeAll()
            return before - serving
        }
    }

    // MARK: Buddies

    /// Hands out a buddy in which nothing is in use: one that was given back, or a new one. It is the caller's alone,
    /// until he gives it back; one that he never gives back counts as in use.
    ///
    /// - Throws: ``BuddyError/noBuddy(limit:)``.
    /// - Complexity: O(1), and O(`buddySize / smallestBlock`) where one is made.
    public func take() throws(BuddyError) -> sending BuddyAllocator {
        // P5: nobody else has it from here on.
        nonisolated(unsafe) let buddy = try lock.withLock { () throws(BuddyError) in
            if serving + taken >= limit { throw .noBuddy(limit: limit) }
            taken += 1
            return makeBuddy()
        }
        buddy.pool = identity
        return buddy
    }

    /// Takes a buddy back, resets it, and keeps it for the next who asks, unless as many as the reserve are kept
    /// already, or it has grown. That the caller uses it no more is checked by the compiler.
    ///
    /// - Throws: ``BuddyError/notTaken`` where it was not taken from this pool, or has been given back.
    /// - Complexity: that of ``BuddyAllocator/reset()``, before the lock is taken.
    public func giveBack(_ buddy: sending BuddyAllocator) throws(BuddyError) {
        if buddy.pool != identity { throw .notTaken }
        // P5: from here on nobody has it.
        nonisolated(unsafe) let returned = buddy
        returned.pool = nil
        returned.reset()
        lock.withLock {
            taken -= 1
            keep(returned)
        }
    }

    // MARK: Under the lock

    @inline(__always)
    private func deallocate(
        inBuddy number: Int, _ body: (BuddyAllocator) throws(BuddyError) -> Void
    ) throws(BuddyError) {
        let error: BuddyError? = lock.withLock {
            guard places.indices.contains(number), places[number].refused >= 0 else { return .unknownBuddy(number) }
            let outcome: Result<Bool, BuddyError> = places[number].buddy._withUnsafeGuaranteedRef { buddy in
                do throws(BuddyError) {
                    try body(buddy)
                    return .success(buddy.isEmpty)
                } catch {
                    return .failure(error)
                }
            }
            switch outcome {
            case .success(let isEmpty):
                settle(number, isEmpty)
                return nil
            case .failure(let error): return error
            }
        }
        if let error { throw error }
    }

    @inline(never)
    private func allocateFromNewBuddy(_ count: Int) -> BuddyBlock? {
        let number = buddies.firstIndex { $0 == nil } ?? buddies.count
        guard serving + taken < limit, orderOf(count) <= topOrder, onAdd?(number) ?? true else { return nil }
        let buddy = makeBuddy()
        let place = Place(buddy: .passUnretained(buddy))
        if number == buddies.count {
            buddies.append(buddy)
            places.append(place)
        } else {
            buddies[number] = buddy
            places[number] = place
        }
        serving += 1
        added += 1
        return buddy.tryAllocate(count).map { BuddyBlock(buddy: number, range: $0) }
    }

    private func orderOf(_ count: Int) -> Int {
        // The whole smallest blocks in front of the last integer.
        let units = (max(count, 1) - 1) >> smallestBlock.trailingZeroBitCount
        return Int.bitWidth - units.leadingZeroBitCount
    }

    /// The order of a buddy's largest block.
    private var topOrder: Int { Int.bitWidth - 1 - (buddySize / smallestBlock).leadingZeroBitCount }

    /// After something was freed in a buddy: P1, P2.
    private func settle(_ number: Int, _ isEmpty: Bool) {
        places[number].refused = 64
        if !isEmpty { return }
        emptyCount += 1
        if emptyCount > reserve { drop(buddies.lastIndex { $0?.isEmpty == true }!) }
    }

    private func drop(_ number: Int) {
        keep(buddies[number]!)
        buddies[number] = nil
        places[number].refused = -1
        while let last = buddies.last, last == nil {
            buddies.removeLast()
            places.removeLast()
        }
        emptyCount -= 1
        serving -= 1
        dropped += 1
        onDrop?(number)
    }

    private func makeBuddy() -> BuddyAllocator {
        if let last = kept.popLast() { return last }
        do throws(BuddyError) {
            return try BuddyAllocator(size: buddySize, smallestBlock: smallestBlock)
        } catch {
            fatalError("BuddyPool: the geometry, which the pool was made with: \(error)")
        }
    }

    private func keep(_ buddy: BuddyAllocator) {
        if kept.count < reserve, buddy.size == buddySize { kept.append(buddy) }
    }
}
