// A binary buddy allocator of offsets. Offsets are counted in units, the smallest blocks; a block of order k is 2^k
// units and starts at a multiple of 2^k. Its buddy is the block of the same order with which it makes one of order k+1.
//
//     order 2   |       0       |        (1)            a space of 7 units: 4 + 2 + 1 when nothing is in use. A block
//     order 1   |   0   |   1   |   2   |   (3)         of which a part lies beyond the end is never free, so nothing
//     order 0   | 0 | 1 | 2 | 3 | 4 | 5 | 6 |(7)        is ever joined with it
//
// I1. Each unit is in exactly one block: free, hot, or in use.
// I2. Bit i of `orders[k]` is 1 where block i of order k is free, and bit k of `occupied` where the order has one.
// I3. `marks` has the start and order of each block in use.
// I4. `hot[k]`, where bit k of `hotOrders` is 1, is the unit of a block of order k that was freed and is not joined
//     yet.
// I5. No two free blocks are buddies.
// I6. `usedUnits` is the sum of the blocks in use.
//
// Hot blocks are what makes this fast: with 20 orders, a block that is allocated and freed again in an empty space
// would be split off and joined through 19 of them. So each order keeps the block that was freed last as it is, and the
// next request of that order takes it. They are joined before a larger block is split or a request is refused, so they
// cost no room, and a request never splits what it would not have had to split without them.
//
// Cost: 4 bits a unit for the bits and the marks, and 1/31 of that for the levels above: 264 KiB for 512 MiB in 1 KiB.
// Allocating and freeing are O(1) where a block of the order is there, and else O(orders). Thread-safety: none.

/// Allocates blocks of a power of two out of a space of offsets. It never touches memory.
///
/// A request gets a block of the next power of two, at a multiple of its own size; a block that is freed is joined with
/// its buddy when that is free too. So it is fast whatever the sizes, every block is aligned to its size, and freeing
/// needs the offset alone. For memory of devices and other things in which alignment counts, and for blocks that are a
/// power of two anyway. Not where sizes are odd and memory is dear: of a random size a quarter is lost on average.
/// ``RangeAllocator`` gives exact sizes and takes back any part of them.
///
/// The space may have any size, not only a power of two. What is left at its end, below one smallest block, can't be
/// allocated.
///
/// Errors are thrown, and then nothing has changed. Not thread-safe, not even for reading: ``BuddyPool`` is.
///
/// The idea is Knowlton's (1965). That blocks are joined late is Barkley's and Lee's lazy buddy system (1989).
public final class BuddyAllocator {
    /// The size of the space.
    public internal(set) var size: Int
    /// The size of the smallest blocks: a power of two.
    public let smallestBlock: Int

    let shift: Int
    @exclusivity(unchecked) var units: Int
    @exclusivity(unchecked) var top: Int
    @exclusivity(unchecked) var memory: UnsafeMutableRawPointer
    @exclusivity(unchecked) var memoryByteCount: Int
    @exclusivity(unchecked) var orders: UnsafeMutablePointer<BuddyOrder>
    @exclusivity(unchecked) var hot: UnsafeMutablePointer<Int>
    @exclusivity(unchecked) var marks: BuddyMarks
    @exclusivity(unchecked) var occupied: UInt64 = 0
    @exclusivity(unchecked) var hotOrders: UInt64 = 0
    @exclusivity(unchecked) var usedUnits = 0
    /// The pool that it was taken from and must be given back to.
    @exclusivity(unchecked) var pool: Int?

    /// Makes an allocator of which everything is free.
    ///
    /// - Parameters:
    ///   - size: the size of the space: at least `smallestBlock`, at most 2^62.
    ///   - smallestBlock: the size of the smallest blocks: a power of two. The space may have 2^36 of them.
    /// - Throws: ``BuddyError/smallestBlockIsNoPowerOfTwo(_:)`` and ``BuddyError/unusableSize(_:smallestBlock:)``.
    /// - Complexity: O(`size / smallestBlock`): clears two thirds of a byte each.
    public init(size: Int, smallestBlock: Int) throws(BuddyError) {
        let units = try Self.unitCount(size: size, smallestBlock: smallestBlock)
        self.size = size
        self.smallestBlock = smallestBlock
        self.units = units
        shift = smallestBlock.trailingZeroBitCount
        let layout = BuddyLayout(units: units)
        top = layout.top
        memoryByteCount = layout.byteCount
        memory = layout.makeMemory()
        (orders, hot, marks) = layout.bind(memory)
        join(unitsFrom: 0, to: units)
    }

    deinit {
        memory.deallocate()
    }

    static func unitCount(size: Int, smallestBlock: Int) throws(BuddyError) -> Int {
        guard smallestBlock > 0, smallestBlock & (smallestBlock - 1) == 0 else {
            throw .smallestBlockIsNoPowerOfTwo(smallestBlock)
        }
        let units = size >> smallestBlock.trailingZeroBitCount
        guard units > 0, units <= 1 << 36, size <= 1 << 62 else {
            throw .unusableSize(size, smallestBlock: smallestBlock)
        }
        return units
    }

    /// Allocates a block with room for `count`.
    ///
    /// - Parameter count: how much: 0 is served as 1. Traps where it is negative.
    /// - Returns: the whole block: `count` rounded up to the smallest block or the next power of two. The caller may
    ///   use all of it.
    /// - Throws: ``BuddyError/noRoom(count:)`` where no free block is that large, and
    ///   ``BuddyError/tooLarge(count:largestBlock:)`` where none can be.
    /// - Complexity: O(1) where a block of that size is free, and else O(log(`size / smallestBlock`)).
    public func allocate(_ count: Int) throws(BuddyError) -> Range<Int> {
        if let range = tryAllocate(count) { return range }
        if orderOf(count) > top { throw .tooLarge(count: count, largestBlock: largestBlock) }
        throw .noRoom(count: count)
    }

    /// Allocates as ``allocate(_:)`` does, with nil in place of an error.
    public func tryAllocate(_ count: Int) -> Range<Int>? {
        if count < 0 { fatalError("BuddyAllocator: a negative count (\(count))") }
        let order = orderOf(count)
        // A count beyond the top order's: `allocateSlowly` says nil.
        let bit: UInt64 = 1 &<< UInt64(order)
        let unit: Int
        if hotOrders & bit != 0 {
            hotOrders &= ~bit
            unit = hot[order]
        } else if occupied & bit != 0 {
            unit = removeFirst(order)
        } else {
            guard let found = allocateSlowly(order) else { return nil }
            unit = found
        }
        marks.insert(unit, order: order)
        usedUnits &+= 1 &<< order
        let lower = unit &<< shift
        return Range(uncheckedBounds: (lower, lower &+ smallestBlock &<< order))
    }

    /// The order of the blocks that have room for a count. It may be above `top`, up to 63.
    @inline(__always)
    func orderOf(_ count: Int) -> Int {
        if count == 0 { return 0 }
        // All up to a unit leave `shift` bits, and so are of order 0.
        let last = UInt(bitPattern: count &- 1) | UInt(bitPattern: smallestBlock &- 1)
        return Int.bitWidth &- last.leadingZeroBitCount &- shift
    }

    @inline(__always)
    func removeFirst(_ order: Int) -> Int {
        let index = orders[order].removeFirst()
        if orders[order].count == 0 { occupied &= ~(1 &<< UInt64(order)) }
        return index &<< order
    }

    @inline(__always)
    func insert(_ order: Int, index: Int) {
        orders[order].insert(index)
        occupied |= 1 &<< UInt64(order)
    }

    /// A unit at which a block of this order starts, which is free of all bookkeeping; none of the order is free or
    /// hot.
    @inline(never)
    private func allocateSlowly(_ order: Int) -> Int? {
        if order > top { return nil }
        joinHotBlocks()
        let candidates = occupied >> UInt64(order)
        if candidates == 0 { return nil }
        let found = order + candidates.trailingZeroBitCount
        let unit = removeFirst(found)
        // The first part is the caller's, each second half stays free.
        var half = found
        while half > order {
            half &-= 1
            insert(half, index: unit &>> half | 1)
        }
        return unit
    }
}
