// Small hardened blocks: up to 32 KiB less a canary. Each is one slot of its page; the canary fills the slot behind
// what was asked for.
//
// What is checked when a block is freed or resized: that it is the start of one, and live (for certain, whatever other
// threads do); its canary; and the last bytes of the slot in front of it, which are a canary's or poison. When it is
// handed out: that all of it is poison still. It is handed out full of zeros.
//
// Cost: a lock, a pass over the block for poison when it is freed and two when it is handed out. O(bytes of the block).
// Thread-safety: the lock of the page's shard.

import CMallowShims

extension Hardened {
    /// Bytes in front of a block that are looked at when it is freed, where they belong to nobody.
    private static var underflowReach: UInt { 64 }

    // MARK: - Allocating

    /// A block. `alignment` is a power of two. Nil, with `ENOMEM`, where there is no memory.
    @inline(never)
    static func allocate(_ byteCount: UInt, alignment: UInt = 1, reserve: UInt = 0) -> UnsafeMutableRawPointer? {
        if byteCount <= Layout.smallLimit &- leastCanary, alignment <= Layout.smallLimit {
            let needed = max(byteCount &+ leastCanary, naturalAlignment)
            let sizeClass =
                alignment <= naturalAlignment
                ? SizeClasses.sizeClass(for: needed) : SizeClasses.sizeClass(for: needed, alignment: alignment)
            if let sizeClass { return allocateSmall(byteCount, alignment: alignment, sizeClass) }
        }
        return allocateLarge(byteCount, alignment: alignment, reserve: reserve, isZeroed: false)
    }

    private static func allocateSmall(_ byteCount: UInt, alignment: UInt, _ sizeClass: Int) -> UnsafeMutableRawPointer?
    {
        let shard = Shard.current
        shard.lock.acquire()
        var found = shard.pageWithRoom(sizeClass)
        if found == nil {
            shard.lock.release()
            trim()
            shard.lock.acquire()
            found = shard.pageWithRoom(sizeClass)
        }
        guard let page = found else {
            shard.lock.release()
            return Malloc.outOfMemory()
        }
        let table = page.sideTable
        let index = table.takeFree(random: isFull ? shard.nextRandom() : 0, capacity: UInt(page.pointee.capacity))
        let block = page.block(index)
        shard.checkPoison(of: page, index, Occasion(caller: "malloc", pointer: block))
        table[index] = BlockEntry(liveBlockOf: byteCount, alignment: alignment)
        let slot = page.pointee.blockByteCount
        // No program is to see what another part of it left, or poison as if it were data.
        memset(rawPointer(block), 0, Int(bitPattern: byteCount))
        Canary.write(block, from: block &+ byteCount, to: block &+ slot)
        page.pointee.used &+= 1
        if page.pointee.used == page.pointee.capacity { shard.remove(page) }
        shard.counters[sizeClass].allocations &+= 1
        shard.counters[sizeClass].requestedBytes &+= byteCount
        shard.lock.release()
        if Process.state.pointee.isCounting { Counting.allocated(slot) }
        return rawPointer(block)
    }

    // MARK: - Freeing

    static func deallocateSmall(_ page: Page, _ occasion: Occasion) {
        let shard = lockedShard(of: page, occasion)
        let index = checkedIndex(page, shard, occasion)
        let slot = page.pointee.blockByteCount
        let block = occasion.pointer
        Poison.write(block, byteCount: slot)
        if isFull {
            page.sideTable[index] = page.sideTable[index].with(state: BlockState.quarantined)
            page.sideTable.quarantinedCount.pointee &+= 1
            shard.quarantine(block, byteCount: slot)
        } else {
            shard.makeFree(page, index)
        }
        shard.lock.release()
        if Process.state.pointee.isCounting { Counting.freed(slot) }
    }

    /// The shard of a page, locked. The page may be given back until the lock is held, where the program frees a block
    /// in two threads at once: then there is no block.
    private static func lockedShard(of page: Page, _ occasion: Occasion) -> Shard {
        let table = page.sideTable
        guard table.address != 0 else { HardenedFinding.neverAllocated(occasion) }
        let address = table.shard.pointee
        guard address != 0 else { HardenedFinding.neverAllocated(occasion) }
        let shard = Shard(at: address)
        shard.lock.acquire()
        guard page.pointee.kind == PageKind.hardened, page.sideTable.address == table.address,
            table.shard.pointee == address
        else {
            shard.lock.release()
            HardenedFinding.neverAllocated(occasion)
        }
        return shard
    }

    /// The number of the live block that begins at the pointer, all of whose checks are passed. The lock is held; it is
    /// released before a finding is reported.
    private static func checkedIndex(_ page: Page, _ shard: Shard, _ occasion: Occasion) -> UInt {
        let slot = page.pointee.blockByteCount
        let offset = occasion.pointer &- page.start
        let index = offset / slot
        guard index < UInt(page.pointee.carved) else {
            shard.lock.release()
            HardenedFinding.neverAllocated(occasion)
        }
        let entry = page.sideTable[index]
        let block = page.block(index)
        guard block == occasion.pointer, entry.state == BlockState.live else {
            shard.lock.release()
            reportNoBlock(occasion, block: block, entry)
        }
        var damage = Canary.firstDamage(block, from: block &+ entry.byteCount, to: block &+ slot)
        if damage != 0 {
            shard.lock.release()
            HardenedFinding.writtenPastEnd(occasion, size: entry.byteCount, offset: damage &- block)
        }
        if index > 0 {
            damage = firstDamage(inFrontOf: block, slot: slot, page.sideTable[index &- 1])
            if damage != 0 {
                let neighbour = page.sideTable[index &- 1]
                shard.lock.release()
                HardenedFinding.writtenInFront(
                    occasion, distance: block &- damage, neighbour: block &- slot, size: neighbour.byteCount,
                    isLive: neighbour.state == BlockState.live)
            }
        }
        return index
    }

    private static func reportNoBlock(_ occasion: Occasion, block: UInt, _ entry: BlockEntry) -> Never {
        // A free block that was never live was asked for with 0 bytes, as far as its entry goes, and so may be one of
        // 0.
        if block == occasion.pointer { HardenedFinding.freedTwice(occasion, size: entry.byteCount) }
        HardenedFinding.insideBlock(
            occasion, block: block, size: entry.byteCount, isLive: entry.state == BlockState.live)
    }

    /// Of the bytes just in front of a block, the first that is neither its neighbour's to write nor as it was left; 0
    /// if none is.
    private static func firstDamage(inFrontOf block: UInt, slot: UInt, _ neighbour: BlockEntry) -> UInt {
        let reach = block &- min(slot, underflowReach)
        switch neighbour.state {
        case BlockState.live:
            let end = block &- slot &+ neighbour.byteCount
            return Canary.firstDamage(block &- slot, from: max(end, reach), to: block)
        case BlockState.uncarved:
            return 0
        default:
            return Poison.firstDamage(block &- slot, from: reach, to: block)
        }
    }

    // MARK: - Resizing and asking

    /// Changes a block's size where it lies. False where it does not fit, or would waste more than half.
    static func resizeSmallInPlace(_ page: Page, to byteCount: UInt, _ occasion: Occasion) -> (fits: Bool, size: UInt) {
        let shard = lockedShard(of: page, occasion)
        let index = checkedIndex(page, shard, occasion)
        let old = page.sideTable[index].byteCount
        let slot = page.pointee.blockByteCount
        let fits = byteCount <= slot &- leastCanary && (byteCount &+ leastCanary > slot / 2 || slot <= 32)
        if fits {
            let block = occasion.pointer
            // What the block grows by was canary, which is nobody's to read.
            if byteCount > old { memset(rawPointer(block &+ old), 0, Int(bitPattern: byteCount &- old)) }
            page.sideTable[index] = BlockEntry(liveBlockOf: byteCount, alignment: 1)
            Canary.write(block, from: block &+ byteCount, to: block &+ slot)
        }
        shard.lock.release()
        return (fits, old)
    }

    /// What was asked for, and with what alignment.
    static func smallEntry(_ page: Page, _ occasion: Occasion) -> BlockEntry {
        let shard = lockedShard(of: page, occasion)
        let entry = page.sideTable[checkedIndex(page, shard, occasion)]
        shard.lock.release()
        return entry
    }
}
