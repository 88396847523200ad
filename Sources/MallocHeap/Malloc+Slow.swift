// What the hit paths leave out: no heap yet, no free block on the current page, larger blocks, blocks of other threads,
// and telling misuse apart. Each of these enters the thread's heap itself, and leaves it: see ThisThread.swift.

import CMallowShims
import Synchronization

extension Malloc {
    /// `allocate`, whatever the size and the state of the thread. Sizes of 1 to 32 KiB that their current page has a
    /// block for take a few instructions more than the hit path; each 256th of these calls is a tick.
    @inline(never)
    static func allocateSlow(_ byteCount: UInt) -> UnsafeMutableRawPointer? {
        if byteCount > Layout.smallLimit { return allocateLarge(byteCount, alignment: 1, isZeroed: false) }
        let sizeClass = SizeClasses.sizeClass(for: byteCount)
        let heap = enterHitPath(byteCount)
        let page = heap.fixedPages(sizeClass).pointee.current
        let block = page.pointee.free
        if block == 0 || byteCount <= Layout.directLimit || heap.countMediumCall() || heap.pointee.observesCalls != 0
            || heap.pointee.watchedCalls > 0
        {
            return allocateSmall(byteCount, sizeClass: sizeClass)
        }
        let result = heap.take(block, of: page)
        leaveHitPath()
        return result
    }

    /// A block of a class, fixed or added, from the thread's heap, which it gets if it has none; counted if need be.
    @inline(never)
    static func allocateSmall(_ byteCount: UInt, sizeClass: Int) -> UnsafeMutableRawPointer? {
        if Process.state.pointee.guardRate != 0, !Hardened.isOn {
            return allocateObserved(byteCount, sizeClass: sizeClass)
        }
        let heap = enter()
        guard heap.isHeap else {
            leave()
            if Hardened.isOn { return Hardened.allocate(byteCount) }
            if let block = HeapRegistry.allocateFromNursery(byteCount, sizeClass) { return block }
            return HeapRegistry.withHeap { heap in
                let block = heap.refillAndAllocate(sizeClass)
                if block != 0, heap.pointee.counters != nil { heap.count(allocationOf: byteCount, sizeClass) }
                return block
            }
        }
        defer { leave() }
        heap.look(at: sizeClass)
        let page = heap.pages(sizeClass).pointee.current
        if heap.pointee.counters == nil {
            let free = page.pointee.free
            if free != 0 { return heap.take(free, of: page) }
            let block = heap.refillAndAllocate(sizeClass)
            return block == 0 ? outOfMemory() : rawPointer(block)
        }
        let free = page.pointee.free
        let block = free == 0 ? heap.refillAndAllocate(sizeClass) : UInt(bitPattern: heap.take(free, of: page))
        if block == 0 { return outOfMemory() }
        heap.count(allocationOf: byteCount, sizeClass)
        return rawPointer(block)
    }

    /// An aligned block, where the class of the size rounded up to the alignment has blocks that all lie right, and its
    /// current page has one free: most often so. Nil where not. `alignment` is a power of two.
    @inline(__always)
    public static func allocateAtHand(_ byteCount: UInt, alignment: UInt) -> UnsafeMutableRawPointer? {
        if byteCount > Layout.smallLimit || alignment > Layout.smallLimit { return nil }
        let rounded = Layout.roundedUp(max(byteCount, 1), toMultipleOf: alignment)
        if rounded > Layout.smallLimit { return nil }
        let heap = enterHitPath(rounded)
        defer { leaveHitPath() }
        let page: Page
        if rounded <= Layout.directLimit {
            page = Page(at: heap.directEntry((rounded &+ 7) &>> 3).pointee)
        } else {
            if heap.pointee.observesCalls != 0 { return nil }
            page = heap.fixedPages(SizeClasses.sizeClass(for: rounded)).pointee.current
        }
        let block = page.pointee.free
        if block == 0 || page.pointee.blockByteCount & (alignment &- 1) != 0 { return nil }
        return heap.take(block, of: page)
    }

    /// A block above 32 KiB, or aligned to more.
    @inline(never)
    static func allocateLarge(_ byteCount: UInt, alignment: UInt, isZeroed: Bool) -> UnsafeMutableRawPointer? {
        if Hardened.isOn, !hasHeap {
            return Hardened.allocateLarge(byteCount, alignment: alignment, reserve: 0, isZeroed: isZeroed)
        }
        if Process.state.pointee.guardRate != 0 {
            return allocateLargeObserved(byteCount, alignment: alignment, isZeroed: isZeroed)
        }
        return allocateOrdinaryLarge(byteCount, alignment: alignment, isZeroed: isZeroed)
    }

    /// A run or a mapping, whatever the mode.
    @inline(never)
    static func allocateOrdinaryLarge(_ byteCount: UInt, alignment: UInt, isZeroed: Bool) -> UnsafeMutableRawPointer? {
        if byteCount > UInt(Int.max) { return outOfMemory() }
        Process.initializeIfNeeded()
        let savedErrno = mallow_errno()
        let heap = enter()
        if heap.isHeap, heap.pointee.watchedCalls > 0 { heap.noteWatchedCall() }
        leave()
        var result: Run?
        let isRun =
            byteCount <= Layout.runLimit && alignment <= Layout.runLimit / 2
            && (byteCount < Layout.hugePageByteCount || Process.state.pointee.hugePages != .forLargeBlocks)
        if isRun {
            let slices = Int(bitPattern: Layout.roundedUp(max(byteCount, 1), toMultipleOf: 1 << 16) >> 16)
            let alignmentInSlices = Int(bitPattern: max(1, alignment &>> Layout.sliceShift))
            let held = Layout.roundedUp(
                max(byteCount, 1), toMultipleOf: Process.state.pointee.osPageByteCount)
            result = SlicePool.take(sliceCount: slices, alignmentInSlices: alignmentInSlices, byteCount: held)
            if let run = result {
                run.page.pointee.mark = 0
                run.page.pointee.kind = PageKind.run
            }
        } else {
            result = Mappings.take(byteCount: max(byteCount, 1), alignment: alignment)
        }
        guard let run = result else { return outOfMemory() }
        mallow_set_errno(savedErrno)
        let start = run.page.start
        if isZeroed, !run.isZero { memset(rawPointer(start), 0, Int(bitPattern: byteCount)) }
        if Process.state.pointee.isCounting {
            Counting.allocatedLarge(requested: byteCount, granted: run.page.pointee.blockByteCount)
        }
        return rawPointer(start)
    }

    /// Sets `errno` and gives nil.
    @inline(never)
    static func outOfMemory() -> UnsafeMutableRawPointer? {
        mallow_set_errno(ENOMEM)
        return nil
    }

    /// `deallocate`, whatever the pointer: null, another thread's, a large block, or misuse.
    @inline(never)
    static func deallocateSlow(_ address: UInt) {
        if address == 0 { return }
        if let page = remotePage(of: address) { return deallocateRemote(page, address) }
        if Hardened.isOn, Hardened.deallocate(address) { return }
        if GuardedPool.contains(address) { return deallocateGuarded(address) }
        let page = checkedPage(of: address, caller: "free")
        if page.pointee.kind != PageKind.small { return deallocateLarge(page) }
        if LinkTag.isOn(block: address), isFreeLink(page, address) { Misuse.doubleFree("free", address) }
        let heap = enter()
        if page.pointee.owner.load(ordering: .relaxed) & ~Ownership.mask == heap.address {
            heap.deallocateOwn(page, address)
            return leave()
        }
        leave()
        deallocateRemote(page, address)
    }

    /// The commonest of the slow cases, in few instructions: a small block of another heap's with nothing odd about it.
    @inline(__always)
    private static func remotePage(of address: UInt) -> Page? {
        let slice = (address &>> Layout.sliceShift) & (Layout.slicesPerSegment &- 1)
        guard address &>> UInt(MALLOW_ADDRESS_BITS) == 0, slice >= Layout.reservedSlices else { return nil }
        let page = Page(at: recordAddress(entry: segmentMapEntry(address), of: address))
        guard page.pointee.kind == PageKind.small, page.hasBlock(atOffset: address & (Layout.sliceByteCount &- 1)),
            !LinkTag.isOn(block: address),
            page.pointee.owner.load(ordering: .relaxed) & ~Ownership.mask != currentHeap.address
        else { return nil }
        return page
    }

    static func deallocateLarge(_ page: Page) {
        if Process.state.pointee.isCounting { Counting.freed(page.pointee.blockByteCount) }
        let savedErrno = mallow_errno()
        if page.pointee.kind == PageKind.run { SlicePool.give(page: page) } else { Mappings.give(page) }
        let heap = enter()
        if heap.isHeap { heap.watchAfterLargeFree() }
        leave()
        mallow_set_errno(savedErrno)
    }

    /// The record of the block that begins at `address`. Ends the program if none does.
    static func checkedPage(of address: UInt, caller: StaticString) -> Page {
        guard address &>> UInt(MALLOW_ADDRESS_BITS) == 0 else { Misuse.foreign(caller, address) }
        let entry = segmentMapEntry(address)
        guard entry != noRecordsAddress else { Misuse.foreign(caller, address) }
        if entry != address & ~(Layout.segmentByteCount &- 1) {
            // A mapping: its record's address is no segment's.
            let page = Page(at: entry)
            if page.pointee.mappingAddress != address { Misuse.interior(caller, address) }
            return page
        }
        let slice = (address &>> Layout.sliceShift) & (Layout.slicesPerSegment &- 1)
        guard slice >= Layout.reservedSlices else { Misuse.foreign(caller, address) }
        let page = Page(at: recordAddress(entry: entry, of: address))
        let offset = address & (Layout.sliceByteCount &- 1)
        switch page.pointee.kind {
        case PageKind.small:
            if !page.hasBlock(atOffset: offset) { Misuse.interior(caller, address) }
            // `carved` is the owner's to read (I3): a block that never was one is told apart only there.
            if hasHeap, page.pointee.owner.load(ordering: .relaxed) & ~Ownership.mask == currentHeap.address,
                offset / page.pointee.blockByteCount >= UInt(page.pointee.carved)
            {
                Misuse.foreign(caller, address)
            }
        case PageKind.run:
            if offset != 0 { Misuse.interior(caller, address) }
        default:
            if isInsideRun(address, entry: entry) { Misuse.interior(caller, address) }
            if offset == 0 { Misuse.doubleFree(caller, address) }
            Misuse.foreign(caller, address)
        }
        return page
    }

    /// Whether a live run that began at an earlier slice covers an address.
    private static func isInsideRun(_ address: UInt, entry: UInt) -> Bool {
        var record = recordAddress(entry: entry, of: address)
        let slice = (address &>> Layout.sliceShift) & (Layout.slicesPerSegment &- 1)
        var distance: UInt = 0
        while slice &- distance > Layout.reservedSlices {
            distance &+= 1
            record &-= Layout.recordByteCount
            let page = Page(at: record)
            if page.pointee.kind == PageKind.none { continue }
            return page.pointee.kind == PageKind.run && UInt(page.pointee.sliceCount) > distance
        }
        return false
    }

    /// Whether the first word of a block, which bears the tag of a free one, encodes a link that could be there: to a
    /// block of the same page, or to none. The key has 45 random bits: if it could be there, it is one.
    static func isFreeLink(_ page: Page, _ address: UInt) -> Bool {
        let link = loadWord(address) ^ Process.state.pointee.linkKey
        return link == 0
            || link &>> Layout.sliceShift == address &>> Layout.sliceShift
                && page.hasBlock(atOffset: link & (Layout.sliceByteCount &- 1))
    }

    /// Hands a block to the heap that owns its page: one atomic exchange, and for the first block since the owner
    /// looked one more, to tell it.
    private static func deallocateRemote(_ page: Page, _ address: UInt) {
        let heap = currentHeap
        if heap.isHeap {
            heap.pointee.remoteFrees &+= 1
        } else if Process.state.pointee.isCounting {
            Process.state.pointee.heaplessFrees.wrappingAdd(1, ordering: .relaxed)
        }
        if Process.state.pointee.isCounting { Counting.freed(page.pointee.blockByteCount) }
        let start = address & ~(Layout.sliceByteCount &- 1)
        let key = Process.state.pointee.linkKey
        var word = page.pointee.remote.load(ordering: .relaxed)
        while true {
            let next = RemoteWord.count(word) == 0 ? 0 : start &+ RemoteWord.offset(word)
            storeWord(address, next ^ key)
            let desired = (RemoteWord.count(word) &+ 1) &<< 32 | (address &- start) | RemoteWord.isMessage
            let (exchanged, original) = page.pointee.remote.weakCompareExchange(
                expected: word, desired: desired, successOrdering: .acquiringAndReleasing, failureOrdering: .relaxed)
            if exchanged { break }
            word = original
        }
        if word & RemoteWord.isMessage == 0 {
            if let owner = page.sendToOwner() { owner.remindOwner() }
            // The owner may sleep for long.
            Purger.wake()
        }
    }
}
