// A look at every hardened block when the program ends: at the canaries of those that live, at the poison of those that
// are free or quarantined. What was overwritten and never freed is found here, or never.
//
// Cost: a pass over all of them. Thread-safety: takes every lock, and gives up where one is held: the program ends.

import CMallowShims

extension Malloc {
    /// Looks at every block, at level 2, and reports the first that was written past its end or after it was freed. For
    /// the end of a program. O(bytes).
    public static func checkHardenedBlocks() {
        if Hardened.isFull { Hardened.checkAll() }
    }
}

extension Hardened {
    fileprivate static func checkAll() {
        var held: UInt = 0
        while held < shardCount, Shard.at(held).lock.tryAcquire() { held &+= 1 }
        let isComplete = held == shardCount && HardenedRecord.lock.tryAcquire()
        var finding = ExitFinding()
        if isComplete {
            if Process.poolLock.tryAcquire() {
                Process.poolLock.release()
                withUnsafeMutablePointer(to: &finding) { finding in
                    Process.forEachPage { page in
                        if finding.pointee.block == 0 { check(page, finding) }
                    }
                }
            }
            HardenedRecord.lock.release()
        }
        while held > 0 {
            held &-= 1
            Shard.at(held).lock.release()
        }
        if finding.block == 0 { return }
        let occasion = Occasion.atExit(finding.block)
        if finding.isLive, finding.offset > UInt(Int.max) {
            HardenedFinding.writtenBefore(occasion, size: finding.byteCount, distance: 0 &- finding.offset)
        }
        if finding.isLive { HardenedFinding.writtenPastEnd(occasion, size: finding.byteCount, offset: finding.offset) }
        HardenedFinding.writtenAfterFree(occasion, size: finding.byteCount, offset: finding.offset)
    }

    private static func check(_ page: Page, _ finding: UnsafeMutablePointer<ExitFinding>) {
        if page.pointee.kind == PageKind.hardenedRun || page.pointee.kind == PageKind.hardenedMapping {
            var damage = firstDamage(behindLarge: page)
            if damage == 0 { damage = firstDamage(beforeLarge: page) }
            if damage != 0 {
                finding.pointee = ExitFinding(
                    block: page.largeBlock, byteCount: page.largeByteCount, offset: damage &- page.largeBlock,
                    isLive: true)
            }
        }
        guard page.pointee.kind == PageKind.hardened else { return }
        let slot = page.pointee.blockByteCount
        for index in 0..<UInt(page.pointee.carved) {
            let entry = page.sideTable[index]
            let block = page.block(index)
            if entry.state == BlockState.uncarved { continue }
            let isLive = entry.state == BlockState.live
            let damage =
                isLive
                ? Canary.firstDamage(block, from: block &+ entry.byteCount, to: block &+ slot)
                : Poison.firstDamage(block, from: block, to: block &+ slot)
            if damage == 0 { continue }
            finding.pointee = ExitFinding(
                block: block, byteCount: entry.byteCount, offset: damage &- block, isLive: isLive)
            return
        }
    }
}

private struct ExitFinding {
    var block: UInt = 0
    var byteCount: UInt = 0
    var offset: UInt = 0
    var isLive = false
}
