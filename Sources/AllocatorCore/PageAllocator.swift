// Memory straight from the operating system, in whole pages: one mapping a block (see PageMapping.swift for its
// layout), and a table from a block's base to its mapping. Nothing is written into or beside a block.
//
// Invariants:
// I1. Every mapping that the kernel gave and has not taken back has exactly one record, under the address of its base.
// I2. A record is live (its block is the caller's) or stranded: to be unmapped, and the kernel refused so far. Stranded
//     records form a list through `next`, which ends in 0.
// I3. `room` is whole pages; the guards, on both sides of it, are inside the mapping.
// I4. The account is the sum over the records.
// Cost: one to three system calls each way, about a microsecond, and a page fault for each page touched. Thread-safety:
// none.

internal import SystemMemory

/// Memory straight from the operating system, in whole pages.
///
/// For large blocks: pages of a pool, buffers of megabytes, anything that should go back to the system the moment it is
/// freed, or that wants huge pages or guard pages. Not for small blocks: each takes a page or more, a system call or
/// more, and one of the separate ranges of which a Linux process can have 65,530 (`vm.max_map_count`).
///
/// A request is rounded up to whole pages, and all of them are the caller's: the block's `count`. Any alignment.
/// Freeing gives the memory back at once; where the kernel refuses to take the address space (it does at the limit of
/// separate ranges), the contents are dropped, the mapping is remembered, counts as overhead, and is offered again at
/// every later free and at ``close()``. A double free, a foreign pointer and one inside a block trap.
///
/// Allocating and freeing are O(1), beside the kernel's work for the pages that are touched: one system call each, and
/// some more for an alignment above a page, guards, huge pages, and memory that the kernel refused to take back before.
///
/// Not thread-safe. The idea is D's `MmapAllocator`.
public final class PageAllocator {
    /// Whether large blocks ask for huge pages.
    public enum HugePages: Sendable {
        /// Every block has the pages that the system gives by itself.
        case none
        /// Blocks of 2 MiB or more are aligned to 2 MiB, and the kernel is advised to use huge pages. Where it refuses
        /// or has none, the block has ordinary pages.
        case advise
    }

    /// The least block for which ``HugePages/advise`` asks, and its alignment: 2 MiB.
    public static var hugePageByteCount: Int { 2 << 20 }

    struct Record: BitwiseCopyable {
        var mapping: PageMapping
        /// The block's bytes.
        var room: UInt
        /// The next stranded record's base; of a live block, `live`.
        var next: UInt

        static var live: UInt { .max }
        var isLive: Bool { next == Self.live }
        var overhead: Int { Int(bitPattern: mapping.byteCount &- room) }
    }

    /// Whether blocks of 2 MiB or more ask for huge pages.
    public let hugePages: HugePages
    /// Whether an inaccessible page lies on each side of every block.
    public let hasGuardPages: Bool
    /// The size of a page, in bytes.
    public let pageByteCount: Int

    @exclusivity(unchecked) var records = AddressTable<Record>()
    @exclusivity(unchecked) var firstStranded: UInt = 0
    /// Without the table's own memory.
    @exclusivity(unchecked) var account = AllocatorStatistics()

    /// Makes an allocator that holds nothing yet.
    ///
    /// - Parameters:
    ///   - hugePages: whether blocks of 2 MiB or more ask for huge pages.
    ///   - guardPages: whether to put an inaccessible page on each side of every block: touching it ends the program at
    ///     the instruction. Costs a second system call and two pages of address space a block; no memory.
    public init(hugePages: HugePages = .none, guardPages: Bool = false) {
        self.hugePages = hugePages
        hasGuardPages = guardPages
        pageByteCount = Int(bitPattern: SystemMemory.pageSize())
    }

    deinit {
        records.visit({ _, record in _ = record.mapping.unmap() })
        records.removeAll()
    }

    var pageBytes: UInt { UInt(bitPattern: pageByteCount) }
    var guardBytes: UInt { hasGuardPages ? pageBytes : 0 }

    /// Whole pages, at least one; nil where it can't be.
    func room(for byteCount: Int) -> UInt? {
        roundedUp(max(byteCount, 1), toMultipleOf: pageByteCount).map { UInt(bitPattern: $0) }
    }

    func wantsHugePages(_ room: UInt) -> Bool {
        hugePages == .advise && room >= UInt(bitPattern: Self.hugePageByteCount)
    }

    // MARK: - Stranded mappings

    /// Unmaps, or strands what the record describes.
    func giveBack(_ base: UInt, _ record: UnsafeMutablePointer<Record>) {
        if record.pointee.mapping.unmap() {
            account.heldBytes &-= Int(bitPattern: record.pointee.mapping.byteCount)
            account.overheadBytes &-= Int(bitPattern: record.pointee.mapping.byteCount)
            records.remove(base)
            retryStranded()
        } else {
            record.pointee.next = firstStranded
            firstStranded = base
        }
    }

    /// Offers stranded mappings to the kernel until it refuses one.
    func retryStranded() {
        while firstStranded != 0 {
            let record = records.find(firstStranded).unsafelyUnwrapped.pointee
            guard SystemMemory.unmap(address: record.mapping.address, byteCount: record.mapping.byteCount) else {
                return
            }
            account.heldBytes &-= Int(bitPattern: record.mapping.byteCount)
            account.overheadBytes &-= Int(bitPattern: record.mapping.byteCount)
            records.remove(firstStranded)
            firstStranded = record.next
        }
    }

    /// The record of a live block; anything else ends the program.
    func liveRecord(_ pointer: UnsafeRawPointer) -> UnsafeMutablePointer<Record> {
        if let record = records.find(UInt(bitPattern: pointer)), record.pointee.isLive { return record }
        let address = UInt(bitPattern: pointer)
        var isInside = false
        records.visit({ base, record in
            if record.isLive, address > base, address < base &+ record.room { isInside = true }
        })
        if isInside { misuse("PageAllocator", pointer, "points inside a block, not at its start") }
        misuse("PageAllocator", pointer, "is not a live block of this allocator: freed already, or foreign")
    }
}

extension PageAllocator: OwningAllocator, SizeReportingAllocator {
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("PageAllocator", byteCount: byteCount, alignment: alignment),
            let room = room(for: byteCount)
        else { return nil }
        let isHuge = wantsHugePages(room)
        let wanted = UInt(bitPattern: isHuge ? max(alignment, Self.hugePageByteCount) : alignment)
        let none = Record(mapping: PageMapping(address: 0, byteCount: 0), room: 0, next: 0)
        guard records.reserveOne(none) else { return nil }
        let outcome = PageMapping.make(
            room: room, alignment: wanted, guardByteCount: guardBytes, pageByteCount: pageBytes)
        switch outcome {
        case .refused: return nil
        case .stranded(let mapping):
            _ = records.insert(mapping.address, Record(mapping: mapping, room: 0, next: firstStranded))
            firstStranded = mapping.address
            account.heldBytes &+= Int(bitPattern: mapping.byteCount)
            account.overheadBytes &+= Int(bitPattern: mapping.byteCount)
            return nil
        case .mapped(let mapping, let base):
            if isHuge { SystemMemory.adviseHugePages(address: base, byteCount: room) }
            let record = Record(mapping: mapping, room: room, next: Record.live)
            _ = records.insert(base, record)
            account.enter(byteCount: Int(bitPattern: room), overhead: record.overhead)
            return UnsafeMutableRawBufferPointer(
                start: UnsafeMutableRawPointer(bitPattern: base), count: Int(bitPattern: room))
        }
    }

    /// Allocates whole pages: the block's `count` is `byteCount`, at least 1, rounded up to the page size.
    ///
    /// - Throws: ``AllocationError`` with `.outOfMemory` where the kernel refuses, also sizes beyond the address space.
    ///   Nothing is lost then.
    /// - Complexity: O(1): one system call, and up to two for an alignment above a page, one for guards, one for
    ///   advice.
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal("PageAllocator", byteCount: byteCount, alignment: alignment)
        }
        return block
    }

    /// Gives a block's pages back to the system. O(1).
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        let record = liveRecord(pointer)
        let (room, overhead) = (record.pointee.room, record.pointee.overhead)
        account.remove(byteCount: Int(bitPattern: room), overhead: overhead)
        account.heldBytes &+= Int(bitPattern: record.pointee.mapping.byteCount)
        account.overheadBytes &+= Int(bitPattern: record.pointee.mapping.byteCount)
        record.pointee.room = 0
        giveBack(UInt(bitPattern: pointer), record)
    }

    /// Whether the address is the base of a live block. O(1); never touches the memory.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        records.find(UInt(bitPattern: pointer))?.pointee.isLive ?? false
    }

    /// The block's bytes: whole pages. O(1).
    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        Int(bitPattern: liveRecord(pointer).pointee.room)
    }

    /// Whole pages, at least one.
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        room(for: byteCount).map { Int(bitPattern: $0) } ?? byteCount
    }
}
