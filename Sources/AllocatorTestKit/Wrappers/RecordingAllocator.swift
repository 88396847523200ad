// Writes down what is asked of an allocator, so that it can be looked at, kept, and done again to another one.
//
// Cost: a hash table's look-up a call, and 32 bytes an operation. Thread-safety: none.

public import AllocatorCore

/// Passes every call on to its upstream, and records it as an ``AllocationTrace``.
///
/// Use it to see what a container or a C library does with memory, to pin it in a test, and to replay a real program's
/// requests against another allocator. A pointer that is not its own traps. `close()` leaves the upstream open, and
/// `deinit` frees what is left. Not thread-safe.
public final class RecordingAllocator<Upstream: Allocator> {
    /// Where blocks come from.
    public let upstream: Upstream
    /// What was asked until now. Set it to an empty trace to begin anew; numbers of blocks go on.
    public var trace = AllocationTrace()
    private var blocks = LiveBlocks()

    /// Makes an allocator that records what it passes on to an upstream.
    public init(upstream: Upstream) { self.upstream = upstream }

    deinit {
        for pointer in blocks.pointers { upstream.deallocate(pointer) }
    }
}

extension RecordingAllocator where Upstream == SystemAllocator {
    /// Makes an allocator that records what it passes on to the system's malloc.
    public convenience init() { self.init(upstream: SystemAllocator()) }
}

extension RecordingAllocator: Allocator {
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard let block = upstream.tryAllocate(byteCount: byteCount, alignment: alignment) else {
            trace.operations.append(.refused(byteCount: byteCount, alignment: alignment))
            return nil
        }
        trace.operations.append(.tryAllocate(id: blocks.enter(block), byteCount: byteCount, alignment: alignment))
        return block
    }

    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        do throws(AllocationError) {
            let block = try upstream.allocate(byteCount: byteCount, alignment: alignment)
            trace.operations.append(.allocate(id: blocks.enter(block), byteCount: byteCount, alignment: alignment))
            return block
        } catch {
            trace.operations.append(.refused(byteCount: byteCount, alignment: alignment))
            throw error
        }
    }

    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        trace.operations.append(.deallocate(id: blocks.remove(pointer, "RecordingAllocator").id))
        upstream.deallocate(pointer)
    }

    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        upstream.goodSize(for: byteCount, alignment: alignment)
    }

    public func findLeaks() -> LeakError? { blocks.leak(of: "RecordingAllocator") }

    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + upstream._sources }

    public func close() throws(LeakError) {
        trace.operations.append(.close)
        if let leak = findLeaks() { throw leak }
    }
}

extension RecordingAllocator: OwningAllocator, SizeReportingAllocator, ResettableAllocator, MeasuredAllocator {
    /// True for the addresses of live blocks alone.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool { blocks[pointer] != nil }

    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        guard let block = blocks[pointer] else { misuse("RecordingAllocator", pointer, "is not a live block") }
        return block.byteCount
    }

    public func freeAll() {
        trace.operations.append(.freeAll)
        for pointer in blocks.pointers {
            _ = blocks.remove(pointer, "RecordingAllocator")
            upstream.deallocate(pointer)
        }
    }

    public var statistics: AllocatorStatistics { blocks.statistics }
}

extension RecordingAllocator: ResizableAllocator where Upstream: ResizableAllocator {
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        guard let block = blocks[pointer] else { misuse("RecordingAllocator", pointer, "is not a live block") }
        trace.operations.append(.resize(id: block.id, byteCount: byteCount))
        guard let resized = upstream.resize(pointer, byteCount: byteCount) else { return nil }
        blocks.resize(pointer, to: resized.count)
        return resized
    }
}
