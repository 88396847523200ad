// How a heap learns of blocks that other threads freed. The first such free on a page, since the owner last looked,
// puts the page on the heap's `messages`; the owner takes the whole list with one exchange when it needs blocks.
//
// A page may change its owner while a message about it is under way: whoever then takes the message sends it on.

import CMallowShims
import Synchronization

extension UnsafeMutablePointer where Pointee == PageRecord {
    /// Puts the page on its heap's list. Only the thread that set the message bit calls it (I4). Lock-free.
    func sendToOwner() {
        let target = Heap(at: pointee.owner.load(ordering: .acquiring) & ~Ownership.mask)
        var head = target.pointee.messages.load(ordering: .relaxed)
        while true {
            pointee.nextMessage = head
            let (exchanged, original) = target.pointee.messages.weakCompareExchange(
                expected: head, desired: address, successOrdering: .releasing, failureOrdering: .relaxed)
            if exchanged { return }
            head = original
        }
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// Takes over what other threads freed of this heap's pages. The owner calls it, or who holds an orphaned heap.
    func drainMessages() {
        var link = pointee.messages.exchange(0, ordering: .acquiring)
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
        let word = page.pointee.remote.exchange(0, ordering: .acquiringAndReleasing)
        let count = UInt32(truncatingIfNeeded: RemoteWord.count(word))
        if count > 0 {
            let first = page.start &+ RemoteWord.offset(word)
            if page.pointee.free != 0 {
                var last = first
                var remaining = count
                while remaining > 1 {
                    last = loadWord(last) ^ pointee.linkKey
                    remaining &-= 1
                }
                storeWord(last, page.pointee.free ^ pointee.linkKey)
            }
            page.pointee.free = first
            page.pointee.used &-= count
        }
        if page.pointee.used == 0 { giveBack(page) }
    }

    // MARK: - Housekeeping

    /// Every so often, inside a slow path: gives back current pages that hold nothing, looks after one orphaned heap,
    /// and follows a `trim` that another thread asked for.
    func housekeepIfDue() {
        let epoch = Process.state.pointee.trimEpoch.load(ordering: .relaxed)
        if epoch != pointee.trimEpoch {
            pointee.trimEpoch = epoch
            giveBackEmptyPages()
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
        for sizeClass in 0..<SizeClasses.count {
            let page = pages(sizeClass).pointee.current
            guard page != Page.none, page.pointee.used == 1 else { continue }
            // The extra one goes with the title (I1).
            remove(page)
            if page.pointee.remote.load(ordering: .acquiring) == 0 { SlicePool.give(page: page) } else { insert(page) }
        }
    }
}
