// Freeing all, the account, closing; and the check of the invariants for tests.

public import AllocatorCore

extension GuardAllocator: ResettableAllocator, MeasuredAllocator {
    /// Frees every live block, as ``deallocate(_:)`` does.
    public func freeAll() {
        var bases: [UInt] = []
        records.visit({ base, record in if record.isLive { bases.append(base) } })
        for base in bases { deallocate(UnsafeMutableRawPointer(bitPattern: base)!) }
    }

    /// The account: held are all mappings, also those in quarantine, and the table of blocks. All that is no live block
    /// is overhead.
    public var statistics: AllocatorStatistics {
        var statistics = account
        statistics.heldBytes += records.byteCount
        statistics.overheadBytes += records.byteCount
        return statistics
    }

    public func findLeaks() -> LeakError? { leakInStatistics(of: "GuardAllocator") }

    /// Where no block is live, also gives the quarantine back: using a block that was freed before is noticed no
    /// longer.
    public func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        releaseQuarantine(downTo: 0)
        if records.count == 0 { records.removeAll() }
    }

    /// What is wrong with the records, or nil. Linear in the blocks and their bytes.
    package func brokenInvariant() -> String? {
        var sums = AllocatorStatistics()
        var inQueue = 0
        var broken: String?
        records.visit({ base, record in
            sums.heldBytes += Int(record.mapping.byteCount)
            guard record.isLive else {
                inQueue += 1
                return
            }
            sums.liveBlocks += 1
            sums.liveBytes += record.byteCount
            if base < record.roomStart || base + UInt(record.byteCount) > record.roomStart + record.room
                || record.roomStart < record.mapping.address + pageByteCount
                || record.roomStart + record.room + pageByteCount > record.mapping.end
            {
                broken = "I2: the block at \(base) does not lie in its room"
                return
            }
            forEachCanaryRange(base, record) {
                if $0.contains(where: { $0 != Self.canary }) { broken = "I2: the canary at \(base) is broken" }
            }
        })
        var sum = 0
        var base = oldest
        var last: UInt = 0
        while base != 0 {
            guard let record = records[base], !record.isLive, inQueue > 0 else { return "I1: the queue is broken" }
            sum += Int(record.mapping.byteCount)
            inQueue -= 1
            last = base
            base = record.next
        }
        if inQueue != 0 || last != youngest { broken = "I1: \(inQueue) freed records are not in the queue" }
        if sum != quarantined { broken = "I3: \(quarantined) bytes in quarantine, \(sum) in the queue" }
        if sums.heldBytes != account.heldBytes || sums.liveBytes != account.liveBytes
            || sums.liveBlocks != account.liveBlocks || account.freeBytes != 0
        {
            broken = "I3: the account is \(account), and the blocks add up to \(sums)"
        }
        return broken
    }
}
