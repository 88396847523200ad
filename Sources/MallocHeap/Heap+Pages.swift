// A heap's pages: which one is allocated from, what happens when it has no free block left, and when it has nothing
// else.
//
// The pages of a class form a ring. One of them is current: `malloc` takes its blocks. Frees push onto whatever page
// the block is of and touch no list, full page or not, so that they always take the hit path. When the current page is
// used up, the ring is searched from it onwards, a bounded number of steps, for one that blocks have been freed on
// meanwhile; if none is met the class gets a page more. So each page waits a whole turn of the ring and gathers free
// blocks.
//
// The current page carries one extra on `used` (I1): a program that frees and allocates the same block over and over
// does not give the page back each time. Any other page whose last block is freed leaves the ring at once.

import CMallowShims
import Synchronization

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// A block of a class whose current page has no free block; 0 when the kernel has no memory. Only the owner calls
    /// it.
    @inline(never)
    func refillAndAllocate(_ sizeClass: Int) -> UInt {
        pointee.isBusy = true
        defer { pointee.isBusy = false }
        if sizeClass >= SizeClasses.count, !makeBucketTable() { return 0 }
        pointee.refills &+= 1
        noteActivity()
        pointee.sparseInARow = 0
        if pointee.refills & 15 == 0 { tick() }
        if pointee.refills & 63 == 0 { SlicePool.tickIfIdle() }
        let current = pages(sizeClass).pointee.current
        // A heap that was inherited may well have free blocks.
        if current != Page.none,
            current.pointee.free != 0 || current.collectRemote() || carveHollow(of: current)
                || current.carve(key: pointee.linkKey)
        {
            return pop(current)
        }
        guard let page = findPage(sizeClass) ?? findElsewhere(sizeClass) else { return 0 }
        setCurrent(sizeClass, to: page)
        return pop(page)
    }

    /// A block of the nursery's. The registry's lock is held: so nothing here looks at other heaps.
    func allocateShared(_ sizeClass: Int) -> UInt {
        if pointee.messages.load(ordering: .relaxed) != 0 { drainMessages() }
        var page = pages(sizeClass).pointee.current
        if page == Page.none
            || page.pointee.free == 0 && !page.collectRemote() && !carveHollow(of: page)
                && !page.carve(key: pointee.linkKey)
        {
            if let found = findPage(sizeClass) {
                page = found
            } else {
                guard let made = makePage(sizeClass) else { return 0 }
                insert(made)
                page = made
            }
            setCurrent(sizeClass, to: page)
        }
        return pop(page)
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

    /// The next page of the ring, within `searchLimit` steps, that has a free block.
    private func findPage(_ sizeClass: Int) -> Page? {
        let current = pages(sizeClass).pointee.current
        if current == Page.none { return nil }
        var page = current
        var steps = Layout.searchLimit
        while steps > 0 {
            guard let next = page.pointee.next, next != current else { return nil }
            page = next
            if page.pointee.free != 0 || page.collectRemote() || carveHollow(of: page) { return page }
            steps &-= 1
        }
        // The search goes on from here the next time: the ring turns on.
        setCurrent(sizeClass, to: page)
        return nil
    }

    /// A page with a free block from where the ring was not searched: what other threads freed, an ended thread's page,
    /// or a new one. It is in the ring. Nil when the kernel has no memory.
    private func findElsewhere(_ sizeClass: Int) -> Page? {
        let savedErrno = mallow_errno()
        defer { mallow_set_errno(savedErrno) }
        housekeepIfDue()
        if pointee.messages.load(ordering: .relaxed) != 0 {
            drainMessages()
            if let page = findPage(sizeClass) { return page }
        }
        let page = HeapRegistry.takePageFromOrphan(sizeClass, for: self) ?? makePage(sizeClass)
        if let page { insert(page) }
        return page
    }

    private func makePage(_ sizeClass: Int) -> Page? {
        guard let run = SlicePool.take(sliceCount: 1) else { return nil }
        let page = run.page
        let byteCount = BucketClasses.byteCount(of: sizeClass)
        page.pointee.free = 0
        page.pointee.used = 0
        page.pointee.inverse = UInt32(truncatingIfNeeded: (UInt(UInt32.max) / byteCount) &+ 1)
        page.pointee.blockByteCount = byteCount
        page.pointee.capacity = UInt32(truncatingIfNeeded: Layout.sliceByteCount / byteCount)
        page.pointee.carved = 0
        page.pointee.sizeClass = UInt8(truncatingIfNeeded: sizeClass)
        page.pointee.isCurrent = false
        page.pointee.remote.store(0, ordering: .relaxed)
        page.pointee.sparseSince = 0
        page.pointee.reserve = 0
        page.pointee.hollow = 0
        page.pointee.owner.store(ownerWord(of: page), ordering: .releasing)
        page.pointee.kind = PageKind.small
        _ = page.carve(key: pointee.linkKey)
        return page
    }

    /// What a page of this heap has as its owner.
    func ownerWord(of page: Page) -> UInt {
        pointee.counters == nil && page.pointee.hollow == 0 ? address : address | Ownership.slow
    }

    // MARK: - The ring

    /// Makes a page of the ring the one that is allocated from, or none.
    private func setCurrent(_ sizeClass: Int, to page: Page) {
        let pages = self.pages(sizeClass)
        let old = pages.pointee.current
        if old == page { return }
        if old != Page.none {
            old.pointee.isCurrent = false
            old.pointee.used &-= 1
        }
        pages.pointee.current = page
        if page != Page.none {
            forgetSparse(page)
            page.pointee.isCurrent = true
            page.pointee.used &+= 1
        }
        setDirectEntries(sizeClass, to: page)
        guard old != Page.none else { return }
        if old.pointee.used == 0 { giveBack(old) } else { watch(old) }
    }

    /// The direct table, and that of buckets, lead to the current page, unless every allocation must be counted, or
    /// calls are watched.
    func setDirectEntries(_ sizeClass: Int, to page: Page) {
        let value = pointee.watchedCalls > 0 ? Page.none.address : hitPage(sizeClass, page).address
        setBucketEntry(sizeClass, to: Page(at: value))
        guard sizeClass < SizeClasses.count else { return }
        let byteCount = SizeClasses.byteCount(of: sizeClass)
        guard byteCount <= Layout.directLimit else { return }
        var index = sizeClass == 0 ? 0 : SizeClasses.byteCount(of: sizeClass &- 1) / 8 &+ 1
        while index <= byteCount / 8 {
            directEntry(index).pointee = value
            index &+= 1
        }
    }

    /// Puts a page behind the current one.
    func insert(_ page: Page) {
        let current = pages(Int(page.pointee.sizeClass)).pointee.current
        if current == Page.none {
            page.pointee.next = page
            page.pointee.previous = page
            setCurrent(Int(page.pointee.sizeClass), to: page)
            return
        }
        let next = current.pointee.next.unsafelyUnwrapped
        page.pointee.previous = current
        page.pointee.next = next
        next.pointee.previous = page
        current.pointee.next = page
    }

    /// Takes a page out of its ring. If it is the current one, the next is current then.
    func remove(_ page: Page) {
        forgetSparse(page)
        let sizeClass = Int(page.pointee.sizeClass)
        let next = page.pointee.next.unsafelyUnwrapped
        let previous = page.pointee.previous.unsafelyUnwrapped
        previous.pointee.next = next
        next.pointee.previous = previous
        if page.pointee.isCurrent {
            let pages = self.pages(sizeClass)
            page.pointee.isCurrent = false
            page.pointee.used &-= 1
            pages.pointee.current = Page.none
            if next == page {
                setDirectEntries(sizeClass, to: Page.none)
            } else {
                setCurrent(sizeClass, to: next)
            }
        }
    }

    /// Gives back a page without a live block, unless a message about it is under way (I4): then whoever takes the
    /// message does it.
    func giveBack(_ page: Page) {
        guard page.pointee.remote.load(ordering: .acquiring) == 0 else { return }
        remove(page)
        SlicePool.give(page: page)
    }

    /// Takes a page with a free block out of its ring, for another heap. Within `searchLimit` steps.
    func takePage(_ sizeClass: Int) -> Page? {
        // B2
        if sizeClass >= classEnd { return nil }
        var page = pages(sizeClass).pointee.current
        var steps = Layout.searchLimit
        while page != Page.none, steps > 0 {
            if page.pointee.free != 0 || page.collectRemote() || carveHollow(of: page)
                || page.carve(key: pointee.linkKey)
            {
                remove(page)
                return page
            }
            page = page.pointee.next.unsafelyUnwrapped
            steps &-= 1
        }
        if page != Page.none { setCurrent(sizeClass, to: page) }
        return nil
    }

    // MARK: - Freeing

    /// A free by the owner that the hit path left, because frees are counted or OS pages of the page are hollow.
    func deallocateOwn(_ page: Page, _ block: UInt) {
        // H1: a live block touches none. One that was given back reads as zero, and bears no tag.
        if page.isHollow(atOffset: block &- page.start) { Misuse.doubleFree("free", block) }
        if pointee.counters != nil { Counting.freed(page.pointee.blockByteCount) }
        storeWord(block, page.pointee.free ^ pointee.linkKey)
        page.pointee.free = block
        page.pointee.used &-= 1
        if page.pointee.used == 0 { becameEmpty(page) }
    }

    /// The last live block of a page that is not its class's current one was freed, or enough blocks of a page that is
    /// watched. Preserves `errno`.
    func becameEmpty(_ page: Page) {
        let savedErrno = mallow_errno()
        pointee.isBusy = true
        noteActivity()
        if page.pointee.reserve == 0 { giveBack(page) } else { becameSparse(page) }
        pointee.isBusy = false
        mallow_set_errno(savedErrno)
    }
}

extension Malloc {
    /// What `deallocate` leaves out when a page's `used` has come to 0. Others leave the page alone until then, since it
    /// is the one that was freed on last.
    @inline(never)
    static func pageBecameEmpty(_ page: Page) {
        HeapRegistry.enterHeap().becameEmpty(page)
        leave()
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
                settle()
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
