// A ladder of pools made from a list of sizes: each request goes to the first pool whose blocks are large enough, and
// what is above the last pool goes to upstream.
//
// A table leads from a size to its tier. A free asks the tier that was used last first, then looks whether the block is
// on the page of some tier's last free, then asks each tier's map (a multiplication and a load), then the table of
// blocks that came straight from upstream. Cost: as a pool's, and for a free that finds its tier late one look-up for
// each tier; a block from upstream costs an entry in a hash table. Thread-safety: none.

public import AllocatorCore

/// One step of a ``TieredAllocator``: the blocks of one pool, as in ``FixedBlockAllocator``.
public struct BlockTier: Equatable, Sendable {
    /// Bytes of a block.
    public var blockSize: Int
    /// What a block's address is a multiple of; nil stands for the largest power of two up to 16 that divides
    /// `blockSize`.
    public var alignment: Int?
    /// Bytes of a page, a multiple of `blockSize`; nil stands for about 64 KiB, and at least 8 blocks.
    public var pageSize: Int?

    /// Makes a tier. What cannot be a tier is refused when a ``TieredAllocator`` is made of it.
    ///
    /// - Parameters:
    ///   - blockSize: bytes of a block: at least 1, and a multiple of `alignment`.
    ///   - alignment: a power of two; nil stands for the largest up to 16 that `blockSize` is a multiple of.
    ///   - pageSize: bytes of a page, a multiple of `blockSize`; nil stands for about 64 KiB, and at least 8 blocks.
    public init(blockSize: Int, alignment: Int? = nil, pageSize: Int? = nil) {
        self.blockSize = blockSize
        self.alignment = alignment
        self.pageSize = pageSize
    }
}

/// Pools for a list of sizes, and upstream for what is larger.
///
/// Use it where sizes vary and a few of them are frequent: a protocol's messages, what a C library asks for. It does
/// what ``FallbackAllocator``s over ``FixedBlockAllocator``s do, with the number of tiers known at run time and without
/// asking every tier in turn. Where a tier's pool has no memory, the next ones are tried, and upstream at last.
///
/// Allocating costs what it costs in the tier's pool, and O(tiers) where the pool has no memory. A free finds its tier
/// by the address: it is a pool's, and O(tiers) more where the tier is not the one that was used last. A block that
/// comes straight from upstream also costs an entry in a hash table. Not thread-safe.
///
/// A double free, a pointer into a block of a tier and a foreign pointer trap. For statistics, see those of ``pools``,
/// or put a ``QuotaAllocator`` around it.
public final class TieredAllocator<Upstream: Allocator> {
    @usableFromInline typealias Pool = FixedBlockAllocator<Upstream>

    @usableFromInline let tierCount: Int
    @usableFromInline let largest: Int
    /// The tier for each multiple of the granule.
    @usableFromInline let tierOfGranule: UnsafeMutablePointer<UInt8>
    @usableFromInline let granuleShift: Int
    /// The granule less 1.
    @usableFromInline let granuleMask: Int
    /// The tier that was allocated from or freed into last.
    @exclusivity(unchecked) @usableFromInline var recent: Unmanaged<FixedBlockAllocator<Upstream>>
    /// The usable bytes of blocks that came straight from upstream.
    @exclusivity(unchecked) @usableFromInline var direct = AddressTable<Int>()
    // Unmanaged, since a reference that is loaded from memory would be retained for each use. What is inlined elsewhere
    // keeps `self`, and so the pools, to its end: else a caller's last use of it would be the load.
    @usableFromInline let tiers: UnsafeMutablePointer<Unmanaged<FixedBlockAllocator<Upstream>>>
    /// The pools, smallest blocks first: for their statistics.
    public let pools: [FixedBlockAllocator<Upstream>]
    /// Where pages come from, and blocks that no tier serves.
    public let upstream: Upstream

    /// Makes a ladder, which takes no memory from upstream before the first request.
    ///
    /// - Parameters:
    ///   - tiers: the steps, from the smallest blocks to the largest: at least one, at most 255.
    ///   - upstream: where pages come from, and blocks above the last tier.
    /// - Throws: ``ConfigurationError``, which names the argument.
    public init(tiers: [BlockTier], upstream: Upstream) throws(ConfigurationError) {
        func wrong(_ argument: String, _ value: Int, _ requirement: String) -> ConfigurationError {
            ConfigurationError(
                allocator: "TieredAllocator", argument: argument, value: value, requirement: requirement)
        }
        guard (1...255).contains(tiers.count) else { throw wrong("tiers", tiers.count, "1 to 255 tiers") }
        var pools: [FixedBlockAllocator<Upstream>] = []
        for tier in tiers {
            if let last = pools.last, tier.blockSize <= last.blockSize {
                throw wrong("blockSize", tier.blockSize, "above the tier's before it (\(last.blockSize))")
            }
            pools.append(
                try FixedBlockAllocator(
                    blockSize: tier.blockSize, alignment: tier.alignment, pageSize: tier.pageSize, upstream: upstream))
        }
        let largest = pools[pools.count - 1].blockSize
        let shift = pools.map { $0.blockSize.trailingZeroBitCount }.min()!
        guard largest >> shift < 1 << 20 else {
            throw wrong("blockSize", largest, "at most 2^20 times the power of two that divides all block sizes")
        }
        let table = UnsafeMutablePointer<UInt8>.allocate(capacity: (largest >> shift) + 1)
        var tier = 0
        for granule in 0...(largest >> shift) {
            if granule << shift > pools[tier].blockSize { tier += 1 }
            table[granule] = UInt8(tier)
        }
        self.pools = pools
        self.upstream = upstream
        self.largest = largest
        tierCount = pools.count
        tierOfGranule = table
        granuleShift = shift
        granuleMask = (1 << shift) - 1
        recent = Unmanaged.passUnretained(pools[0])
        self.tiers = .allocate(capacity: pools.count)
        for (index, pool) in pools.enumerated() {
            (self.tiers + index).initialize(to: Unmanaged.passUnretained(pool))
        }
    }

    /// Makes a ladder from block sizes alone.
    ///
    /// - Parameters:
    ///   - blockSizes: bytes of each tier's blocks, rising.
    ///   - pageSize: about how many bytes are asked of upstream at once: the largest multiple of a tier's block size
    ///     that is not above it, and at least one block.
    ///   - upstream: where pages come from, and blocks above the last tier.
    /// - Throws: ``ConfigurationError``, which names the argument.
    public convenience init(
        blockSizes: [Int], pageSize: Int = 65536, upstream: Upstream
    ) throws(ConfigurationError) {
        let tiers = blockSizes.map { size in
            // What is wrong with a size below 1 the pool says.
            BlockTier(blockSize: size, pageSize: size < 1 ? nil : max(pageSize / size, 1) * size)
        }
        try self.init(tiers: tiers, upstream: upstream)
    }

    deinit {
        direct.visit { address, _ in upstream.deallocate(UnsafeMutableRawPointer(bitPattern: address)!) }
        direct.removeAll()
        tierOfGranule.deallocate()
        tiers.deallocate()
    }
}

extension TieredAllocator where Upstream == SystemAllocator {
    /// Makes a ladder whose pages come from the system's malloc, as does what is above the last tier.
    ///
    /// - Throws: ``ConfigurationError``, which names the argument.
    public convenience init(tiers: [BlockTier]) throws(ConfigurationError) {
        try self.init(tiers: tiers, upstream: SystemAllocator())
    }

    /// Makes a ladder from block sizes alone, over the system's malloc.
    ///
    /// - Throws: ``ConfigurationError``, which names the argument.
    public convenience init(blockSizes: [Int], pageSize: Int = 65536) throws(ConfigurationError) {
        try self.init(blockSizes: blockSizes, pageSize: pageSize, upstream: SystemAllocator())
    }
}

extension TieredAllocator {
    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        defer { _fixLifetime(self) }
        // As unsigned, a negative size is large.
        if UInt(bitPattern: byteCount) <= UInt(bitPattern: largest) {
            let pool = tiers[tier(of: byteCount)]
            let address = pool._withUnsafeGuaranteedRef { $0.offers(alignment) ? $0.takeBlock() : nil }
            if let address {
                recent = pool
                return pool._withUnsafeGuaranteedRef { $0.block(address) }
            }
        }
        return tryAllocateSlowly(byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refuse(byteCount: byteCount, alignment: alignment)
        }
        return block
    }

    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        guard _deallocateIfOwned(pointer) else { misuse("TieredAllocator", pointer, "is not of this allocator") }
    }

    @inlinable @inline(__always)
    public func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        defer { _fixLifetime(self) }
        return recent._withUnsafeGuaranteedRef { $0._deallocateIfOwned(pointer) } || deallocateElsewhere(pointer)
    }

    @inlinable @inline(__always)
    func tier(of byteCount: Int) -> Int {
        Int(tierOfGranule[(byteCount &+ granuleMask) &>> granuleShift])
    }

    /// Frees a block of another tier than the recent one, or one that came straight from upstream.
    @inlinable @inline(never)
    func deallocateElsewhere(_ pointer: UnsafeMutableRawPointer) -> Bool {
        if let pool = pool(of: pointer) {
            recent = pool
            return pool._withUnsafeGuaranteedRef { $0._deallocateIfOwned(pointer) }
        }
        guard direct.remove(UInt(bitPattern: pointer)) != nil else { return false }
        upstream.deallocate(pointer)
        return true
    }

    /// The tier whose block it is: first by a comparison with the page of each tier's last free, then by each tier's
    /// map.
    @inlinable @inline(__always)
    func pool(of pointer: UnsafeRawPointer) -> Unmanaged<FixedBlockAllocator<Upstream>>? {
        for tier in 0..<tierCount where tiers[tier]._withUnsafeGuaranteedRef({ $0.isOnLastPage(pointer) }) {
            return tiers[tier]
        }
        for tier in 0..<tierCount where tiers[tier]._withUnsafeGuaranteedRef({ $0.owns(pointer) }) {
            return tiers[tier]
        }
        return nil
    }

    @inlinable @inline(never)
    func tryAllocateSlowly(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("TieredAllocator", byteCount: byteCount, alignment: alignment) else { return nil }
        if byteCount <= largest {
            for tier in tier(of: byteCount)..<tierCount {
                let pool = tiers[tier]
                let block = pool._withUnsafeGuaranteedRef {
                    $0.tryAllocate(byteCount: byteCount, alignment: alignment)
                }
                if let block {
                    recent = pool
                    return block
                }
            }
        }
        guard let block = upstream.tryAllocate(byteCount: byteCount, alignment: alignment) else { return nil }
        let base = block.baseAddress.unsafelyUnwrapped
        guard direct.insert(UInt(bitPattern: base), block.count) else {
            upstream.deallocate(base)
            return nil
        }
        return block
    }

    @usableFromInline @inline(never)
    func refuse(byteCount: Int, alignment: Int) -> AllocationError {
        refusal("TieredAllocator", byteCount: byteCount, alignment: alignment)
    }

    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        defer { _fixLifetime(self) }
        if byteCount >= 0, byteCount <= largest {
            for tier in tier(of: byteCount)..<tierCount {
                let size = tiers[tier]._withUnsafeGuaranteedRef { $0.serves(byteCount, alignment) ? $0.blockSize : 0 }
                if size > 0 { return size }
            }
        }
        return upstream.goodSize(for: byteCount, alignment: alignment)
    }

    public var _sources: [ObjectIdentifier] {
        // The blocks of the tiers' pools lie in upstream's memory.
        [ObjectIdentifier(self)] + pools.map { ObjectIdentifier($0) } + upstream._sources
    }

    public var _owners: [ObjectIdentifier] { [ObjectIdentifier(self)] + pools.map { ObjectIdentifier($0) } }

    /// What is live in the tiers, and what came straight from upstream.
    public func findLeaks() -> LeakError? {
        var leak = LeakError(allocator: "TieredAllocator", blocks: direct.count, bytes: 0)
        direct.visit { _, byteCount in leak.bytes += byteCount }
        for pool in pools {
            guard let ofPool = pool.findLeaks() else { continue }
            leak.blocks += ofPool.blocks
            leak.bytes += ofPool.bytes
        }
        return leak.blocks > 0 ? leak : nil
    }

    /// Gives all pages back where no block is live; throws ``LeakError`` and changes nothing where one is.
    public func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        for pool in pools { try pool.close() }
        direct.removeAll()
    }
}

extension TieredAllocator: OwningAllocator, ResettableAllocator, SizeReportingAllocator, ResizableAllocator {
    /// Whether the address is in a tier's page, or that of a block that came straight from upstream.
    @inlinable
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        pools.contains { $0.owns(pointer) } || direct.find(UInt(bitPattern: pointer)) != nil
    }

    /// Frees every block: O(pages + blocks that came straight from upstream).
    public func freeAll() {
        for pool in pools { pool.freeAll() }
        direct.visit { address, _ in upstream.deallocate(UnsafeMutableRawPointer(bitPattern: address)!) }
        direct.removeAll()
    }

    @inlinable
    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        defer { _fixLifetime(self) }
        if let pool = pool(of: pointer) { return pool._withUnsafeGuaranteedRef { $0.blockSize } }
        guard let byteCount = direct[UInt(bitPattern: pointer)] else {
            misuse("TieredAllocator", pointer, "is not of this allocator")
        }
        return byteCount
    }

    /// Succeeds within the block that was given.
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("TieredAllocator", byteCount) }
        let usable = self.byteCount(of: pointer)
        return byteCount <= usable ? UnsafeMutableRawBufferPointer(start: pointer, count: usable) : nil
    }
}
