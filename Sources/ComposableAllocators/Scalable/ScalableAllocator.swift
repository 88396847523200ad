// Memory for everything, out of a few large children: what is free in all of them is one set of ranges, and what is
// live is two bits a granule, so that any part of a block can be freed.
//
//     source ── child ── child ── child …           64 KiB, 128 KiB, … 4 MiB; a larger request has a child alone
//
//     a child:   | live | free | live | live | free            | live | last |            |     free       |
//                          │                     │                           cursor      limit       │
//                          └─────────────────────┴── `free`: ranges of address / 16 ─────────────────┘
//                                                                            └── open ──┘
//
// S1. Each granule (16 bytes) of a child is live, open, freed last, or in `free`: exactly one of them. What was freed
//     last is one range apart from `free`; a block that is freed beside it joins it there. Where nothing is recycled,
//     what is not live is in none of them.
// S2. `bits` of a child mark its live blocks, but for `last`: the block that was cut from the open range last and ends
//     at the cursor, or 0. It is entered when the next one is, or when anything else happens: a block that is freed
//     before that changes no bit.
// S3. The open range, from the cursor to the limit, is of `openChild`. All between `openStart` and the cursor is live.
//     Without an open range all of these are 0 or nil.
// S4. A child's `used` is what its bits mark. `free` never joins ranges of two children: the last granule is never
//     free.
// S5. Children of which nothing is marked are listed in `empty`, but for those alone, which are given back, and for the
//     open one, which may be listed or not.
//
// Where a request goes: behind the cursor. Where the open range has no room, the rest of it is freed and another
// opened, a whole free range (of at most 256 KiB): of 64 KiB and more, or else of 16 KiB, or else one that has room,
// each time of the smallest bin that has one. So the hot case is an addition, blocks that are allocated together lie
// together, and what is smaller is used when nothing larger is left, before a child is made. A request of more than 8
// KiB that the open range has no room for is placed in `free` directly, which is near to best fit.
//
// Hysteresis (ScalableAllocator+Children.swift): of empty children the largest stays. If children that were given back
// are made anew soon after, that many more stay from then on, until a while passes in which they were not needed.
//
// Cost: a block that is freed before the next is allocated takes about 12 instructions each way. Entering a block: 15
// more. Freeing another: finding the child (the one of the last free, else O(log children)), the end of the block (a
// word a KiB), and one operation of `free`, O(1). Thread-safety: none; see SharedScalableAllocator.

public import AllocatorCore
import RangeAllocators

/// Memory of any size out of a few large children, of which any part can be freed; all of it can be recycled at once.
///
/// Use it for what comes in and goes out at different sizes: buffers of a server, parts of messages, whatever is read
/// first and cut later. It takes children from a ``ScalableSource``, each twice as large as the one before up to a
/// limit, and serves requests from them; a larger request goes to the source by itself. Children that become empty go
/// back by themselves, except for one and as many as were needed again recently.
///
/// - **Parts.** ``deallocate(part:)`` frees the head, the middle or the tail of a block; ``freeRest(of:keeping:)`` all
///   but its first bytes. What is left are blocks, each freed by its own address.
/// - **Borrowing.** ``borrow(byteCount:alignment:)`` gives memory without taking it, until the next call.
/// - **Reading.** ``read(upTo:from:)`` allocates, fills from a descriptor, and gives the unread rest back.
/// - **Recycling.** ``recycle()`` frees all blocks at once and keeps the children for the next round.
///
/// It is the wrong choice where all blocks have one size (``FixedBlockAllocator`` is faster and smaller) and where
/// nothing is freed before everything is (``Region`` is).
///
/// Sizes are rounded up to multiples of 16 bytes, and all of them are the block's `count`; alignment is at least 16.
/// The records, out of the blocks' reach, take a 64th of the memory and up to 50 bytes a free range. A double free, a
/// pointer into a block and a foreign pointer trap, always.
///
/// Allocating and freeing are O(1) however many blocks there are, but for O(log children) to find the child, and a word
/// a KiB to find the block's end. Not thread-safe; ``SharedScalableAllocator`` is.
///
/// The idea is that of scalable memory in a Go library for media streams; freeing parts by offset is that of its
/// offset allocator.
public final class ScalableAllocator {
    /// What sizes and addresses are multiples of: 16 bytes.
    @inlinable public static var granule: Int { 16 }
    /// The size of the first child where none is named: 64 KiB.
    @inlinable public static var defaultInitialSize: Int { 64 << 10 }
    /// The size at which children stop doubling where none is named: 4 MiB.
    @inlinable public static var defaultLargestChild: Int { 4 << 20 }
    /// The largest request: 2^46 bytes.
    @inlinable public static var largestRequest: Int { 1 << 46 }

    /// The bytes of the first child.
    public let initialSize: Int
    /// The bytes at which children stop doubling; a request that such a child has no room for has one alone.
    public let largestChild: Int
    /// Whether the use of borrowed memory after another call traps.
    public let isChecked: Bool
    let source: ScalableSource

    // What the hit paths need. S2, S3.
    @exclusivity(unchecked) @usableFromInline var last: UInt = 0
    @exclusivity(unchecked) @usableFromInline var cursor: UInt = 0
    @exclusivity(unchecked) @usableFromInline var limit: UInt = 0
    @exclusivity(unchecked) @usableFromInline var openBase: UInt = 0
    @exclusivity(unchecked) @usableFromInline var openChild: Child?
    @exclusivity(unchecked) var openStart: UInt = 0
    /// What was freed last, or 0 twice. S1.
    @exclusivity(unchecked) var freedLastLower: UInt = 0
    @exclusivity(unchecked) var freedLastUpper: UInt = 0
    @exclusivity(unchecked) @usableFromInline var account = BlockAccount()
    /// Counts what takes borrowed memory away beside allocations and frees: B1, in BorrowedMemory.swift.
    @exclusivity(unchecked) @usableFromInline var events = 0

    @exclusivity(unchecked) var free = SegregatedFit()
    @exclusivity(unchecked) var tree = ChildTree()
    /// The child of the last look-up.
    @exclusivity(unchecked) var recent: Child?
    /// A child alone that was made for borrowed memory, and goes at the next call that is no hit.
    @exclusivity(unchecked) var lent: Child?
    /// What the source gave for all children, and for those that are not alone.
    @exclusivity(unchecked) var heldBytes = 0
    @exclusivity(unchecked) var regularBytes = 0
    /// Records of children, and bytes of children that no block can have.
    @exclusivity(unchecked) var recordBytes = 0
    @exclusivity(unchecked) var unusableBytes = 0
    @exclusivity(unchecked) var empty = EmptyChildren()
    /// What misuse is reported under: that of the shared allocator where this is a shard of one.
    let name: StaticString

    /// Makes an allocator, which takes no memory from its source before the first request.
    ///
    /// - Parameters:
    ///   - initialSize: bytes of the first child: a power of two from 1 KiB up.
    ///   - largestChild: bytes at which children stop doubling: a power of two from `initialSize` up to 2^40. Children
    ///     serve requests of up to 16 bytes less; a larger one has a child alone, which is made and given back with it.
    ///     So where requests of a power of two come again and again, this wants to be more than that power.
    ///   - source: where children come from.
    ///   - checked: traps where borrowed memory is used after another call. Costs a comparison a use.
    /// - Throws: ``ConfigurationError``, which names the argument.
    public convenience init(
        initialSize: Int = defaultInitialSize, largestChild: Int = defaultLargestChild,
        source: ScalableSource = .upstream(SystemAllocator()), checked: Bool = false
    ) throws(ConfigurationError) {
        try self.init(
            name: "ScalableAllocator", initialSize: initialSize, largestChild: largestChild, source: source,
            checked: checked)
    }

    /// One that reports misuse under another name.
    init(
        name: StaticString, initialSize: Int, largestChild: Int, source: ScalableSource, checked: Bool = false
    ) throws(ConfigurationError) {
        guard initialSize >= 1024, isPowerOfTwo(initialSize) else {
            throw ConfigurationError(
                allocator: "\(name)", argument: "initialSize", value: initialSize,
                requirement: "a power of two, and at least 1024")
        }
        guard largestChild >= initialSize, isPowerOfTwo(largestChild), largestChild <= 1 << 40 else {
            throw ConfigurationError(
                allocator: "\(name)", argument: "largestChild", value: largestChild,
                requirement: "a power of two from initialSize (\(initialSize)) to 2^40")
        }
        self.name = name
        self.initialSize = initialSize
        self.largestChild = largestChild
        self.source = source
        isChecked = checked
    }

    /// Makes an allocator with the default sizes over the system's malloc.
    public convenience init() {
        do throws(ConfigurationError) { try self.init(source: .upstream(SystemAllocator())) } catch {
            fatalError("\(error)")
        }
    }

    deinit { releaseEverything() }
}

extension ScalableAllocator: Allocator {
    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("ScalableAllocator", byteCount: byteCount, alignment: alignment) else { return nil }
        // A size near the largest wraps to one that is larger than any open range.
        let size = (UInt(bitPattern: byteCount) &+ (byteCount == 0 ? 16 : 15)) & ~15
        enterLast()
        let start = cursor
        guard alignment <= 16, size <= limit &- start else {
            return allocateSlow(size: size, alignment: UInt(bitPattern: alignment))
        }
        last = start
        cursor = start &+ size
        account.enter(byteCount: Int(bitPattern: size))
        return UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(bitPattern: start), count: Int(bitPattern: size))
    }

    // Not `@inline(__always)`: see SystemAllocator.
    @inlinable
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal(
                "ScalableAllocator", byteCount: byteCount, alignment: alignment, largest: Self.largestRequest)
        }
        return block
    }

    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        let address = UInt(bitPattern: pointer)
        guard address == last else { return deallocateSlow(address) }
        account.remove(byteCount: Int(bitPattern: cursor &- address))
        cursor = address
        last = 0
    }

    /// The request rounded up to a multiple of 16; 16 for nothing.
    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        byteCount > Self.largestRequest ? byteCount : max((byteCount &+ 15) & ~15, 16)
    }

    /// Enters the last block into its child's bits, S2.
    @inlinable @inline(__always)
    func enterLast() {
        guard last != 0 else { return }
        let child = openChild.unsafelyUnwrapped
        let first = Int(bitPattern: (last &- openBase) &>> 4)
        let end = Int(bitPattern: (cursor &- openBase) &>> 4)
        child.pointee.bits.insert(first, end &- 1)
        if child.pointee.isListed { unlist(child) }
        child.pointee.used &+= end &- first
        last = 0
    }

    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + source.allocator._sources }
}
