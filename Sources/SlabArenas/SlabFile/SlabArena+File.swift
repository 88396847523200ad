// What an arena does for the file that it is in: tells what must last, is put together again from that, and lets go.

import AllocatorCore

extension SlabArena {
    /// What the table says of the arena as a whole.
    var fileTable: SlabFileTable {
        SlabFileTable(
            slotCount: UInt64(slots.count), classCount: UInt64(sizes.sizes.count),
            freshGeneration: UInt64(slots.freshGeneration), referencesAdded: UInt64(referencesAdded),
            referencesReleased: UInt64(referencesReleased), peak: UInt64(peak), peakBytes: UInt64(peakBytes),
            chainReads: UInt64(counters.chainReads),
            chainWrites: UInt64(counters.chainWrites), slabAllocations: UInt64(counters.slabAllocations),
            slabFailures: UInt64(counters.slabFailures), slabsGivenBack: UInt64(counters.slabsGivenBack),
            slabsReassigned: UInt64(counters.slabsReassigned), chunksMoved: UInt64(counters.chunksMoved),
            tooLarge: UInt64(counters.tooLarge), retired: UInt64(counters.retired),
            freedAtOnce: UInt64(counters.freedAtOnce), serial: UInt64(moving.serial))
    }

    /// What the table says of a class.
    func fileClass(_ index: Int) -> SlabFileClass {
        let kind = classes[index]
        return SlabFileClass(
            allocations: UInt64(kind.allocations), recycled: UInt64(kind.recycled),
            requestedBytes: UInt64(kind.requestedBytes), carved: UInt64(kind.carved),
            failedPops: UInt64(kind.failedPops))
    }

    /// What the table says of a slab number, but for the extent's place.
    func fileSlot(_ number: UInt32, checksummingData: Bool) -> SlabFileSlot {
        guard let slab = slots[number].slab else { return SlabFileSlot(firstGeneration: slots[number].firstGeneration) }
        let header = slab.pointee
        let used = UnsafeRawBufferPointer(
            start: UnsafeRawPointer(bitPattern: UInt(bitPattern: slab) - headerOffset),
            count: Int(header.carved) * Int(header.chunkSize))
        return SlabFileSlot(
            offset: 0, byteCount: UInt64(header.blockByteCount), firstGeneration: header.firstGeneration,
            classIndex: header.classIndex, recordCapacity: header.recordCapacity, freeHead: header.freeHead,
            live: header.live, carved: header.carved, retired: header.retired,
            isEmpty: header.place == .empty ? 1 : 0, serial: header.serial,
            recordsChecksum: slab.recordsChecksum(carved: header.carved),
            dataChecksum: checksummingData ? SlabChecksum.of(used) : 0)
    }

    // MARK: - Coming back

    /// Makes room for so many slab numbers, at most the limit, and for their slabs' bases. False where there is no
    /// memory.
    func reserve(slotCount: UInt32, bases newBases: [UInt]) -> Bool {
        if slotCount > 0 {
            let capacity: UInt32 = max(1 << (UInt32(UInt32.bitWidth) - UInt32((slotCount - 1).leadingZeroBitCount)), 16)
            guard
                let memory = SystemAllocator().tryAllocate(
                    byteCount: Int(capacity) * MemoryLayout<SlabSlot>.stride, alignment: 16)?.baseAddress
            else { return false }
            slots.slots = memory.bindMemory(to: SlabSlot.self, capacity: Int(capacity))
            slots.capacity = capacity
        }
        for base in newBases where !bases.insert(base, 0) { return false }
        return true
    }

    /// Puts the arena together from a table that was checked, and slabs' bases by number (0: no slab). Cannot fail.
    func restore(_ table: SlabFileContents, bases: [UInt]) {
        var (live, liveBytes) = (0, 0)
        for index in 0..<sizes.sizes.count {
            let (kind, saved) = (classes + index, table.classes[index])
            kind.pointee.allocations = Int(saved.allocations)
            kind.pointee.carved = Int(saved.carved)
            kind.pointee.failedPops = Int(saved.failedPops)
            // SlabFileCheck: that is what the slabs say.
            live += Int(saved.allocations - saved.recycled)
            liveBytes += Int(saved.allocations - saved.recycled) * kind.pointee.chunkSize
        }
        let whole = table.header
        referencesAdded = Int(whole.referencesAdded)
        referencesReleased = Int(whole.referencesReleased)
        peak = max(Int(whole.peak), live)
        peakBytes = max(Int(whole.peakBytes), liveBytes)
        belowPeak = peak - live
        bytesBelowPeak = peakBytes - liveBytes
        counters.chainReads = Int(whole.chainReads)
        counters.chainWrites = Int(whole.chainWrites)
        counters.slabAllocations = Int(whole.slabAllocations)
        counters.slabFailures = Int(whole.slabFailures)
        counters.slabsGivenBack = Int(whole.slabsGivenBack)
        counters.slabsReassigned = Int(whole.slabsReassigned)
        counters.chunksMoved = Int(whole.chunksMoved)
        counters.tooLarge = Int(whole.tooLarge)
        counters.retired = Int(whole.retired)
        counters.freedAtOnce = Int(whole.freedAtOnce)
        moving.serial = UInt32(truncatingIfNeeded: whole.serial)
        slots.count = UInt32(whole.slotCount)
        slots.freshGeneration = UInt32(whole.freshGeneration)
        for number in (0..<slots.count).reversed() {
            let saved = table.slots[Int(number)]
            if saved.offset == 0 {
                slots.giveBack(number, firstGeneration: saved.firstGeneration)
            } else {
                slots[number] = SlabSlot(
                    slab: restore(saved, number, base: bases[Int(number)]), firstGeneration: 0, nextFree: noSlab)
            }
        }
    }

    private func restore(_ saved: SlabFileSlot, _ number: UInt32, base: UInt) -> SlabReference {
        let kind = classes + Int(saved.classIndex)
        let slab = SlabReference(bitPattern: base + headerOffset).unsafelyUnwrapped
        slab.initialize(
            to: SlabHeader(
                freeHead: saved.freeHead, account: 0,
                reciprocal: SlabHeader.reciprocal(of: kind.pointee.chunkSize),
                carved: saved.carved, chunkSize: UInt32(kind.pointee.chunkSize), classIndex: saved.classIndex,
                number: number, owner: owner, chunkCount: UInt32(kind.pointee.chunkCount), retired: saved.retired,
                recordCapacity: saved.recordCapacity, firstGeneration: saved.firstGeneration, place: .full,
                serial: saved.serial, allocationsWhenEmpty: 0, emptySince: 0, next: nil, previous: nil,
                block: UnsafeMutableRawPointer(bitPattern: base).unsafelyUnwrapped,
                blockByteCount: Int(saved.byteCount)))
        for index in 0..<Int(saved.carved) where slab.records[index].references != 0 {
            slab.pointee.account += SlabHeader.account(ofChunk: Int(slab.records[index].requested))
        }
        blockBytes += Int(saved.byteCount)
        map.reserve(base, slabCount: bases.count)
        noteInMap(slab)
        // S2
        if saved.isEmpty != 0 || saved.live == 0 && !slab.pointee.hasRoom {
            slab.pointee.emptySince = clock()
            empty.prepend(slab, as: .empty)
        } else if slab.pointee.hasRoom {
            kind.pointee.partial.prepend(slab, as: .partial)
        } else {
            kind.pointee.full.prepend(slab, as: .full)
        }
        return slab
    }

    // MARK: - Letting go

    /// Forgets all slabs without giving them back: they are the file's.
    func forgetSlabs() {
        for index in 0..<sizes.sizes.count {
            classes[index].current = SlabHeader.none
            classes[index].partial = SlabList()
            classes[index].full = SlabList()
        }
        counters.freedAtOnce += live
        (belowPeak, bytesBelowPeak, blockBytes) = (peak, peakBytes, 0)
        empty = SlabList()
        slots.free()
        bases.removeAll()
        map.removeAll()
        last = (noBase, SlabHeader.none, 0)
    }

    /// Saves the file of an arena that ends, and leaves it to the file what could not be saved.
    func saveFileAtEnd() {
        guard let extents = upstream as? SlabFileExtents, extents.phase == .open else { return }
        do throws(SlabFileError) { try extents.save(self, checksummingData: false) } catch {}
        forgetSlabs()
        extents.letGo()
    }
}

extension UnsafeMutablePointer where Pointee == SlabHeader {
    func recordsChecksum(carved: UInt32) -> UInt64 {
        SlabChecksum.of(
            UnsafeRawBufferPointer(start: records, count: Int(carved) * MemoryLayout<ChunkRecord>.stride))
    }
}
