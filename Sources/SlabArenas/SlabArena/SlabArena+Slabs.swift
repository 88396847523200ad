// Slabs that come from upstream, become empty, change their class, and go back.

public import AllocatorCore
import SystemMemory

func systemMilliseconds() -> UInt { SystemMemory.milliseconds() }

extension SlabArena {
    // MARK: - Coming

    /// A slab from upstream for a class, on no list; nil where there is no memory.
    func newSlab(for kind: UnsafeMutablePointer<SlabClass>) -> SlabReference? {
        let chunkCount = kind.pointee.chunkCount
        let byteCount = SlabHeader.blockByteCount(headerOffset: Int(headerOffset), chunkCount: chunkCount)
        defer { moving.bytesJustGivenBack = 0 }
        guard slots.reserveOne(), let (block, base) = slabBlock(byteCount) else {
            counters.slabFailures += 1
            if moving.bytesJustGivenBack >= byteCount { moving.prefersInPlace = true }
            return nil
        }
        moving.prefersInPlace = false
        guard bases.insert(base, 0) else {
            upstream.deallocate(block)
            counters.slabFailures += 1
            return nil
        }
        map.reserve(base, slabCount: bases.count)
        let (number, firstGeneration) = slots.take()
        let slab = SlabReference(bitPattern: base + headerOffset).unsafelyUnwrapped
        slab.initialize(
            to: SlabHeader(
                freeHead: noChunk, account: 0, reciprocal: 0, carved: 0, chunkSize: 0, classIndex: 0, number: number,
                owner: owner, chunkCount: 0, retired: 0, recordCapacity: UInt32(chunkCount),
                firstGeneration: firstGeneration,
                place: .full, allocationsWhenEmpty: 0, emptySince: 0, next: nil, previous: nil,
                block: block.baseAddress.unsafelyUnwrapped, blockByteCount: block.count))
        slots[number].slab = slab
        blockBytes += block.count
        counters.slabAllocations += 1
        assign(slab, to: kind)
        return slab
    }

    /// A block for a slab, and where in it the slab begins.
    private func slabBlock(_ byteCount: Int) -> (block: UnsafeMutableRawBufferPointer, base: UInt)? {
        func found(_ block: UnsafeMutableRawBufferPointer) -> (UnsafeMutableRawBufferPointer, UInt) {
            let start = UInt(bitPattern: block.baseAddress)
            let base = (start &+ ~baseMask) & baseMask
            // The header is written at the end: never behind what upstream gave.
            guard base &- start &+ UInt(byteCount) <= UInt(block.count) else {
                misuse(
                    "SlabArena", block.baseAddress.unsafelyUnwrapped,
                    "is what upstream gave for a slab: too small, or not aligned as it was asked for")
            }
            return (block, base)
        }
        do throws(AllocationError) {
            return found(try upstream.allocate(byteCount: byteCount, alignment: slabAlignment))
        } catch {
            guard case .unsupportedAlignment(let limit) = error.reason,
                let block = upstream.tryAllocate(
                    byteCount: byteCount + max(slabAlignment - limit, 0), alignment: limit)
            else { return nil }
            return found(block)
        }
    }

    /// Makes a slab without live chunks one of a class: none of its chunks is carved.
    func assign(_ slab: SlabReference, to kind: UnsafeMutablePointer<SlabClass>) {
        let index = UInt32(kind - classes)
        // The class may have free chunks enough by it.
        moving.outlook = SlabOutlook()
        if slab.pointee.chunkCount != 0, slab.pointee.classIndex == index { return }
        slab.pointee.firstGeneration = nextGeneration(of: slab)
        slab.pointee.freeHead = noChunk
        slab.pointee.carved = 0
        slab.pointee.retired = 0
        slab.pointee.classIndex = index
        moving.serial &+= 1
        slab.pointee.serial = moving.serial
        slab.pointee.liveWhenPinned = 0
        slab.pointee.chunkSize = UInt32(kind.pointee.chunkSize)
        slab.pointee.chunkCount = UInt32(kind.pointee.chunkCount)
        slab.pointee.reciprocal = SlabHeader.reciprocal(of: kind.pointee.chunkSize)
        noteInMap(slab)
        forgetLast(of: slab)
    }

    /// S7
    func noteInMap(_ slab: SlabReference) {
        let entry = SlabMapEntry(reciprocal: slab.pointee.reciprocal, carved: UInt(slab.pointee.carved))
        map.set(UInt(bitPattern: slab) - headerOffset, entry)
    }

    /// S3, where the slab's chunks are no more what they were.
    func forgetLast(of slab: SlabReference) {
        if last.slab == slab { last = (noBase, SlabHeader.none, 0) }
    }

    /// R3: above every generation that a chunk of the slab has had. O(carved chunks).
    private func nextGeneration(of slab: SlabReference) -> UInt32 {
        var next = slab.pointee.firstGeneration
        // A retired chunk has had them all, and says 0.
        if slab.pointee.retired > 0 { return ChunkRecord.lastGeneration + 1 }
        for index in 0..<Int(slab.pointee.carved) { next = max(next, slab.records[index].generation) }
        return next
    }

    /// An empty slab for a class, on no list: one that was the class's before, or another that suits it.
    func emptySlab(for kind: UnsafeMutablePointer<SlabClass>) -> SlabReference? {
        let index = UInt32(kind - classes)
        var found: SlabReference?
        var next = empty.first
        // One of the class itself saves the carving, which is not worth a long search.
        var looks = 32
        while let candidate = next, found == nil || looks > 0 {
            if found != nil { looks -= 1 }
            if candidate.pointee.classIndex == index, candidate.pointee.hasRoom {
                found = candidate
                break
            }
            if found == nil, fits(candidate, kind) { found = candidate }
            next = candidate.pointee.next
        }
        guard let found else { return nil }
        empty.remove(found)
        if found.pointee.classIndex != index { counters.slabsReassigned += 1 }
        assign(found, to: kind)
        return found
    }

    /// Whether a slab without live chunks can be another class's as it is: it has room for the records, not so much
    /// that it wastes a 32nd of the slab, and generations are left. O(carved chunks).
    func fits(_ slab: SlabReference, _ kind: UnsafeMutablePointer<SlabClass>) -> Bool {
        let spare = Int(slab.pointee.recordCapacity) - kind.pointee.chunkCount
        guard spare >= 0, moving.prefersInPlace || spare * MemoryLayout<ChunkRecord>.stride <= slabSize / 32 else {
            return false
        }
        return nextGeneration(of: slab) <= ChunkRecord.lastGeneration
    }

    // MARK: - Going

    /// Looks at a slab that has just got room, or lost its last live chunk.
    @usableFromInline @inline(never)
    func settle(_ slab: SlabReference) {
        let kind = classes + Int(slab.pointee.classIndex)
        if slab.pointee.place == .full, slab.pointee.hasRoom {
            kind.pointee.full.remove(slab)
            kind.pointee.partial.prepend(slab, as: .partial)
        }
        guard slab.pointee.live == 0 else { return }
        slab.pointee.liveWhenPinned = 0
        switch slab.pointee.place {
        case .current:
            // It stays, unless empty slabs go at once: a chunk that comes and goes must not cost a slab each time. The
            // sweep looks at it.
            guard emptyDelay == 0 else { return }
            kind.pointee.current = SlabHeader.none
        case .partial: kind.pointee.partial.remove(slab)
        case .full: kind.pointee.full.remove(slab)
        case .empty: return
        }
        retireEmpty(slab)
    }

    /// What becomes of an empty slab that is on no list.
    func retireEmpty(_ slab: SlabReference) {
        if emptyDelay == 0 {
            giveBack(slab)
        } else {
            slab.pointee.emptySince = clock()
            empty.prepend(slab, as: .empty)
            sweepEmptySlabs()
        }
    }

    /// Gives a slab back that is on no list and has no live chunk.
    func giveBack(_ slab: SlabReference) {
        let base = UInt(bitPattern: slab) - headerOffset
        bases.remove(base)
        map.set(base, SlabMapEntry())
        forgetLast(of: slab)
        slots.giveBack(slab.pointee.number, firstGeneration: nextGeneration(of: slab))
        blockBytes -= slab.pointee.blockByteCount
        moving.bytesJustGivenBack &+= slab.pointee.blockByteCount
        counters.slabsGivenBack += 1
        slab.pointee.owner = 0
        upstream.deallocate(slab.pointee.block)
    }

    /// Gives back what has been empty for longer than the delay. Costs nothing where it did so a moment ago.
    func sweepEmptySlabs() {
        guard let emptyDelay, emptyDelay > 0 else { return }
        let now = clock()
        guard now &- lastSweep >= max(emptyDelay / 4, 1) else { return }
        lastSweep = now
        let list = empty
        list.visit { slab in
            guard now &- slab.pointee.emptySince >= emptyDelay else { return }
            empty.remove(slab)
            giveBack(slab)
        }
        for index in 0..<sizes.sizes.count { sweepCurrent(classes + index, now, emptyDelay) }
    }

    /// A current slab without live chunks goes, too, where nothing was allocated from it for the delay.
    private func sweepCurrent(_ kind: UnsafeMutablePointer<SlabClass>, _ now: UInt, _ delay: UInt) {
        let slab = kind.pointee.current
        guard kind.pointee.hasCurrent, slab.pointee.live == 0 else { return }
        let allocations = kind.pointee.allocations
        if slab.pointee.emptySince == 0 || slab.pointee.allocationsWhenEmpty != allocations {
            slab.pointee.emptySince = max(now, 1)
            slab.pointee.allocationsWhenEmpty = allocations
        } else if now &- slab.pointee.emptySince >= delay {
            kind.pointee.current = SlabHeader.none
            giveBack(slab)
        }
    }

    /// How long a slab stays after its last chunk was recycled, for what comes next: a second, unless set. Less than a
    /// millisecond: it goes back at once. Nil: it stays until ``trim()``, or until another class needs it.
    ///
    /// The arena has no thread of its own: what is due goes back when a call next takes a slow path, at the latest by
    /// ``trim()``.
    public var emptySlabDelay: Duration? {
        get { emptyDelay.map { .milliseconds(Int64($0)) } }
        set {
            emptyDelay = newValue.map {
                let (seconds, attoseconds) = $0.components
                // Up to a million years.
                return UInt(min(max(seconds, 0), 1 << 45)) * 1000
                    + (seconds < 0 ? 0 : UInt(max(attoseconds, 0) / 1_000_000_000_000_000))
            }
            // S4
            for index in 0..<sizes.sizes.count where classes[index].hasCurrent {
                classes[index].current.pointee.settleBelow = emptyDelay == 0 ? 1 : 0
            }
            guard emptyDelay == 0 else { return }
            gatherIdle(except: nil)
            giveBackEmpty()
        }
    }

    /// Gives every empty slab back to upstream, also those that were pre-filled and never used.
    ///
    /// - Returns: the bytes that went back.
    /// - Complexity: O(classes + slabs that have room).
    @discardableResult
    public func trim() -> Int {
        let before = blockBytes
        gatherIdle(except: nil)
        for index in 0..<sizes.sizes.count {
            let kind = classes + index
            let partial = kind.pointee.partial
            partial.visit { slab in
                guard slab.pointee.live == 0 else { return }
                kind.pointee.partial.remove(slab)
                empty.prepend(slab, as: .empty)
            }
        }
        giveBackEmpty()
        return before - blockBytes
    }

    private func giveBackEmpty() {
        while let slab = empty.first {
            empty.remove(slab)
            giveBack(slab)
        }
    }

    /// Puts current slabs on which nothing lives with the empty ones; not that of the class itself. Whether there was
    /// one. O(classes).
    @discardableResult
    func gatherIdle(except receiver: UnsafeMutablePointer<SlabClass>?) -> Bool {
        var found = false
        for index in 0..<sizes.sizes.count where classes + index != receiver {
            let kind = classes + index
            guard kind.pointee.hasCurrent, kind.pointee.current.pointee.live == 0 else { continue }
            let slab = kind.pointee.current
            kind.pointee.current = SlabHeader.none
            slab.pointee.emptySince = clock()
            empty.prepend(slab, as: .empty)
            found = true
        }
        return found
    }

    /// Frees every chunk, whoever has references, and gives all slabs back. Locations of before are found out; buffers
    /// and pointers dangle, and a ``SlabBuffer`` of before traps when it ends. O(slabs).
    public func freeAll() {
        counters.freedAtOnce += live
        belowPeak = peak
        bytesBelowPeak = peakBytes
        giveBackAllSlabs()
    }

    func giveBackAllSlabs() {
        for index in 0..<sizes.sizes.count {
            classes[index].current = SlabHeader.none
            classes[index].partial = SlabList()
            classes[index].full = SlabList()
        }
        empty = SlabList()
        for number in 0..<slots.count {
            guard let slab = slots[number].slab else { continue }
            // R3: a live chunk's generation is used up, as one that was recycled is; after the last there is none.
            let carved = Int(slab.pointee.carved)
            for index in 0..<carved where slab.records[index].references != 0 {
                if slab.records[index].generation == ChunkRecord.lastGeneration {
                    slab.pointee.retired += 1
                } else {
                    slab.records[index].state += ChunkRecord.oneGeneration
                }
            }
            giveBack(slab)
        }
    }

    // MARK: - In advance

    /// Takes slabs until so many chunks of a class can be allocated without asking upstream.
    ///
    /// The slabs stay until they were used and are empty again, or until ``trim()``.
    ///
    /// - Parameters:
    ///   - byteCount: a request's bytes, from 0 to `slabSize`: which class is meant.
    ///   - chunkCount: how many chunks should be free.
    /// - Throws: ``AllocationError``: too large, or out of memory; the slabs that were taken before stay.
    /// - Complexity: O(slabs).
    public func prefill(byteCount: Int, chunkCount: Int) throws(AllocationError) {
        guard byteCount >= 0, byteCount <= slabSize else { throw refused(byteCount, 1) }
        let kind = classes + sizes.classIndex(byteCount)
        var free = kind.pointee.freeCount
        while free < chunkCount {
            guard let slab = emptySlab(for: kind) ?? newSlab(for: kind) else { throw refused(byteCount, 1) }
            kind.pointee.partial.prepend(slab, as: .partial)
            free += Int(slab.pointee.chunkCount - slab.pointee.retired)
        }
    }
}
