// An allocator that forwards and remembers: every live block with its size and origin, some freed ones, and on request
// the sequence of operations. See TrackingAllocator+CallSites.swift for how a call's file and line get here.
//
// Invariants:
// I1. `blocks` holds exactly the blocks that upstream gave and has not got back; `account` is their sum.
// I2. `freed` holds the origins of the last blocks that were freed, none of which is live, at most `rememberedFrees`.
// Cost: a hash table's entry and some hundred nanoseconds an operation, some microseconds where return addresses are
// taken. The records lie in ordinary Swift collections, not upstream, and are not part of the account. Thread-safety:
// none.

public import AllocatorCore

/// Remembers every live block with its size and where it was allocated, so that a leak is told by its place.
///
/// In place of the allocator that is looked into: `TrackingAllocator()` for the system's malloc, or over any upstream.
/// A direct call is known by its file and line. A call through a generic or an `any Allocator` is known by the function
/// that made it: the nearest return address outside this package (not on musl). In an optimised build that may be the
/// function that this one was inlined into: look in a debug build, or ask for stacks. ``close()`` throws a `LeakError`
/// whose sites are these places; ``report()`` prints them at any time.
///
/// A double free traps, and tells where the block was allocated; so do a foreign pointer and one inside a block. For
/// debugging and tests: an operation costs some hundred nanoseconds, with stacks some microseconds.
///
/// Allocating and freeing are O(1) amortised beside the upstream's cost, and an allocation O(`stackDepth`) where return
/// addresses are taken. Not thread-safe. The idea is Zig's `DebugAllocator` and D's `StatsCollector`.
public final class TrackingAllocator<Upstream: Allocator> {
    struct Entry {
        var byteCount: Int
        var requested: Int
        var alignment: Int
        var number: Int
        var origin: CallOrigin
    }

    /// Where the blocks come from.
    public let upstream: Upstream
    /// How many calls of a block's stack are kept.
    public let stackDepth: Int
    /// Whether ``operations`` are recorded.
    public let recordsOperations: Bool
    /// What was done so far, if that is recorded, the first first.
    public internal(set) var operations: [TrackedOperation] = []

    var blocks: [UInt: Entry] = [:]
    var account = AllocatorStatistics()
    var freed: [UInt: (number: Int, origin: CallOrigin)] = [:]
    /// A ring: the address and the number of the last blocks that were freed.
    var lastFreed: [(address: UInt, number: Int)] = []
    var nextInRing = 0

    static var rememberedFrees: Int { 1024 }

    /// Makes an allocator that tracks what it takes from an upstream.
    ///
    /// - Parameters:
    ///   - upstream: where the blocks come from.
    ///   - stackDepth: how many calls of each block's stack to keep; 0, the default, keeps none.
    ///   - recordsOperations: whether to record every operation in ``operations``, for tests.
    /// - Throws: ``ConfigurationError`` where the depth is not from 0 to 256.
    public init(upstream: Upstream, stackDepth: Int, recordsOperations: Bool = false) throws(ConfigurationError) {
        guard 0...256 ~= stackDepth else {
            throw ConfigurationError(
                allocator: "TrackingAllocator", argument: "stackDepth", value: stackDepth, requirement: "from 0 to 256")
        }
        self.upstream = upstream
        self.stackDepth = stackDepth
        self.recordsOperations = recordsOperations
    }

    /// Makes an allocator that tracks what it takes from an upstream, and keeps no stacks.
    public init(upstream: Upstream, recordsOperations: Bool = false) {
        self.upstream = upstream
        stackDepth = 0
        self.recordsOperations = recordsOperations
    }

    deinit {
        for address in blocks.keys { upstream.deallocate(UnsafeMutableRawPointer(bitPattern: address)!) }
    }

    // MARK: - Records

    func record(_ operation: @autoclosure () -> TrackedOperation) {
        if recordsOperations { operations.append(operation()) }
    }

    func enter(_ block: UnsafeMutableRawBufferPointer, requested: Int, alignment: Int, _ origin: CallOrigin) {
        let address = UInt(bitPattern: block.baseAddress)
        account.enter(byteCount: block.count, overhead: 0)
        let entry = Entry(
            byteCount: block.count, requested: requested, alignment: alignment, number: account.totalBlocks,
            origin: origin)
        if blocks.updateValue(entry, forKey: address) != nil {
            misuse("TrackingAllocator", block.baseAddress!, "was handed out by upstream while it is live")
        }
        freed[address] = nil
        record(.allocate(block: entry.number, byteCount: requested, alignment: alignment))
    }

    func remember(_ address: UInt, _ entry: Entry) {
        let item = (address: address, number: entry.number)
        if lastFreed.count < Self.rememberedFrees {
            lastFreed.append(item)
        } else {
            let old = lastFreed[nextInRing]
            if freed[old.address]?.number == old.number { freed[old.address] = nil }
            lastFreed[nextInRing] = item
            nextInRing = (nextInRing + 1) % Self.rememberedFrees
        }
        freed[address] = (entry.number, entry.origin)
    }

    /// Ends the program: the pointer is no live block's.
    func unknown(_ pointer: UnsafeRawPointer) -> Never {
        let address = UInt(bitPattern: pointer)
        if let (_, origin) = freed[address] {
            fatalError("TrackingAllocator: \(pointer) was freed already; it was allocated at \(origin.location)")
        }
        if let (base, entry) = blocks.first(where: { $0 < address && address < $0 + UInt($1.byteCount) }) {
            fatalError(
                """
                TrackingAllocator: \(pointer) points \(address - base) bytes inside a block of \(entry.byteCount), \
                allocated at \(entry.origin.location)
                """)
        }
        misuse("TrackingAllocator", pointer, "is not a block of this allocator")
    }

    func entry(_ pointer: UnsafeRawPointer) -> Entry {
        guard let entry = blocks[UInt(bitPattern: pointer)] else { unknown(pointer) }
        return entry
    }
}

extension TrackingAllocator where Upstream == SystemAllocator {
    /// Makes an allocator that tracks what it takes from the system's malloc, and keeps no stacks.
    public convenience init(recordsOperations: Bool = false) {
        self.init(upstream: SystemAllocator(), recordsOperations: recordsOperations)
    }

    /// Makes an allocator that tracks what it takes from the system's malloc.
    ///
    /// - Parameters:
    ///   - stackDepth: how many calls of each block's stack to keep.
    ///   - recordsOperations: whether to record every operation in ``operations``, for tests.
    /// - Throws: ``ConfigurationError`` where the depth is not from 0 to 256.
    public convenience init(stackDepth: Int, recordsOperations: Bool = false) throws(ConfigurationError) {
        try self.init(upstream: SystemAllocator(), stackDepth: stackDepth, recordsOperations: recordsOperations)
    }
}

extension TrackingAllocator: OwningAllocator, SizeReportingAllocator {
    @_disfavoredOverload
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try track(byteCount, alignment, CallOrigin(stackDepth: stackDepth))
    }

    @_disfavoredOverload
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        trackIfServed(byteCount, alignment, CallOrigin(stackDepth: stackDepth))
    }

    /// Frees a block. One that was freed already, a foreign pointer and one inside a block trap.
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        guard let entry = blocks.removeValue(forKey: UInt(bitPattern: pointer)) else { unknown(pointer) }
        account.remove(byteCount: entry.byteCount, overhead: 0)
        remember(UInt(bitPattern: pointer), entry)
        record(.deallocate(block: entry.number))
        upstream.deallocate(pointer)
    }

    /// Whether the address is the base of a live block. O(1); never touches the memory.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool { blocks[UInt(bitPattern: pointer)] != nil }

    /// The `count` with which upstream gave the block. O(1).
    public func byteCount(of pointer: UnsafeRawPointer) -> Int { entry(pointer).byteCount }

    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        upstream.goodSize(for: byteCount, alignment: alignment)
    }

    func track(
        _ byteCount: Int, _ alignment: Int, _ origin: CallOrigin
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if byteCount < 0 { negativeByteCount("TrackingAllocator", byteCount) }
        do throws(AllocationError) {
            let block = try upstream.allocate(byteCount: byteCount, alignment: alignment)
            enter(block, requested: byteCount, alignment: alignment, origin)
            return block
        } catch {
            record(.refuse(byteCount: byteCount, alignment: alignment))
            throw error
        }
    }

    func trackIfServed(_ byteCount: Int, _ alignment: Int, _ origin: CallOrigin) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("TrackingAllocator", byteCount) }
        guard let block = upstream.tryAllocate(byteCount: byteCount, alignment: alignment) else {
            record(.refuse(byteCount: byteCount, alignment: alignment))
            return nil
        }
        enter(block, requested: byteCount, alignment: alignment, origin)
        return block
    }
}

extension TrackingAllocator: ResettableAllocator {
    /// Frees every live block. O(number of blocks).
    public func freeAll() {
        record(.freeAll)
        for (address, entry) in blocks {
            account.remove(byteCount: entry.byteCount, overhead: 0)
            remember(address, entry)
            upstream.deallocate(UnsafeMutableRawPointer(bitPattern: address)!)
        }
        blocks = [:]
    }
}

extension TrackingAllocator: ResizableAllocator where Upstream: ResizableAllocator {
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        var entry = entry(pointer)
        guard let block = upstream.resize(pointer, byteCount: byteCount) else { return nil }
        account.liveBytes += block.count - entry.byteCount
        account.heldBytes += block.count - entry.byteCount
        account.totalBytes += max(block.count - entry.byteCount, 0)
        account.peakBytes = max(account.peakBytes, account.liveBytes)
        entry.byteCount = block.count
        entry.requested = byteCount
        blocks[UInt(bitPattern: pointer)] = entry
        record(.resize(block: entry.number, byteCount: byteCount))
        return block
    }
}
