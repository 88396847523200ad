// Pages of small hardened blocks: a slice each, of one class and one shard, with a side table; at level 2 its last OS
// page is a guard. Blocks are carved a few at a time and poisoned then, so that a block that is not live always has
// poison in it, but for those never carved.
//
// Invariants (checked by `brokenInvariant()`):
//   D3  used = live + quarantined blocks; used + free + uncarved = capacity
//   D4  a free block's bytes are poison, unless the program wrote there
//
// Thread-safety: the shard's lock.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

extension UnsafeMutablePointer where Pointee == ShardRecord {
    /// A page of a class with a free block, carved if need be. Nil where the kernel has no memory.
    func pageWithRoom(_ sizeClass: Int) -> Page? {
        let first = pages(sizeClass).pointee
        guard let page = Page(bitPattern: first) ?? makePage(sizeClass) else { return nil }
        let free = page.sideTable.freeCount.pointee
        // At random among many, or whichever comes.
        if free < (Hardened.isFull ? Self.leastChoice : 1) { page.carveHardened() }
        return page
    }

    /// A block is taken at random among at least so many, if the page has them.
    private static var leastChoice: UInt { 32 }

    private func makePage(_ sizeClass: Int) -> Page? {
        let byteCount = SizeClasses.byteCount(of: sizeClass)
        // As many as there are where no guard is to be had: the table is as large either way.
        let capacity = Layout.sliceByteCount / byteCount
        guard let table = takeTable(capacity: capacity) else { return nil }
        let savedErrno = mallow_errno()
        defer { mallow_set_errno(savedErrno) }
        guard let run = SlicePool.take(sliceCount: 1) else {
            giveTable(table, capacity: capacity)
            return nil
        }
        let page = run.page
        var room = Layout.sliceByteCount
        if Hardened.takeGuards(2) {
            let osPage = Process.state.pointee.osPageByteCount
            if SystemMemory.protect(address: page.start &+ room &- osPage, byteCount: osPage, access: .none) {
                room &-= osPage
                table.isGuarded.pointee = 1
            } else {
                Hardened.giveGuards(2)
            }
        }
        table.shard.pointee = address
        page.pointee.free = 0
        page.pointee.used = 0
        page.pointee.inverse = UInt32(truncatingIfNeeded: (UInt(UInt32.max) / byteCount) &+ 1)
        page.pointee.blockByteCount = byteCount
        page.pointee.capacity = UInt32(truncatingIfNeeded: room / byteCount)
        page.pointee.carved = 0
        page.pointee.sizeClass = UInt8(truncatingIfNeeded: sizeClass)
        page.pointee.reserve = 0
        page.pointee.hollow = 0
        page.pointee.sparseSince = 0
        page.pointee.remote.store(0, ordering: .relaxed)
        page.sideTable = table
        page.pointee.kind = PageKind.hardened
        insert(page)
        return page
    }

    /// Makes a block that was live or quarantined free: of a page that had none, or that has none else, the list or the
    /// page itself follows.
    func makeFree(_ page: Page, _ index: UInt) {
        page.sideTable.markFree(index)
        page.pointee.used &-= 1
        if !page.pointee.isCurrent { insert(page) }
        // One page of a class may stay empty.
        if page.pointee.used == 0, page.pointee.next != nil || page.pointee.previous != nil { giveBack(page) }
    }

    /// Gives a page without live or quarantined blocks back. Where the kernel does not take the guard off, it stays.
    func giveBack(_ page: Page) {
        let savedErrno = mallow_errno()
        defer { mallow_set_errno(savedErrno) }
        let table = page.sideTable
        if table.isGuarded.pointee != 0 {
            let osPage = Process.state.pointee.osPageByteCount
            let address = page.start &+ Layout.sliceByteCount &- osPage
            guard SystemMemory.protect(address: address, byteCount: osPage, access: .readWrite) else { return }
            Hardened.giveGuards(2)
        }
        checkFreeBlocks(of: page)
        remove(page)
        page.sideTable = SideTable(address: 0)
        giveTable(table, capacity: Layout.sliceByteCount / page.pointee.blockByteCount)
        SlicePool.give(page: page)
    }

    /// Reports a free block that was written to. O(bytes carved).
    func checkFreeBlocks(of page: Page) {
        let table = page.sideTable
        for index in 0..<UInt(page.pointee.carved) where table[index].state == BlockState.free {
            checkPoison(of: page, index, Occasion(caller: "free", pointer: page.block(index)))
        }
    }

    /// Reports a block, free or quarantined, that was written to. O(bytes).
    @inline(__always)
    func checkPoison(of page: Page, _ index: UInt, _ occasion: Occasion) {
        let block = page.block(index)
        let damage = Poison.firstDamage(block, from: block, to: block &+ page.pointee.blockByteCount)
        if damage != 0 { reportPoison(page, index, occasion, damage) }
    }

    @inline(never)
    private func reportPoison(_ page: Page, _ index: UInt, _ occasion: Occasion, _ damage: UInt) -> Never {
        let entry = page.sideTable[index]
        let block = page.block(index)
        lock.release()
        HardenedFinding.writtenAfterFree(
            Occasion(caller: occasion.caller, pointer: block), size: entry.byteCount, offset: damage &- block)
    }

    /// Gives back every page that holds neither live nor quarantined blocks. O(pages with room).
    func giveBackEmptyPages() {
        for sizeClass in 0..<SizeClasses.count {
            var link = pages(sizeClass).pointee
            while let page = Page(bitPattern: link) {
                link = UInt(bitPattern: page.pointee.next)
                if page.pointee.used == 0 { giveBack(page) }
            }
        }
    }
}

extension UnsafeMutablePointer where Pointee == PageRecord {
    @inline(__always)
    func block(_ index: UInt) -> UInt { start &+ index &* pointee.blockByteCount }

    /// Puts blocks that were never used among the free ones, and poison in them: as many as four OS pages hold, so that
    /// no more memory is touched before its time.
    fileprivate func carveHardened() {
        let byteCount = pointee.blockByteCount
        let count = min(
            pointee.capacity &- pointee.carved,
            max(1, UInt32(truncatingIfNeeded: (Hardened.isFull ? 16384 : 4096) / byteCount)))
        if count == 0 { return }
        let first = UInt(pointee.carved)
        let table = sideTable
        for index in first..<first &+ UInt(count) {
            Poison.write(block(index), byteCount: byteCount)
            table.markFree(index)
        }
        pointee.carved &+= count
    }
}
