// What ends a call of RangeAllocator early, or the program: out of line, so that a call pays a branch.

extension RangeAllocator where Strategy: ~Copyable {
    static func checkSize(_ size: Int) {
        if size < 0 || size > largestSize {
            fatalError("RangeAllocator: a size of \(size), which must be from 0 to 2^62")
        }
    }

    func checkBounds(_ range: Range<Int>, _ call: StaticString) {
        if range.lowerBound < 0 || range.upperBound > size {
            fatalError("RangeAllocator: \(call)(\(range)) is not within the space 0..<\(size)")
        }
    }

    /// The empty range of a request for nothing; traps on a request that is wrong.
    @usableFromInline @inline(never)
    func nothing(_ count: Int, _ alignment: Int) -> Range<Int>? {
        if count < 0 { fatalError("RangeAllocator: a request for a negative count (\(count))") }
        if alignment <= 0 || alignment & (alignment - 1) != 0 || alignment > Self.largestAlignment {
            fatalError(
                "RangeAllocator: a request with the alignment \(alignment), which must be a power of two, at most 2^61")
        }
        return 0..<0
    }

    @usableFromInline @inline(never)
    func allocateNothing(_ count: Int, _ alignment: Int) -> Range<Int>? {
        let empty = nothing(count, alignment)
        if isWatched { watch(.allocate(count: count, alignment: alignment, result: empty)) }
        return empty
    }

    /// Returns where the range is empty and within the space, and traps otherwise.
    @usableFromInline @inline(never)
    func deallocateNothing(_ range: Range<Int>) {
        checkBounds(range, "deallocate")
        if !range.isEmpty {
            fatalError("RangeAllocator: deallocate(\(range)) frees more than is allocated, \(usedCount)")
        }
        if isWatched { watch(.deallocate(range)) }
    }

    @usableFromInline @inline(never)
    func notAllocated(_ range: Range<Int>) -> Never {
        fatalError("RangeAllocator: deallocate(\(range)) of what is free already, or in part")
    }

    /// Takes notice of a call: before it is carried out where it frees, after it where it allocates.
    @usableFromInline @inline(never)
    func watch(_ call: RangeCall) {
        recording?.calls.append(call)
        guard shadow != nil else { return }
        switch call {
        case .allocate(_, _, let range?) where !range.isEmpty:
            if !shadow!.allocate(range.lowerBound, range.upperBound) {
                fatalError("RangeAllocator: \(range) was allocated and is not free")
            }
        case .allocateRange(let range, result: true):
            _ = shadow!.allocate(range.lowerBound, range.upperBound)
        case .deallocate(let range) where !range.isEmpty:
            if !shadow!.insert(range.lowerBound, range.upperBound) { notAllocated(range) }
        default: break
        }
    }

    /// What is wrong with the records, or nil. Walks them all.
    public func brokenInvariant() -> String? {
        if let broken = strategy.brokenInvariant() ?? shadow?.brokenInvariant() { return broken }
        let free = strategy.freeRanges()
        if free.reduce(0, { $0 + $1.count }) != freeCount { return "A1: freeCount is \(freeCount)" }
        if let last = free.last, last.upperBound > size { return "A1: \(last) of a space of \(size)" }
        if let first = free.first, first.lowerBound < 0 { return "A1: \(first)" }
        if let shadow = shadow?.freeRanges(), shadow != free { return "A2: the shadow differs" }
        return nil
    }
}
