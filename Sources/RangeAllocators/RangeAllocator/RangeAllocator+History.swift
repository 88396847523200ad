// A recorded history of calls, for replay in tests.

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
}

/// The calls of a ``RangeAllocator`` since recording began.
public struct RangeHistory: Codable, Equatable, Sendable {
    /// The size of the space when recording began.
    public var size: Int
    /// The ranges that were free when recording began.
    public var freeRanges: [Range<Int>]
    /// The calls, in order.
    public var calls: [RangeCall]
}
