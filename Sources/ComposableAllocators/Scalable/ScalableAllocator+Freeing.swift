// Freeing, whole blocks and parts of them, and changing their size in place.

public import AllocatorCore

extension ScalableAllocator {
    /// Frees a block that is not the last: finds its child, its end, and what is wrong with the pointer.
    @usableFromInline @inline(never)
    func deallocateSlow(_ address: UInt) {
        beginEvent()
        let (child, first, last) = block(at: address)
        let count = last &- first &+ 1
        if child.pointee.isBare {
            if count == child.pointee.granules {
                account.remove(byteCount: count &<< 4)
                return release(child)
            }
            child.writeBits()
        }
        child.pointee.bits.remove(first, last)
        account.remove(byteCount: count &<< 4)
        takeBack(address, address &+ UInt(bitPattern: count) &<< 4, of: child)
    }

    /// The block that begins at the address; anything else traps. The last block is entered.
    @inline(__always)
    private func block(at address: UInt) -> (child: Child, first: Int, last: Int) {
        guard let child = child(of: address) else { noBlock(address) }
        let offset = address &- child.pointee.base
        let first = Int(bitPattern: offset &>> 4)
        if child.pointee.isBare, offset == 0, child.pointee.used > 0 { return (child, 0, child.pointee.used &- 1) }
        guard offset & 15 == 0, !child.pointee.isBare, child.pointee.bits.isStart(first) else { noBlock(address) }
        return (child, first, child.pointee.bits.last(of: first))
    }

    @inline(never)
    private func noBlock(_ address: UInt) -> Never {
        let pointer = UnsafeRawPointer(bitPattern: address).unsafelyUnwrapped
        guard let child = child(of: address) else {
            misuse(name, pointer, "is not of this allocator, or was freed and given back already")
        }
        if child.pointee.isBare { child.writeBits() }
        if child.pointee.bits.block(containing: Int(bitPattern: (address &- child.pointee.base) &>> 4)) != nil {
            misuse(name, pointer, "points inside a block")
        }
        misuse(name, pointer, "was freed or recycled already, or never was a block")
    }
}

extension ScalableAllocator: PartFreeingAllocator {
    @discardableResult
    public func deallocate(part: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawBufferPointer {
        guard let start = part.baseAddress, part.count > 0 else {
            return UnsafeMutableRawBufferPointer(rebasing: part[..<0])
        }
        beginEvent()
        let address = UInt(bitPattern: start)
        guard let child = child(of: address) else {
            misuse(name, start, "is not of this allocator: no part of a block begins there")
        }
        if child.pointee.isBare { child.writeBits() }
        let base = child.pointee.base
        let end = address &+ UInt(bitPattern: part.count)
        guard let (first, last) = child.pointee.bits.block(containing: Int(bitPattern: (address &- base) &>> 4)) else {
            misuse(name, start, "was freed already: no part of a block begins there")
        }
        guard end &- base <= UInt(bitPattern: last &+ 1) &<< 4 else {
            misuse(name, start, "begins a part that reaches beyond its block")
        }
        let lower = Int(bitPattern: (address &- base &+ 15) &>> 4)
        let upper = Int(bitPattern: (end &- base) &>> 4)
        guard lower < upper else { return UnsafeMutableRawBufferPointer(start: start, count: 0) }
        free(lower, upper &- 1, from: first, last, of: child)
        return UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(bitPattern: base &+ UInt(bitPattern: lower) &<< 4),
            count: (upper &- lower) &<< 4)
    }

    /// Frees `lower...upper` of the block `first...last`.
    private func free(_ lower: Int, _ upper: Int, from first: Int, _ last: Int, of child: Child) {
        let count = upper &- lower &+ 1
        if child.pointee.isBare { child.writeBits() }
        let blocks = child.pointee.bits.cut(lower, upper, from: first, last)
        account.remove(byteCount: count &<< 4)
        account.freedBlocks &-= blocks
        // B1: a part out of the middle leaves two blocks.
        events &+= blocks
        let start = child.pointee.base &+ UInt(bitPattern: lower) &<< 4
        takeBack(start, start &+ UInt(bitPattern: count) &<< 4, of: child)
    }

    @discardableResult
    public func freeRest(of pointer: UnsafeMutableRawPointer, keeping byteCount: Int) -> UnsafeMutableRawBufferPointer {
        guard byteCount >= 0 else { negativeByteCount(name, byteCount) }
        guard let block = shrink(UInt(bitPattern: pointer), to: byteCount) else {
            misuse(name, pointer, "is a block of fewer bytes than are to be kept")
        }
        return block
    }

    /// The size in granules that a block of so many bytes has.
    @inline(__always)
    private static func granules(_ byteCount: Int) -> Int { max(byteCount &>> 4 &+ (byteCount & 15 == 0 ? 0 : 1), 1) }

    @inline(__always)
    private static func buffer(_ address: UInt, granules count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: address), count: count &<< 4)
    }

    /// Nil where the block has fewer bytes.
    @inline(__always)
    private func shrink(_ address: UInt, to byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        let count = Self.granules(byteCount)
        if address == last {
            let old = Int(bitPattern: cursor &- address) &>> 4
            guard count <= old else { return nil }
            account.resize(from: old &<< 4, to: count &<< 4)
            cursor = address &+ UInt(bitPattern: count) &<< 4
            // B1
            events &+= 1
            return Self.buffer(address, granules: count)
        }
        beginEvent()
        let (child, first, last) = block(at: address)
        guard first &+ count &- 1 <= last else { return nil }
        if first &+ count <= last {
            account.notePeak()
            free(first &+ count, last, from: first, last, of: child)
        }
        return Self.buffer(address, granules: count)
    }
}

extension ScalableAllocator: ResizableAllocator {
    /// Shrinks any block, and grows one behind which enough is free. The count is rounded up as in an allocation. Nil
    /// where it can't grow in place, and always then where nothing is recycled.
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        guard byteCount >= 0 else { negativeByteCount(name, byteCount) }
        let address = UInt(bitPattern: pointer)
        if let block = shrink(address, to: byteCount) { return block }
        guard byteCount <= Self.largestRequest else { return nil }
        let count = Self.granules(byteCount)
        let end = address &+ UInt(bitPattern: count) &<< 4
        if address == last, end <= limit {
            account.resize(from: Int(bitPattern: cursor &- address), to: count &<< 4)
            cursor = end
            events &+= 1
            return Self.buffer(address, granules: count)
        }
        beginEvent()
        let (child, first, last) = block(at: address)
        if child.pointee.isBare { child.writeBits() }
        let old = last &- first &+ 1
        guard source.recycles, end <= child.pointee.end,
            take(address &+ UInt(bitPattern: old) &<< 4, end, of: child)
        else { return nil }
        _ = child.pointee.bits.cut(last, last, from: first, last)
        child.pointee.bits.remove(first, max(last &- 1, first))
        enter(address, granules: count, in: child)
        child.pointee.used &-= old
        account.resize(from: old &<< 4, to: count &<< 4)
        return Self.buffer(address, granules: count)
    }

    /// Takes what lies behind a block, if all of it is free or open.
    private func take(_ lower: UInt, _ upper: UInt, of child: Child) -> Bool {
        if openChild == child, cursor <= upper, cursor >= lower {
            if lower == cursor, upper <= limit {
                cursor = upper
                return true
            }
            closeOpenRange()
        }
        settleFreedLast()
        // Where a block begins nothing is free, and elsewhere a free range begins: it is found by its end.
        if child.pointee.bits.isStart(Int(bitPattern: (lower &- child.pointee.base) &>> 4)) { return false }
        return free.allocate(Int(bitPattern: lower &>> 4), Int(bitPattern: upper &>> 4))
    }
}

extension ScalableAllocator: SizeReportingAllocator, OwningAllocator {
    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        let address = UInt(bitPattern: pointer)
        if address == last { return Int(bitPattern: cursor &- address) }
        enterLast()
        let (_, first, last) = block(at: address)
        return (last &- first &+ 1) &<< 4
    }

    /// Whether the address is in a child: true for what is free there, too. O(log children).
    public func owns(_ pointer: UnsafeRawPointer) -> Bool { child(of: UInt(bitPattern: pointer)) != nil }
}

extension ScalableAllocator: ResettableAllocator {
    /// The same as ``recycle()``.
    public func freeAll() { recycle() }

    /// Frees every block at once and keeps the children that had any, so that the next round of the same size makes
    /// none. Blocks larger than a child go back to the source.
    ///
    /// Pointers into the blocks dangle, and so does whatever holds a block without the allocator's knowledge: segments
    /// that adopted blocks, buffers made of them. Recycle when none of these is left. O(1) and a word a KiB where
    /// everything live was allocated in a row since the last time; else O(children) and as much of their records as was
    /// used.
    public func recycle() {
        events &+= 1
        // First: the source may call back, and what is read below would be of before.
        if lent != nil { giveBackLent() }
        account.notePeak()
        let live = UInt(bitPattern: account.liveBytes)
        // S3: if so much is live, it is that.
        if live != 0, live == cursor &- openStart, let child = openChild, !child.pointee.isAlone {
            account.removeAll()
            let first = Int(bitPattern: (openStart &- openBase) &>> 4)
            child.pointee.bits.removeAll(from: first, before: Int(bitPattern: (cursor &- openBase) &>> 4))
            child.pointee.used = 0
            cursor = openStart
            last = 0
            return
        }
        recycleAll()
    }

    @inline(never)
    private func recycleAll() {
        beginEvent()
        account.removeAll()
        closeOpenRange()
        (freedLastLower, freedLastUpper) = (0, 0)
        free.removeAll()
        recent = nil
        var needed = 0
        var alone: [Child] = []
        tree.visit { child in
            if child.pointee.isAlone { return alone.append(child) }
            if child.pointee.used > 0 {
                needed += child.pointee.heldByteCount
                child.pointee.bits.removeAll(before: child.pointee.high)
                child.pointee.used = 0
            }
            child.pointee.high = 0
            insertFree(child.pointee.base, child.pointee.end)
            list(child)
        }
        for child in alone { release(child) }
        empty.spareBytes = max(empty.spareBytes, needed)
        dropEmpties()
    }
}
