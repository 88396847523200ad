// Resizing, alignment, and what a block holds.

import CMallowShims
import Synchronization

extension Malloc {
    /// What may be used of a block, in bytes: at least what was asked for. 0 for nil. O(1).
    public static func usableSize(_ pointer: UnsafeMutableRawPointer?) -> UInt {
        guard let pointer else { return 0 }
        let address = UInt(bitPattern: pointer)
        if Hardened.isOn, let byteCount = Hardened.usableSize(address) { return byteCount }
        if GuardedPool.contains(address) { return usableSizeOfGuarded(address) }
        let page = checkedPage(of: address, caller: "malloc_usable_size")
        if page.pointee.kind == PageKind.small, LinkTag.isOn(block: address), isFreeLink(page, address) {
            Misuse.freed("malloc_usable_size", address)
        }
        return page.pointee.blockByteCount
    }

    /// The size of a page of the operating system, in bytes.
    public static var osPageByteCount: UInt {
        Process.initializeIfNeeded()
        return Process.state.pointee.osPageByteCount
    }

    /// What a request of `byteCount` bytes would be given, in bytes. O(1).
    public static func goodSize(_ byteCount: UInt) -> UInt {
        if Hardened.isOn { return byteCount }
        if byteCount <= Layout.smallLimit { return SizeClasses.byteCount(of: SizeClasses.sizeClass(for: byteCount)) }
        if byteCount > UInt(Int.max) { return byteCount }
        Process.initializeIfNeeded()
        return Layout.roundedUp(byteCount, toMultipleOf: Process.state.pointee.osPageByteCount)
    }

    /// What a request of `byteCount` bytes at a multiple of `alignment`, a power of two, would be given, in bytes. O(1).
    public static func goodSize(_ byteCount: UInt, alignment: UInt) -> UInt {
        if Hardened.isOn { return byteCount }
        if alignment <= 8 || alignment == 16 && byteCount > 8 { return goodSize(byteCount) }
        if alignment <= Layout.smallLimit,
            let sizeClass = SizeClasses.sizeClass(for: byteCount, alignment: alignment)
        {
            return SizeClasses.byteCount(of: sizeClass)
        }
        if byteCount > UInt(Int.max) { return byteCount }
        Process.initializeIfNeeded()
        return Layout.roundedUp(max(byteCount, 1), toMultipleOf: Process.state.pointee.osPageByteCount)
    }

    /// Changes a block's size. Its contents stay, up to the smaller of both sizes.
    ///
    /// Small blocks stay where they are while they fill at least half of what they have; runs grow into free slices
    /// behind them and shrink in place; larger blocks are remapped by the kernel, or copied to memory that lies idle
    /// where they grow by half or more.
    ///
    /// - Returns: the block's new place, or nil with `errno` set to `ENOMEM`, and then the block is as it was. With
    ///   `byteCount` 0 it is freed, and nil is returned.
    @inline(__always)
    public static func reallocate(_ pointer: UnsafeMutableRawPointer?, _ byteCount: UInt) -> UnsafeMutableRawPointer? {
        staysAsItIs(UInt(bitPattern: pointer), byteCount) ? pointer : reallocateSlow(pointer, byteCount)
    }

    @inline(never)
    private static func reallocateSlow(
        _ pointer: UnsafeMutableRawPointer?, _ byteCount: UInt
    ) -> UnsafeMutableRawPointer? {
        if Process.state.pointee.guardedByteCount != 0 { return reallocateObserved(pointer, byteCount) }
        return reallocateUnobserved(pointer, byteCount)
    }

    /// A block that is not guarded.
    @inline(never)
    static func reallocateUnobserved(
        _ pointer: UnsafeMutableRawPointer?, _ byteCount: UInt
    ) -> UnsafeMutableRawPointer? {
        guard let pointer else { return allocate(byteCount) }
        let address = UInt(bitPattern: pointer)
        if Hardened.isOn, let page = Hardened.page(of: address) {
            return Hardened.reallocate(page, address, byteCount)
        }
        let page = livePage(of: address, caller: "realloc")
        if byteCount == 0 {
            deallocate(pointer)
            return nil
        }
        let savedErrno = mallow_errno()
        if let resized = resizeWithoutCopying(page, address, byteCount) { return rawPointer(resized) }
        let usable = page.pointee.blockByteCount
        let isSmall = page.pointee.kind == PageKind.small
        // A block that had to move because it grew by a little is likely to grow on: a quarter more saves most moves.
        // One that grew by half or more has room by the program's own design.
        let isGrowing =
            isSmall && byteCount > usable && byteCount &- usable < usable / 2 && byteCount <= Layout.smallLimit / 2
            && !Process.state.pointee.isCounting
        let wanted = isGrowing ? byteCount &+ byteCount / 4 : byteCount
        // A block of a first-class heap stays one.
        let moved = FirstClassHeaps.exist ? FirstClassHeap.allocate(wanted, besides: page) : allocate(wanted)
        guard let target = moved else {
            // The idle memory that it was to be copied to is gone, or in pieces: then the kernel moves it after all.
            let resized = isSmall ? nil : resizeWithoutCopying(page, address, byteCount, mayCopy: false)
            mallow_set_errno(resized != nil ? savedErrno : ENOMEM)
            return resized.map { rawPointer($0) }
        }
        memcpy(target, pointer, Int(bitPattern: min(usable, byteCount)))
        deallocate(pointer)
        mallow_set_errno(savedErrno)
        return target
    }

    /// Where the block is when it stays, or the kernel can move it; nil where it must be copied, or had better be.
    @inline(__always)
    private static func resizeWithoutCopying(
        _ page: Page, _ address: UInt, _ byteCount: UInt, mayCopy: Bool = true
    ) -> UInt? {
        let usable = page.pointee.blockByteCount
        if isWorthKeeping(page, byteCount) { return address }
        guard page.pointee.kind != PageKind.small, byteCount <= UInt(Int.max), byteCount > Layout.smallLimit else {
            return nil
        }
        let savedErrno = mallow_errno()
        let moved =
            page.pointee.kind == PageKind.run
            ? resizeRun(page, byteCount, mayCopy: mayCopy) : resizeMapping(page, byteCount, mayCopy: mayCopy)
        guard let moved else { return nil }
        mallow_set_errno(savedErrno)
        if Process.state.pointee.isCounting {
            Counting.resizedLarge(from: usable, to: goodSize(byteCount), requested: byteCount)
        }
        return moved
    }

    /// Small blocks stay while they fill half of what they have, others while an eighth is all there is to save.
    @inline(__always)
    private static func isWorthKeeping(_ page: Page, _ byteCount: UInt) -> Bool {
        let usable = page.pointee.blockByteCount
        guard byteCount <= usable else { return false }
        return page.pointee.kind == PageKind.small
            ? byteCount >= usable / 2 || usable <= 16 : usable &- byteCount <= usable / 8
    }

    /// `reallocate`, where nothing has to be copied; nil, and the block as it was, where something has.
    static func resizeWithoutCopying(
        _ pointer: UnsafeMutableRawPointer, _ byteCount: UInt, caller: StaticString
    ) -> UnsafeMutableRawPointer? {
        let address = UInt(bitPattern: pointer)
        return resizeWithoutCopying(livePage(of: address, caller: caller), address, byteCount).map { rawPointer($0) }
    }

    /// Changes the size of a block and leaves it where it is. Nil, and the block as it was, where that cannot be.
    ///
    /// - Returns: what may be used of it now, in bytes.
    public static func resizeInPlace(_ pointer: UnsafeMutableRawPointer, _ byteCount: UInt) -> UInt? {
        if Hardened.isOn, let page = Hardened.page(of: UInt(bitPattern: pointer)) {
            return Hardened.resizeInPlace(page, UInt(bitPattern: pointer), byteCount) ? byteCount : nil
        }
        return resizeInPlace(pointer, byteCount, caller: "realloc")
    }

    static func resizeInPlace(
        _ pointer: UnsafeMutableRawPointer, _ byteCount: UInt, caller: StaticString
    ) -> UInt? {
        if GuardedPool.contains(UInt(bitPattern: pointer)) {
            return usableSizeOfGuarded(UInt(bitPattern: pointer)) == byteCount ? byteCount : nil
        }
        let page = livePage(of: UInt(bitPattern: pointer), caller: caller)
        let usable = page.pointee.blockByteCount
        if isWorthKeeping(page, byteCount) { return usable }
        guard page.pointee.kind != PageKind.small, byteCount <= UInt(Int.max), byteCount > Layout.smallLimit else {
            return nil
        }
        let savedErrno = mallow_errno()
        defer { mallow_set_errno(savedErrno) }
        guard
            page.pointee.kind == PageKind.run
                ? resizeRunInPlace(page, byteCount) : Mappings.resizeInPlace(page, to: byteCount)
        else { return nil }
        if Process.state.pointee.isCounting {
            Counting.resizedLarge(from: usable, to: page.pointee.blockByteCount, requested: byteCount)
        }
        return page.pointee.blockByteCount
    }

    /// `checkedPage` of a block that is to be resized, and so is live.
    private static func livePage(of address: UInt, caller: StaticString) -> Page {
        let page = checkedPage(of: address, caller: caller)
        if LinkTag.isOn(block: address), page.pointee.kind == PageKind.small, isFreeLink(page, address) {
            Misuse.doubleFree(caller, address)
        }
        return page
    }

    /// The commonest case, for strings that grow: a block of any thread's that the new size still fits. False where it
    /// does not, or where something needs a closer look. One branch: small blocks and runs come in no order that a
    /// processor could foresee. The block is not touched: its first word, which would show that it is free, is a cache
    /// line that growing at the end has no need of.
    @inline(__always)
    private static func staysAsItIs(_ address: UInt, _ byteCount: UInt) -> Bool {
        guard address &>> UInt(MALLOW_ADDRESS_BITS) == 0 else { return false }
        let page = Page(at: recordAddress(entry: segmentMapEntry(address), of: address))
        let offset = address & (Layout.sliceByteCount &- 1)
        let isSmall: UInt = page.pointee.kind == PageKind.small ? 1 : 0
        let isRun: UInt = page.pointee.kind == PageKind.run ? 1 : 0
        let isBlock = isSmall & (page.hasBlock(atOffset: offset) ? 1 : 0) | isRun & (offset == 0 ? 1 : 0)
        // A small block stays while it is at least half full, a run while an eighth is all there is to save.
        let usable = page.pointee.blockByteCount
        let least = usable &- usable &>> (3 &- 2 &* isSmall)
        return isBlock & (byteCount <= usable ? 1 : 0) & (byteCount > least ? 1 : 0) != 0
    }

    private static func resizeRun(_ page: Page, _ byteCount: UInt, mayCopy: Bool) -> UInt? {
        if resizeRunInPlace(page, byteCount) { return page.start }
        guard page.pointee.blockByteCount >= Layout.remapThreshold else { return nil }
        if mayCopy, isBetterCopied(page, byteCount) { return nil }
        return Mappings.adopt(run: page, growingTo: byteCount)
    }

    private static func resizeRunInPlace(_ page: Page, _ byteCount: UInt) -> Bool {
        let needed = Layout.roundedUp(byteCount, toMultipleOf: Process.state.pointee.osPageByteCount)
        let slices = Int(bitPattern: Layout.roundedUp(byteCount, toMultipleOf: Layout.sliceByteCount) >> 16)
        let held = Int(page.pointee.sliceCount)
        if slices <= held {
            if slices < held { SlicePool.give(page: page, from: slices) }
            SlicePool.setByteCount(page, needed)
            return true
        }
        return slices < Int(Layout.slicesPerSegment) && SlicePool.extend(page: page, to: slices, byteCount: needed)
    }

    /// A block that grows by half or more, while as much as it will need lies idle in the pool: copying it there costs
    /// less than the faults of new memory, and holds no more. Buffers that double, as those of a server that receives
    /// one body after another, are so. Takes the pool's lock where the sizes alone do not say no.
    private static func isBetterCopied(_ page: Page, _ byteCount: UInt) -> Bool {
        let usable = page.pointee.blockByteCount
        return byteCount > usable && byteCount &- usable >= usable / 2 && byteCount <= Layout.copyLimit
            && SlicePool.holdsIdle(byteCount)
    }

    private static func resizeMapping(_ page: Page, _ byteCount: UInt, mayCopy: Bool) -> UInt? {
        // A mapping that shrinks to less than it pays for is better a run.
        if mayCopy, byteCount < Layout.remapThreshold / 2 || isBetterCopied(page, byteCount) { return nil }
        return Mappings.resize(page, to: byteCount)
    }

    /// Allocates a block at a multiple of `alignment`.
    ///
    /// - Parameter alignment: a power of two up to 1 GiB, in bytes. Anything else gives nil and `EINVAL`,
    ///   or `ENOMEM` if it is a larger power of two.
    public static func allocate(_ byteCount: UInt, alignment: UInt) -> UnsafeMutableRawPointer? {
        guard alignment != 0, alignment & (alignment &- 1) == 0 else {
            mallow_set_errno(EINVAL)
            return nil
        }
        if alignment <= 8 || alignment == 16 && byteCount > 8 { return allocate(byteCount) }
        if let block = allocateAtHand(byteCount, alignment: alignment) { return block }
        if byteCount > UInt(Int.max) || alignment > Layout.largestAlignment { return outOfMemory() }
        if Hardened.isOn, !hasHeap { return Hardened.allocate(byteCount, alignment: alignment) }
        if Process.state.pointee.guardRate != 0 { return allocateObserved(byteCount, alignment: alignment) }
        if alignment <= Layout.smallLimit,
            let sizeClass = SizeClasses.sizeClass(for: byteCount, alignment: alignment)
        {
            return allocateSmall(byteCount, sizeClass: sizeClass)
        }
        return allocateLarge(byteCount, alignment: alignment, isZeroed: false)
    }

    /// How long what is free keeps its memory before the kernel gets it back. What waits already goes by the delay
    /// before.
    ///
    /// - Parameter milliseconds: 50 unless set; 0 gives back at the next slow call. Above 2^30, about twelve days, it
    ///   counts as that.
    public static func setPurgeDelay(milliseconds: UInt) {
        Process.initializeIfNeeded()
        Process.state.pointee.purgeDelay.store(
            min(milliseconds, Layout.largestPurgeDelayInMilliseconds), ordering: .relaxed)
    }

    /// What `setPurgeDelay` has set, in milliseconds.
    public static var purgeDelayInMilliseconds: UInt {
        Process.initializeIfNeeded()
        return Process.purgeDelay
    }

    /// Gives back to the kernel all that is free, now: in all threads' heaps, in those of ended threads, and in the
    /// pool. Other threads are not stopped: one that needs its heap while it is looked after waits some microseconds,
    /// and where one is in the middle of a slow path its heap follows at the next. Returns whether anything went
    /// meanwhile: pages, cached mappings, OS pages inside pages, of whichever heap.
    ///
    /// - Complexity: O(pages) and the free blocks on them, and a call of the kernel for each thread.
    @discardableResult
    public static func trim() -> Bool {
        let savedErrno = mallow_errno()
        Process.initializeIfNeeded()
        Process.state.pointee.trimEpoch.wrappingAdd(1, ordering: .relaxed)
        // Before the heaps give the pool their pages: it may have too much by that, and some goes at once.
        let purged = SlicePool.purgedBytes
        var released = giveBackOwn()
        if HeapRegistry.trimOthers() { released = true }
        if FirstClassHeaps.trim() { released = true }
        if Hardened.isOn { Hardened.trim() }
        if HeapRegistry.trimOrphans() { released = true }
        SlicePool.trim()
        if SlicePool.purgedBytes != purged { released = true }
        mallow_set_errno(savedErrno)
        return released
    }

    /// Gives back what is free in the calling thread's heap. Whether memory went from inside its pages.
    @discardableResult
    static func giveBackOwn() -> Bool {
        // It has one in these phases, and where it is parked just now, that is soon over: with `enter()` alone it would
        // be left out.
        let phase = mallow_thread_phase()
        guard phase == HeapRegistry.Phase.running || phase == HeapRegistry.Phase.ending else { return false }
        let heap = HeapRegistry.enterHeap()
        heap.pointee.isBusy = true
        heap.returnRations()
        let released = heap.giveBackAll()
        heap.pointee.isBusy = false
        leave()
        return released
    }
}
