// A heap's pages: which one is allocated from, what happens when it has no free block left, and when it has nothing else.
//
// A page's life: taken from the pool → current (one a class) → full → queued, once a block of it is freed → current again,
// or empty and given back. The current page carries one extra on `used` (I1), so that a program which frees and allocates
// the same block over and over stays on the hit paths.

import CMallowShims
import Synchronization

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// A block of a class whose current page has no free block; 0 when the kernel has no memory. Only the owner calls it.
    @inline(never)
    func refillAndAllocate(_ sizeClass: Int) -> UInt {
        pointee.isBusy = true
        let savedErrno = mallow_errno()
        defer {
            mallow_set_errno(savedErrno)
            pointee.isBusy = false
        }
        while true {
            let page = queue(sizeClass).pointee.current
            if page != Page.none {
                if page.pointee.free != 0 || page.collectRemote() || page.carve(key: pointee.linkKey) {
                    return pop(page)
                }
                retireFull(page)
            }
            housekeepIfDue()
            // Messages last: the longer they wait, the more blocks come with each.
            var next = takeFirst(sizeClass)
            if next == nil, pointee.messages.load(ordering: .relaxed) != 0 {
                drainMessages()
                next = takeFirst(sizeClass)
            }
            if let next {
                makeCurrent(next)
            } else if let stolen = HeapRegistry.takePageFromOrphan(sizeClass, for: self) {
                makeCurrent(stolen)
            } else {
                guard let fresh = makePage(sizeClass) else { return 0 }
                makeCurrent(fresh)
            }
        }
    }

    @inline(__always)
    private func pop(_ page: Page) -> UInt {
        let block = page.pointee.free
        let next = loadWord(block) ^ pointee.linkKey
        // A link that leads out of the page was overwritten by the program after it freed the block.
        if next != 0, next &>> Layout.sliceShift != block &>> Layout.sliceShift { Misuse.corruptedLink(block) }
        page.pointee.free = next
        storeWord(block, 0)
        page.pointee.used &+= 1
        return block
    }

    private func makePage(_ sizeClass: Int) -> Page? {
        guard let run = SlicePool.take(sliceCount: 1) else { return nil }
        let page = run.page
        let byteCount = SizeClasses.byteCount(of: sizeClass)
        page.pointee.free = 0
        page.pointee.used = 0
        page.pointee.inverse = UInt32(truncatingIfNeeded: (UInt(UInt32.max) / byteCount) &+ 1)
        page.pointee.blockByteCount = byteCount
        page.pointee.capacity = UInt32(truncatingIfNeeded: Layout.sliceByteCount / byteCount)
        page.pointee.carved = 0
        page.pointee.next = nil
        page.pointee.previous = nil
        page.pointee.sizeClass = UInt8(truncatingIfNeeded: sizeClass)
        page.pointee.isCurrent = false
        page.pointee.isQueued = false
        page.pointee.remote.store(0, ordering: .relaxed)
        page.pointee.owner.store(ownerWord(of: page, isListed: true), ordering: .releasing)
        page.pointee.kind = PageKind.small
        return page
    }

    /// What a page of this heap has as its owner (I2). It is listed if it is current or in a queue.
    func ownerWord(of page: Page, isListed: Bool) -> UInt {
        if pointee.counters != nil { return address | Ownership.counted }
        return isListed && page.pointee.blockByteCount <= Layout.directLimit ? address : address | Ownership.slow
    }

    // MARK: - Current, full, queued

    func makeCurrent(_ page: Page) {
        page.pointee.isCurrent = true
        page.pointee.used &+= 1
        let sizeClass = Int(page.pointee.sizeClass)
        queue(sizeClass).pointee.current = page
        setDirectEntries(sizeClass, to: page)
    }

    /// The direct table leads to the current page, unless every allocation must be counted.
    func setDirectEntries(_ sizeClass: Int, to page: Page) {
        let byteCount = SizeClasses.byteCount(of: sizeClass)
        guard byteCount <= Layout.directLimit else { return }
        let value = pointee.counters == nil ? page.address : Page.none.address
        var index = sizeClass == 0 ? 0 : SizeClasses.byteCount(of: sizeClass &- 1) / 8 &+ 1
        while index <= byteCount / 8 {
            directEntry(index).pointee = value
            index &+= 1
        }
    }

    private func retireFull(_ page: Page) {
        page.pointee.isCurrent = false
        page.pointee.used &-= 1
        page.pointee.owner.store(ownerWord(of: page, isListed: false), ordering: .relaxed)
        queue(Int(page.pointee.sizeClass)).pointee.current = Page.none
        setDirectEntries(Int(page.pointee.sizeClass), to: Page.none)
    }

    /// Stops allocating from the current page of a class, full or not; it goes to the queue.
    func retireCurrent(_ sizeClass: Int) {
        let page = queue(sizeClass).pointee.current
        guard page != Page.none else { return }
        page.pointee.isCurrent = false
        page.pointee.used &-= 1
        queue(sizeClass).pointee.current = Page.none
        setDirectEntries(sizeClass, to: Page.none)
        append(page)
    }

    func append(_ page: Page) {
        let queue = self.queue(Int(page.pointee.sizeClass))
        page.pointee.next = nil
        page.pointee.previous = queue.pointee.last
        if let last = queue.pointee.last { last.pointee.next = page } else { queue.pointee.first = page }
        queue.pointee.last = page
        page.pointee.isQueued = true
        page.pointee.owner.store(ownerWord(of: page, isListed: true), ordering: .relaxed)
    }

    func remove(_ page: Page) {
        let queue = self.queue(Int(page.pointee.sizeClass))
        let next = page.pointee.next
        let previous = page.pointee.previous
        if let next { next.pointee.previous = previous } else { queue.pointee.last = previous }
        if let previous { previous.pointee.next = next } else { queue.pointee.first = next }
        page.pointee.isQueued = false
    }

    func takeFirst(_ sizeClass: Int) -> Page? {
        guard let page = queue(sizeClass).pointee.first else { return nil }
        remove(page)
        return page
    }

    // MARK: - Freeing

    /// A free by the owner that neither the hit path nor the spares took.
    func deallocateOwn(_ page: Page, _ block: UInt) {
        if pointee.counters != nil { Counting.freed(page.pointee.blockByteCount) }
        storeWord(block, page.pointee.free ^ pointee.linkKey)
        page.pointee.free = block
        page.pointee.used &-= 1
        if !page.pointee.isQueued, !page.pointee.isCurrent {
            pointee.isBusy = true
            append(page)
            pointee.isBusy = false
        }
        if page.pointee.used == 0 { Malloc.pageBecameEmpty(page) }
    }

    /// Frees the spare blocks of a class for good: their pages have free blocks again, or are given back.
    func releaseSpares(_ sizeClass: Int) {
        let queue = self.queue(sizeClass)
        while queue.pointee.spare != 0 {
            let block = queue.popSpare(key: pointee.linkKey)
            let page = Page(at: recordAddress(entry: segmentMapEntry(block), of: block))
            storeWord(block, page.pointee.free ^ pointee.linkKey)
            page.pointee.free = block
            page.pointee.used &-= 1
            if !page.pointee.isQueued, !page.pointee.isCurrent { append(page) }
        }
    }

    /// Gives back a page without a live block, unless a message about it is still under way: then whoever takes the
    /// message does it. The page is in no queue.
    func giveBackIfSettled(_ page: Page) -> Bool {
        guard page.pointee.remote.load(ordering: .acquiring) == 0 else { return false }
        SlicePool.give(page: page)
        return true
    }
}

extension UnsafeMutablePointer where Pointee == ClassQueue {
    @inline(__always)
    func popSpare(key: UInt) -> UInt {
        let block = pointee.spare
        let next = loadWord(block) ^ key
        if next &>> UInt(MALLOW_ADDRESS_BITS) != 0 { Misuse.corruptedLink(block) }
        pointee.spare = next
        pointee.spareCount &-= 1
        storeWord(block, 0)
        return block
    }
}

extension Malloc {
    /// The last live block of a page that is not its class's current one was freed.
    @inline(never)
    static func pageBecameEmpty(_ page: Page) {
        let savedErrno = mallow_errno()
        let heap = currentHeap
        heap.pointee.isBusy = true
        if page.pointee.isQueued {
            heap.remove(page)
            if !heap.giveBackIfSettled(page) { heap.append(page) }
        }
        heap.pointee.isBusy = false
        mallow_set_errno(savedErrno)
    }
}

extension UnsafeMutablePointer where Pointee == PageRecord {
    /// Takes over what other threads freed, when the page has no free block of its own: O(1). False if there is none.
    func collectRemote() -> Bool {
        var word = pointee.remote.load(ordering: .relaxed)
        while RemoteWord.count(word) > 0 {
            let (exchanged, original) = pointee.remote.weakCompareExchange(
                expected: word, desired: word & RemoteWord.isMessage, successOrdering: .acquiringAndReleasing,
                failureOrdering: .relaxed)
            if exchanged {
                pointee.free = start &+ RemoteWord.offset(word)
                pointee.used &-= UInt32(truncatingIfNeeded: RemoteWord.count(word))
                return true
            }
            word = original
        }
        return false
    }

    /// Puts blocks that were never used on the free list: as many as an OS page holds, so that no memory is touched
    /// before its time. False if there are none.
    func carve(key: UInt) -> Bool {
        let byteCount = pointee.blockByteCount
        let left = pointee.capacity &- pointee.carved
        guard left > 0 else { return false }
        let count = min(left, max(1, UInt32(truncatingIfNeeded: 4096 / byteCount)))
        let first = start &+ UInt(pointee.carved) &* byteCount
        let last = first &+ UInt(count &- 1) &* byteCount
        var block = first
        while block < last {
            storeWord(block, (block &+ byteCount) ^ key)
            block &+= byteCount
        }
        storeWord(last, pointee.free ^ key)
        pointee.free = first
        pointee.carved &+= count
        return true
    }
}
