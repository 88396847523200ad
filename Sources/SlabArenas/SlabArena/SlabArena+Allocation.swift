// Allocating: from the current slab's free list, or by the slow path, which carves, takes another slab, or asks for
// one.

public import AllocatorCore

extension SlabArena: OwningAllocator, ResettableAllocator, ResizableAllocator, SizeReportingAllocator, MeasuredAllocator
{
    /// A chunk for a request that the table of sizes has, from its class's current slab; nil where the slow path has to
    /// look.
    @inlinable @inline(__always)
    func takeChunkAtOnce(_ byteCount: Int) -> (address: UInt, chunkSize: Int)? {
        // As unsigned, what is negative is large.
        guard UInt(bitPattern: byteCount) <= UInt(bitPattern: sizes.directLimit) else { return nil }
        let kind = classes + sizes.directClassIndex(byteCount)
        let slab = kind.pointee.current
        let index = slab.pointee.freeHead
        guard index != noChunk else { return nil }
        let chunkSize = kind.pointee.chunkSize
        return (takeChunk(Int(index), of: slab, kind, chunkSize, byteCount), chunkSize)
    }

    /// A chunk for a request of so many bytes, of which it has one reference; nil where there is no memory, or never.
    @inlinable @inline(__always)
    func takeChunk(_ byteCount: Int) -> UInt? { takeChunkAtOnce(byteCount)?.address ?? takeChunkSlowly(byteCount) }

    /// Takes the first chunk off the slab's free list.
    @inlinable @inline(__always)
    func takeChunk(
        _ index: Int, of slab: SlabReference, _ kind: UnsafeMutablePointer<SlabClass>, _ chunkSize: Int,
        _ byteCount: Int
    ) -> UInt {
        let record = slab.records + index
        slab.pointee.freeHead = record.pointee.linkPosition
        slab.pointee.account &+= SlabHeader.account(ofChunk: byteCount)
        // H2, R4: without references, not held, without a link. Its generation is the new life's already.
        record.pointee.state &+= 1
        record.pointee.requested = UInt32(truncatingIfNeeded: byteCount)
        kind.pointee.allocations &+= 1
        countAsLive(chunkSize)
        let address = UInt(bitPattern: slab) &- headerOffset &+ UInt(bitPattern: index &* chunkSize)
        last = (address, slab, index)
        return address
    }

    /// S6
    @inlinable @inline(__always)
    func countAsLive(_ byteCount: Int) {
        let below = belowPeak &- 1
        if below >= 0 { belowPeak = below } else { peak &+= 1 }
        let bytesBelow = bytesBelowPeak &- byteCount
        if bytesBelow >= 0 {
            bytesBelowPeak = bytesBelow
        } else {
            peakBytes &-= bytesBelow
            bytesBelowPeak = 0
        }
    }

    @inlinable @inline(__always)
    func offers(_ alignment: Int) -> Bool {
        UInt(bitPattern: alignment &- 1) < UInt(bitPattern: self.alignment) && alignment & (alignment &- 1) == 0
    }

    @inlinable @inline(__always)
    func chunkByteCount(for byteCount: Int) -> Int { classes[sizes.classIndex(byteCount)].chunkSize }

    @inlinable @inline(__always)
    func buffer(_ address: UInt, _ count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped, count: count)
    }

    /// Allocates a chunk, with one reference, and gives all of it: nil in place of an error.
    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        if offers(alignment), let (address, chunkSize) = takeChunkAtOnce(byteCount) {
            return buffer(address, chunkSize)
        }
        return tryAllocateSlowly(byteCount, alignment)
    }

    /// Allocates a chunk of the first class that is large enough, with one reference, and gives all of it.
    ///
    /// - Throws: ``AllocationError``: `.tooLarge` above `slabSize`, `.unsupportedAlignment` above `alignment`,
    ///   `.outOfMemory` where upstream has no more and neither ``onShortage`` nor rebalancing helps. Nothing is lost.
    /// - Complexity: O(1), and a call of upstream where the class needs a slab.
    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if offers(alignment), let (address, chunkSize) = takeChunkAtOnce(byteCount) {
            return buffer(address, chunkSize)
        }
        return try allocateSlowly(byteCount, alignment)
    }

    /// Allocates a chunk, with one reference, and gives as much of it as was asked for: nil in place of an error.
    ///
    /// - Parameter byteCount: from 0; the buffer's `count`. Traps where it is negative.
    @inlinable @inline(__always)
    public func tryAllocateChunk(byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if let (address, _) = takeChunkAtOnce(byteCount) { return buffer(address, byteCount) }
        return tryAllocateSlowly(byteCount, 1).map { UnsafeMutableRawBufferPointer(rebasing: $0[..<byteCount]) }
    }

    /// Allocates a chunk, with one reference, and gives as much of it as was asked for: what to use for an item, whose
    /// location and links then have its length.
    ///
    /// - Parameter byteCount: from 0 to `slabSize`; the buffer's `count`. Traps where it is negative.
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: O(1), and a call of upstream where the class needs a slab.
    @inlinable @inline(__always)
    public func allocateChunk(byteCount: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if let (address, _) = takeChunkAtOnce(byteCount) { return buffer(address, byteCount) }
        return UnsafeMutableRawBufferPointer(rebasing: try allocateSlowly(byteCount, 1)[..<byteCount])
    }

    /// Counts what is too large, and traps for a negative size.
    @usableFromInline @inline(never)
    func noteRefusal(_ byteCount: Int, _ alignment: Int) {
        if byteCount < 0 { negativeByteCount("SlabArena", byteCount) }
        if byteCount > slabSize, offers(alignment) { counters.tooLarge += 1 }
    }

    @usableFromInline @inline(never)
    func refused(_ byteCount: Int, _ alignment: Int) -> AllocationError {
        noteRefusal(byteCount, alignment)
        return refusal(
            "SlabArena", byteCount: byteCount, alignment: alignment, largest: slabSize, largestAlignment: self.alignment
        )
    }

    /// The bytes of the chunk that serves such a request.
    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        UInt(bitPattern: byteCount) <= UInt(bitPattern: slabSize) && offers(alignment)
            ? chunkByteCount(for: byteCount) : byteCount
    }

    /// The bytes of the live chunk that the pointer lies in. Traps where it lies in none.
    @inlinable
    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        let found = liveChunk(pointer)
        return Int(found.slab.pointee.chunkSize)
    }

    /// The block as it is, to the end of its chunk, where that is large enough; else nil. A chunk never changes its
    /// size.
    ///
    /// Traps where the pointer is not of a live chunk of this arena, or the number is negative. O(1).
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("SlabArena", byteCount) }
        let (slab, record) = liveChunk(pointer)
        let kind = classes + Int(slab.pointee.classIndex)
        let start = (record - slab.records) * kind.pointee.chunkSize
        let offset = Int(bitPattern: UInt(bitPattern: pointer) & ~baseMask) - start
        guard byteCount <= kind.pointee.chunkSize - offset else { return nil }
        // From here on, so much of the chunk is asked for.
        slab.pointee.account += UInt64(offset + byteCount)
        slab.pointee.account -= UInt64(record.pointee.requested)
        record.pointee.requested = UInt32(offset + byteCount)
        return UnsafeMutableRawBufferPointer(start: pointer, count: kind.pointee.chunkSize - offset)
    }

    // MARK: - The slow path

    @usableFromInline @inline(never)
    func tryAllocateSlowly(_ byteCount: Int, _ alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard offers(alignment), let address = takeChunkSlowly(byteCount) else {
            noteRefusal(byteCount, alignment)
            return nil
        }
        return buffer(address, chunkByteCount(for: byteCount))
    }

    @usableFromInline @inline(never)
    func allocateSlowly(_ byteCount: Int, _ alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard offers(alignment), let address = takeChunkSlowly(byteCount) else { throw refused(byteCount, alignment) }
        return buffer(address, chunkByteCount(for: byteCount))
    }

    @usableFromInline @inline(never)
    func takeChunkSlowly(_ byteCount: Int) -> UInt? {
        guard UInt(bitPattern: byteCount) <= UInt(bitPattern: slabSize) else { return nil }
        let kind = classes + sizes.classIndex(byteCount)
        // A request beyond the table of sizes comes here even if there is a free chunk.
        if kind.pointee.current.pointee.freeHead != noChunk {
            let slab = kind.pointee.current
            return takeChunk(Int(slab.pointee.freeHead), of: slab, kind, kind.pointee.chunkSize, byteCount)
        }
        kind.pointee.failedPops += 1
        sweepEmptySlabs()
        guard findRoom(kind) else { return nil }
        let slab = kind.pointee.current
        return takeChunk(Int(slab.pointee.freeHead), of: slab, kind, kind.pointee.chunkSize, byteCount)
    }

    /// Sees to it that the current slab's free list is not empty. False where there is no memory for that.
    func findRoom(_ kind: UnsafeMutablePointer<SlabClass>) -> Bool {
        var relief = SlabRelief()
        while true {
            let slab = kind.pointee.current
            if slab.pointee.freeHead != noChunk { return true }
            if carve(slab, kind) { continue }
            if let partial = kind.pointee.partial.first {
                kind.pointee.partial.remove(partial)
                setCurrent(partial, kind)
            } else if let fresh = emptySlab(for: kind) ?? newSlab(for: kind) {
                setCurrent(fresh, kind)
            } else if !relieveShortage(kind, &relief) {
                return false
            }
        }
    }

    /// Puts the next chunks that were never used on the free list: as many as their records fill some cache lines.
    func carve(_ slab: SlabReference, _ kind: UnsafeMutablePointer<SlabClass>) -> Bool {
        let first = slab.pointee.carved
        let count = min(slab.pointee.chunkCount - first, 32)
        guard count > 0 else { return false }
        let state = UInt64(slab.pointee.firstGeneration) << 33
        for index in first..<first + count {
            slab.records[Int(index)] = ChunkRecord(
                state: state, linkSlab: noSlab,
                linkPosition: index + 1 < first + count ? index + 1 : slab.pointee.freeHead,
                linkCount: 0, requested: 0)
        }
        slab.pointee.freeHead = first
        slab.publishCarved(first + count)
        noteInMap(slab)
        kind.pointee.carved += Int(count)
        return true
    }

    /// Makes a slab that is on no list the current one; the one before it goes to the list where it belongs.
    func setCurrent(_ slab: SlabReference, _ kind: UnsafeMutablePointer<SlabClass>) {
        retireCurrent(kind)
        slab.pointee.place = .current
        if emptyDelay == 0 { slab.pointee.settleBelow = 1 }
        slab.pointee.emptySince = 0
        kind.pointee.current = slab
    }

    /// Leaves the class without a current slab.
    func retireCurrent(_ kind: UnsafeMutablePointer<SlabClass>) {
        guard kind.pointee.hasCurrent else { return }
        let old = kind.pointee.current
        kind.pointee.current = SlabHeader.none
        // It may have been empty meanwhile.
        old.pointee.liveWhenPinned = 0
        if old.pointee.hasRoom {
            kind.pointee.partial.prepend(old, as: .partial)
        } else if old.pointee.live == 0 {
            // Its chunks are all retired.
            retireEmpty(old)
        } else {
            kind.pointee.full.prepend(old, as: .full)
        }
    }
}

extension SlabHeader {
    var hasRoom: Bool { freeHead != noChunk || carved < chunkCount }
}
