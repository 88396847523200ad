// Giving back memory inside pages. After a burst most pages keep a few live blocks; the OS pages between those hold
// nothing, and go back to the kernel while the page stays.
//
//   a page of 64 KiB, sixteen OS pages:    |L··|···|···|·L·|···|…     L live, · free
//                                               ^^^^^^^     ^^^       hollow: given back
//
// Which blocks are free is written in the free blocks themselves, as links; memory that is given back forgets them. So
// what is remembered of a hollow OS page is one bit of its page's record, and it tells all: each block that touches it
// is free and on no list.
//
//   H1  a block that touches a hollow OS page is not live, is on no list, and was carved
//   H2  a hollow OS page holds no memory, unless the kernel refused to take it
//   H3  the sparse pages of a heap are in a list, oldest first; none of them is current, and `reserve` is 0 for them
//
// How a page is noticed: frees by the owner touch no list and no clock. So `used` of a page that is not current is kept
// too small, by `reserve`, and comes to 0 when an eighth of its blocks has been freed, or half of them where there are
// fewer than 64: that free takes the slow path, which puts the page among the sparse ones with the time. A page that is
// allocated from meanwhile leaves them. After the purge delay what is left there is swept: at some calls of the slow
// paths, at most `sweepLimit` pages a call.
//
// How hollow OS pages come back: a page whose list is empty carves the blocks of its first hollow OS page anew.
//
// Cost: a free that makes a page sparse takes a slow path, once until the page is swept or used again; a sweep walks the
// page's free list twice and calls the kernel once for each run of OS pages. `malloc` and `free` are as they were.
//
// Thread-safety: the owner of a heap only, or who holds an orphaned heap.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

// MARK: - Noticing

extension UnsafeMutablePointer where Pointee == PageRecord {
    @inline(__always)
    var isSparse: Bool { pointee.sparseSince != 0 }

    /// `used` counts every live block again.
    @inline(__always)
    func settle() {
        pointee.used &+= UInt32(pointee.reserve)
        pointee.reserve = 0
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// Has the page, which is not current and not empty, tell when enough of its blocks have been freed. One that has
    /// free blocks already is sparse from now on.
    func watch(_ page: Page) {
        if page.isSparse { return }
        if page.pointee.free != 0 {
            page.settle()
            addToSparse(page)
        } else {
            keepInReserve(page)
        }
    }

    /// After a sweep the free blocks on the page's list have a live one beside them: more must be freed before another
    /// sweep finds anything.
    private func keepInReserve(_ page: Page) {
        page.settle()
        let live = page.pointee.used
        // With few blocks a page, a part of an eighth would be each free or each other: half of them.
        let told = live &- (page.pointee.capacity < 64 ? (live &+ 1) / 2 : max(1, live / 8))
        page.pointee.reserve = UInt16(truncatingIfNeeded: told)
        page.pointee.used = live &- told
    }

    /// Enough of the page's blocks have been freed since it was watched.
    func becameSparse(_ page: Page) {
        page.settle()
        addToSparse(page)
        noteSparsePage()
    }

    /// With the time of the last tick, which may be some milliseconds ago: no clock is read here.
    private func addToSparse(_ page: Page) {
        // Never 0, which stands for "not in the list".
        page.pointee.sparseSince = UInt32(truncatingIfNeeded: pointee.clock) | 1
        page.pointee.nextSparse = nil
        page.pointee.previousSparse = pointee.lastSparse
        if let last = pointee.lastSparse { last.pointee.nextSparse = page } else { pointee.firstSparse = page }
        pointee.lastSparse = page
    }

    /// The page is settled and in no list of sparse ones.
    func forgetSparse(_ page: Page) {
        page.settle()
        guard page.isSparse else { return }
        page.pointee.sparseSince = 0
        let next = page.pointee.nextSparse
        let previous = page.pointee.previousSparse
        if let next { next.pointee.previousSparse = previous } else { pointee.lastSparse = previous }
        if let previous { previous.pointee.nextSparse = next } else { pointee.firstSparse = next }
    }
}

// MARK: - Sweeping

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// Sweeps pages that have been sparse for the purge delay: `limit` of them.
    func sweepSparsePages(at now: UInt, limit: Int) {
        var left = limit
        var candidate = pointee.firstSparse
        while left > 0, let page = candidate {
            candidate = page.pointee.nextSparse
            if page == pointee.avoided { continue }
            if isAwaited { return }
            let age = UInt32(truncatingIfNeeded: now) &- page.pointee.sparseSince
            // The mark may lie one millisecond ahead, as it is never 0.
            if UInt(age) < Process.purgeDelay || age == .max { return }
            left &-= 1
            forgetSparse(page)
            if sweep(page) { keepInReserve(page) }
        }
    }

    /// Gives back all that is free, whole pages and OS pages inside the others. Whether memory of the latter went to the
    /// kernel; the former's goes when the pool is trimmed.
    @discardableResult
    func giveBackAll() -> Bool {
        let before = pointee.purgedBytes
        giveBackEmptyPages()
        sweepAllPages()
        return pointee.purgedBytes != before
    }

    /// Sweeps every page that has a free block. O(pages) and what is given back.
    func sweepAllPages() {
        for sizeClass in 0..<classEnd {
            let first = pages(sizeClass).pointee.current
            guard first != Page.none else { continue }
            var page = first.pointee.next.unsafelyUnwrapped
            // The current page last: it stays in the ring, as a page that becomes empty does not.
            while page != first {
                let next = page.pointee.next.unsafelyUnwrapped
                if page != pointee.avoided {
                    if isAwaited { return }
                    forgetSparse(page)
                    if sweep(page) { keepInReserve(page) }
                }
                page = next
            }
            if first != pointee.avoided { _ = sweep(first) }
        }
    }

    /// Gives back the OS pages of a page that no live block touches. False if the page itself went.
    func sweep(_ page: Page) -> Bool {
        page.mergeRemote(keeping: RemoteWord.isMessage, key: pointee.linkKey)
        if page.pointee.used == 0 {
            // Where a message about it is under way, whoever takes that gives it back (I4).
            giveBack(page)
            return false
        }
        let hollow = page.pointee.hollow
        pointee.purgedBytes &+= page.discardHollow(key: pointee.linkKey)
        if page.pointee.hollow != hollow { page.pointee.owner.store(ownerWord(of: page), ordering: .releasing) }
        return true
    }

    /// Puts blocks of hollow OS pages on the list of a page that has none on it. False if there are none.
    func carveHollow(of page: Page) -> Bool {
        guard page.pointee.hollow != 0 else { return false }
        page.carveHollow(key: pointee.linkKey)
        if page.pointee.hollow == 0 { page.pointee.owner.store(ownerWord(of: page), ordering: .releasing) }
        return true
    }
}

// MARK: - OS pages of a page

/// The OS pages of a page, numbered from 0; a set of them is a bit mask.
private struct OSPages {
    let shift: UInt
    let blockByteCount: UInt

    init(of page: Page) {
        shift = UInt(truncatingIfNeeded: Process.state.pointee.osPageByteCount.trailingZeroBitCount)
        blockByteCount = page.pointee.blockByteCount
    }

    var count: UInt { Layout.sliceByteCount &>> shift }

    /// Those that a block touches.
    @inline(__always)
    func touched(byBlockAt offset: UInt) -> UInt16 {
        let first = offset &>> shift
        let last = (offset &+ blockByteCount &- 1) &>> shift
        return UInt16(truncatingIfNeeded: (2 &<< last) &- (1 &<< first))
    }

    /// The numbers of the first and last block that touch an OS page.
    func blocks(of osPage: UInt, capacity: UInt32) -> (first: UInt, last: UInt) {
        let first = (osPage &<< shift) / blockByteCount
        let last = (((osPage &+ 1) &<< shift) &- 1) / blockByteCount
        return (first, min(last, UInt(capacity) &- 1))
    }
}

extension UnsafeMutablePointer where Pointee == PageRecord {
    /// Finds the OS pages that no live block touches, takes their blocks off the list, and gives their memory back.
    /// Returns the bytes that went. O(free blocks).
    fileprivate func discardHollow(key: UInt) -> UInt {
        let neverCarved = discardNeverCarved()
        if pointee.free == 0 { return neverCarved }
        let osPages = OSPages(of: self)
        let hollow = emptyOSPages(osPages, key: key)
        if hollow == 0 { return neverCarved }
        unlinkBlocks(touching: hollow, osPages, key: key)
        pointee.hollow |= hollow
        var byteCount = neverCarved
        var left = hollow
        while left != 0 {
            let first = UInt(truncatingIfNeeded: left.trailingZeroBitCount)
            let length = UInt(truncatingIfNeeded: (~(left &>> UInt16(first))).trailingZeroBitCount)
            left &= ~UInt16(truncatingIfNeeded: ((1 as UInt) &<< length &- 1) &<< first)
            if SystemMemory.discard(address: start &+ first &<< osPages.shift, byteCount: length &<< osPages.shift) {
                byteCount &+= length &<< osPages.shift
            }
        }
        return byteCount
    }

    /// OS pages, not hollow yet, all of whose blocks are carved and on the list, or were taken off it for another
    /// hollow OS page.
    private func emptyOSPages(_ osPages: OSPages, key: UInt) -> UInt16 {
        var free = SIMD16<UInt16>()
        let start = self.start
        var block = pointee.free
        var previous = block
        var length: UInt32 = 0
        while block != 0 {
            let touched = osPages.touched(byBlockAt: block &- start)
            // H1: on no list. A block that comes back to one was freed twice, or its link was overwritten.
            if block &>> Layout.sliceShift != start &>> Layout.sliceShift || touched & pointee.hollow != 0
                || length == pointee.capacity
            {
                Misuse.corruptedLink(previous)
            }
            previous = block
            var left = touched
            while left != 0 {
                free[left.trailingZeroBitCount] &+= 1
                left &= left &- 1
            }
            block = loadWord(block) ^ key
            length &+= 1
        }
        var empty: UInt16 = 0
        for osPage in 0..<osPages.count where pointee.hollow &>> UInt16(osPage) & 1 == 0 {
            let (first, last) = osPages.blocks(of: osPage, capacity: pointee.capacity)
            if last < first || last >= UInt(pointee.carved) { continue }
            var accounted = UInt(free[Int(osPage)])
            // Only the outermost blocks can touch another OS page, or those are all that touch this one.
            if osPages.touched(byBlockAt: first &* osPages.blockByteCount) & pointee.hollow != 0 { accounted &+= 1 }
            if last != first, osPages.touched(byBlockAt: last &* osPages.blockByteCount) & pointee.hollow != 0 {
                accounted &+= 1
            }
            if accounted == last &- first &+ 1 { empty |= 1 &<< UInt16(osPage) }
        }
        return empty
    }

    private func unlinkBlocks(touching hollow: UInt16, _ osPages: OSPages, key: UInt) {
        let start = self.start
        var block = pointee.free
        var kept: UInt = 0
        pointee.free = 0
        while block != 0 {
            let next = loadWord(block) ^ key
            if osPages.touched(byBlockAt: block &- start) & hollow == 0 {
                if kept == 0 { pointee.free = block } else { storeWord(kept, block ^ key) }
                kept = block
            }
            block = next
        }
        if kept != 0 { storeWord(kept, key) }
    }

    /// What another page or run left behind in a slice that was taken with memory in it, beyond the blocks carved yet.
    /// Returns the bytes that went.
    private func discardNeverCarved() -> UInt {
        guard pointee.wasDirty, pointee.carved < pointee.capacity else { return 0 }
        let used = Layout.roundedUp(
            UInt(pointee.carved) &* pointee.blockByteCount, toMultipleOf: Process.state.pointee.osPageByteCount)
        let left = Layout.sliceByteCount &- used
        if left != 0, !SystemMemory.discard(address: start &+ used, byteCount: left) { return 0 }
        pointee.wasDirty = false
        return left
    }

    /// Puts the blocks of the first hollow OS pages on the list, which is empty: as many as make one block at least.
    /// O(blocks in an OS page).
    fileprivate func carveHollow(key: UInt) {
        let osPages = OSPages(of: self)
        let start = self.start
        while pointee.free == 0, pointee.hollow != 0 {
            let osPage = UInt(truncatingIfNeeded: pointee.hollow.trailingZeroBitCount)
            pointee.hollow &= pointee.hollow &- 1
            let (first, last) = osPages.blocks(of: osPage, capacity: pointee.capacity)
            var index = last &+ 1
            while index > first {
                index &-= 1
                let offset = index &* osPages.blockByteCount
                // One that touches a further hollow OS page waits for that.
                if osPages.touched(byBlockAt: offset) & pointee.hollow != 0 { continue }
                storeWord(start &+ offset, pointee.free ^ key)
                pointee.free = start &+ offset
            }
        }
    }

    /// Carved blocks that are on no list since they touch a hollow OS page (H1).
    var hollowBlocks: UInt32 {
        if pointee.hollow == 0 { return 0 }
        let osPages = OSPages(of: self)
        var count: UInt32 = 0
        for index in 0..<UInt(pointee.carved)
        where osPages.touched(byBlockAt: index &* osPages.blockByteCount) & pointee.hollow != 0 { count &+= 1 }
        return count
    }

    /// Whether a block, of an offset from the page's start, touches a hollow OS page.
    func isHollow(atOffset offset: UInt) -> Bool {
        pointee.hollow != 0 && OSPages(of: self).touched(byBlockAt: offset) & pointee.hollow != 0
    }
}
