// An upstream that fails on purpose, to see what is above it do the right thing. Every block is known by its address,
// so that it has all capabilities but resizing, which is its upstream's.
//
// Cost: a hash table's look-up a call, and a table entry a block. Thread-safety: none.

public import AllocatorCore

/// Fails as planned: the n-th request, beyond a limit of bytes, or by chance.
///
/// Put it under an allocator, and look whether that keeps its promises when memory runs out. For tests alone. It
/// refuses with `outOfMemory`; a pointer that is not its own traps. `close()` leaves the upstream open, and `deinit`
/// frees what is left. Not thread-safe.
///
/// Memory that fails on request is an old idea of SQLite's tests.
public final class FailingAllocator<Upstream: Allocator> {
    /// Where blocks come from.
    public let upstream: Upstream
    /// When requests fail; it may be changed at any time.
    public var plan: FailurePlan {
        didSet { if plan.seed != oldValue.seed { random = SeededGenerator(seed: plan.seed) } }
    }
    /// Requests until now, those with an invalid alignment left out.
    public private(set) var requestCount = 0
    /// Requests that failed by the plan.
    public private(set) var failureCount = 0
    /// Requests that the upstream refused.
    public private(set) var upstreamFailureCount = 0

    private var random: SeededGenerator
    private var blocks = LiveBlocks()

    /// Makes an allocator that refuses what the plan says and passes everything else on.
    ///
    /// - Parameters:
    ///   - upstream: where blocks come from.
    ///   - plan: which requests fail.
    public init(upstream: Upstream, plan: FailurePlan) {
        self.upstream = upstream
        self.plan = plan
        random = SeededGenerator(seed: plan.seed)
    }

    deinit {
        for pointer in blocks.pointers { upstream.deallocate(pointer) }
    }

    private func failsNow(_ byteCount: Int) -> Bool {
        requestCount += 1
        var fails = plan.requests.contains(requestCount)
        if let limit = plan.byteLimit, byteCount > limit - blocks.statistics.liveBytes { fails = true }
        // A number is drawn for each request, so that the other parts of a plan don't change which ones fail by chance.
        if plan.probability > 0, Double(random.next() >> 11) / Double(1 << 53) < plan.probability { fails = true }
        if fails { failureCount += 1 }
        return fails
    }
}

extension FailingAllocator where Upstream == SystemAllocator {
    /// Makes an allocator over the system's malloc that refuses what the plan says.
    public convenience init(plan: FailurePlan) { self.init(upstream: SystemAllocator(), plan: plan) }
}

extension FailingAllocator: Allocator {
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("FailingAllocator", byteCount: byteCount, alignment: alignment) else { return nil }
        if failsNow(byteCount) { return nil }
        guard let block = upstream.tryAllocate(byteCount: byteCount, alignment: alignment) else {
            upstreamFailureCount += 1
            return nil
        }
        if let limit = plan.byteLimit, block.count > limit - blocks.statistics.liveBytes {
            // The upstream gives more than was asked for.
            upstream.deallocate(block)
            failureCount += 1
            return nil
        }
        _ = blocks.enter(block)
        return block
    }

    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal("FailingAllocator", byteCount: byteCount, alignment: alignment)
        }
        return block
    }

    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        _ = blocks.remove(pointer, "FailingAllocator")
        upstream.deallocate(pointer)
    }

    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        upstream.goodSize(for: byteCount, alignment: alignment)
    }

    public func findLeaks() -> LeakError? { blocks.leak(of: "FailingAllocator") }

    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + upstream._sources }
}

extension FailingAllocator: OwningAllocator, SizeReportingAllocator, ResettableAllocator, MeasuredAllocator {
    /// True for the addresses of live blocks alone.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool { blocks[pointer] != nil }

    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        guard let block = blocks[pointer] else { misuse("FailingAllocator", pointer, "is not a live block") }
        return block.byteCount
    }

    public func freeAll() {
        for pointer in blocks.pointers { deallocate(pointer) }
    }

    public var statistics: AllocatorStatistics { blocks.statistics }
}

extension FailingAllocator: ResizableAllocator where Upstream: ResizableAllocator {
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        guard let block = blocks[pointer] else { misuse("FailingAllocator", pointer, "is not a live block") }
        if let limit = plan.byteLimit, byteCount - block.byteCount > limit - blocks.statistics.liveBytes { return nil }
        guard let resized = upstream.resize(pointer, byteCount: byteCount) else { return nil }
        blocks.resize(pointer, to: resized.count)
        return resized
    }
}
