// A region's account. What was ever allocated and what is gone of it are counted as it happens; the peaks are noted
// before something is freed, and what is free is found by a walk over the spare chunks.

public import AllocatorCore

extension RegionAllocator: MeasuredAllocator {
    @inlinable @inline(__always)
    func notePeak() {
        peakBlocks = max(peakBlocks, totalBlocks &- freedBlocks &+ lentBlocks)
        peakBytes = max(peakBytes, totalBytes &- freedBytes &+ lentBytes)
    }

    /// The account as of now. Overhead is what nothing can have before the next reset: headers, records, padding, the
    /// tails of chunks that were left, and blocks that were freed and were not the last. Chunks of children are live
    /// blocks. O(spare chunks).
    public var statistics: AllocatorStatistics {
        notePeak()
        let liveBytes = totalBytes - freedBytes + lentBytes
        var free = room
        var next = current?.pointee.next
        while let chunk = next {
            free += chunk.capacity
            next = chunk.pointee.next
        }
        return AllocatorStatistics(
            liveBlocks: totalBlocks - freedBlocks + lentBlocks, liveBytes: liveBytes, peakBlocks: peakBlocks,
            peakBytes: peakBytes, totalBlocks: totalBlocks + totalLentBlocks,
            totalBytes: totalBytes + totalLentBytes, heldBytes: heldBytes,
            overheadBytes: heldBytes - liveBytes - free)
    }

    package func brokenInvariant() -> String? {
        if (first == nil) != (current == nil) { return "I2: a current chunk without a first, or the reverse" }
        if current == nil, cursor != 1 || limit != 0 { return "I2: room without a chunk" }
        var sum = lentBytes
        var chunks = 0
        var metCurrent = current == nil
        var next = first
        while let chunk = next {
            sum += chunk.pointee.byteCount
            chunks += 1
            if chunk == current { metCurrent = true }
            if chunk.pointee.byteCount % 16 != 0 { return "a chunk of \(chunk.pointee.byteCount) bytes" }
            next = chunk.pointee.next
        }
        if !metCurrent { return "the current chunk is not in the list" }
        if let current, cursor < current.start || cursor > limit + 1 || limit != current.end {
            return "I1: the cursor is outside the current chunk"
        }
        var serial = UInt.max
        next = large
        while let chunk = next {
            sum += chunk.pointee.byteCount
            chunks += 1
            if chunk.pointee.serial >= serial || chunk.pointee.serial == 0 { return "large chunks out of order" }
            serial = chunk.pointee.serial
            next = chunk.pointee.next
        }
        if sum != heldBytes { return "chunks of \(sum) bytes are counted as \(heldBytes)" }
        var record = checkpoints
        serial = lastSerial + 1
        while let found = record?.pointee {
            if found.serial >= serial { return "checkpoints out of order" }
            if found.liveBlocks < 0 || found.liveBytes < 0 { return "a checkpoint with fewer than no live blocks" }
            if found.chunk == current, found.cursor > cursor { return "I3: the cursor is below a checkpoint" }
            serial = found.serial
            record = found.previous
        }
        let statistics = self.statistics
        if statistics.liveBlocks < 0 || statistics.liveBytes < 0 { return "fewer than no live blocks" }
        if statistics.overheadBytes < chunks * RegionChunk.headerSize { return "more is live than can be" }
        return nil
    }
}
