// Where a request goes that the open range has no room for, and where what is freed goes.

import AllocatorCore
import RangeAllocators

extension ScalableAllocator {
    /// What a range to be opened has, if there is one, in granules: 64 KiB, else 16 KiB.
    private static var openGranules: (Int, Int) { (4096, 1024) }

    /// The most that is opened at once: 256 KiB. The cursor touches all that is open before what is freed behind it is
    /// used again: the whole of a large child, however little of it is live.
    private static var mostOpenGranules: Int { 16_384 }

    /// Sizes up to this are cut from open ranges: 8 KiB.
    static var largestCut: UInt { 8 << 10 }

    /// A request that is no hit. The last block is entered; the size is rounded up, or so large that it wrapped.
    @usableFromInline @inline(never)
    func allocateSlow(size: UInt, alignment: UInt) -> UnsafeMutableRawBufferPointer? {
        guard size <= UInt(Self.largestRequest), alignment <= UInt(Self.largestRequest) else { return nil }
        beginEvent()
        guard let address = place(size: size, alignment: max(alignment, 16)) else { return nil }
        account.enter(byteCount: Int(bitPattern: size))
        return UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(bitPattern: address), count: Int(bitPattern: size))
    }

    /// What every call that is no hit does first: the last block is entered, and what is lent is lent no longer.
    func beginEvent() {
        enterLast()
        events &+= 1
        if lent != nil { giveBackLent() }
    }

    private func place(size: UInt, alignment: UInt) -> UInt? {
        guard source.recycles, needed(size: size, alignment: alignment) <= UInt(bitPattern: largestChild) else {
            return placeAlone(size: size, alignment: alignment)
        }
        if account.allocatedBytes >= empty.windowEnd { endWindow() }
        settleFreedLast()
        if alignment == 16, size <= Self.largestCut {
            closeOpenRange()
            if open(size: size) { return cutLast(size: size) }
            guard makeChild(size: size, alignment: alignment), open(size: size) else { return nil }
            return cutLast(size: size)
        }
        if let address = placeFree(size: size, alignment: alignment) { return address }
        // The open range may be what is missing of a free one.
        if openChild != nil {
            closeOpenRange()
            if let address = placeFree(size: size, alignment: alignment) { return address }
        }
        return makeChild(size: size, alignment: alignment) ? placeFree(size: size, alignment: alignment) : nil
    }

    /// How large a child must be that surely has room.
    func needed(size: UInt, alignment: UInt) -> UInt { size &+ (alignment &- 16) &+ UInt(Self.granule) }

    // MARK: - The open range

    private func cutLast(size: UInt) -> UInt {
        last = cursor
        cursor &+= size
        return last
    }

    /// Where a request for a few granules would go: the start of an open range, as the next such request finds it.
    func openRoom(size: UInt) -> UInt? {
        closeOpenRange()
        if !open(size: size) {
            guard makeChild(size: size, alignment: 16), open(size: size) else { return nil }
        }
        return cursor
    }

    /// Opens a range that has room. There is none open.
    private func open(size: UInt) -> Bool {
        let (much, enough) = Self.openGranules
        guard
            var range = free.allocateRange(holding: much) ?? free.allocateRange(holding: enough)
                ?? free.allocateRange(holding: Int(bitPattern: size &>> 4))
        else { return false }
        if range.count > Self.mostOpenGranules {
            let upper = range.lowerBound + Self.mostOpenGranules
            insertFree(UInt(bitPattern: upper) &<< 4, UInt(bitPattern: range.upperBound) &<< 4)
            range = range.lowerBound..<upper
        }
        let start = UInt(bitPattern: range.lowerBound) &<< 4
        let child = knownChild(start)
        if child.pointee.isBare { child.writeBits() }
        openChild = child
        openBase = child.pointee.base
        openStart = start
        cursor = start
        limit = UInt(bitPattern: range.upperBound) &<< 4
        return true
    }

    /// Frees the rest of the open range: then there is none. The last block is entered.
    func closeOpenRange() {
        guard let child = openChild else { return }
        child.pointee.high = max(child.pointee.high, Int(bitPattern: (cursor &- openBase) &>> 4))
        if cursor < limit { insertFree(cursor, limit) }
        if child.pointee.used == 0, !child.pointee.isAlone { list(child) }
        openChild = nil
        (openBase, openStart, cursor, limit, last) = (0, 0, 0, 0, 0)
    }

    // MARK: - What is free

    /// Takes a block out of what is free, and enters it.
    private func placeFree(size: UInt, alignment: UInt) -> UInt? {
        let count = Int(bitPattern: size &>> 4)
        guard let lower = free.allocate(count: count, alignment: Int(bitPattern: alignment &>> 4)) else { return nil }
        let address = UInt(bitPattern: lower) &<< 4
        enter(address, granules: count, in: knownChild(address))
        return address
    }

    /// Enters a block whose granules are neither free nor open.
    func enter(_ address: UInt, granules count: Int, in child: Child) {
        let first = Int(bitPattern: (address &- child.pointee.base) &>> 4)
        if child.pointee.isBare { child.writeBits() }
        child.pointee.bits.insert(first, first &+ count &- 1)
        child.pointee.high = max(child.pointee.high, first &+ count)
        if child.pointee.isListed { unlist(child) }
        child.pointee.used &+= count
    }

    @inline(__always)
    func insertFree(_ lower: UInt, _ upper: UInt) {
        guard free.insert(Int(bitPattern: lower &>> 4), Int(bitPattern: upper &>> 4)) else {
            misuse(
                name, UnsafeRawPointer(bitPattern: lower).unsafelyUnwrapped,
                "is free and was freed: its records were overwritten")
        }
    }

    /// Puts what was freed last where what is free is.
    @inline(__always)
    func settleFreedLast() {
        guard freedLastUpper != 0 else { return }
        insertFree(freedLastLower, freedLastUpper)
        (freedLastLower, freedLastUpper) = (0, 0)
    }

    /// Takes back granules of a child that no bit marks any more.
    @inline(__always)
    func takeBack(_ lower: UInt, _ upper: UInt, of child: Child) {
        child.pointee.used &-= Int(bitPattern: (upper &- lower) &>> 4)
        if source.recycles {
            if upper == cursor {
                cursor = lower
                if lower == freedLastUpper { (cursor, freedLastLower, freedLastUpper) = (freedLastLower, 0, 0) }
                if cursor < openStart { openStart = cursor }
            } else {
                if lower == freedLastUpper {
                    freedLastUpper = upper
                } else if upper == freedLastLower {
                    freedLastLower = lower
                } else {
                    settleFreedLast()
                    (freedLastLower, freedLastUpper) = (lower, upper)
                }
                // A row may begin before the open range.
                if upper > openStart, lower < cursor { openStart = upper }
            }
        }
        if child.pointee.used == 0 { becameEmpty(child) }
    }

    // MARK: - Children by address

    /// The child of an address that came out of `free`.
    private func knownChild(_ address: UInt) -> Child {
        guard let child = child(of: address) else {
            fatalError("ScalableAllocator: a free range is in no child: its records were overwritten")
        }
        return child
    }

    /// The child that has the address, or nil.
    @inline(__always)
    func child(of address: UInt) -> Child? {
        if let recent, address &- recent.pointee.base < recent.pointee.end &- recent.pointee.base { return recent }
        return lookUp(address)
    }

    @inline(never)
    private func lookUp(_ address: UInt) -> Child? {
        guard let child = tree.find(address) else { return nil }
        recent = child
        return child
    }
}
