// Blocks that were freed, in the order in which they were, kept from being handed out again until as many more were
// freed as the limits say: so that a second free, or a write through a stale pointer, meets a block that is known to be
// free, and not another's.
//
// Cost: O(1) a block, and a pass over its bytes when it leaves. Thread-safety: the shard's lock.

import CMallowShims

extension UnsafeMutablePointer where Pointee == ShardRecord {
    @inline(__always)
    private func ring(_ position: UInt) -> UnsafeMutablePointer<UInt> {
        UnsafeMutablePointer<UInt>(
            at: base &+ ShardRecord.quarantineOffset &+ (position & (ShardRecord.quarantineCapacity &- 1)) &* 8)
    }

    /// Takes in a freed block, and lets go of the oldest while there are too many.
    func quarantine(_ block: UInt, byteCount: UInt) {
        if pointee.quarantinedCount == ShardRecord.quarantineCapacity { releaseOldest() }
        ring(pointee.oldest &+ pointee.quarantinedCount).pointee = block
        pointee.quarantinedCount &+= 1
        pointee.quarantinedBytes &+= byteCount
        while pointee.quarantinedBytes > ShardRecord.quarantineByteLimit { releaseOldest() }
    }

    func emptyQuarantine() {
        while pointee.quarantinedCount > 0 { releaseOldest() }
    }

    private func releaseOldest() {
        let block = ring(pointee.oldest).pointee
        let page = Page(at: recordAddress(entry: segmentMapEntry(block), of: block))
        let index = (block &- page.start) / page.pointee.blockByteCount
        checkPoison(of: page, index, Occasion(caller: "free", pointer: block))
        pointee.oldest &+= 1
        pointee.quarantinedCount &-= 1
        pointee.quarantinedBytes &-= page.pointee.blockByteCount
        page.sideTable.quarantinedCount.pointee &-= 1
        makeFree(page, index)
    }

    /// Whether the ring holds as many blocks as the pages of it say: for tests. O(1) each.
    func quarantined(_ position: UInt) -> UInt { ring(pointee.oldest &+ position).pointee }
}
