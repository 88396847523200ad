// Checkpoints, and what is done on the way back to one.

import AllocatorCore

extension RegionAllocator {
    /// A record of where the region is now.
    private func makeRecord() -> RegionCheckpointRecord {
        lastSerial += 1
        return RegionCheckpointRecord(
            previous: checkpoints, serial: lastSerial, chunk: current, cursor: cursor, largeSerial: lastLargeSerial,
            cleanups: cleanups, liveBlocks: totalBlocks - freedBlocks, liveBytes: totalBytes - freedBytes)
    }

    /// Sets a checkpoint whose record lies in the region; nil where there is no memory.
    func setCheckpoint() -> RegionCheckpoint? {
        let layout = MemoryLayout<RegionCheckpointRecord>.self
        guard let place = handle.bump(byteCount: layout.size, alignment: layout.alignment) else { return nil }
        let record = place.bindMemory(to: RegionCheckpointRecord.self, capacity: 1)
        record.initialize(to: makeRecord())
        // Rewinding takes the record away too.
        record.pointee.cursor = UInt(bitPattern: place)
        checkpoints = record
        return RegionCheckpoint(region: identity, serial: lastSerial)
    }

    /// Sets a checkpoint whose record is in the caller's memory, until the caller rewinds.
    func setCheckpoint(in record: UnsafeMutablePointer<RegionCheckpointRecord>) -> UInt {
        record.initialize(to: makeRecord())
        checkpoints = record
        // I3: no block of before ends at the cursor, to be grown or freed there. In a full chunk it stands behind the
        // limit.
        if current != nil, cursor <= limit { cursor += 1 }
        return lastSerial
    }

    /// Goes back to a checkpoint. False, and nothing done, where it is gone: the region was reset, or rewound past it.
    func rewind(to serial: UInt) -> Bool {
        var next = checkpoints
        while let record = next, record.pointee.serial > serial { next = record.pointee.previous }
        guard let found = next?.pointee, found.serial == serial else { return false }
        runCleanups(until: found.cleanups)
        notePeak()
        checkpoints = found.previous
        freedBlocks = totalBlocks - found.liveBlocks
        freedBytes = totalBytes - found.liveBytes
        releaseLargeChunks(after: found.largeSerial)
        rewindPosition(to: found.chunk, cursor: found.cursor)
        return true
    }

    func runCleanups(until last: UnsafeMutablePointer<RegionCleanup>?) {
        while let next = cleanups, next != last {
            // Off the list first: a deinit may use the region.
            let cleanup = next.move()
            cleanups = cleanup.previous
            cleanup.destroy(cleanup.values, cleanup.count)
        }
    }

    /// Blocks, or bytes of a block, are no longer live, and no longer so for the checkpoints that are younger than
    /// them.
    @inlinable @inline(__always)
    func retire(blocks: Int, byteCount: Int, serial: UInt) {
        notePeak()
        freedBlocks &+= blocks
        freedBytes &+= byteCount
        if lastSerial != serial { retireInCheckpoints(blocks: blocks, byteCount: byteCount, serial: serial) }
    }

    @usableFromInline @inline(never)
    func retireInCheckpoints(blocks: Int, byteCount: Int, serial: UInt) {
        var next = checkpoints
        while let record = next, record.pointee.serial > serial {
            record.pointee.liveBlocks -= blocks
            record.pointee.liveBytes -= byteCount
            next = record.pointee.previous
        }
    }
}
