// Freeing, joining, resetting.

extension BuddyAllocator {
    /// Frees the block that starts at an offset, of whatever size it is.
    ///
    /// - Throws: where no block in use starts there, what is there instead: ``BuddyError/outside(offset:size:)``,
    ///   ``BuddyError/insideOfBlock(offset:block:)`` or ``BuddyError/isFree(offset:block:)``.
    /// - Complexity: O(1), and O(log(`size / smallestBlock`)) where blocks are joined.
    public func deallocate(_ offset: Int) throws(BuddyError) {
        let order = orderOfBlock(at: offset)
        if order < 0 { throw refusal(offset) }
        deallocate(unit: offset >> shift, order: order)
    }

    /// Frees the block that has exactly this range.
    ///
    /// - Parameter range: as ``allocate(_:)`` returned it: the whole block.
    /// - Throws: what ``deallocate(_:)-(Int)`` throws, and ``BuddyError/wrongSize(_:block:)`` where the block that
    ///   starts there is larger or smaller.
    /// - Complexity: that of ``deallocate(_:)-(Int)``.
    public func deallocate(_ range: Range<Int>) throws(BuddyError) {
        let order = orderOfBlock(at: range.lowerBound)
        if order < 0 { throw refusal(range.lowerBound) }
        let upper = range.lowerBound &+ smallestBlock &<< order
        if range.upperBound != upper { throw .wrongSize(range, block: range.lowerBound..<upper) }
        deallocate(unit: range.lowerBound >> shift, order: order)
    }

    /// Frees everything. The bookkeeping's memory is kept.
    ///
    /// Which of several blocks a request gets may differ from what a new allocator would choose.
    ///
    /// - Complexity: O(1) where nothing is in use, else O(`size / smallestBlock`), as making one is.
    public func reset() {
        // Hot blocks stay: a buddy that a pool hands out again and again for a few blocks never splits the space.
        if usedUnits == 0 { return }
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: memoryByteCount)
        (orders, hot, marks) = BuddyLayout(units: units).bind(memory)
        occupied = 0
        hotOrders = 0
        usedUnits = 0
        join(unitsFrom: 0, to: units)
    }

    /// Makes the space larger. Blocks in use stay as they are; the new part is free, and joined with what was free at
    /// the end.
    ///
    /// - Parameter size: the new size: not below the present one, and at most 2^62 and 2^36 smallest blocks.
    /// - Throws: ``BuddyError/unusableSize(_:smallestBlock:)``.
    /// - Complexity: O(`size / smallestBlock`): the bookkeeping is copied.
    public func grow(to size: Int) throws(BuddyError) {
        if size < self.size { throw .unusableSize(size, smallestBlock: smallestBlock) }
        let newUnits = try Self.unitCount(size: size, smallestBlock: smallestBlock)
        self.size = size
        if newUnits == units { return }
        let layout = BuddyLayout(units: newUnits)
        let newMemory = layout.makeMemory()
        let (newOrders, newHot, newMarks) = layout.bind(newMemory)
        for order in 0...top {
            newOrders[order].words.update(from: orders[order].words, count: orders[order].lastWord + 1)
            newOrders[order].restore()
            newHot[order] = hot[order]
        }
        newMarks.bytes.update(from: marks.bytes, count: (units + 3) / 4)
        memory.deallocate()
        let oldUnits = units
        (memory, memoryByteCount, units, top) = (newMemory, layout.byteCount, newUnits, layout.top)
        (orders, hot, marks) = (newOrders, newHot, newMarks)
        join(unitsFrom: oldUnits, to: newUnits)
    }

    /// The order of the block in use that starts at an offset, or -1.
    @inline(__always)
    func orderOfBlock(at offset: Int) -> Int {
        let unit = offset >> shift
        // One comparison for both ends: a negative number is a very large one.
        guard UInt(bitPattern: unit) < UInt(bitPattern: units), offset & (smallestBlock &- 1) == 0 else { return -1 }
        return marks[unit]
    }

    @inline(__always)
    private func deallocate(unit: Int, order: Int) {
        marks.remove(unit, order: order)
        usedUnits &-= 1 &<< order
        let bit: UInt64 = 1 &<< UInt64(order)
        let last = hot[order]
        hot[order] = unit
        if hotOrders & bit != 0 {
            join(last, order: order)
        } else {
            hotOrders |= bit
        }
    }

    /// Makes a block free, joined with its buddies as far as they are free.
    func join(_ unit: Int, order: Int) {
        var index = unit &>> order
        var order = order
        while order < top, orders[order].remove(index ^ 1) {
            if orders[order].count == 0 { occupied &= ~(1 &<< UInt64(order)) }
            index &>>= 1
            order &+= 1
        }
        insert(order, index: index)
    }

    /// Makes units free, in the largest blocks that they can be in.
    func join(unitsFrom lower: Int, to upper: Int) {
        var unit = lower
        while unit < upper {
            let order = min(unit.trailingZeroBitCount, Int.bitWidth - 1 - (upper - unit).leadingZeroBitCount)
            join(unit, order: order)
            unit += 1 << order
        }
    }

    func joinHotBlocks() {
        var rest = hotOrders
        hotOrders = 0
        while rest != 0 {
            let order = rest.trailingZeroBitCount
            rest &= rest &- 1
            join(hot[order], order: order)
        }
    }

    @inline(never)
    private func refusal(_ offset: Int) -> BuddyError {
        guard let (block, isFree) = block(containing: offset) else { return .outside(offset: offset, size: size) }
        return isFree ? .isFree(offset: offset, block: block) : .insideOfBlock(offset: offset, block: block)
    }
}
