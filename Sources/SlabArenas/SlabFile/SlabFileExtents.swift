// The upstream of a file's arena: each block is an extent of the file, mapped at an aligned address.
//
// X1. `extents` has, by their bases, the mapped extents; `space` has exactly their ranges in use.
// X2. The file has disk space for every extent, so that no write to a mapping can fail, and for the table behind the
//     last, so that a file can be saved where the disk is full.
// X3. Extents are handed out while the phase is `open` only.
//
// Cost: two to four system calls each way. Thread-safety: none.

import AllocatorCore
import SystemMemory

final class SlabFileExtents {
    /// An extent and where it is mapped.
    struct Extent: BitwiseCopyable {
        var mapping: PageMapping
        var offset: UInt64
        var byteCount: UInt64

        var range: Range<UInt64> { offset..<offset + byteCount }
    }

    enum Phase {
        /// Being looked at, and not changed yet.
        case opening
        case open
        case closed
    }

    let file: SystemFile
    let path: String
    /// As it will be written; in the file it may be an older one.
    var superblock: SlabFileSuperblock
    var phase = Phase.opening
    var space: FileSpace
    var extents = AddressTable<Extent>()
    var maximumByteCount = UInt64(Int.max)
    var lastRefusal: SlabFileError?
    let classCount: UInt64
    /// For how many slab numbers the file has room behind its extents: no fewer than there were extents at once.
    var reservedSlots: UInt64 = 0
    /// Whether a hole still has disk space.
    var hasUnpunchedHoles = false
    /// Mappings that the kernel did not take back.
    private var stranded: [PageMapping] = []

    init(file: SystemFile, path: String, superblock: SlabFileSuperblock, classCount: Int) {
        self.file = file
        self.path = path
        self.superblock = superblock
        self.classCount = UInt64(classCount)
        space = FileSpace(start: superblock.pageByteCount)
    }

    deinit { letGo() }

    /// Unmaps all, and closes the file.
    func letGo() {
        guard phase != .closed else { return }
        phase = .closed
        extents.visit { _, extent in _ = extent.mapping.unmap() }
        extents.removeAll()
        for mapping in stranded { _ = mapping.unmap() }
        stranded = []
        file.close()
    }

    func roundedToPages(_ byteCount: UInt64) -> UInt64 {
        (byteCount + superblock.pageByteCount - 1) & ~(superblock.pageByteCount - 1)
    }

    /// The bytes behind the extents that a table of so many slots needs.
    func tailByteCount(slotCount: UInt64) -> UInt64 {
        roundedToPages(
            SlabFileTable.byteCount(classCount: classCount, slotCount: min(slotCount, UInt64(noSlab))) ?? 0)
    }

    /// The bytes of the file.
    var byteCount: UInt64 { space.end + tailByteCount(slotCount: reservedSlots) }

    /// Runs a call, whose error then names the file.
    func calling<Value>(_ body: () throws(FailedCall) -> Value) throws(SlabFileError) -> Value {
        try call(path, body)
    }

    // MARK: - Mapping

    /// Maps an extent of the file at an address of its own, and enters it.
    func map(_ range: Range<UInt64>, alignment: Int) throws(SlabFileError) -> UInt {
        let byteCount = range.upperBound - range.lowerBound
        let none = Extent(mapping: PageMapping(address: 0, byteCount: 0), offset: 0, byteCount: 0)
        guard extents.reserveOne(none), let room = UInt(exactly: byteCount) else {
            throw SlabFileError(.outOfMemory, path)
        }
        // First the addresses, then the file over them.
        let outcome = PageMapping.make(
            room: room, alignment: UInt(max(alignment, 1)), guardByteCount: 0, pageByteCount: SystemMemory.pageSize())
        guard case .mapped(let mapping, let base) = outcome else { throw SlabFileError(.outOfMemory, path) }
        do throws(SlabFileError) {
            try calling { () throws(FailedCall) in
                try file.map(offset: range.lowerBound, byteCount: room, over: base)
            }
        } catch {
            unmap(mapping)
            throw error
        }
        _ = extents.insert(base, Extent(mapping: mapping, offset: range.lowerBound, byteCount: byteCount))
        return base
    }

    private func unmap(_ mapping: PageMapping) {
        if !mapping.unmap() { stranded.append(mapping) }
    }

    // MARK: - Growing

    private func extent(_ byteCount: Int, _ alignment: Int) throws(SlabFileError) -> UnsafeMutableRawBufferPointer {
        guard phase == .open else { throw SlabFileError(.closed, path) }
        retryStranded()
        let room = roundedToPages(UInt64(max(byteCount, 1)))
        let offset = space.find(room)
        let end = max(space.end, offset + room)
        let slots = max(reservedSlots, UInt64(extents.count) + 1)
        let tail = tailByteCount(slotCount: slots)
        guard end + tail <= maximumByteCount else {
            throw SlabFileError(.limitExceeded(limit: Int(maximumByteCount)), path)
        }
        do throws(SlabFileError) {
            // X2
            try calling { () throws(FailedCall) in
                if offset == space.end {
                    try file.allocate(offset: offset, byteCount: room + tail)
                } else {
                    try file.allocate(offset: offset, byteCount: room)
                    if slots > reservedSlots { try file.allocate(offset: end, byteCount: tail) }
                }
            }
            let base = try map(offset..<offset + room, alignment: alignment)
            space.take(offset..<offset + room)
            reservedSlots = slots
            return UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: base), count: Int(room))
        } catch {
            // What was made larger becomes what it was.
            if offset < space.end { punch(offset..<offset + room) }
            cut()
            throw error
        }
    }

    // MARK: - Shrinking

    /// Gives the disk space of a hole back, now or when the file is saved.
    private func punch(_ hole: Range<UInt64>) {
        do throws(FailedCall) {
            try file.punchHole(offset: hole.lowerBound, byteCount: hole.upperBound - hole.lowerBound)
        } catch {
            hasUnpunchedHoles = true
        }
    }

    /// Cuts off what is behind the extents and the room for the table; what fails is made up for when it is saved.
    private func cut() {
        let tail = tailByteCount(slotCount: reservedSlots)
        // The room may be where there was a hole.
        do throws(FailedCall) {
            try file.allocate(offset: space.end, byteCount: tail)
            try file.truncate(to: space.end + tail)
        } catch {}
    }

    /// Makes up for what the system refused before.
    func retryShrinking() {
        retryStranded()
        guard hasUnpunchedHoles else { return }
        hasUnpunchedHoles = false
        for hole in space.holes { punch(hole) }
    }

    private func retryStranded() {
        while let mapping = stranded.last, mapping.unmap() { stranded.removeLast() }
    }
}

extension SlabFileExtents: OwningAllocator {
    func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("SlabFile", byteCount: byteCount, alignment: alignment) else { return nil }
        do throws(SlabFileError) {
            return try extent(byteCount, alignment)
        } catch {
            lastRefusal = error
            return nil
        }
    }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal("SlabFile", byteCount: byteCount, alignment: alignment)
        }
        return block
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        guard let extent = extents.remove(UInt(bitPattern: pointer)) else {
            misuse("SlabFile", pointer, "is not a slab of this file")
        }
        unmap(extent.mapping)
        if space.giveBack(extent.range) == nil { cut() } else { punch(extent.range) }
    }

    func owns(_ pointer: UnsafeRawPointer) -> Bool { extents.find(UInt(bitPattern: pointer)) != nil }
}

/// Runs a call of the system, whose error then names the file.
func call<Value>(_ path: String, _ body: () throws(FailedCall) -> Value) throws(SlabFileError) -> Value {
    do throws(FailedCall) { return try body() } catch { throw SlabFileError(error, path) }
}
