// A sequence of operations as a value: to be kept as JSON, printed as Swift, and replayed.

public import AllocatorCore

/// What was asked of an allocator, in order.
public struct AllocationTrace: Codable, Equatable, Sendable, CustomStringConvertible {
    /// The calls, in the order in which they were made.
    public var operations: [AllocatorOperation]

    /// Makes a trace of these calls.
    public init(_ operations: [AllocatorOperation] = []) { self.operations = operations }

    /// Lines of Swift.
    public var description: String { operations.map(\.description).joined(separator: "\n") }

    /// What came of a replay.
    public struct Outcome: Equatable, Sendable {
        /// Requests that were made.
        public var requests = 0
        /// Requests that were served in the recording and refused now.
        public var refusedNow = 0
        /// Requests that were refused in the recording and served now; they were freed at once.
        public var servedNow = 0
        /// How often a block was resized in place.
        public var resized = 0
        /// How often that was declined, or the allocator cannot resize.
        public var notResized = 0
        /// Blocks that the trace leaves live.
        public var blocksLeft = 0
        /// Usable bytes of the blocks that the trace leaves live.
        public var bytesLeft = 0
        /// The most usable bytes that were live at once.
        public var peakBytes = 0

        /// The outcome of an empty trace.
        public init() {}
    }

    /// Does to an allocator what the trace says.
    ///
    /// A refused block's later operations are left out. `freeAll` frees the trace's blocks one by one where the
    /// allocator cannot free all. Blocks that the trace leaves live are counted and then freed. Traps where the trace
    /// allocates a block under the number of one that is live.
    ///
    /// - Complexity: one call of the allocator for each operation, and a hash table's look-up.
    @discardableResult
    public func replay(on allocator: any Allocator) -> Outcome {
        let resizable = allocator as? any ResizableAllocator
        let resettable = allocator as? any ResettableAllocator
        var outcome = Outcome()
        var live: [Int: UnsafeMutableRawBufferPointer] = [:]
        var liveBytes = 0

        func enter(_ id: Int, _ block: UnsafeMutableRawBufferPointer?) {
            outcome.requests += 1
            guard let block else {
                outcome.refusedNow += 1
                return
            }
            precondition(live[id] == nil, "the trace allocates block \(id) twice")
            live[id] = block
            liveBytes += block.count
            outcome.peakBytes = max(outcome.peakBytes, liveBytes)
        }

        for operation in operations {
            switch operation {
            case .allocate(let id, let byteCount, let alignment):
                enter(id, try? allocator.allocate(byteCount: byteCount, alignment: alignment))
            case .tryAllocate(let id, let byteCount, let alignment):
                enter(id, allocator.tryAllocate(byteCount: byteCount, alignment: alignment))
            case .refused(let byteCount, let alignment):
                outcome.requests += 1
                if let block = allocator.tryAllocate(byteCount: byteCount, alignment: alignment) {
                    outcome.servedNow += 1
                    allocator.deallocate(block)
                }
            case .deallocate(let id):
                guard let block = live.removeValue(forKey: id) else { continue }
                liveBytes -= block.count
                allocator.deallocate(block)
            case .resize(let id, let byteCount):
                guard let block = live[id] else { continue }
                if let resized = resizable?.resize(block.baseAddress!, byteCount: byteCount) {
                    outcome.resized += 1
                    live[id] = resized
                    liveBytes += resized.count - block.count
                    outcome.peakBytes = max(outcome.peakBytes, liveBytes)
                } else {
                    outcome.notResized += 1
                }
            case .freeAll:
                if let resettable {
                    resettable.freeAll()
                } else {
                    for (_, block) in live.sorted(by: { $0.key < $1.key }) { allocator.deallocate(block) }
                }
                live = [:]
                liveBytes = 0
            case .close:
                try? allocator.close()
            }
        }
        outcome.blocksLeft = live.count
        outcome.bytesLeft = liveBytes
        for (_, block) in live.sorted(by: { $0.key < $1.key }) { allocator.deallocate(block) }
        return outcome
    }
}
