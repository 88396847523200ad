// Opening a file. Everything is read and checked first (F3), and nothing changed; then the file is marked as in use,
// and only when the disk has that (F1), the headers of the slabs, which have this process's addresses, are written
// anew.

import AllocatorCore
import SystemMemory

extension SlabFile {
    static func open(_ path: String) throws(SlabFileError) -> (arena: SlabArena, extents: SlabFileExtents) {
        let file = try call(path) { () throws(FailedCall) in try SystemFile.open(path, creating: false) }
        try lock(file, path)
        let superblock: SlabFileSuperblock
        do throws(SlabFileError) { superblock = try readSuperblock(file, path) } catch {
            file.close()
            throw error
        }
        // From here on the file is the extents'.
        let made = try makeArena(superblock, file, path)
        try made.extents.load(into: made.arena)
        return made
    }

    /// The superblock of a file that says that it is whole.
    private static func readSuperblock(
        _ file: SystemFile, _ path: String
    ) throws(SlabFileError) -> SlabFileSuperblock {
        func refused(_ kind: SlabFileError.Kind) -> SlabFileError { SlabFileError(kind, path) }
        guard let byteCount = try call(path, { () throws(FailedCall) in try file.byteCount() }) else {
            throw refused(.notASlabFile)
        }
        var superblock = SlabFileSuperblock(
            pageByteCount: 0, startChunkSize: 0, slabSize: 0, growthFactor: 0, alignment: 0)
        let count = try withUnsafeMutableBytes(of: &superblock) { (bytes) throws(SlabFileError) in
            try call(path) { () throws(FailedCall) in try file.read(into: bytes, at: 0) }
        }
        var magic = SlabFileSuperblock.magic
        let known = min(count, MemoryLayout.size(ofValue: magic))
        let isOurs = withUnsafeBytes(of: &magic) { expected in
            withUnsafeBytes(of: superblock) { $0.prefix(known).elementsEqual(expected.prefix(known)) }
        }
        guard count > 0, isOurs else { throw refused(.notASlabFile) }
        guard count == SlabFileSuperblock.byteCount else {
            throw refused(.truncated(byteCount: count, saved: SlabFileSuperblock.byteCount))
        }
        if superblock.byteOrder == SlabFileSuperblock.byteOrder.byteSwapped { throw refused(.otherByteOrder) }
        guard superblock.byteOrder == SlabFileSuperblock.byteOrder else {
            throw refused(.torn("its byte order is none"))
        }
        guard superblock.version == SlabFileSuperblock.version else {
            throw refused(
                .otherVersion(Int(clamping: superblock.version), readable: Int(SlabFileSuperblock.version)))
        }
        guard superblock.checksum == superblock.expectedChecksum else {
            throw refused(.torn("the checksum of its superblock is wrong"))
        }
        if superblock.state == SlabFileSuperblock.inUse {
            throw refused(.torn("it was not saved when it was last used"))
        }
        guard superblock.state == SlabFileSuperblock.whole else { throw refused(.torn("its state is none")) }
        let page = superblock.pageByteCount
        guard page >= SlabFileSuperblock.byteCount, page <= 1 << 30, page & (page - 1) == 0 else {
            throw refused(.torn("its page size is none"))
        }
        guard page % UInt64(SystemMemory.pageSize()) == 0 else { throw refused(.otherPageSize(Int(page))) }
        let saved = superblock.fileByteCount
        guard byteCount >= saved else {
            throw refused(.truncated(byteCount: Int(clamping: byteCount), saved: Int(clamping: saved)))
        }
        guard byteCount == saved, byteCount <= UInt64(Int.max) else {
            throw refused(.torn("it is longer than when it was saved"))
        }
        guard superblock.tableOffset >= page, superblock.tableOffset % page == 0, superblock.tableOffset <= saved,
            superblock.tableByteCount >= MemoryLayout<SlabFileTable>.size,
            superblock.tableByteCount <= saved - superblock.tableOffset
        else { throw refused(.torn("its table is not in it")) }
        return superblock
    }
}

extension SlabFileExtents {
    private func torn(_ what: String) -> SlabFileError { SlabFileError(.torn(what), path) }

    /// Puts the arena together from the file, and begins to use it. Where it throws, the file is as it was.
    func load(into arena: SlabArena) throws(SlabFileError) {
        guard let memory = SystemAllocator().tryAllocate(byteCount: Int(superblock.tableByteCount), alignment: 16)
        else { throw SlabFileError(.outOfMemory, path) }
        defer { SystemAllocator().deallocate(memory) }
        let table = try readTable(memory)
        try checkCounts(table, of: arena)
        let bases = try mapExtents(table, of: arena)
        let check = SlabFileCheck(arena: arena, table: table, bases: bases)
        if let broken = check.brokenRecords(checkingData: superblock.checksumsData != 0) ?? check.brokenLinks() {
            throw torn(broken)
        }
        guard arena.reserve(slotCount: UInt32(table.header.slotCount), bases: bases.filter({ $0 != 0 })) else {
            throw SlabFileError(.outOfMemory, path)
        }
        try begin(table)
        arena.restore(table, bases: bases)
    }

    private func readTable(_ memory: UnsafeMutableRawBufferPointer) throws(SlabFileError) -> SlabFileContents {
        let count = try calling { () throws(FailedCall) in try file.read(into: memory, at: superblock.tableOffset) }
        guard count == memory.count else {
            throw SlabFileError(.truncated(byteCount: count, saved: memory.count), path)
        }
        guard SlabChecksum.of(UnsafeRawBufferPointer(memory)) == superblock.tableChecksum else {
            throw torn("the checksum of its table is wrong")
        }
        let table = SlabFileContents(memory)
        let header = table.header
        guard header.classCount == classCount, header.slotCount <= SlabSlots().limit,
            SlabFileTable.byteCount(classCount: classCount, slotCount: header.slotCount) == superblock.tableByteCount
        else { throw torn("its table has another number of entries than it says") }
        return table
    }

    /// Whether all that is counted can be added up, and every slot is one that this arena could have.
    private func checkCounts(_ table: SlabFileContents, of arena: SlabArena) throws(SlabFileError) {
        let header = table.header
        var sum: UInt64 = 0
        var isTooMuch = false
        func add(_ numbers: UInt64...) {
            for number in numbers {
                let (next, overflow) = sum.addingReportingOverflow(number)
                isTooMuch = isTooMuch || overflow || next > 1 << 62
                sum = next
            }
        }
        add(header.referencesAdded, header.referencesReleased, header.peak, header.peakBytes)
        add(header.chainReads, header.chainWrites, header.slabAllocations, header.slabFailures)
        add(header.slabsGivenBack, header.slabsReassigned, header.chunksMoved, header.tooLarge)
        add(header.retired, header.freedAtOnce)
        for index in 0..<Int(classCount) {
            let kind = table.classes[index]
            add(kind.allocations, kind.requestedBytes, kind.carved, kind.failedPops)
            guard kind.recycled <= kind.allocations else {
                throw torn("class \(index) recycled more than it allocated")
            }
        }
        guard !isTooMuch, header.freshGeneration >= 1, header.freshGeneration <= ChunkRecord.lastGeneration else {
            throw torn("it counts beyond all numbers")
        }
        for number in 0..<Int(header.slotCount) {
            let slot = table.slots[number]
            guard slot.firstGeneration >= 1 else { throw torn("slab number \(number) has no generation") }
            guard slot.offset != 0 else { continue }
            guard slot.classIndex < classCount, slot.firstGeneration <= ChunkRecord.lastGeneration,
                slot.recordCapacity >= arena.classes[Int(slot.classIndex)].chunkCount,
                Int(slot.recordCapacity) <= arena.slabSize,
                slot.carved <= arena.classes[Int(slot.classIndex)].chunkCount,
                slot.live <= slot.carved, slot.retired <= slot.carved - slot.live,
                slot.isEmpty == 0 || slot.isEmpty == 1 && slot.live == 0
            else { throw torn("slab \(number) cannot be as its entry says") }
            let needed = SlabHeader.blockByteCount(
                headerOffset: Int(arena.headerOffset), chunkCount: Int(slot.recordCapacity))
            guard slot.offset % superblock.pageByteCount == 0, slot.byteCount == roundedToPages(UInt64(needed)),
                slot.offset < superblock.tableOffset, slot.byteCount <= superblock.tableOffset - slot.offset
            else { throw torn("slab \(number) is not in it") }
        }
    }

    /// Maps every slab's extent. Returns their bases by number; 0: no slab.
    private func mapExtents(_ table: SlabFileContents, of arena: SlabArena) throws(SlabFileError) -> [UInt] {
        let numbers = (0..<Int(table.header.slotCount)).filter { table.slots[$0].offset != 0 }
        let ranges = numbers.map { table.slots[$0].offset..<table.slots[$0].offset + table.slots[$0].byteCount }
        guard let space = FileSpace(start: superblock.pageByteCount, inUse: ranges),
            space.end == superblock.tableOffset
        else { throw torn("its slabs overlap, or its table is not behind them") }
        self.space = space
        reservedSlots = max(table.header.slotCount, UInt64(numbers.count))
        var bases = [UInt](repeating: 0, count: Int(table.header.slotCount))
        for (number, range) in zip(numbers, ranges) {
            bases[number] = try map(range, alignment: arena.slabAlignment)
        }
        return bases
    }

    /// Marks the file as in use, once it has the disk space that it needs for that (X2).
    private func begin(_ table: SlabFileContents) throws(SlabFileError) {
        try calling { () throws(FailedCall) in
            // A copy of a file may have holes where zeros were.
            for number in 0..<Int(table.header.slotCount) where table.slots[number].offset != 0 {
                try file.allocate(offset: table.slots[number].offset, byteCount: table.slots[number].byteCount)
            }
            // No more than there is: it is still a saved file.
            let tail = min(tailByteCount(slotCount: reservedSlots), superblock.fileByteCount - space.end)
            try file.allocate(offset: space.end, byteCount: tail)
        }
        let saved = superblock
        superblock.state = SlabFileSuperblock.inUse
        do throws(SlabFileError) {
            try writeSuperblock()
            try calling { () throws(FailedCall) in try file.synchronize() }
        } catch {
            superblock = saved
            do throws(SlabFileError) { try writeSuperblock() } catch {}
            throw error
        }
        phase = .open
    }
}
