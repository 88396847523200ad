// A pool: blocks of one size, cut from pages that come from upstream.
//
// Which blocks are live is a bit each in the page's record (BlockPage.swift), so that freeing finds every double free
// and every pointer into a block, and memory that is free is never touched. An address leads to its page through a hash
// table (PageMap.swift), after a look at the page of the last free.
//
// P1. The pages with room are marked in `pages.withRoom`; a page without may be marked only while it is current.
// P2. A page that is current is the oldest with room, and the current word is one of its words.
// P3. A page without a live block is on the list of drained pages, if it is not the only page. A page on the list may
//     have live blocks again: whoever looks takes it off.
// P4. `bits` is the number of all bits that stand for blocks and are 1. `calmLevel` is a quarter of all blocks plus two
//     where there is more than one page, else 0: no page goes back while more bits than that are 1, and a free that
//     leaves no more looks whether one does.
// P5. `hot.0` and `hot.1` are 0 or blocks whose bits are 1, and then more than `calmLevel` bits are 1. They are the
//     last and the last but one that were allocated from words of the current page; or `hot.0` is 0 and `hot.1` was,
//     when it was freed, the only free block of a page older than the current one. `hotIsFree` says which are free; no
//     other free block's bit is 1. So they are the next blocks to be allocated.
//
// Hot blocks make a block that is freed before the next one is allocated, or two, cost next to nothing: no bit changes,
// and no address is computed from a value that was just stored.
//
// Cost: a hot block takes about 7 instructions to allocate and 6 to free; another about 20 to allocate and 35 to free
// where the current word has room and the page is the one of the last free. A word that fills or gets room, and a page
// that does, take some more: O(log64 of the blocks in a page, and of the pages).
// Thread-safety: none. `Synchronized` and `PerThread` add it.

public import AllocatorCore

/// Blocks of one size, out of pages from upstream: the fastest way to many small objects of one kind.
///
/// Use it where many blocks of one size, or a little under it, come and go: nodes, connections, messages. It takes any
/// request up to `blockSize` and throws for larger ones; ``FallbackAllocator`` or ``TieredAllocator`` serve those. It
/// is no use where sizes vary by much: each block takes `blockSize` bytes.
///
/// It allocates from the oldest page that has room, so that newer pages drain, and gives a page back to upstream when
/// no block of it is live, at least three quarters of all blocks are free, and it is not the last page.
///
/// A double free, a pointer into a block and a foreign pointer trap. The memory of a free block is not touched, and
/// pages hold nothing but blocks; the allocator's records (little more than a bit a block, and some 120 bytes a page)
/// come from malloc.
///
/// Allocating and freeing are O(1), and O(log n) to the base 64 where one of the words that stand for 64 blocks each
/// fills or gets room; n is the number of blocks in a page, and of pages. A page that comes or goes costs a call of
/// upstream and O(blocks in the page) for its record. Not thread-safe; ``Synchronized`` and ``PerThread`` make it so.
///
/// The idea is old; the rule by which pages go back is that of a Go library of allocators for C memory.
public final class FixedBlockAllocator<Upstream: Allocator> {
    /// The bytes of every block.
    public let blockSize: Int
    /// What every block's address is a multiple of.
    public let alignment: Int
    /// The bytes of every page.
    public let pageSize: Int

    // What the hit paths need.
    @exclusivity(unchecked) @usableFromInline var currentWord: UnsafeMutablePointer<UInt64>
    /// W1, of the current word.
    @exclusivity(unchecked) @usableFromInline var currentPadding: UInt64 = 0
    /// The address of the current word's first block.
    @exclusivity(unchecked) @usableFromInline var currentWordBase: UInt = 0
    @exclusivity(unchecked) @usableFromInline var currentPage: BlockPageReference
    /// The page that a block was freed on last, and `pageSize`; or none, and 0.
    @exclusivity(unchecked) @usableFromInline var lastPage: BlockPageReference
    @exclusivity(unchecked) @usableFromInline var lastSpan: UInt = 0
    @exclusivity(unchecked) @usableFromInline var hot: (UInt, UInt) = (0, 0)
    @exclusivity(unchecked) @usableFromInline var hotIsFree = (false, false)
    /// How often a hot block was allocated again.
    @exclusivity(unchecked) @usableFromInline var reused = 0
    @exclusivity(unchecked) @usableFromInline var bits = 0
    /// Bits cleared since the beginning.
    @exclusivity(unchecked) @usableFromInline var freed = 0
    /// The most bits seen by a free, before it: the most blocks that were ever live, or fewer than are now.
    @exclusivity(unchecked) @usableFromInline var peak = 0
    @exclusivity(unchecked) @usableFromInline var calmLevel = 0
    /// 2^63 / blockSize, rounded up: with it, a division is a multiplication.
    @usableFromInline let reciprocal: UInt
    @exclusivity(unchecked) @usableFromInline var map: PageMap

    @usableFromInline let blocksPerPage: Int
    /// What is current where no page is: kept here, since a global is looked up through a call.
    let none: BlockPageReference
    @exclusivity(unchecked) var pages = PagesByAge()
    @exclusivity(unchecked) var drained = PageList()
    /// Where pages come from. The last field, so that the others' offsets are constants where the type is not known.
    public let upstream: Upstream

    /// Makes a pool, which takes no memory before the first request.
    ///
    /// - Parameters:
    ///   - blockSize: bytes of a block: at least 1, and a multiple of `alignment`.
    ///   - alignment: a power of two; nil stands for the largest up to 16 that `blockSize` is a multiple of.
    ///   - pageSize: bytes that are asked of upstream at once, a multiple of `blockSize`; nil stands for about 64 KiB,
    ///     and at least 8 blocks.
    ///   - upstream: where pages come from. It must not itself take blocks from this pool.
    /// - Throws: ``ConfigurationError``, which names the argument.
    public init(
        blockSize: Int, alignment: Int? = nil, pageSize: Int? = nil, upstream: Upstream
    ) throws(ConfigurationError) {
        func wrong(_ argument: String, _ value: Int, _ requirement: String) -> ConfigurationError {
            ConfigurationError(
                allocator: "FixedBlockAllocator", argument: argument, value: value, requirement: requirement)
        }
        guard blockSize > 0 else { throw wrong("blockSize", blockSize, "at least 1") }
        let alignment = alignment ?? min(16, 1 << blockSize.trailingZeroBitCount)
        guard isPowerOfTwo(alignment) else { throw wrong("alignment", alignment, "a power of two") }
        guard blockSize % alignment == 0 else {
            throw wrong("blockSize", blockSize, "a multiple of alignment (\(alignment))")
        }
        let standardPageSize = blockSize > Int.max / 8 ? blockSize : max(65536 / blockSize, 8) * blockSize
        let pageSize = pageSize ?? standardPageSize
        guard pageSize > 0, pageSize % blockSize == 0 else {
            throw wrong("pageSize", pageSize, "a multiple of blockSize (\(blockSize)), and not 0")
        }
        let (high, low) = pageSize.multipliedFullWidth(by: blockSize)
        guard high == 0, low < 1 << 63, pageSize / blockSize <= 1 << 30 else {
            throw wrong("pageSize", pageSize, "below 2^63 bytes when multiplied by blockSize, and at most 2^30 blocks")
        }
        self.blockSize = blockSize
        self.alignment = alignment
        self.pageSize = pageSize
        self.upstream = upstream
        blocksPerPage = pageSize / blockSize
        reciprocal = (1 << 63) / UInt(blockSize) + 1
        map = PageMap(pageSize: pageSize)
        none = noPage
        currentPage = none
        lastPage = none
        currentWord = none.words
    }

    deinit { giveBackAllPages() }
}

extension FixedBlockAllocator where Upstream == SystemAllocator {
    /// Makes a pool whose pages come from the system's malloc.
    ///
    /// - Throws: ``ConfigurationError``, which names the argument.
    public convenience init(blockSize: Int, alignment: Int? = nil, pageSize: Int? = nil) throws(ConfigurationError) {
        try self.init(blockSize: blockSize, alignment: alignment, pageSize: pageSize, upstream: SystemAllocator())
    }
}

extension FixedBlockAllocator: OwningAllocator, ResettableAllocator, ResizableAllocator, SizeReportingAllocator,
    MeasuredAllocator
{
    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        if serves(byteCount, alignment), let address = takeBlock() { return block(address) }
        return tryAllocateSlowly(byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if serves(byteCount, alignment), let address = takeBlock() { return block(address) }
        return try allocateSlowly(byteCount: byteCount, alignment: alignment)
    }

    /// Whether a request is one for a block. As unsigned, what is negative is large.
    @inlinable @inline(__always)
    func serves(_ byteCount: Int, _ alignment: Int) -> Bool {
        UInt(bitPattern: byteCount) <= UInt(bitPattern: blockSize) && offers(alignment)
    }

    @inlinable @inline(__always)
    func offers(_ alignment: Int) -> Bool {
        UInt(bitPattern: alignment &- 1) < UInt(bitPattern: self.alignment) && alignment & (alignment &- 1) == 0
    }

    @inlinable @inline(__always)
    func block(_ address: UInt) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped, count: blockSize)
    }

    /// The hot block, or one of the current word.
    @inlinable @inline(__always)
    func takeBlock() -> UInt? {
        if hotIsFree.0 {
            hotIsFree.0 = false
            reused &+= 1
            return hot.0
        }
        if hotIsFree.1 {
            hotIsFree.1 = false
            reused &+= 1
            return hot.1
        }
        let word = currentWord.pointee
        guard word != ~0 else { return nil }
        // Sets the lowest 0 bit. W1: it stands for a free block.
        currentWord.pointee = word | (word &+ 1)
        let bits = self.bits &+ 1
        self.bits = bits
        let address = currentWordBase &+ UInt(bitPattern: (~word).trailingZeroBitCount &* blockSize)
        let isCalm = bits > calmLevel
        hot = (isCalm ? address : 0, isCalm ? hot.0 : 0)
        return address
    }

    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        guard _deallocateIfOwned(pointer) else { misuse("FixedBlockAllocator", pointer, "is not of this allocator") }
    }

    @inlinable @inline(__always)
    public func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        if freeHotBlock(pointer) { return true }
        let address = UInt(bitPattern: pointer)
        var page = lastPage
        if address &- page.base >= lastSpan {
            guard let found = map.find(address) else { return false }
            page = found
            lastPage = found
            lastSpan = UInt(bitPattern: pageSize)
        }
        let twice = (address &- page.base) &* 2
        let product = twice.multipliedFullWidth(by: reciprocal)
        // Where the offset is a multiple of the block size, what the reciprocal is too large by is all that is left
        // over, at most `twice`; elsewhere at least 2^64 / blockSize is, which is more (see the check of `pageSize`).
        if product.low > twice {
            misuse("FixedBlockAllocator", pointer, "points into a block, not to its start")
        }
        let index = Int(bitPattern: product.high)
        let word = page.words + (index &>> 6)
        let before = word.pointee
        let bit: UInt64 = 1 &<< UInt64(truncatingIfNeeded: index)
        if before & bit == 0 {
            misuse("FixedBlockAllocator", pointer, "is not live: it was freed already, or never allocated")
        }
        if before == ~0 {
            freeInFullWord(page, index, address)
            return true
        }
        let after = before ^ bit
        word.pointee = after
        freed &+= 1
        let bits = self.bits
        if bits > peak { peak = bits }
        self.bits = bits &- 1
        var isEmpty = after == currentPadding
        if word != currentWord {
            let live = page.record.pointee.live &- 1
            page.record.pointee.live = live
            isEmpty = live == 0
        }
        if isEmpty || bits &- 1 <= calmLevel { settle(page) }
        return true
    }

    @inlinable @inline(__always)
    func freeHotBlock(_ pointer: UnsafeMutableRawPointer) -> Bool {
        let address = UInt(bitPattern: pointer)
        if address == hot.0 {
            if hotIsFree.0 { misuse("FixedBlockAllocator", pointer, "was freed already") }
            hotIsFree.0 = true
            return true
        }
        if address == hot.1 {
            if hotIsFree.1 { misuse("FixedBlockAllocator", pointer, "was freed already") }
            hotIsFree.1 = true
            return true
        }
        return false
    }

    @inlinable @inline(__always)
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        isOnLastPage(pointer) || map.find(UInt(bitPattern: pointer)) != nil
    }

    @inlinable @inline(__always)
    func isOnLastPage(_ pointer: UnsafeRawPointer) -> Bool {
        UInt(bitPattern: pointer) &- lastPage.base < lastSpan
    }

    @inlinable @inline(__always)
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        serves(byteCount, alignment) ? blockSize : byteCount
    }

    @inlinable @inline(__always)
    public func byteCount(of pointer: UnsafeRawPointer) -> Int { blockSize }

    @inlinable @inline(__always)
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("FixedBlockAllocator", byteCount) }
        return byteCount <= blockSize ? UnsafeMutableRawBufferPointer(start: pointer, count: blockSize) : nil
    }

    /// Frees every block. The oldest page is kept for what comes next; O(pages).
    public func freeAll() { emptyAllPages() }

    public var statistics: AllocatorStatistics {
        let live = liveCount
        let total = freed &+ bits &+ reused
        // The hot blocks were live at once with all whose bits are 1.
        let peak = max(peak, bits)
        let records =
            pages.count * BlockPage.recordByteCount(blocksPerPage) + map.byteCount + pages.byteCount
            + drained.byteCount
        return AllocatorStatistics(
            liveBlocks: live, liveBytes: live * blockSize, peakBlocks: peak, peakBytes: peak * blockSize,
            totalBlocks: total, totalBytes: total &* blockSize, heldBytes: pages.count * pageSize + records,
            overheadBytes: records)
    }

    public func findLeaks() -> LeakError? { leakInStatistics(of: "FixedBlockAllocator") }

    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + upstream._sources }

    /// Gives all pages back where no block is live; throws ``LeakError`` and changes nothing where one is.
    public func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        giveBackAllPages()
    }

    /// How many pages are held now. O(1).
    public var pageCount: Int { pages.count }
}
