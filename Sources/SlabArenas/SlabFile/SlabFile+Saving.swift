// Writing a file: first the slabs and the table, then, once the disk has them, the superblock that says so (F1).
//
// The state between is never taken for a saved one: until the new superblock is on the disk, the old one says "in use",
// or, after `sync`, has checksums that what is being written does not match.

import AllocatorCore
import SystemMemory

extension SlabFileExtents {
    /// Writes everything, and marks the file as whole. Where it throws, arena and file are in use as before.
    func save(_ arena: SlabArena, checksummingData: Bool) throws(SlabFileError) {
        guard phase == .open else { throw SlabFileError(.closed, path) }
        retryShrinking()
        let slotCount = UInt64(arena.slots.count)
        guard let tableByteCount = SlabFileTable.byteCount(classCount: classCount, slotCount: slotCount),
            let memory = SystemAllocator().tryAllocate(byteCount: Int(tableByteCount), alignment: 16)
        else { throw SlabFileError(.outOfMemory, path) }
        defer { SystemAllocator().deallocate(memory) }
        fill(memory, arena, checksummingData)
        try check(memory, arena)
        // More slots than ever were extents are those whose generations are used up.
        reservedSlots = max(reservedSlots, slotCount)
        let tail = tailByteCount(slotCount: reservedSlots)
        try calling { () throws(FailedCall) in
            try file.allocate(offset: space.end, byteCount: tail)
            try file.write(UnsafeRawBufferPointer(memory), at: space.end)
            try file.truncate(to: space.end + tail)
            try file.synchronize()
        }
        superblock.fileByteCount = space.end + tail
        superblock.tableOffset = space.end
        superblock.tableByteCount = tableByteCount
        superblock.tableChecksum = SlabChecksum.of(UnsafeRawBufferPointer(memory))
        superblock.saves &+= 1
        superblock.checksumsData = checksummingData ? 1 : 0
        superblock.state = SlabFileSuperblock.whole
        do throws(SlabFileError) {
            try writeSuperblock()
            try calling { () throws(FailedCall) in try file.synchronize() }
            superblock.state = SlabFileSuperblock.inUse
        } catch {
            // It may be in the file, and the file is in use.
            superblock.state = SlabFileSuperblock.inUse
            do throws(SlabFileError) { try writeSuperblock() } catch {}
            throw error
        }
    }

    /// What would be refused when it is opened is not saved.
    private func check(_ memory: UnsafeMutableRawBufferPointer, _ arena: SlabArena) throws(SlabFileError) {
        let bases = (0..<arena.slots.count).map { number in
            arena.slots[number].slab.map { UInt(bitPattern: $0) - arena.headerOffset } ?? 0
        }
        let check = SlabFileCheck(arena: arena, table: SlabFileContents(memory), bases: bases)
        if let broken = check.brokenRecords(checkingData: false) ?? check.brokenLinks() {
            throw SlabFileError(.unsound(broken), path)
        }
    }

    private func fill(_ memory: UnsafeMutableRawBufferPointer, _ arena: SlabArena, _ checksummingData: Bool) {
        let table = SlabFileContents(memory)
        memory.storeBytes(of: arena.fileTable, as: SlabFileTable.self)
        for index in 0..<Int(classCount) { table.classes[index] = arena.fileClass(index) }
        for number in 0..<arena.slots.count {
            var slot = arena.fileSlot(number, checksummingData: checksummingData)
            if let slab = arena.slots[number].slab {
                slot.offset = extents[UInt(bitPattern: slab.pointee.block)].unsafelyUnwrapped.offset
            }
            table.slots[Int(number)] = slot
        }
    }

    /// Writes the superblock as it is now, with its checksum.
    func writeSuperblock() throws(SlabFileError) {
        superblock.checksum = superblock.expectedChecksum
        let copy = superblock
        try calling { () throws(FailedCall) in
            try withUnsafeBytes(of: copy) { (bytes) throws(FailedCall) in try file.write(bytes, at: 0) }
        }
    }
}

/// A table in memory.
struct SlabFileContents {
    private let memory: UnsafeMutableRawBufferPointer

    /// - Parameter memory: at least a header's bytes; the counts in it are to be checked before anything else is read.
    init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

    var header: SlabFileTable { memory.load(as: SlabFileTable.self) }

    var classes: UnsafeMutablePointer<SlabFileClass> {
        (memory.baseAddress.unsafelyUnwrapped + MemoryLayout<SlabFileTable>.size)
            .assumingMemoryBound(to: SlabFileClass.self)
    }

    /// Behind the classes, of which the header knows the number.
    var slots: UnsafeMutablePointer<SlabFileSlot> {
        UnsafeMutableRawPointer(classes + Int(header.classCount)).assumingMemoryBound(to: SlabFileSlot.self)
    }
}
