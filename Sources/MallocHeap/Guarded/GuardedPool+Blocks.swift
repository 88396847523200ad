// Guarded blocks come and go. See GuardedPool.swift.
//
// Only taking a slot out of a tier, and changing its state, happens under the lock: the system calls are made by
// whoever has the slot, who is alone with it.

import CMallowShims

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

extension GuardedPool {
    private static var pool: UnsafeMutablePointer<GuardedPool> { Process.state.pointee.guardedPool.unsafelyUnwrapped }

    /// How much of the slack is filled and checked at either side of a block, in bytes.
    static let slackLimit: UInt = 128

    // MARK: - Allocation

    /// A guarded block, or 0 when the pool has no slot for it or the kernel refuses. `errno` is preserved.
    ///
    /// - Parameters:
    ///   - alignment: a power of two, at least what `malloc` promises for the size.
    ///   - frame: the frame record of the function whose caller allocates.
    static func allocate(
        _ byteCount: UInt, alignment: UInt, sizeClass: UInt8, isZeroed: Bool, frame: UInt
    ) -> UInt {
        // The largest alignment leaves room for the block wherever the slot begins.
        let osPage = pool.pointee.osPageByteCount
        let needed = max(byteCount, 1) &+ (alignment > osPage ? alignment : 0)
        var index = 0
        while index < tierCount, tier(index).pointee.slotByteCount < needed { index &+= 1 }
        guard index < tierCount, needed >= byteCount else { return 0 }
        let tier = tier(index)
        guard let taken = takeSlot(tier) else { return 0 }
        let (number, random) = taken
        let slot = tier.slot(number)
        let start = tier.start(ofSlot: number)
        let end = start &+ tier.pointee.slotByteCount
        // At the end it meets the guard behind it, at the beginning the one before.
        var block = (end &- max(byteCount, 1)) & ~(alignment &- 1)
        if random & 1 == 0 || block < start { block = Layout.roundedUp(start, toMultipleOf: alignment) }
        slot.pointee.block = block
        slot.pointee.byteCount = byteCount
        slot.pointee.sizeClass = sizeClass
        slot.pointee.pattern = UInt8(truncatingIfNeeded: random &>> 8)

        let savedErrno = mallow_errno()
        let pages = slot.osPages(osPage)
        guard SystemMemory.protect(address: pages.start, byteCount: pages.byteCount, access: .readWrite) else {
            mallow_set_errno(savedErrno)
            giveSlot(tier, number)
            return 0
        }
        if slot.pointee.holdsMemory, isZeroed { memset(rawPointer(block), 0, Int(bitPattern: byteCount)) }
        slot.fillSlack(osPage)
        Trace.take(slot.allocationTrace, frame: frame)
        slot.pointee.allocatingThread = mallow_thread_id()
        mallow_set_errno(savedErrno)
        return block
    }

    /// A slot that was never used, or else the one that was freed the longest ago; it is live. With it a random number.
    private static func takeSlot(_ tier: Tier) -> (UInt32, UInt64)? {
        Process.guardedLock.acquire()
        defer { Process.guardedLock.release() }
        let number: UInt32
        if tier.pointee.fresh < tier.pointee.slotCount {
            number = tier.pointee.fresh
            tier.pointee.fresh &+= 1
        } else {
            guard tier.pointee.oldest != 0 else { return nil }
            number = tier.pointee.oldest &- 1
            tier.pointee.oldest = tier.slot(number).pointee.next
            if tier.pointee.oldest == 0 { tier.pointee.newest = 0 }
        }
        tier.pointee.live &+= 1
        tier.slot(number).pointee.state = .live
        pool.pointee.guardedCount &+= 1
        pool.pointee.random = nextRandom(pool.pointee.random)
        return (number, pool.pointee.random)
    }

    /// Puts a slot at the end of its tier's queue.
    private static func giveSlot(_ tier: Tier, _ number: UInt32) {
        Process.guardedLock.acquire()
        let slot = tier.slot(number)
        slot.pointee.state = .freed
        slot.pointee.next = 0
        if tier.pointee.newest == 0 {
            tier.pointee.oldest = number &+ 1
        } else {
            tier.slot(tier.pointee.newest &- 1).pointee.next = number &+ 1
        }
        tier.pointee.newest = number &+ 1
        tier.pointee.live &-= 1
        Process.guardedLock.release()
    }

    // MARK: - Deallocation

    /// Frees a guarded block. Ends the program, with a report, if it is none, was freed before, or its slack was
    /// written to. `errno` is preserved.
    static func deallocate(_ address: UInt, caller: StaticString, frame: UInt) {
        let slot = liveSlot(address, caller: caller, frame: frame)
        let osPage = pool.pointee.osPageByteCount
        slot.checkSlack(osPage, caller: caller, frame: frame)
        // From here on another free of it is a second one.
        Process.guardedLock.acquire()
        let wasLive = slot.pointee.state == .live
        slot.pointee.state = .freed
        Process.guardedLock.release()
        guard wasLive else { GuardedReport.end(Finding(.doubleFree, address, slot, caller: caller), frame: frame) }
        if Process.state.pointee.isCounting { Counting.freed(slot.countedBytes) }
        let savedErrno = mallow_errno()
        Trace.take(slot.freeTrace, frame: frame)
        slot.pointee.freeingThread = mallow_thread_id()
        let pages = slot.osPages(osPage)
        // Where the kernel refuses, the slot waits its turn all the same: accessible, or with its memory.
        _ = SystemMemory.protect(address: pages.start, byteCount: pages.byteCount, access: .none)
        slot.pointee.holdsMemory = !SystemMemory.discard(address: pages.start, byteCount: pages.byteCount)
        mallow_set_errno(savedErrno)
        let tier = tier(at: address)
        giveSlot(tier, tier.index(at: address))
    }

    /// The slot of the live block that begins at `address`. Ends the program with a report if there is none.
    static func liveSlot(_ address: UInt, caller: StaticString, frame: UInt) -> Slot {
        guard let slot = slot(ofBlockAt: address) else {
            let slot = slot(at: address)
            GuardedReport.end(Finding(.invalidFree, address, slot, caller: caller), frame: frame)
        }
        if slot.pointee.state != .live {
            GuardedReport.end(Finding(.doubleFree, address, slot, caller: caller), frame: frame)
        }
        return slot
    }

    /// xorshift64 (Marsaglia, 2003): never 0.
    static func nextRandom(_ state: UInt64) -> UInt64 {
        var next = state
        next ^= next &<< 13
        next ^= next &>> 7
        next ^= next &<< 17
        return next
    }
}

// MARK: - A slot's memory

extension UnsafeMutablePointer where Pointee == SlotRecord {
    /// The OS pages that the block touches; one at least.
    func osPages(_ osPage: UInt) -> (start: UInt, byteCount: UInt) {
        let start = pointee.block & ~(osPage &- 1)
        let end = Layout.roundedUp(pointee.block &+ Swift.max(pointee.byteCount, 1), toMultipleOf: osPage)
        return (start, end &- start)
    }

    /// The bytes before and behind the block that are filled: as near to it as can be.
    private func slack(_ osPage: UInt) -> (before: Range<UInt>, behind: Range<UInt>) {
        let pages = osPages(osPage)
        let end = pointee.block &+ pointee.byteCount
        let before = Swift.min(pointee.block &- pages.start, GuardedPool.slackLimit)
        let behind = Swift.min(pages.start &+ pages.byteCount &- end, GuardedPool.slackLimit)
        return (pointee.block &- before..<pointee.block, end..<end &+ behind)
    }

    /// What the slack holds at an address: never 0, which is what most overflows write.
    private func filling(_ address: UInt) -> UInt8 {
        (UInt8(truncatingIfNeeded: address) ^ pointee.pattern) | 1
    }

    func fillSlack(_ osPage: UInt) {
        let slack = slack(osPage)
        fill(slack.before)
        fill(slack.behind)
    }

    private func fill(_ range: Range<UInt>) {
        var address = range.lowerBound
        while address < range.upperBound {
            UnsafeMutablePointer<UInt8>(at: address).pointee = filling(address)
            address &+= 1
        }
    }

    /// Ends the program with a report if something was written there.
    func checkSlack(_ osPage: UInt, caller: StaticString, frame: UInt) {
        let slack = slack(osPage)
        if let written = firstWritten(slack.behind) {
            var last = slack.behind.upperBound &- 1
            while isFilled(last) { last &-= 1 }
            let finding = Finding(.writtenBehind, written, self, caller: caller, byteCount: last &- written &+ 1)
            GuardedReport.end(finding, frame: frame)
        }
        if let written = firstWritten(slack.before) {
            var last = slack.before.upperBound &- 1
            while isFilled(last) { last &-= 1 }
            let finding = Finding(.writtenBefore, written, self, caller: caller, byteCount: last &- written &+ 1)
            GuardedReport.end(finding, frame: frame)
        }
    }

    private func isFilled(_ address: UInt) -> Bool {
        UnsafeMutablePointer<UInt8>(at: address).pointee == filling(address)
    }

    private func firstWritten(_ range: Range<UInt>) -> UInt? {
        var address = range.lowerBound
        while address < range.upperBound {
            if !isFilled(address) { return address }
            address &+= 1
        }
        return nil
    }
}
