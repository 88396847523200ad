// Ranges of integers, allocated and freed by offset: what does not depend on how free ranges are kept, which is the
// strategy's (RangeStrategy.swift).
//
//     0 ──────────────────────────────────────────── size
//        used      free     used       free    used        only the free ranges are recorded: what lies between them
//                                                           is used, whether by one allocation or by several
//
// A1. Every free range lies within `0..<size`; `freeCount` is the sum of their counts.
// A2. Where everything is checked, `shadow` has the same free ranges as the strategy.
//
// Cost: two comparisons and the strategy's. Thread-safety: none.

/// What a ``RangeAllocator`` checks of a range that is freed.
public enum RangeChecks: Sendable, BitwiseCopyable {
    /// What costs next to nothing: that it lies in the space, that no more is freed than was allocated, and that it
    /// does not start or end where a free range does. The ordered strategies find every overlap even so.
    case boundaries
    /// That every part of it is allocated, whatever the strategy: O(log n) more a call, and a second record of each
    /// free range. For tests, and for programs that free what others tell them to.
    case everything
}

/// Allocates and frees ranges of a space of integers: the bytes of a GPU's heap, the blocks of a file, the numbers of
/// anything. It never touches what they stand for.
///
///     let ranges = RangeAllocator(size: 1 << 30)
///     if let range = ranges.allocate(4096, alignment: 256) {
///         ranges.deallocate(range.lowerBound..<range.lowerBound + 1024)   // any part of it
///     }
///
/// What is allocated has no identity: **any part** of it can be freed, by offset alone, also one that spans several
/// allocations. What is free is joined. Nothing is rounded up: a range has exactly the count that was asked for. Nil
/// means that no free range has room, and never less.
///
/// The strategy is a type, and costs no indirection:
/// - ``SegregatedFit``, which is taken where none is named: the same time however many ranges there are;
/// - ``TwoTrees``: best fit, the least waste of space where sizes vary, O(log n);
/// - ``FirstFit``: the lowest offset that fits, so that the end of the space stays free for ``trim()``, O(log n);
/// - ``SingleTreap``: between first and best fit, O(log n) as a rule: to compare with.
///
/// For blocks that are powers of two and never freed in part, ``BuddyAllocator`` needs less memory. To hand out memory,
/// use the allocators that are made of this one.
///
/// Freeing what is not allocated traps where an end gives it away: one that is an end of what is free, or that lies
/// outside of the space. The ordered strategies see the rest as well; over ``SegregatedFit`` a range that lies *inside*
/// of what is free, or has something free inside, is accepted, and from then on two owners may get it: `checks:
/// .everything` traps there too (``RangeChecks``). Not thread-safe, and not `Sendable`.
public final class RangeAllocator<Strategy: RangeStrategy & ~Copyable> {
    /// The largest space: 2^62.
    @inlinable
    public static var largestSize: Int { 1 << 62 }

    /// The largest alignment: 2^61.
    @inlinable
    public static var largestAlignment: Int { 1 << 61 }

    /// The end of the space, which starts at 0.
    @inlinable public var size: Int { end }
    @exclusivity(unchecked) @usableFromInline var end: Int
    /// How much is free in all. O(1).
    @inlinable public var freeCount: Int { free }
    @exclusivity(unchecked) @usableFromInline var free: Int
    /// What is checked of ranges that are freed.
    public let checks: RangeChecks

    @exclusivity(unchecked) @usableFromInline var strategy: Strategy
    /// Whether calls are told to `watch`: where everything is checked, or a history recorded.
    @exclusivity(unchecked) @usableFromInline var isWatched = false
    /// The free ranges once more, in order, where everything is checked and the strategy does not find it all.
    @exclusivity(unchecked) var shadow: FirstFit?
    /// What was called since recording began.
    @exclusivity(unchecked) var recording: RangeHistory?

    /// Makes a space, all of which is free.
    ///
    /// - Parameters:
    ///   - size: the end of the space: from 0 to ``largestSize``; traps otherwise.
    ///   - checks: what is checked of ranges that are freed.
    public convenience init(size: Int, checks: RangeChecks = .boundaries) { self.init(spaceOf: size, checks) }

    init(spaceOf size: Int, _ checks: RangeChecks) {
        Self.checkSize(size)
        end = size
        self.checks = checks
        free = size
        strategy = Strategy()
        if size > 0 { _ = strategy.insert(0, size) }
        if checks == .everything, !Strategy.findsEveryOverlap {
            shadow = FirstFit()
            if size > 0 { _ = shadow!.insert(0, size) }
            isWatched = true
        }
    }

    // MARK: Allocating

    /// Allocates a range.
    ///
    /// - Parameters:
    ///   - count: how many integers: 0 or more. None are an empty range, which may be freed and needs not.
    ///   - alignment: what the lower bound is a multiple of: a power of two, at most ``largestAlignment``. Counted from
    ///     the start of the space.
    /// - Returns: the range, of exactly `count`; nil where no free range has room for it.
    ///
    /// Traps on a negative count or a wrong alignment. The strategy says how long it takes.
    @inlinable
    public func allocate(_ count: Int, alignment: Int = 1) -> Range<Int>? {
        if count <= 0 || alignment & (alignment &- 1) != 0 || alignment <= 0 || alignment > Self.largestAlignment {
            return allocateNothing(count, alignment)
        }
        guard count <= freeCount, let lower = strategy.allocate(count: count, alignment: alignment) else {
            if isWatched { watch(.allocate(count: count, alignment: alignment, result: nil)) }
            return nil
        }
        free &-= count
        let range = Range(uncheckedBounds: (lower, lower &+ count))
        if isWatched { watch(.allocate(count: count, alignment: alignment, result: range)) }
        return range
    }

    /// Allocates exactly this range if all of it is free, and says whether it was. For what already has its place: the
    /// superblock of a disk, the ranges of a saved state, a move.
    ///
    /// Traps where the range is not within the space. O(log n) in the ordered strategies; in ``SegregatedFit`` O(1)
    /// where an end of the range is an end of a free one, else O(n).
    public func allocate(_ range: Range<Int>) -> Bool {
        checkBounds(range, "allocate")
        if range.isEmpty { return true }
        let isTaken = range.count <= freeCount && strategy.allocate(range.lowerBound, range.upperBound)
        if isTaken { free &-= range.count }
        if isWatched { watch(.allocateRange(range, result: isTaken)) }
        return isTaken
    }

    /// Where a request would go, without taking it: what ``allocate(_:alignment:)`` would return now.
    ///
    /// Traps on a negative count or a wrong alignment.
    @inlinable
    public func find(_ count: Int, alignment: Int = 1) -> Range<Int>? {
        if count <= 0 || alignment & (alignment &- 1) != 0 || alignment <= 0 || alignment > Self.largestAlignment {
            return nothing(count, alignment)
        }
        guard count <= freeCount, let lower = strategy.find(count: count, alignment: alignment) else { return nil }
        return Range(uncheckedBounds: (lower, lower &+ count))
    }

    // MARK: Freeing

    /// Frees a range, all of which is allocated: what ``allocate(_:alignment:)`` returned, a part of it, or several
    /// that touch. An empty one is nothing.
    ///
    /// Traps where it is not within the space, and where it is free already, as far as `checks` and the strategy tell.
    @inlinable
    public func deallocate(_ range: Range<Int>) {
        let (lower, upper) = (range.lowerBound, range.upperBound)
        let count = upper &- lower
        if lower < 0 || upper > size || count <= 0 || count > size &- freeCount { return deallocateNothing(range) }
        if isWatched { watch(.deallocate(range)) }
        if !strategy.insert(lower, upper) { notAllocated(range) }
        free &+= count
    }

    /// Frees a range as ``deallocate(_:)`` does, with false in place of a trap: nothing has changed then. For ranges
    /// that others name. What is free already is seen as far as `checks` and the strategy tell.
    public func tryDeallocate(_ range: Range<Int>) -> Bool {
        let (lower, upper) = (range.lowerBound, range.upperBound)
        if lower < 0 || upper > size || range.count > usedCount { return false }
        if !range.isEmpty {
            if shadow != nil, !shadow!.insert(lower, upper) { return false }
            // A2: where the shadow saw nothing, the strategy sees nothing.
            if !strategy.insert(lower, upper) { return false }
            free += range.count
        }
        recording?.calls.append(.deallocate(range))
        return true
    }

    // MARK: The state

    /// How much is allocated. O(1).
    @inlinable
    public var usedCount: Int { size - freeCount }

    /// Whether nothing is allocated. O(1).
    @inlinable
    public var isEmpty: Bool { freeCount == size }

    /// The count of the largest free range, or 0: a request for as much succeeds, without alignment. O(1) in the
    /// ordered strategies that keep it at the root; in ``SegregatedFit`` O(ranges in the topmost bin).
    @inlinable
    public var largestFree: Int { strategy.largestCount() }

    /// How much of the end of the space is free: by so much ``trim()`` would shorten it.
    public var freeAtEnd: Int { strategy.lowerEnd(ofRangeEndingAt: size).map { size - $0 } ?? 0 }

    /// The number of free ranges. O(1).
    @inlinable
    public var freeRangeCount: Int { strategy.rangeCount }

    /// The free ranges, in order. O(n) in the ordered strategies, O(n log n) in ``SegregatedFit``.
    public var freeRanges: [Range<Int>] { strategy.freeRanges() }

    /// The ranges between the free ones, in order: each is what is allocated, by one call or by several.
    public var usedRanges: [Range<Int>] {
        var used: [Range<Int>] = []
        var start = 0
        for free in strategy.freeRanges() {
            if free.lowerBound > start { used.append(start..<free.lowerBound) }
            start = free.upperBound
        }
        if start < size { used.append(start..<size) }
        return used
    }

    /// The bytes of memory that the records occupy, spare capacity included.
    public var metadataByteCount: Int { strategy.metadataByteCount + (shadow?.metadataByteCount ?? 0) }

    // MARK: The space

    /// Lengthens the space: what is new is free, and joined with what is free at the end.
    ///
    /// - Parameter size: the new end: at least the old one and at most ``largestSize``; traps otherwise.
    public func grow(to size: Int) {
        Self.checkSize(size)
        if size < end { fatalError("RangeAllocator: grow(to: \(size)) of a space of \(end)") }
        if size > end {
            _ = strategy.insert(end, size)
            free += size - end
            if shadow != nil { _ = shadow!.insert(end, size) }
            end = size
        }
        recording?.calls.append(.grow(size))
    }

    /// Cuts what is free off the end of the space, so that what lies behind it (a file, a mapping) can be cut too.
    ///
    /// - Returns: how much that was. ``freeAtEnd`` tells without doing it.
    @discardableResult
    public func trim() -> Int {
        let count = freeAtEnd
        if count > 0 {
            _ = strategy.allocate(size - count, size)
            if shadow != nil { _ = shadow!.allocate(size - count, size) }
            end -= count
            free -= count
        }
        recording?.calls.append(.trim(result: count))
        return count
    }

    /// Frees everything. O(memory of the records); the memory is kept.
    public func reset() { reset(size: size) }

    /// Frees everything, and gives the space another size: from 0 to ``largestSize``; traps otherwise.
    public func reset(size: Int) {
        Self.checkSize(size)
        strategy.removeAll()
        if size > 0 { _ = strategy.insert(0, size) }
        if shadow != nil {
            shadow!.removeAll()
            if size > 0 { _ = shadow!.insert(0, size) }
        }
        end = size
        free = size
        recording?.calls.append(.reset(size))
    }
}

extension RangeAllocator where Strategy == SegregatedFit {
    /// Makes a space, all of which is free, kept by ``SegregatedFit``: what is taken where no strategy is named.
    ///
    /// - Parameters:
    ///   - size: the end of the space: from 0 to 2^62; traps otherwise.
    ///   - checks: what is checked of ranges that are freed.
    public convenience init(size: Int, checks: RangeChecks = .boundaries) { self.init(spaceOf: size, checks) }
}
