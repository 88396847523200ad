// Saving and restoring what is free. A snapshot may come from a file or from a stranger, so all of it is checked before
// anything is changed.

/// What is free in a space: all that is needed to make a ``RangeAllocator`` again, of whatever strategy.
///
/// Which allocation is whose is not in it, as the allocator does not know it: a program saves its own ranges beside it.
public struct RangeSnapshot: Codable, Hashable, Sendable {
    /// The end of the space, which starts at 0.
    public var size: Int
    /// The free ranges: not empty, in order of offsets, with something allocated between any two.
    public var freeRanges: [Range<Int>]

    /// Makes a snapshot of these parts. Whether they fit together is found out when it is restored.
    public init(size: Int, freeRanges: [Range<Int>]) {
        self.size = size
        self.freeRanges = freeRanges
    }

    /// Checks that this can be what was free in a space. O(ranges).
    ///
    /// - Throws: the first thing that is wrong.
    public func validate() throws(RangeSnapshotError) {
        guard size >= 0, size <= 1 << 62 else { throw .size(size) }
        var last: Range<Int>?
        for range in freeRanges {
            if range.isEmpty { throw .empty(range) }
            if range.lowerBound < 0 || range.upperBound > size { throw .outOfBounds(range, size: size) }
            if let last {
                if range.lowerBound < last.lowerBound { throw .unsorted(last, range) }
                if range.lowerBound < last.upperBound { throw .overlapping(last, range) }
                if range.lowerBound == last.upperBound { throw .touching(last, range) }
            }
            last = range
        }
    }
}

/// Why a ``RangeSnapshot`` was refused.
public enum RangeSnapshotError: Error, Hashable, Sendable {
    /// The size is negative or above 2^62.
    case size(Int)
    /// A free range is empty.
    case empty(Range<Int>)
    /// A free range is not within the space.
    case outOfBounds(Range<Int>, size: Int)
    /// The second range starts before the first, which comes before it.
    case unsorted(Range<Int>, Range<Int>)
    /// The ranges overlap.
    case overlapping(Range<Int>, Range<Int>)
    /// The ranges should be one.
    case touching(Range<Int>, Range<Int>)
}

extension RangeSnapshotError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .size(let size): "a size of \(size), which must be from 0 to 2^62"
        case .empty(let range): "the free range \(range) is empty"
        case .outOfBounds(let range, let size): "the free range \(range) is not within the space 0..<\(size)"
        case .unsorted(let first, let second): "the free range \(second) comes after \(first)"
        case .overlapping(let first, let second): "the free ranges \(first) and \(second) overlap"
        case .touching(let first, let second): "the free ranges \(first) and \(second) touch, and should be one"
        }
    }
}

extension RangeAllocator where Strategy: ~Copyable {
    /// What is free now, as a value that can be saved. O(n), or O(n log n) where the strategy keeps no order.
    public var snapshot: RangeSnapshot { RangeSnapshot(size: size, freeRanges: freeRanges) }

    /// Makes a space in which is free what is free in a snapshot.
    ///
    /// - Parameters:
    ///   - snapshot: of an allocator of any strategy; it may come from anywhere.
    ///   - checks: what is checked of ranges that are freed.
    /// - Throws: ``RangeSnapshotError``.
    /// - Complexity: that of freeing each of its ranges.
    public convenience init(_ snapshot: RangeSnapshot, checks: RangeChecks = .boundaries) throws(RangeSnapshotError) {
        self.init(spaceOf: 0, checks)
        try restore(snapshot)
    }

    /// Makes free what is free in a snapshot, and nothing else; the space gets the snapshot's size.
    ///
    /// - Throws: ``RangeSnapshotError``, and then nothing has changed.
    /// - Complexity: that of ``reset()``, and that of freeing each of its ranges.
    public func restore(_ snapshot: RangeSnapshot) throws(RangeSnapshotError) {
        try snapshot.validate()
        rebuild(snapshot)
        recording?.calls.append(.restore(snapshot))
    }

    /// Makes the strategy's records anew, always in the same order, so that the same calls get the same answers
    /// afterwards.
    func rebuild(_ snapshot: RangeSnapshot) {
        strategy.removeAll()
        if shadow != nil { shadow!.removeAll() }
        var count = 0
        for range in snapshot.freeRanges {
            _ = strategy.insert(range.lowerBound, range.upperBound)
            if shadow != nil { _ = shadow!.insert(range.lowerBound, range.upperBound) }
            count += range.count
        }
        end = snapshot.size
        free = count
    }
}

extension RangeAllocator where Strategy == SegregatedFit {
    /// Makes a space in which is free what is free in a snapshot, kept by ``SegregatedFit``: what is taken where no
    /// strategy is named.
    ///
    /// - Parameters:
    ///   - snapshot: of an allocator of any strategy; it may come from anywhere.
    ///   - checks: what is checked of ranges that are freed.
    /// - Throws: ``RangeSnapshotError``.
    /// - Complexity: O(ranges).
    public convenience init(_ snapshot: RangeSnapshot, checks: RangeChecks = .boundaries) throws(RangeSnapshotError) {
        self.init(spaceOf: 0, checks)
        try restore(snapshot)
    }
}
