// The large blocks of a first-class heap: runs and mappings. Their records are in a list of the heap's, through the
// links that pages of small blocks use when they are sparse; `mark` names the heap (F1).
//
// All of it is guarded by the pool's lock, which whoever gives a large block back takes anyway: so `free` of such a
// block finds the heap and leaves its list inside that, and needs no lock of the heap's.

import CMallowShims
import Synchronization

extension FirstClassHeap {
    @inline(never)
    func allocateLarge(_ byteCount: UInt, alignment: UInt, isZeroed: Bool) -> UnsafeMutableRawPointer? {
        guard let block = Malloc.allocateOrdinaryLarge(byteCount, alignment: alignment, isZeroed: isZeroed) else {
            return nil
        }
        enter("mallow_heap_malloc")
        adopt(large: block)
        leave()
        return block
    }

    /// Makes a large block, which nobody else knows yet, this heap's. The heap's lock is held.
    func adopt(large block: UnsafeMutableRawPointer) {
        let page = Malloc.checkedPage(of: UInt(bitPattern: block), caller: "mallow_heap_malloc")
        Process.poolLock.acquire()
        link(page)
        Process.poolLock.release()
        record.pointee.account.add(page.pointee.blockByteCount)
    }

    func isOwner(ofLarge page: Page) -> Bool {
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        return page.pointee.mark == address
    }

    // MARK: - With the pool's lock held

    private func link(_ page: Page) {
        page.pointee.mark = address
        page.pointee.previousSparse = nil
        page.pointee.nextSparse = record.pointee.firstLarge
        if let first = record.pointee.firstLarge { first.pointee.previousSparse = page }
        record.pointee.firstLarge = page
    }

    private func unlink(_ page: Page) {
        let next = page.pointee.nextSparse
        let previous = page.pointee.previousSparse
        if let next { next.pointee.previousSparse = previous }
        if let previous { previous.pointee.nextSparse = next } else { record.pointee.firstLarge = next }
        if record.pointee.nextVisited == page { record.pointee.nextVisited = next }
        page.pointee.mark = 0
    }

    /// A run or a mapping is given back: its heap forgets it, if it is of one.
    @inline(__always)
    static func forget(large page: Page) {
        if let heap = FirstClassHeap(address: page.pointee.mark) { heap.unlink(page) }
    }

    /// The block of a run has moved to a mapping, which is of the same heap from now on.
    static func moved(large page: Page, to new: Page) {
        guard let heap = FirstClassHeap(address: page.pointee.mark) else { return }
        heap.unlink(page)
        heap.link(new)
    }

    // MARK: - All of them

    /// Gives back every large block. The heap's lock is held.
    func destroyLarge() {
        while let page = takeFirstLarge() { Malloc.deallocateLarge(page) }
    }

    /// Leaves every large block to nobody. The heap's lock is held. O(large blocks).
    func releaseLarge() {
        while takeFirstLarge() != nil {}
    }

    private func takeFirstLarge() -> Page? {
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        guard let page = record.pointee.firstLarge else { return nil }
        unlink(page)
        return page
    }

    /// Calls `body` with every large block, which it may free. The heap's lock is held, and the pool's is not while
    /// `body` runs. Ends when `body` gives another number than 0, with that.
    func visitLarge(_ body: (_ block: UInt, _ byteCount: UInt) -> CInt) -> CInt {
        Process.poolLock.acquire()
        record.pointee.nextVisited = record.pointee.firstLarge
        var result: CInt = 0
        while result == 0, let page = record.pointee.nextVisited {
            record.pointee.nextVisited = page.pointee.nextSparse
            let block = page.start
            let byteCount = page.pointee.blockByteCount
            Process.poolLock.release()
            result = body(block, byteCount)
            Process.poolLock.acquire()
        }
        record.pointee.nextVisited = nil
        Process.poolLock.release()
        return result
    }
}
