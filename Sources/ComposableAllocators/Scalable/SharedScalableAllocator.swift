// Scalable memory for several threads: shards, each a ScalableAllocator behind a lock.
//
//     thread ── its number ── shard: lock, ScalableAllocator ── children, in whole pages of 64 KiB
//     address ── ShardMap ─────┘
//
// H3. A block is of the shard that allocated it, and is freed there, whichever thread does it.
// H4. A shard's allocator is used under its lock alone. Locks of several shards are taken in their order.
//
// A thread allocates from the shard of its number, where the lock mostly is free; where that has no memory, from the
// others. Lists for remote frees would take the lock off the way of a thread that frees another's blocks, and would
// keep parts from joining until the owner comes by: simple wins here.
//
// Cost: two atomic operations beside ScalableAllocator's, and two loads more to free. Thread-safe.

public import AllocatorCore

/// A ``ScalableAllocator`` for several threads: any of them frees what any other allocated.
///
/// Use it where blocks pass from thread to thread: buffers that one reads and another writes out. For a thread's own
/// blocks, a ``ScalableAllocator`` for each is faster. All that it does is what ``ScalableAllocator`` does, by the same
/// rules. Children are at least 64 KiB and aligned to it.
///
/// ``freeAll()``, ``recycle()`` and ``close()`` are for moments at which no other thread has blocks in use. Borrowing
/// is by closure: it takes a block for as long as the closure runs, since other threads call meanwhile.
///
/// Costs a lock that is mostly free and ``ScalableAllocator``'s. Thread-safe.
public final class SharedScalableAllocator: @unchecked Sendable {
    /// How many shards there are.
    public let shardCount: Int
    private let shards: UnsafeMutablePointer<ScalableShard>
    private let map: ShardMap

    /// Makes an allocator, which takes no memory from its source before the first request.
    ///
    /// - Parameters:
    ///   - initialSize: bytes of each shard's first child: a power of two from 64 KiB up.
    ///   - largestChild: bytes at which children stop doubling: a power of two from `initialSize` up to 2^40. Children
    ///     serve requests of up to 16 bytes less.
    ///   - shards: how many: from 1 to 128; nil stands for a power of two that is not below the number of processors.
    ///   - source: where children come from.
    /// - Throws: ``ConfigurationError``, which names the argument.
    public init(
        initialSize: Int = ScalableAllocator.defaultInitialSize,
        largestChild: Int = ScalableAllocator.defaultLargestChild, shards: Int? = nil,
        source: SharedScalableSource = .upstream(SystemAllocator())
    ) throws(ConfigurationError) {
        func wrong(_ argument: String, _ value: Int, _ requirement: String) -> ConfigurationError {
            ConfigurationError(
                allocator: "SharedScalableAllocator", argument: argument, value: value, requirement: requirement)
        }
        guard initialSize >= ShardMap.pageByteCount, isPowerOfTwo(initialSize) else {
            throw wrong("initialSize", initialSize, "a power of two, and at least \(ShardMap.pageByteCount)")
        }
        guard largestChild >= initialSize, isPowerOfTwo(largestChild), largestChild <= 1 << 40 else {
            throw wrong("largestChild", largestChild, "a power of two from initialSize (\(initialSize)) to 2^40")
        }
        let wanted = shards ?? (1 << (Int.bitWidth - (min(processorCount(), 128) - 1).leadingZeroBitCount))
        guard (1...128).contains(wanted) else { throw wrong("shards", wanted, "from 1 to 128") }
        shardCount = source.recycles ? wanted : 1
        map = ShardMap()
        self.shards = .allocate(capacity: shardCount)
        for index in 0..<shardCount {
            let core = try ScalableAllocator(
                name: "SharedScalableAllocator", initialSize: initialSize, largestChild: largestChild,
                source: source.makeSource(shard: index, map: map))
            (self.shards + index).initialize(to: ScalableShard(core))
        }
    }

    deinit {
        for index in 0..<shardCount { shards[index].destroy() }
        shards.deinitialize(count: shardCount).deallocate()
        map.destroy()
    }

    private var ownShard: Int { shardCount == 1 ? 0 : (ThreadNumbers.own() &- 1) % shardCount }

    private func withOwner<Result>(_ pointer: UnsafeRawPointer, _ body: (ScalableAllocator) -> Result) -> Result {
        guard shardCount > 1 else { return shards[0].withLock(body) }
        guard let shard = map.shard(of: UInt(bitPattern: pointer)) else {
            misuse("SharedScalableAllocator", pointer, "is not of this allocator, or was freed and given back already")
        }
        return shards[shard].withLock(body)
    }

    /// Does something with all shards, as of one moment.
    func withAllShards<Result>(_ body: ([ScalableAllocator]) -> Result) -> Result {
        for index in 0..<shardCount { shards[index].lock.acquire() }
        defer { for index in 0..<shardCount { shards[index].lock.release() } }
        return body((0..<shardCount).map { shards[$0].core.takeUnretainedValue() })
    }
}

/// A part of a shared allocator.
struct ScalableShard: @unchecked Sendable {
    let lock = SharedLock()
    /// Not counted when it is used: the count would be a word that every thread writes.
    let core: Unmanaged<ScalableAllocator>

    init(_ core: ScalableAllocator) { self.core = .passRetained(core) }

    func destroy() {
        core.release()
        lock.destroy()
    }

    @inline(__always)
    func withLock<Result>(_ body: (ScalableAllocator) -> Result) -> Result {
        lock.acquire()
        defer { lock.release() }
        return core._withUnsafeGuaranteedRef(body)
    }
}

/// The source as a shard sees it: children are whole pages, and are entered in the map.
final class ShardUpstream: Allocator {
    private let base: any Allocator
    private let shard: Int
    private let map: ShardMap
    /// The pages that were entered for each block.
    private var entered: [UnsafeMutableRawPointer: Int] = [:]

    init(_ base: any Allocator, shard: Int, map: ShardMap) {
        self.base = base
        self.shard = shard
        self.map = map
    }

    func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        let page = ShardMap.pageByteCount
        guard let rounded = roundedUp(byteCount, toMultipleOf: page),
            let block = base.tryAllocate(byteCount: rounded, alignment: max(alignment, page))
        else { return nil }
        let start = block.baseAddress.unsafelyUnwrapped
        let whole = block.count & ~(page - 1)
        guard map.insert(UInt(bitPattern: start), byteCount: whole, shard: shard) else {
            map.remove(UInt(bitPattern: start), byteCount: whole)
            base.deallocate(start)
            return nil
        }
        entered[start] = whole
        return UnsafeMutableRawBufferPointer(start: start, count: whole)
    }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal("SharedScalableAllocator", byteCount: byteCount, alignment: alignment)
        }
        return block
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        map.remove(UInt(bitPattern: pointer), byteCount: entered.removeValue(forKey: pointer) ?? 0)
        base.deallocate(pointer)
    }

    func close() throws(LeakError) { try base.close() }

    var _sources: [ObjectIdentifier] { base._sources }
}

extension SharedScalableAllocator: Allocator {
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("SharedScalableAllocator", byteCount: byteCount, alignment: alignment) else { return nil }
        let own = ownShard
        if let block = shards[own].withLock({ $0.tryAllocate(byteCount: byteCount, alignment: alignment) }) {
            return block
        }
        // Another shard may have room where the source has none.
        for index in 0..<shardCount where index != own {
            if let block = shards[index].withLock({ $0.tryAllocate(byteCount: byteCount, alignment: alignment) }) {
                return block
            }
        }
        return nil
    }

    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal(
                "SharedScalableAllocator", byteCount: byteCount, alignment: alignment,
                largest: ScalableAllocator.largestRequest)
        }
        return block
    }

    public func deallocate(_ pointer: UnsafeMutableRawPointer) { withOwner(pointer) { $0.deallocate(pointer) } }

    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        shards[0].core._withUnsafeGuaranteedRef { $0.goodSize(for: byteCount, alignment: alignment) }
    }

    public var _sources: [ObjectIdentifier] {
        [ObjectIdentifier(self)] + shards[0].core.takeUnretainedValue().source.allocator._sources
    }

    public func findLeaks() -> LeakError? { leakInStatistics(of: "SharedScalableAllocator") }

    /// Gives all children back, if no block is live. For a moment at which no other thread uses the allocator.
    ///
    /// - Throws: ``LeakError`` where blocks are live; nothing has changed then.
    public func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        for index in 0..<shardCount {
            let leak = shards[index].withLock { core -> LeakError? in
                do throws(LeakError) { try core.close() } catch { return error }
                return nil
            }
            if let leak { throw leak }
        }
        map.removeLeaves()
    }
}

extension SharedScalableAllocator: OwningAllocator, SizeReportingAllocator, ResizableAllocator, PartFreeingAllocator {
    /// Whether the address is in a child. Takes no lock, unless there is one shard.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        shardCount > 1
            ? map.shard(of: UInt(bitPattern: pointer)) != nil : shards[0].withLock { $0.owns(pointer) }
    }

    public func byteCount(of pointer: UnsafeRawPointer) -> Int { withOwner(pointer) { $0.byteCount(of: pointer) } }

    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        withOwner(pointer) { $0.resize(pointer, byteCount: byteCount) }
    }

    @discardableResult
    public func deallocate(part: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer {
        guard let start = part.baseAddress, part.count > 0 else { return part }
        return withOwner(start) { $0.deallocate(part: part) }
    }

    @discardableResult
    public func freeRest(of pointer: UnsafeMutableRawPointer, keeping byteCount: Int) -> UnsafeMutableRawBufferPointer {
        withOwner(pointer) { $0.freeRest(of: pointer, keeping: byteCount) }
    }

    /// Lends memory to a closure, which must not let it out. Unlike a ``ScalableAllocator``'s it stays good while the
    /// closure runs, whatever is called meanwhile, and counts as a block.
    ///
    /// - Throws: `AllocationError`, or what the closure throws.
    public func withBorrowed<Result: ~Copyable>(
        byteCount: Int, alignment: Int = 16, _ body: (UnsafeMutableRawBufferPointer) throws -> Result
    ) throws -> Result {
        let block = try allocate(byteCount: byteCount, alignment: alignment)
        defer { deallocate(block) }
        return try body(UnsafeMutableRawBufferPointer(rebasing: block[..<byteCount]))
    }
}

extension SharedScalableAllocator: ResettableAllocator, MeasuredAllocator {
    /// The same as ``recycle()``.
    public func freeAll() { recycle() }

    /// Frees every block of every thread at once, and keeps the children that had any. What adopted a block dangles, as
    /// ``ScalableAllocator/recycle()`` says.
    public func recycle() { withAllShards { for core in $0 { core.recycle() } } }

    /// Gives every child back in which nothing is live.
    ///
    /// - Returns: how many bytes the source was given back.
    @discardableResult
    public func trim() -> Int { withAllShards { $0.reduce(0) { $0 + $1.trim() } } }

    /// Every child, in order of addresses.
    public var children: [ScalableChild] {
        withAllShards { $0.flatMap(\.children) }.sorted { $0.address < $1.address }
    }

    /// The account as of one moment, at which all shards' locks are held; but the peaks, which are the sums of the
    /// shards' own: at least the most that were ever live at once, and exact where one shard is used. O(shards).
    public var statistics: AllocatorStatistics {
        let tables = map.byteCount + shardCount * MemoryLayout<ScalableShard>.stride
        return withAllShards { cores in
            var all = AllocatorStatistics(heldBytes: tables, overheadBytes: tables)
            for core in cores { all.add(core.statistics) }
            return all
        }
    }

    /// What is broken, or nil. O(memory).
    package func brokenInvariant() -> String? {
        withAllShards { cores in
            for (index, core) in cores.enumerated() {
                if let broken = core.brokenInvariant() { return broken }
                guard shardCount > 1 else { continue }
                for child in core.children {
                    let pages = stride(from: child.address, to: child.address + UInt(child.byteCount), by: 1 << 16)
                    if pages.contains(where: { map.shard(of: $0) != index }) { return "H1: \(child)" }
                }
            }
            return nil
        }
    }
}
