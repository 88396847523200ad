// Where a region's chunks come from, and where they go: upstream, to the spare ones, to a child and back.

import AllocatorCore

extension RegionAllocator {
    // MARK: - Another chunk

    /// `bump`, where the current chunk has no room: a spare chunk, a new one, or a large one.
    func bumpInAnotherChunk(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer? {
        // A chunk's first byte is aligned to 16.
        let slack = max(alignment, 16) - 16
        let (needed, overflow) = byteCount.addingReportingOverflow(slack + RegionChunk.headerSize)
        // 15 more, for rounding up.
        guard !overflow, needed <= Int.max - 15 else { return nil }
        if needed > maximumChunkSize / 2 { return bumpInLargeChunk(chunkSize: needed, alignment: alignment) }

        guard let chunk = takeSpare(ofAtLeast: needed) ?? takeNewChunk(ofAtLeast: needed) else { return nil }
        if let current {
            chunk.pointee.next = current.pointee.next
            current.pointee.next = chunk
        } else {
            chunk.pointee.next = first
            first = chunk
        }
        enter(chunk)
        return handle.bump(byteCount: byteCount, alignment: alignment)
    }

    /// Starts to fill a chunk that is in the list.
    private func enter(_ chunk: UnsafeMutablePointer<RegionChunk>?) {
        current = chunk
        cursor = chunk?.start ?? 1
        limit = chunk?.end ?? 0
    }

    /// Takes the first spare chunk of at least so many bytes out of the list.
    private func takeSpare(ofAtLeast byteCount: Int) -> UnsafeMutablePointer<RegionChunk>? {
        guard var before = current else { return nil }
        while let chunk = before.pointee.next {
            if chunk.pointee.byteCount >= byteCount {
                before.pointee.next = chunk.pointee.next
                return chunk
            }
            before = chunk
        }
        return nil
    }

    private func takeNewChunk(ofAtLeast byteCount: Int) -> UnsafeMutablePointer<RegionChunk>? {
        var size = nextChunkSize
        while size < byteCount { size = min(size * 2, maximumChunkSize) }
        if let chunk = takeChunk(byteCount: size, serial: 0) {
            nextChunkSize = min(size * 2, maximumChunkSize)
            return chunk
        }
        // Upstream may still have what is needed now.
        let least = (byteCount + 15) & ~15
        return least < size ? takeChunk(byteCount: least, serial: 0) : nil
    }

    private func takeChunk(byteCount: Int, serial: UInt) -> UnsafeMutablePointer<RegionChunk>? {
        guard let block = upstream.tryAllocate(byteCount: byteCount, alignment: 16) else { return nil }
        let usable = block.count & ~15
        let chunk = block.baseAddress.unsafelyUnwrapped.bindMemory(to: RegionChunk.self, capacity: 1)
        chunk.initialize(to: RegionChunk(next: nil, byteCount: usable, serial: serial))
        heldBytes += usable
        return chunk
    }

    private func giveBack(_ chunk: UnsafeMutablePointer<RegionChunk>) {
        heldBytes -= chunk.pointee.byteCount
        upstream.deallocate(chunk)
    }

    // MARK: - Large chunks

    private func bumpInLargeChunk(chunkSize: Int, alignment: Int) -> UnsafeMutableRawPointer? {
        guard let chunk = takeChunk(byteCount: (chunkSize + 15) & ~15, serial: lastLargeSerial + 1) else { return nil }
        lastLargeSerial += 1
        chunk.pointee.next = large
        large = chunk
        let mask = UInt(alignment - 1)
        return UnsafeMutableRawPointer(bitPattern: (chunk.start + mask) & ~mask)
    }

    /// Gives a block's chunk back if it has one of its own. O(large chunks).
    @usableFromInline @inline(never)
    func releaseLargeChunk(holding pointer: UnsafeRawPointer) {
        var before: UnsafeMutablePointer<RegionChunk>?
        var next = large
        while let chunk = next {
            next = chunk.pointee.next
            if chunk.contains(UInt(bitPattern: pointer)) {
                if let before { before.pointee.next = next } else { large = next }
                giveBack(chunk)
                return
            }
            before = chunk
        }
    }

    func releaseLargeChunks(after serial: UInt) {
        while let chunk = large, chunk.pointee.serial > serial {
            large = chunk.pointee.next
            giveBack(chunk)
        }
    }

    // MARK: - All at once

    /// Deinitialises what needs it, frees every block, and keeps chunks of at most so many bytes.
    func reset(keeping limit: Int) {
        precondition(limit >= 0, "a region cannot keep a negative number of bytes")
        runCleanups(until: nil)
        notePeak()
        freedBlocks = totalBlocks
        freedBytes = totalBytes
        checkpoints = nil
        key &+= 0x9E37_79B9_7F4A_7C15
        releaseLargeChunks(after: 0)
        if heldBytes - lentBytes > limit { trim(to: limit) }
        enter(first)
    }

    /// Keeps the newest chunks that fit, since they are the largest.
    private func trim(to limit: Int) {
        var newestFirst: UnsafeMutablePointer<RegionChunk>?
        while let chunk = first {
            first = chunk.pointee.next
            chunk.pointee.next = newestFirst
            newestFirst = chunk
        }
        var kept = 0
        var largest = 0
        while let chunk = newestFirst {
            newestFirst = chunk.pointee.next
            if chunk.pointee.byteCount > limit - kept {
                giveBack(chunk)
            } else {
                kept += chunk.pointee.byteCount
                largest = max(largest, chunk.pointee.byteCount)
                chunk.pointee.next = first
                first = chunk
            }
        }
        nextChunkSize = largest == 0 ? initialChunkSize : min(maximumChunkSize, max(initialChunkSize, largest * 2))
    }

    /// The end: gives everything upstream but what children have, who give it back when they end.
    package func releaseAll() {
        reset(keeping: 0)
        isAbandoned = lentBlocks > 0
    }

    /// Goes back to the first chunk where nothing is live that could lie in the way.
    @usableFromInline @inline(never)
    func restartIfEmpty() {
        if totalBlocks == freedBlocks && checkpoints == nil && cleanups == nil { enter(first) }
    }

    func rewindPosition(to chunk: UnsafeMutablePointer<RegionChunk>?, cursor position: UInt) {
        // A checkpoint that was set before the first chunk has none.
        enter(chunk ?? first)
        if chunk != nil { cursor = position }
    }

    // MARK: - Children

    func lend(byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        guard let chunk = takeSpare(ofAtLeast: byteCount) ?? takeChunk(byteCount: byteCount, serial: 0) else {
            return nil
        }
        lentBlocks += 1
        lentBytes += chunk.pointee.byteCount
        totalLentBlocks += 1
        totalLentBytes += chunk.pointee.byteCount
        return UnsafeMutableRawBufferPointer(start: chunk, count: chunk.pointee.byteCount)
    }

    /// A child's chunk becomes a spare one. Its header is still the child's, whose byte count is ours.
    func takeBack(_ chunk: UnsafeMutablePointer<RegionChunk>) {
        notePeak()
        lentBlocks -= 1
        lentBytes -= chunk.pointee.byteCount
        chunk.pointee.serial = 0
        if isAbandoned || chunk.pointee.byteCount > maximumChunkSize {
            giveBack(chunk)
        } else if let current {
            chunk.pointee.next = current.pointee.next
            current.pointee.next = chunk
        } else {
            chunk.pointee.next = nil
            first = chunk
            enter(chunk)
        }
    }
}

/// A child's upstream: its parent's chunks.
struct RegionLender: Allocator {
    let parent: RegionAllocator

    func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        parent.lend(byteCount: byteCount)
    }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal("Region", byteCount: byteCount, alignment: alignment)
        }
        return block
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        parent.takeBack(pointer.assumingMemoryBound(to: RegionChunk.self))
    }
}
