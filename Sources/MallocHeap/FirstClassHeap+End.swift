// How a first-class heap ends: all of its blocks freed at once, or left to the malloc; and how it is emptied.
//
// Freeing all of a page's blocks is giving the page back: no block is looked at. A page that a message is on its way
// about may not go (I4). No other thread may free blocks meanwhile, so every message has come: but for one of a thread
// that `fork` left behind, or of a program that breaks the rule. Such a page stays what it is, a page with live blocks,
// and goes to the orphans with its `HeapRecord`, where messages are looked after.

import CMallowShims
import Synchronization

extension FirstClassHeap {
    /// Frees every block of the heap at once, and ends it: its memory goes back to the pool. O(pages and large blocks).
    /// No other thread may use the heap or free blocks of it meanwhile.
    public func destroy() {
        let savedErrno = mallow_errno()
        enter("mallow_heap_destroy")
        empty()
        end()
        mallow_set_errno(savedErrno)
    }

    /// Ends the heap, and leaves its live blocks to the malloc: they are freed by `free` as any other. Nothing is
    /// copied. O(large blocks). Other threads may free blocks of it meanwhile.
    public func delete() {
        let savedErrno = mallow_errno()
        enter("mallow_heap_delete")
        releaseLarge()
        releasePages()
        end()
        mallow_set_errno(savedErrno)
    }

    /// Frees every block of the heap at once, and leaves it as it was made. O(pages and large blocks). No other thread
    /// may use the heap or free blocks of it meanwhile.
    public func reset() {
        let savedErrno = mallow_errno()
        enter("mallow_heap_reset")
        empty()
        record.pointee.account.notePeak()
        record.pointee.account.correct(liveBlocks: 0, liveBytes: 0)
        leave()
        mallow_set_errno(savedErrno)
    }

    /// Leaves the live blocks to the malloc, as `delete` does, and the heap as it was made.
    public func release() {
        let savedErrno = mallow_errno()
        enter("mallow_heap_release")
        releaseLarge()
        releasePages()
        record.pointee.account.notePeak()
        record.pointee.account.correct(liveBlocks: 0, liveBytes: 0)
        leave()
        mallow_set_errno(savedErrno)
    }

    /// Gives back what holds no live block: pages, and OS pages inside the others. O(pages, free blocks).
    public func trim() {
        let savedErrno = mallow_errno()
        enter("mallow_heap_trim")
        trimUnderLock()
        leave()
        mallow_set_errno(savedErrno)
    }

    @discardableResult
    func trimUnderLock() -> Bool {
        guard let heap = record.pointee.pages else { return false }
        return heap.giveBackAll()
    }

    // MARK: - With the lock held

    private func empty() {
        destroyLarge()
        guard let heap = record.pointee.pages else { return }
        heap.drainMessages()
        if heap.destroyPages() { releasePages() }
    }

    /// Leaves the heap's pages to whichever thread comes next.
    private func releasePages() {
        guard let heap = record.pointee.pages else { return }
        record.pointee.pages = nil
        heap.pointee.handle.store(0, ordering: .releasing)
        heap.giveBackEmptyPages()
        HeapRegistry.leave(heap)
    }

    /// The record waits for a new heap. Opens the lock.
    private func end() {
        record.pointee.account = HeapAccount()
        forgetThreads()
        record.pointee.isLive.store(false, ordering: .relaxed)
        leave()
        FirstClassHeaps.recycle(self)
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// Gives back every page with all of its blocks. Says whether any had to stay.
    fileprivate func destroyPages() -> Bool {
        var isAnyLeft = false
        for sizeClass in 0..<SizeClasses.count {
            let first = pages(sizeClass).pointee.current
            if first == Page.none { continue }
            var page = first.pointee.next.unsafelyUnwrapped
            // The current page last: no other becomes it meanwhile.
            while page != first {
                let next = page.pointee.next.unsafelyUnwrapped
                if !destroy(page) { isAnyLeft = true }
                page = next
            }
            if !destroy(first) { isAnyLeft = true }
        }
        return isAnyLeft
    }

    private func destroy(_ page: Page) -> Bool {
        if page.pointee.remote.load(ordering: .acquiring) & RemoteWord.isMessage != 0 { return false }
        if pointee.counters != nil { Counting.freed(page.liveBlocks &* page.pointee.blockByteCount) }
        remove(page)
        SlicePool.give(page: page)
        return true
    }
}
