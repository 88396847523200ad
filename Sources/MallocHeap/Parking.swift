// Working on another thread's heap. ThisThread.swift says how the owner is kept out meanwhile.
//
//   P1  a heap is parked while the registry's lock is held, by who holds it
//   P2  of a parked heap nothing is touched that the owner's last hit path may still be at: the page `avoided`, but for
//       its links in the ring, and which page is current in its class
//
// Cost for the owner: where it comes to a slow path while its heap is parked, it waits until the page in hand is done:
// some microseconds. Cost for the other: a call of the kernel a heap (membarrier). Where the kernel has none, heaps of
// other threads are left to their owners.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// Keeps the owner, another thread, out of its heap. False where it is in the middle of something, or the kernel
    /// gives no fence: then nothing has changed. The registry's lock is held (P1).
    func park() -> Bool {
        guard let thread = pointee.thread else { return false }
        // Left behind by an owner that came when its heap was just put back.
        Process.state.pointee.isAwaited.store(false, ordering: .relaxed)
        thread.pointee.heap.store(Malloc.noHeapAddress, ordering: .relaxed)
        guard SystemMemory.fenceAllThreads(), isOut(thread) else {
            thread.pointee.heap.store(address, ordering: .releasing)
            return false
        }
        pointee.isParked = true
        pointee.avoided = page(ofHit: thread.pointee.hit.load(ordering: .acquiring))
        return true
    }

    private func isOut(_ thread: ThisThread) -> Bool {
        guard thread.pointee.inside.load(ordering: .acquiring) == 0 else { return false }
        #if MALLOW_THREAD_SANITIZER
            // It takes a change of the links of a page that is to be avoided for one of the whole record.
            return thread.pointee.hit.load(ordering: .acquiring) == Malloc.noHit
        #else
            return true
        #endif
    }

    /// Lets the owner go on.
    func unpark() {
        pointee.isParked = false
        pointee.avoided = nil
        if let thread = pointee.thread { thread.pointee.heap.store(address, ordering: .releasing) }
    }

    /// The page that a hit path with this argument is at: see ThisThread.swift.
    private func page(ofHit argument: UInt) -> Page? {
        if argument <= Layout.smallLimit {
            let page = fixedPages(SizeClasses.sizeClass(for: argument)).pointee.current
            return page == Page.none ? nil : page
        }
        if argument &- Layout.smallLimit <= BucketTables.entryOffset(BucketClasses.numberEnd) {
            guard hasBucketTable else { return nil }
            let page = pages(BucketTables.sizeClass(argument &- Layout.smallLimit)).pointee.current
            return page == Page.none ? nil : page
        }
        guard argument &>> UInt(MALLOW_ADDRESS_BITS) == 0 else { return nil }
        let page = Page(at: recordAddress(entry: segmentMapEntry(argument), of: argument))
        return page.pointee.owner.load(ordering: .relaxed) & ~Ownership.mask == address ? page : nil
    }

    /// P2, for a class: whether its current page must stay so.
    @inline(__always)
    func isAvoided(_ sizeClass: Int) -> Bool {
        guard let avoided = pointee.avoided else { return false }
        return Int(avoided.pointee.sizeClass) == sizeClass
    }

    /// The owner of this parked heap, or of the one that is parked, wants to go on.
    @inline(__always)
    var isAwaited: Bool { pointee.isParked && Process.state.pointee.isAwaited.load(ordering: .relaxed) }
}

extension HeapRegistry {
    /// Calls `body` with the heaps of other threads, parked, one after another. Those whose owner is in the middle of
    /// something are left out; returns whether there was none of these. Takes the registry's lock for each.
    static func withOtherHeaps(where isWanted: (Heap) -> Bool, _ body: (Heap) -> Void) -> Bool {
        var reachedAll = true
        Process.registryLock.acquire()
        var candidate = state.pointee.heaps
        while let heap = candidate {
            if heap.pointee.state == .owned, heap.pointee.thread != Malloc.thisThread, isWanted(heap) {
                if heap.park() {
                    body(heap)
                    heap.unpark()
                } else {
                    reachedAll = false
                }
                // Others come in between: threads that start, end or wait for their heap.
                Process.registryLock.release()
                Process.registryLock.acquire()
            }
            candidate = heap.pointee.nextInRegistry
        }
        Process.registryLock.release()
        return reachedAll
    }

    /// Gives back what is free in the heaps of other threads, as far as their owners let go. Whether memory went from
    /// inside their pages.
    static func trimOthers() -> Bool {
        var released = false
        _ = withOtherHeaps { _ in
            true
        } _: { heap in
            if heap.giveBackAll() { released = true }
        }
        return released
    }
}
