// How a heap learns of blocks that other threads freed. The first such free on a page, since the owner last looked,
// puts the page on the heap's `messages`; the owner takes the whole list with one exchange when it needs blocks.
//
// A page may change its owner while a message about it is under way: whoever then takes the message sends it on.

import CMallowShims
import Synchronization

extension UnsafeMutablePointer where Pointee == PageRecord {
    /// Puts the page on its heap's list. Only the thread that set the message bit calls it (I4). Lock-free.
    ///
    /// - Returns: the heap, where so many messages wait there that its owner had better be reminded of them.
    @discardableResult
    func sendToOwner() -> Heap? {
        let target = Heap(at: pointee.owner.load(ordering: .acquiring) & ~Ownership.mask)
        var head = target.pointee.messages.load(ordering: .relaxed)
        while true {
            let count = (head &+ 1) & MessageWord.countMask
            pointee.nextMessage = head & ~MessageWord.countMask
            let (exchanged, original) = target.pointee.messages.weakCompareExchange(
                expected: head, desired: address | count, successOrdering: .releasing, failureOrdering: .relaxed)
            if exchanged { return count == 0 ? target : nil }
            head = original
        }
    }
}

extension UnsafeMutablePointer where Pointee == PageRecord {
    /// Takes over what other threads freed of a page, whatever blocks are on its list already. O(those freed), or O(1)
    /// if the list is empty. The bits of `keeping` stay set in `remote`.
    func mergeRemote(keeping bits: UInt, key: UInt) {
        var word = pointee.remote.load(ordering: .relaxed)
        while word & ~bits != 0 {
            let (exchanged, original) = pointee.remote.weakCompareExchange(
                expected: word, desired: word & bits, successOrdering: .acquiringAndReleasing,
                failureOrdering: .relaxed)
            if exchanged { break }
            word = original
        }
        let count = UInt32(truncatingIfNeeded: RemoteWord.count(word))
        guard count > 0 else { return }
        let first = start &+ RemoteWord.offset(word)
        if pointee.free != 0 {
            var last = first
            var remaining = count
            while remaining > 1 {
                let next = loadWord(last) ^ key
                // As many as were counted, all of this page: what else is there was written after a free.
                if next &>> Layout.sliceShift != first &>> Layout.sliceShift { Misuse.corruptedLink(last) }
                last = next
                remaining &-= 1
            }
            if loadWord(last) != key { Misuse.corruptedLink(last) }
            storeWord(last, pointee.free ^ key)
        }
        pointee.free = first
        settle()
        pointee.used &-= count
    }

    /// Resets the message bit, and leaves what other threads freed on `remote`; but where that is all that lived on the
    /// page, which is not current, counts it as taken over. O(1).
    fileprivate func leaveRemote() {
        var word = pointee.remote.load(ordering: .relaxed)
        while true {
            let live = UInt(pointee.used &+ UInt32(pointee.reserve))
            let isEmpty = !pointee.isCurrent && RemoteWord.count(word) == live
            let (exchanged, original) = pointee.remote.weakCompareExchange(
                expected: word, desired: isEmpty ? 0 : word & ~RemoteWord.isMessage,
                successOrdering: .acquiringAndReleasing, failureOrdering: .relaxed)
            if exchanged {
                if isEmpty {
                    // Its lists are of no use any more: the page is given back.
                    pointee.reserve = 0
                    pointee.used = 0
                }
                return
            }
            word = original
        }
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// Takes over what other threads freed of this heap's pages. The owner calls it, or who holds an orphaned heap.
    func drainMessages() {
        var link = pointee.messages.exchange(0, ordering: .acquiring) & ~MessageWord.countMask
        if link == 0 { return }
        pointee.heldMessage.store(0, ordering: .relaxed)
        while link != 0 {
            let page = Page(at: link)
            link = page.pointee.nextMessage
            let owner = page.pointee.owner.load(ordering: .relaxed)
            guard owner & ~Ownership.mask == address else {
                page.sendToOwner()
                continue
            }
            receive(page)
        }
    }

    private func receive(_ page: Page) {
        // Its message bit is still set (I4).
        if page == pointee.avoided {
            pointee.heldMessage.store(page.address, ordering: .relaxed)
            page.sendToOwner()
            return
        }
        if page.pointee.free == 0 {
            page.mergeRemote(keeping: 0, key: pointee.linkKey)
        } else {
            // Its end would have to be found, by way of lines that another processor wrote: it waits where it is until
            // the page's own list is used up, or until the page is swept.
            page.leaveRemote()
        }
        if page.pointee.isCurrent { return }
        if page.pointee.used &+ UInt32(page.pointee.reserve) == 0 { giveBack(page) } else { watch(page) }
    }

    // MARK: - Housekeeping

    /// Every so often, inside a slow path: gives back current pages that hold nothing, looks after one orphaned heap,
    /// and follows a `trim` that another thread asked for.
    func housekeepIfDue() {
        let epoch = Process.state.pointee.trimEpoch.load(ordering: .relaxed)
        if epoch != pointee.trimEpoch {
            pointee.trimEpoch = epoch
            giveBackEmptyPages()
            sweepAllPages()
            return
        }
        pointee.searches &+= 1
        // Each call here is a ring searched in vain: so many of them are a fraction of a millisecond at least.
        guard pointee.searches & 255 == 0 else { return }
        giveBackEmptyPages()
        HeapRegistry.lookAfterOneOrphan()
    }

    /// Gives back every page that holds no live block, the current ones too: those are the only ones that can be empty,
    /// but for what messages tell. O(classes), and pages given back.
    func giveBackEmptyPages() {
        drainMessages()
        for sizeClass in 0..<classEnd where !isAvoided(sizeClass) {
            let page = pages(sizeClass).pointee.current
            guard page != Page.none else { continue }
            page.mergeRemote(keeping: RemoteWord.isMessage, key: pointee.linkKey)
            if page.pointee.used == 1 { giveBackCurrent(page) }
        }
    }

    /// Gives back a current page without a live block, unless a message about it is under way (I4).
    func giveBackCurrent(_ page: Page) {
        // The extra one goes with the title (I1).
        remove(page)
        if page.pointee.remote.load(ordering: .acquiring) == 0 { SlicePool.give(page: page) } else { insert(page) }
    }
}
