// Large hardened blocks: a run or a mapping each. At level 2 it lies between guard pages, and ends, but for the canary
// that makes it a multiple of 16 bytes, where the guard page begins: a write past its end faults at once.
//
//   level 2:   | guard pages | block ………………………………… | canary | guard page |      freed: all of it inaccessible, a while
//   level 1:   | canary | block ………………………………………………… | canary |  …      |      freed: given back
//
// The record says where the block begins, what was asked for, and what may be canary: it lies apart from the block.
//
// Cost: at level 2 two system calls to allocate and two to free; a copy for each growth by more than an eighth.
// Thread-safety: the lock of large blocks, for the record's state and the quarantine.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// The fields of a record that mean something else for a hardened large block.
extension UnsafeMutablePointer where Pointee == PageRecord {
    /// Where the block begins.
    fileprivate(set) var largeBlock: UInt {
        get { pointee.mark }
        nonmutating set { pointee.mark = newValue }
    }
    /// What was asked for, in bytes.
    fileprivate(set) var largeByteCount: UInt {
        get { pointee.free }
        nonmutating set { pointee.free = newValue }
    }
    /// How many bytes from the block's start are the block's or canary.
    fileprivate var largeCapacity: UInt {
        get { pointee.nextMessage }
        nonmutating set { pointee.nextMessage = newValue }
    }
    /// 1 where none beyond the natural one was asked for.
    fileprivate(set) var largeAlignment: UInt {
        get { 1 &<< UInt(pointee.used) }
        nonmutating set {
            pointee.used =
                newValue <= Hardened.naturalAlignment ? 0 : UInt32(truncatingIfNeeded: newValue.trailingZeroBitCount)
        }
    }
    fileprivate var isGuarded: Bool {
        get { pointee.carved != 0 }
        nonmutating set { pointee.carved = newValue ? 1 : 0 }
    }
    fileprivate var isMapping: Bool {
        pointee.kind == PageKind.hardenedMapping || pointee.kind == PageKind.quarantinedMapping
    }
    /// All the memory that the run or mapping has.
    fileprivate var largeRange: (start: UInt, byteCount: UInt) {
        isMapping
            ? (pointee.mappingAddress, pointee.mappingByteCount)
            : (start, UInt(pointee.sliceCount) &<< Layout.sliceShift)
    }
}

extension Hardened {
    /// Bytes of canary behind a large block, at most.
    private static var largestCanary: UInt { 256 }
    /// And in front of it.
    private static var largestFrontCanary: UInt { 64 }
    /// Mappings that the guards of one large block make.
    private static var guardsOfLarge: UInt { 4 }

    // MARK: - Allocating

    /// A run or a mapping; `reserve` bytes more for growing in place. `alignment` is a power of two.
    static func allocateLarge(
        _ byteCount: UInt, alignment: UInt, reserve: UInt, isZeroed: Bool
    ) -> UnsafeMutableRawPointer? {
        if byteCount > UInt(Int.max) &- (4 &<< 30) || alignment > Layout.largestAlignment {
            return Malloc.outOfMemory()
        }
        let savedErrno = mallow_errno()
        var made = makeLarge(byteCount, alignment: alignment, reserve: reserve)
        if made == nil {
            trim()
            made = makeLarge(byteCount, alignment: alignment, reserve: 0)
        }
        guard let made else { return Malloc.outOfMemory() }
        let block = made.page.largeBlock
        if isZeroed, !made.isZero { memset(rawPointer(block), 0, Int(bitPattern: byteCount)) }
        mallow_set_errno(savedErrno)
        if Process.state.pointee.isCounting {
            Counting.allocatedLarge(requested: byteCount, granted: made.page.pointee.blockByteCount)
        }
        return rawPointer(block)
    }

    private static func makeLarge(_ byteCount: UInt, alignment: UInt, reserve: UInt) -> Run? {
        let osPage = Process.state.pointee.osPageByteCount
        let isGuarded = takeGuards(guardsOfLarge)
        let guardByteCount = isGuarded ? osPage : 0
        let aligned = max(alignment, naturalAlignment)
        // Where the alignment is a slice or more, the block begins where its run does, and has no guard in front.
        let hasFront = aligned < Layout.sliceByteCount
        let needed = Layout.roundedUp(
            max(byteCount, 1) &+ reserve &+ (isGuarded ? 0 : leastCanary), toMultipleOf: naturalAlignment)
        let inFront =
            !hasFront ? 0 : isGuarded ? guardByteCount &+ aligned &- naturalAlignment : aligned
        var total = Layout.roundedUp(inFront &+ needed &+ guardByteCount, toMultipleOf: osPage)
        let run: Run
        let start: UInt
        let isRun =
            total <= Layout.runLimit && aligned <= Layout.runLimit / 2
            && (total < Layout.hugePageByteCount || Process.state.pointee.hugePages != .forLargeBlocks)
        if isRun {
            total = Layout.roundedUp(total, toMultipleOf: Layout.sliceByteCount)
            let slices = Int(bitPattern: total &>> Layout.sliceShift)
            let alignmentInSlices = Int(bitPattern: max(1, aligned &>> Layout.sliceShift))
            guard let taken = SlicePool.take(sliceCount: slices, alignmentInSlices: alignmentInSlices) else {
                if isGuarded { giveGuards(guardsOfLarge) }
                return nil
            }
            run = taken
            start = run.page.start
            run.page.pointee.owner.store(0, ordering: .relaxed)
        } else {
            guard let taken = Mappings.take(byteCount: total, alignment: aligned) else {
                if isGuarded { giveGuards(guardsOfLarge) }
                return nil
            }
            run = taken
            start = run.page.pointee.mappingAddress
        }
        let page = run.page
        var block = hasFront ? start &+ inFront : start
        if isGuarded, hasFront {
            block = (start &+ total &- guardByteCount &- needed) & ~(aligned &- 1)
            // The record is found from the first slice alone.
            let last = (start &+ Layout.sliceByteCount &- 1) & ~(aligned &- 1)
            if block > last { block = last }
        }
        var end = start &+ total
        if isGuarded {
            end = Layout.roundedUp(block &+ needed, toMultipleOf: osPage)
            let front = block & ~(osPage &- 1)
            if front > start { _ = SystemMemory.protect(address: start, byteCount: front &- start, access: .none) }
            _ = SystemMemory.protect(address: end, byteCount: start &+ total &- end, access: .none)
        }
        // A child of `fork` is to find the block whole or not at all.
        HardenedRecord.lock.acquire()
        page.largeBlock = block
        page.largeByteCount = byteCount
        page.largeCapacity = end &- block
        page.largeAlignment = alignment
        page.isGuarded = isGuarded
        page.pointee.blockByteCount = Layout.roundedUp(needed, toMultipleOf: osPage)
        page.pointee.kind =
            page.pointee.kind == PageKind.mapping ? PageKind.hardenedMapping : PageKind.hardenedRun
        Canary.write(block, from: block &+ byteCount, to: endOfCanary(page))
        Canary.write(block, from: startOfCanary(page), to: block)
        HardenedRecord.lock.release()
        return Run(page: page, isZero: run.isZero)
    }

    /// Where the canary ends: with the memory, or where it is long enough.
    private static func endOfCanary(_ page: Page) -> UInt {
        let block = page.largeBlock
        return min(block &+ page.largeCapacity, (block &+ page.largeByteCount &+ largestCanary) & ~7)
    }

    /// Where the canary in front of the block begins: with the OS page, if there is a guard before that.
    private static func startOfCanary(_ page: Page) -> UInt {
        let block = page.largeBlock
        let osPage = page.isGuarded ? Process.state.pointee.osPageByteCount : Layout.sliceByteCount
        return max(block & ~(osPage &- 1), block &- largestFrontCanary)
    }

    /// The first byte in front of a live block that was changed, or 0.
    static func firstDamage(beforeLarge page: Page) -> UInt {
        Canary.firstDamage(page.largeBlock, from: startOfCanary(page), to: page.largeBlock)
    }

    /// The first byte of a live block's canary that was changed, or 0.
    static func firstDamage(behindLarge page: Page) -> UInt {
        Canary.firstDamage(
            page.largeBlock, from: page.largeBlock &+ page.largeByteCount, to: endOfCanary(page))
    }

    // MARK: - Freeing

    static func deallocateLarge(_ page: Page, _ occasion: Occasion) {
        HardenedRecord.lock.acquire()
        checkLarge(page, occasion)
        let granted = page.pointee.blockByteCount
        let savedErrno = mallow_errno()
        let (start, byteCount) = page.largeRange
        page.pointee.kind = page.isMapping ? PageKind.quarantinedMapping : PageKind.quarantinedRun
        HardenedRecord.lock.release()
        if isFull {
            // Where the kernel refuses, the block is quarantined all the same, and only not protected.
            _ = SystemMemory.protect(address: start, byteCount: byteCount, access: .none)
            // Whatever the program left there is gone.
            SystemMemory.discard(address: start, byteCount: byteCount)
            quarantineLarge(page, byteCount: byteCount)
        } else {
            giveBackLarge(page)
        }
        mallow_set_errno(savedErrno)
        if Process.state.pointee.isCounting { Counting.freed(granted) }
    }

    /// Passes if the pointer is the start of a live large block that nobody wrote past. The lock is held; it is
    /// released before a finding is reported.
    private static func checkLarge(_ page: Page, _ occasion: Occasion) {
        let block = page.largeBlock
        let size = page.largeByteCount
        let kind = page.pointee.kind
        if kind != PageKind.hardenedRun && kind != PageKind.hardenedMapping {
            HardenedRecord.lock.release()
            guard kind == PageKind.quarantinedRun || kind == PageKind.quarantinedMapping else {
                HardenedFinding.neverAllocated(occasion)
            }
            if occasion.pointer == block { HardenedFinding.freedTwice(occasion, size: size) }
            HardenedFinding.insideBlock(occasion, block: block, size: size, isLive: false)
        }
        if occasion.pointer != block {
            HardenedRecord.lock.release()
            // A guard page in front.
            if occasion.pointer < block { HardenedFinding.neverAllocated(occasion) }
            HardenedFinding.insideBlock(occasion, block: block, size: size, isLive: true)
        }
        var damage = firstDamage(behindLarge: page)
        if damage != 0 {
            HardenedRecord.lock.release()
            HardenedFinding.writtenPastEnd(occasion, size: size, offset: damage &- block)
        }
        damage = firstDamage(beforeLarge: page)
        if damage != 0 {
            HardenedRecord.lock.release()
            HardenedFinding.writtenBefore(occasion, size: size, distance: block &- damage)
        }
    }

    /// Gives a block's memory to the pool, accessible again. Where the kernel refuses that, it is lost.
    private static func giveBackLarge(_ page: Page) {
        let (start, byteCount) = page.largeRange
        if isFull {
            guard SystemMemory.protect(address: start, byteCount: byteCount, access: .readWrite) else { return }
        }
        if page.isGuarded { giveGuards(guardsOfLarge) }
        page.largeByteCount = 0
        page.largeCapacity = 0
        page.largeAlignment = 1
        page.isGuarded = false
        if page.isMapping {
            // A mapping's mark would be its first-class heap.
            page.largeBlock = 0
            page.pointee.kind = PageKind.mapping
            Mappings.give(page)
        } else {
            SlicePool.give(page: page)
        }
    }

    // MARK: - Quarantine

    private static func ring(_ position: UInt) -> UnsafeMutablePointer<UInt> {
        UnsafeMutablePointer<UInt>(
            at: Process.state.pointee.hardenedAddress &+ HardenedRecord.quarantineOffset
                &+ position % HardenedRecord.quarantineCapacity &* 8)
    }

    private static func quarantineLarge(_ page: Page, byteCount: UInt) {
        HardenedRecord.lock.acquire()
        while shared.pointee.quarantinedCount == HardenedRecord.quarantineCapacity { releaseOldestLarge() }
        ring(shared.pointee.oldest &+ shared.pointee.quarantinedCount).pointee = page.address
        shared.pointee.quarantinedCount &+= 1
        shared.pointee.quarantinedBytes &+= byteCount
        while shared.pointee.quarantinedBytes > HardenedRecord.quarantineByteLimit { releaseOldestLarge() }
        HardenedRecord.lock.release()
    }

    private static func releaseOldestLarge() {
        let page = Page(at: ring(shared.pointee.oldest).pointee)
        shared.pointee.oldest &+= 1
        shared.pointee.quarantinedCount &-= 1
        shared.pointee.quarantinedBytes &-= page.largeRange.byteCount
        giveBackLarge(page)
    }

    static func emptyLargeQuarantine() {
        HardenedRecord.lock.acquire()
        while shared.pointee.quarantinedCount > 0 { releaseOldestLarge() }
        HardenedRecord.lock.release()
    }

    // MARK: - Resizing and asking

    /// Changes a block's size where it lies. False where it does not fit, or would waste more than half.
    static func resizeLargeInPlace(_ page: Page, to byteCount: UInt, _ occasion: Occasion) -> (fits: Bool, size: UInt) {
        HardenedRecord.lock.acquire()
        checkLarge(page, occasion)
        let old = page.largeByteCount
        let least = page.isGuarded ? 0 : leastCanary
        let fits =
            byteCount <= page.largeCapacity &- least && byteCount >= page.largeCapacity / 2
            && byteCount > Layout.smallLimit
        if fits {
            page.largeByteCount = byteCount
            page.largeAlignment = 1
            Canary.write(page.largeBlock, from: page.largeBlock &+ byteCount, to: endOfCanary(page))
            if byteCount < old &- old / 8 { discardBehind(page) }
        }
        HardenedRecord.lock.release()
        return (fits, old)
    }

    /// Gives back the memory of a block that has shrunk, but for its canary.
    private static func discardBehind(_ page: Page) {
        let osPage = Process.state.pointee.osPageByteCount
        let first = Layout.roundedUp(endOfCanary(page), toMultipleOf: osPage)
        let end = page.largeBlock &+ page.largeCapacity
        if end > first { SystemMemory.discard(address: first, byteCount: end &- first) }
        page.pointee.blockByteCount = Layout.roundedUp(page.largeByteCount, toMultipleOf: osPage)
    }

    /// What was asked for, and with what alignment.
    static func largeEntry(_ page: Page, _ occasion: Occasion) -> (byteCount: UInt, alignment: UInt) {
        HardenedRecord.lock.acquire()
        checkLarge(page, occasion)
        let entry = (page.largeByteCount, page.largeAlignment)
        HardenedRecord.lock.release()
        return entry
    }
}
