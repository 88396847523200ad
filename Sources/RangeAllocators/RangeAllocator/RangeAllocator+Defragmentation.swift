// A plan of moves that joins what is free, and carrying it out. The plan itself is CompactionPlan.swift's.

/// A move of a plan: what is at `from` goes to `to`.
///
/// The two may overlap, so data is moved as `memmove` does it.
public struct RangeMove: Codable, Hashable, Sendable {
    /// What is moved: all of it is allocated.
    public var from: Range<Int>
    /// Where it starts afterwards.
    public var to: Int

    /// Makes a move. Whether it is possible is found out when it is made.
    public init(from: Range<Int>, to: Int) {
        self.from = from
        self.to = to
    }

    /// Where it is afterwards.
    public var destination: Range<Int> { to..<to + from.count }

    /// Where a range is after this move: one that lies within ``from``, as each allocation does that the move takes
    /// along. Nil for any other, and for an empty one.
    ///
    ///     for move in ranges.defragmentationPlan() where ranges.move(move) {
    ///         memmove(heap + move.to, heap + move.from.lowerBound, move.from.count)
    ///         for (handle, range) in table { table[handle] = move.newRange(of: range) ?? range }
    ///     }
    ///
    /// - Complexity: O(1).
    public func newRange(of range: Range<Int>) -> Range<Int>? {
        guard !range.isEmpty, range.lowerBound >= from.lowerBound, range.upperBound <= from.upperBound else {
            return nil
        }
        let lower = to + (range.lowerBound - from.lowerBound)
        return lower..<lower + range.count
    }
}

extension RangeAllocator where Strategy: ~Copyable {
    /// Moves that join what is free, in the order in which they must be made: the destination of each is free when its
    /// turn comes, but for what it overlaps of itself.
    ///
    /// What is moved are whole ranges between free ones, so that an allocation is never split; it may be several
    /// allocations at once, and each of them moves by as much. Nothing is changed: make each move by ``move(_:)``, and
    /// move the data. A plan may be left off after any move. After other calls it is out of date, which ``move(_:)``
    /// notices.
    ///
    /// - Parameters:
    ///   - limit: the most that may be moved, as the sum of counts. Nil: whatever it takes for all that is free to be
    ///     one range at the end of the space. With a limit that does not suffice for that: what makes the largest free
    ///     range as large as it gets, as far as a plan can be found in little time.
    ///   - alignment: what each range moves by a multiple of, so that what is aligned stays aligned: a power of two, at
    ///     most ``largestAlignment``; traps otherwise. Above 1, less than that may stay free in front of a range.
    /// - Returns: the moves: none where nothing is gained. No range is moved twice.
    /// - Complexity: O(n log n), a few hundred nanoseconds a free range.
    public func defragmentationPlan(limit: Int? = nil, alignment: Int = 1) -> [RangeMove] {
        _ = nothing(0, alignment)
        return defragmentationPlan(limit: limit) { _ in alignment }
    }

    /// A plan as ``defragmentationPlan(limit:alignment:)-(_,Int)`` makes it, with an alignment of its own for each
    /// range that may move: where few allocations are aligned, the others leave nothing free between them.
    ///
    /// - Parameters:
    ///   - limit: the most that may be moved, as the sum of counts, or nil.
    ///   - alignment: what a range moves by a multiple of: the largest alignment of the allocations in it, as all of it
    ///     moves by as much. Called once for each range between two free ones, and for the one behind the last. It must
    ///     return a power of two of at most ``largestAlignment``; anything else traps.
    /// - Returns: the moves: none where nothing is gained. No range is moved twice.
    /// - Complexity: O(n log n), and the calls of `alignment`.
    public func defragmentationPlan(limit: Int? = nil, alignment: (Range<Int>) -> Int) -> [RangeMove] {
        if let limit, limit < 0 { fatalError("RangeAllocator: a plan of at most \(limit), which is negative") }
        let plan = CompactionPlan(holes: freeRanges, size: size) { run in
            let alignment = alignment(run)
            _ = nothing(0, alignment)
            return alignment
        }
        let all = plan.compacting()
        guard let limit, all.reduce(0, { $0 + $1.from.count }) > limit else { return all }
        return plan.joining(limit: limit)
    }

    /// Makes a move of a plan: what is at `from` is free afterwards, but for what `destination` has of it, and that is
    /// allocated. The data is the caller's to move.
    ///
    /// - Returns: false where the move is not possible (any more), and then nothing has changed: it is not within the
    ///   space, the destination is not free, or a part of what should be moved is not allocated, as far as `checks` and
    ///   the strategy tell.
    /// - Complexity: that of freeing a range and of allocating a given one.
    public func move(_ move: RangeMove) -> Bool {
        // Before its count is asked for, which of a range anywhere may be too large for an Int.
        guard move.from.lowerBound >= 0, move.from.upperBound <= size else { return false }
        let count = move.from.count
        guard move.to >= 0, move.to <= size, count <= size - move.to, tryDeallocate(move.from) else { return false }
        if allocate(move.destination) { return true }
        // It was free a moment ago, having been freed here.
        _ = allocate(move.from)
        return false
    }
}
