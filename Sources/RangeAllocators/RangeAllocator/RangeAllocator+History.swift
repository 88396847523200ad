// A recorded history of calls, for replay: of a failure in a test, or of what a program really did, before another
// strategy.
//
// A strategy's answers may depend on how its records came about, not only on what is free. So recording begins by
// making the records anew from what is free, in order, and a replay begins in the same way: afterwards the same calls
// get the same answers. Calls that change nothing (``RangeAllocator/find(_:alignment:)`` and the like) are not
// recorded.
//
// Cost: nothing where it is off, but for a branch that is there anyway; else an append of 48 bytes a call.

/// A call of a ``RangeAllocator``, and what it answered.
public enum RangeCall: Codable, Equatable, Sendable {
    /// ``RangeAllocator/allocate(_:alignment:)``
    case allocate(count: Int, alignment: Int, result: Range<Int>?)
    /// ``RangeAllocator/allocate(_:)``
    case allocateRange(Range<Int>, result: Bool)
    /// ``RangeAllocator/deallocate(_:)``
    case deallocate(Range<Int>)
    /// ``RangeAllocator/grow(to:)``
    case grow(Int)
    /// ``RangeAllocator/trim()``
    case trim(result: Int)
    /// ``RangeAllocator/reset(size:)``
    case reset(Int)
    /// ``RangeAllocator/restore(_:)``
    case restore(RangeSnapshot)
}

/// The calls of a ``RangeAllocator`` since recording began.
public struct RangeHistory: Codable, Equatable, Sendable {
    /// The size of the space when recording began.
    public var size: Int
    /// The ranges that were free when recording began.
    public var freeRanges: [Range<Int>]
    /// The calls, in order.
    public var calls: [RangeCall]

    /// Makes a history of these parts. Whether it can have been is found out when it is replayed.
    public init(size: Int, freeRanges: [Range<Int>], calls: [RangeCall]) {
        self.size = size
        self.freeRanges = freeRanges
        self.calls = calls
    }
}

/// Why a ``RangeHistory`` could not be replayed. The calls in front of `index` were carried out.
public enum RangeReplayError: Error, Equatable, Sendable {
    /// What was free when recording began can't have been.
    case start(RangeSnapshotError)
    /// The call of this index got another answer than the recorded one.
    case differs(index: Int, recorded: RangeCall, replayed: RangeCall)
    /// The call of this index can't have been made, or can't have got its answer: it would free what is free, or
    /// allocate what is not, or its arguments are wrong.
    case impossible(index: Int, RangeCall)
}

extension RangeReplayError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .start(let error): "the start of the history: \(error)"
        case .differs(let index, let recorded, let replayed): "call \(index) was \(recorded) and is now \(replayed)"
        case .impossible(let index, let call): "call \(index), \(call), is not possible"
        }
    }
}

extension RangeAllocator where Strategy: ~Copyable {
    /// Whether calls are recorded. Off when it is made.
    ///
    /// Switching it on starts a new history, for which the records are made anew: O(n log n). Switching it off drops
    /// the history: read ``history`` before. The history grows without limit.
    public var recordsHistory: Bool {
        get { recording != nil }
        set {
            if newValue == (recording != nil) { return }
            if newValue {
                let start = snapshot
                rebuild(start)
                recording = RangeHistory(size: start.size, freeRanges: start.freeRanges, calls: [])
            } else {
                recording = nil
            }
            isWatched = recording != nil || shadow != nil
        }
    }

    /// The calls since recording was switched on, or nil where it is off.
    public var history: RangeHistory? { recording }

    /// Starts from what was free when a history began, and makes its calls, each of which must get the same answer.
    ///
    /// With the strategy that the history was recorded with it does, or there is a bug. Another strategy may choose
    /// other places, and then this tells at which call. The history may come from anywhere: no call of it traps.
    ///
    /// - Parameter history: recorded by an allocator of any strategy.
    /// - Throws: ``RangeReplayError``. The calls in front of the one that it names were made.
    /// - Complexity: that of the calls, and O(log n) for each.
    public func replay(_ history: RangeHistory) throws(RangeReplayError) {
        do throws(RangeSnapshotError) {
            try restore(RangeSnapshot(size: history.size, freeRanges: history.freeRanges))
        } catch {
            throw .start(error)
        }
        // What is free, kept by a strategy that finds every overlap: what it refuses would trap.
        var model = FirstFit()
        for range in history.freeRanges { _ = model.insert(range.lowerBound, range.upperBound) }
        for (index, call) in history.calls.enumerated() {
            guard let replayed = make(call, &model) else { throw .impossible(index: index, call) }
            if replayed != call { throw .differs(index: index, recorded: call, replayed: replayed) }
        }
    }

    /// Makes a call and says what it got; nil, without having made it, where it is not possible.
    private func make(_ call: RangeCall, _ model: inout FirstFit) -> RangeCall? {
        let space = 0..<size + 1
        switch call {
        case .allocate(let count, let alignment, _):
            guard count >= 0, alignment > 0, alignment & (alignment - 1) == 0, alignment <= Self.largestAlignment else {
                return nil
            }
            let range = allocate(count, alignment: alignment)
            if let range, !range.isEmpty, !model.allocate(range.lowerBound, range.upperBound) { return nil }
            return .allocate(count: count, alignment: alignment, result: range)
        case .allocateRange(let range, _):
            guard space.contains(range.lowerBound), space.contains(range.upperBound) else { return nil }
            let isTaken = allocate(range)
            if isTaken, !range.isEmpty, !model.allocate(range.lowerBound, range.upperBound) { return nil }
            return .allocateRange(range, result: isTaken)
        case .deallocate(let range):
            guard space.contains(range.lowerBound), space.contains(range.upperBound) else { return nil }
            if !range.isEmpty, !model.insert(range.lowerBound, range.upperBound) { return nil }
            deallocate(range)
            return call
        case .grow(let size):
            guard size >= self.size, size <= Self.largestSize else { return nil }
            if size > self.size { _ = model.insert(self.size, size) }
            grow(to: size)
            return call
        case .trim:
            let end = size
            let count = trim()
            if count > 0 { _ = model.allocate(end - count, end) }
            return .trim(result: count)
        case .reset(let size):
            guard size >= 0, size <= Self.largestSize else { return nil }
            model.removeAll()
            if size > 0 { _ = model.insert(0, size) }
            reset(size: size)
            return call
        case .restore(let snapshot):
            do throws(RangeSnapshotError) {
                try restore(snapshot)
            } catch {
                return nil
            }
            model.removeAll()
            for range in snapshot.freeRanges { _ = model.insert(range.lowerBound, range.upperBound) }
            return call
        }
    }
}
