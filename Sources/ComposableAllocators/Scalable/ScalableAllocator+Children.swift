// Children come and go.
//
// Of those that are empty, the largest stays, and more as long as they are within `spareBytes` together. This rises by
// each child that has to be made although one was given back in the same window, and falls by what no request needed in
// a whole window. A window is as long as it takes to allocate sixteen times what is held.
//
// So a program whose memory goes up and down makes and drops children in the first rounds and then no more; one that
// was large once and stays small keeps one child.

import AllocatorCore

/// The children that nothing is marked in, and how many of them are worth keeping.
struct EmptyChildren {
    /// A list through the records.
    var first: Child?
    var count = 0
    /// What the source gave for them.
    var byteCount = 0
    /// How many bytes of them stay beyond the first.
    var spareBytes = 0
    /// The least that `byteCount` was in this window.
    var leastBytes = 0
    /// Given back in this window and not made again.
    var droppedBytes = 0
    /// The window lasts until so many bytes were allocated.
    var windowEnd = 0

    mutating func insert(_ child: Child) {
        child.pointee.isListed = true
        child.pointee.previousEmpty = nil
        child.pointee.nextEmpty = first
        first?.pointee.previousEmpty = child
        first = child
        count += 1
        byteCount += child.pointee.heldByteCount
    }

    mutating func remove(_ child: Child) {
        let (previous, next) = (child.pointee.previousEmpty, child.pointee.nextEmpty)
        if let previous { previous.pointee.nextEmpty = next } else { first = next }
        next?.pointee.previousEmpty = previous
        child.pointee.isListed = false
        count -= 1
        byteCount -= child.pointee.heldByteCount
        leastBytes = min(leastBytes, byteCount)
    }

    /// The smallest (the open one only where no other is as small), and the bytes of the largest.
    func extremes(open: Child?) -> (smallest: Child, largestBytes: Int)? {
        guard let first else { return nil }
        var smallest = first
        var largest = first.pointee.heldByteCount
        var child = first.pointee.nextEmpty
        while let here = child {
            let (size, least) = (here.pointee.heldByteCount, smallest.pointee.heldByteCount)
            if size < least || size == least && smallest == open { smallest = here }
            largest = max(largest, size)
            child = here.pointee.nextEmpty
        }
        return (smallest, largest)
    }
}

extension ScalableAllocator {
    // MARK: - Making

    /// Makes a child that has room for a request: all of it is free then.
    func makeChild(size: UInt, alignment: UInt) -> Bool {
        let needed = Int(bitPattern: needed(size: size, alignment: alignment))
        // Twice the one before, where all are there: they add up to all but one of their doublings.
        var wanted = initialSize
        while wanted < largestChild, wanted < needed || 2 * wanted <= regularBytes + initialSize { wanted *= 2 }
        var least = initialSize
        while least < needed { least *= 2 }
        var made = addChild(byteCount: wanted, alignment: 16, isAlone: false)
        if made == nil {
            // Empty children are too small for the request, or are cut by the open range.
            dropAllEmpties()
            made = addChild(byteCount: least, alignment: 16, isAlone: false)
        }
        guard let made else { return false }
        insertFree(made.pointee.base, made.pointee.end)
        if empty.droppedBytes >= made.pointee.heldByteCount {
            empty.droppedBytes -= made.pointee.heldByteCount
            empty.spareBytes += made.pointee.heldByteCount
        }
        list(made)
        return true
    }

    /// A request that is too large for a child, or all of them where nothing is recycled: a child alone, which is all
    /// used, but for what the source gave beyond it.
    func placeAlone(size: UInt, alignment: UInt) -> UInt? {
        guard let child = makeAlone(size: size, alignment: alignment) else { return nil }
        let (base, end) = (child.pointee.base, child.pointee.end)
        child.pointee.used = Int(bitPattern: size &>> 4)
        if source.recycles, base &+ size < end { insertFree(base &+ size, end) }
        return base
    }

    /// A child alone, nothing of which is free.
    func makeAlone(size: UInt, alignment: UInt) -> Child? {
        let byteCount = Int(bitPattern: size) + guardByteCount
        if let child = addChild(byteCount: byteCount, alignment: Int(bitPattern: alignment), isAlone: true) {
            return child
        }
        guard empty.count > 0 else { return nil }
        dropAllEmpties()
        return addChild(byteCount: byteCount, alignment: Int(bitPattern: alignment), isAlone: true)
    }

    /// S4: what is never free at the end of a child. Where nothing is recycled nothing is joined.
    var guardByteCount: Int { source.recycles ? Self.granule : 0 }

    private func addChild(byteCount: Int, alignment: Int, isAlone: Bool) -> Child? {
        guard let block = source.allocator.tryAllocate(byteCount: byteCount, alignment: alignment) else { return nil }
        guard let child = ChildRecord.make(block, isAlone: isAlone, guardByteCount: guardByteCount) else {
            source.allocator.deallocate(block)
            return nil
        }
        tree.insert(child)
        heldBytes += block.count
        if !isAlone { regularBytes += block.count }
        recordBytes += child.pointee.recordByteCount
        unusableBytes += child.pointee.unusableByteCount
        return child
    }

    // MARK: - Giving back

    /// Gives a child back nothing of which is marked, free or open.
    func release(_ child: Child) {
        if recent == child { recent = nil }
        tree.remove(child)
        heldBytes -= child.pointee.heldByteCount
        if !child.pointee.isAlone { regularBytes -= child.pointee.heldByteCount }
        recordBytes -= child.pointee.recordByteCount
        unusableBytes -= child.pointee.unusableByteCount
        source.allocator.deallocate(UnsafeMutableRawPointer(bitPattern: child.pointee.base).unsafelyUnwrapped)
        child.free()
    }

    /// Gives a child back nothing of which is marked: all of it is free, or open.
    private func releaseEmpty(_ child: Child) {
        if openChild == child { closeOpenRange() }
        if source.recycles {
            settleFreedLast()
            let taken = free.allocate(
                Int(bitPattern: child.pointee.base &>> 4), Int(bitPattern: child.pointee.end &>> 4))
            guard taken else {
                fatalError("ScalableAllocator: an empty child is not free: its records were overwritten")
            }
        }
        release(child)
    }

    /// The last block of a child was freed.
    @inline(never)
    func becameEmpty(_ child: Child) {
        if child.pointee.isAlone { return releaseEmpty(child) }
        // The next round begins where this one did, in memory that is in the caches.
        if openChild == child, cursor != child.pointee.base { closeOpenRange() }
        child.pointee.high = 0
        list(child)
        if empty.count > 1 { dropEmpties() }
    }

    func list(_ child: Child) {
        if !child.pointee.isListed { empty.insert(child) }
    }

    /// A block is entered in a child that nothing was marked in.
    @usableFromInline @inline(never)
    func unlist(_ child: Child) {
        empty.remove(child)
    }

    /// Gives empty children back, the smallest first, until those beside the largest are within `spareBytes`.
    func dropEmpties() {
        while empty.count > 1, let (smallest, largestBytes) = empty.extremes(open: openChild),
            empty.byteCount - largestBytes > empty.spareBytes
        {
            drop(smallest)
        }
    }

    /// Gives all empty children back.
    func dropAllEmpties() {
        while let child = empty.first { drop(child) }
    }

    private func drop(_ child: Child) {
        if openChild == child { closeOpenRange() }
        empty.remove(child)
        empty.droppedBytes += child.pointee.heldByteCount
        releaseEmpty(child)
    }

    /// Ends a window: as much as was not needed in it stays no longer.
    func endWindow() {
        let largest = empty.leastBytes == 0 ? 0 : min(empty.leastBytes, largestChild)
        empty.spareBytes = max(empty.spareBytes - (empty.leastBytes - largest), 0)
        empty.droppedBytes = 0
        empty.leastBytes = empty.byteCount
        empty.windowEnd = account.allocatedBytes + 16 * max(heldBytes, initialSize)
        if empty.count > 1 { dropEmpties() }
    }

    func giveBackLent() {
        guard let child = lent else { return }
        lent = nil
        release(child)
    }
}
