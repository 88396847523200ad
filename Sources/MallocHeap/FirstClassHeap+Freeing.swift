// Freeing and resizing blocks of a first-class heap by the heap: under its lock, so that it knows at once, and with a
// look at whose the block is.

import CMallowShims
import Synchronization

extension FirstClassHeap {
    /// Frees a block of this heap. Ends the program where it is not one. Any thread; O(1).
    ///
    /// `Malloc.deallocate` frees it as well: without the lock, but the heap learns of it later.
    ///
    /// - Parameter caller: who a message on misuse names.
    public func deallocate(_ pointer: UnsafeMutableRawPointer?, caller: StaticString = "mallow_heap_free") {
        guard let pointer else { return }
        let block = UInt(bitPattern: pointer)
        // The visitor's thread has the lock: a message then.
        if isVisitedByThisThread {
            if Self.owner(of: block)?.address != address { Misuse.otherHeap(caller, block) }
            return Malloc.deallocate(pointer)
        }
        let entry = enterQuickly(caller)
        if !deallocateAtOnce(block) { deallocateUnderLock(block, caller) }
        leave(entry)
    }

    /// The commonest case: a small block with nothing odd about it, of a page that stays as it is otherwise. False where it
    /// is another.
    @inline(__always)
    private func deallocateAtOnce(_ block: UInt) -> Bool {
        guard block &>> UInt(MALLOW_ADDRESS_BITS) == 0, let heap = record.pointee.pages else { return false }
        let page = Page(at: recordAddress(entry: segmentMapEntry(block), of: block))
        let offset = block & (Layout.sliceByteCount &- 1)
        // The owner's word bears no mark: nothing is counted, no OS page is hollow.
        guard page.pointee.owner.load(ordering: .relaxed) == heap.address, page.hasBlock(atOffset: offset),
            !LinkTag.isOn(block: block), page.pointee.used > 1,
            offset < UInt(page.pointee.carved) &* page.pointee.blockByteCount
        else { return false }
        record.pointee.account.remove(page.pointee.blockByteCount)
        storeWord(block, page.pointee.free ^ heap.pointee.linkKey)
        page.pointee.free = block
        page.pointee.used &-= 1
        return true
    }

    @inline(never)
    private func deallocateUnderLock(_ block: UInt, _ caller: StaticString) {
        if Hardened.isOn, Hardened.page(of: block) != nil { Misuse.otherHeap(caller, block) }
        let page = Malloc.checkedPage(of: block, caller: caller)
        if page.pointee.kind == PageKind.small {
            let owner = page.pointee.owner.load(ordering: .relaxed) & ~Ownership.mask
            guard let heap = record.pointee.pages, owner == heap.address else { Misuse.otherHeap(caller, block) }
            record.pointee.account.remove(page.pointee.blockByteCount)
            heap.deallocateUnderLock(page, block, caller: caller)
        } else {
            if !isOwner(ofLarge: page) { Misuse.otherHeap(caller, block) }
            record.pointee.account.remove(page.pointee.blockByteCount)
            Malloc.deallocate(rawPointer(block))
        }
    }

    /// Changes the size of a block, as `Malloc.reallocate` does. The result is a block of this heap, whatever heap the
    /// block was of.
    public func reallocate(_ pointer: UnsafeMutableRawPointer?, _ byteCount: UInt) -> UnsafeMutableRawPointer? {
        let caller: StaticString = "mallow_heap_realloc"
        guard let pointer else { return allocate(byteCount) }
        let isOwn = Self.owner(of: UInt(bitPattern: pointer))?.address == address
        let old = Malloc.usableSize(pointer)
        if byteCount == 0 {
            if isOwn { deallocate(pointer) } else { Malloc.deallocate(pointer) }
            return nil
        }
        if isOwn, let resized = Malloc.resizeWithoutCopying(pointer, byteCount, caller: caller) {
            note(resizedFrom: old, to: Malloc.usableSize(resized), caller)
            return resized
        }
        guard let moved = allocate(byteCount) else { return nil }
        memcpy(moved, pointer, Int(bitPattern: min(old, byteCount)))
        if isOwn { deallocate(pointer) } else { Malloc.deallocate(pointer) }
        return moved
    }

    /// Changes the size of a block of this heap where it lies. Nil where that cannot be: nothing has changed then.
    ///
    /// - Returns: what may be used of it now, in bytes.
    public func resizeInPlace(_ pointer: UnsafeMutableRawPointer, _ byteCount: UInt) -> UInt? {
        let caller: StaticString = "mallow_heap_realloc"
        let old = Malloc.usableSize(pointer)
        guard let usable = Malloc.resizeInPlace(pointer, byteCount, caller: caller) else { return nil }
        note(resizedFrom: old, to: usable, caller)
        return usable
    }

    private func note(resizedFrom old: UInt, to new: UInt, _ caller: StaticString) {
        if old == new { return }
        enter(caller)
        record.pointee.account.resize(from: old, to: new)
        leave()
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// Frees a block of the heap's. The heap's lock is held.
    fileprivate func deallocateUnderLock(_ page: Page, _ block: UInt, caller: StaticString) {
        let offset = block &- page.start
        if LinkTag.isOn(block: block), Malloc.isFreeLink(page, block) { Misuse.doubleFree(caller, block) }
        // H1: a live block touches none.
        if page.isHollow(atOffset: offset) { Misuse.doubleFree(caller, block) }
        if offset >= UInt(page.pointee.carved) &* page.pointee.blockByteCount { Misuse.foreign(caller, block) }
        if pointee.counters != nil { Counting.freed(page.pointee.blockByteCount) }
        storeWord(block, page.pointee.free ^ pointee.linkKey)
        page.pointee.free = block
        page.pointee.used &-= 1
        guard page.pointee.used == 0 else { return }
        let savedErrno = mallow_errno()
        if page.pointee.reserve == 0 { giveBack(page) } else { becameSparse(page) }
        mallow_set_errno(savedErrno)
    }
}
