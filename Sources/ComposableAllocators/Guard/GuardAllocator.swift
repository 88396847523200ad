// Each block alone in pages of its own, between inaccessible ones, for finding bugs (see PageMapping.swift for a
// mapping's layout). `#` is inaccessible, `c` a canary byte that is checked when the block is freed:
//
//     catching .overrun:    ####|cccccccc block c|####     the block ends less than its alignment before the guard
//     catching .underrun:   ####|block cccccccccc|####     the block starts right behind the guard
//
// A freed block's pages become inaccessible and stay reserved: the quarantine, a queue from which the oldest mapping is
// given back when the queue is over its limit.
//
// Invariants:
// I1. Every mapping has one record, under its block's base; a record is live or in the queue through `next`.
// I2. A live block lies in its room; what of the room is not the block's is filled with the canary.
// I3. The account is the sum over the records; `quarantined` is the sum over the queue.
// Cost: two system calls to allocate, two or three to free, two pages of memory or more a block, and three of address
// space.
// Thread-safety: none.

public import AllocatorCore
internal import SystemMemory

/// Puts each block against an inaccessible page, so that a wrong access ends the program at its instruction. For
/// debugging.
///
/// - Reading or writing beyond a block's end (catching ``Side/overrun``) or before its start (catching
///   ``Side/underrun``) ends the program by a signal, at the instruction. What the other side, or the few bytes that an
///   alignment leaves behind the end, are written with is found when the block is freed, and traps.
/// - Reading or writing a freed block does the same for as long as its addresses are reserved.
/// - A double free, a foreign pointer and one inside a block trap.
///
/// A block's `count` is what was asked for, no more. The first byte of a zero-byte block is inaccessible. With
/// ``Side/overrun`` an alignment of 1 catches the first byte behind the end; a larger one leaves up to `alignment - 1`
/// canary bytes there.
///
/// Not for production: an allocation costs system calls and page faults (some microseconds), a page of memory, and two
/// of the separate ranges of which a Linux process can have 65,530 (`vm.max_map_count`), so about 32,000 blocks can be
/// live. Allocating and freeing take O(page size), for the canary, and mostly two or three system calls each, whose
/// cost is the kernel's. Not thread-safe. The idea is Perens' Electric Fence.
public final class GuardAllocator {
    /// At which end of a block the first wrong byte ends the program.
    public enum Side: Sendable {
        /// The block ends at an inaccessible page.
        case overrun
        /// The block starts behind an inaccessible page.
        case underrun
    }

    struct Record: BitwiseCopyable {
        var mapping: PageMapping
        /// Where the pages begin that can be accessed, and how many bytes they are.
        var roomStart: UInt
        var room: UInt
        var byteCount: Int
        var isLive: Bool
        /// The next younger record in quarantine, or 0.
        var next: UInt = 0
    }

    /// At which end of a block a wrong access ends the program at its instruction.
    public let side: Side
    /// Address space that freed blocks keep reserved at most, in bytes.
    public let quarantineByteCount: Int
    let pageByteCount = SystemMemory.pageSize()

    @exclusivity(unchecked) var records = AddressTable<Record>()
    @exclusivity(unchecked) var oldest: UInt = 0
    @exclusivity(unchecked) var youngest: UInt = 0
    @exclusivity(unchecked) var quarantined = 0
    /// Without the table's own memory.
    @exclusivity(unchecked) var account = AllocatorStatistics()

    static var canary: UInt8 { 0xC5 }

    /// Makes an allocator whose quarantine is 256 MiB of address space.
    ///
    /// - Parameter side: at which end of a block the first wrong byte ends the program.
    public init(catching side: Side = .overrun) {
        self.side = side
        quarantineByteCount = 256 << 20
    }

    /// Makes an allocator.
    ///
    /// - Parameters:
    ///   - side: at which end of a block the first wrong byte ends the program.
    ///   - quarantineByteCount: how many bytes of address space freed blocks keep reserved: 0 or more. They cost no
    ///     memory.
    /// - Throws: ``ConfigurationError`` where the limit is negative.
    public init(catching side: Side = .overrun, quarantineByteCount: Int) throws(ConfigurationError) {
        guard quarantineByteCount >= 0 else {
            throw ConfigurationError(
                allocator: "GuardAllocator", argument: "quarantineByteCount", value: quarantineByteCount,
                requirement: "zero or more")
        }
        self.side = side
        self.quarantineByteCount = quarantineByteCount
    }

    deinit {
        records.visit({ _, record in _ = record.mapping.unmap() })
        records.removeAll()
    }

    // MARK: - Quarantine

    func enqueue(_ base: UInt, _ record: UnsafeMutablePointer<Record>) {
        record.pointee.isLive = false
        record.pointee.next = 0
        if youngest == 0 { oldest = base } else { records.find(youngest)!.pointee.next = base }
        youngest = base
        quarantined += Int(bitPattern: record.pointee.mapping.byteCount)
    }

    /// Gives the oldest mappings back until so much is left. What the kernel refuses to take stays, to be offered
    /// again.
    func releaseQuarantine(downTo limit: Int) {
        while quarantined > limit, oldest != 0 {
            let record = records.find(oldest)!.pointee
            guard SystemMemory.unmap(address: record.mapping.address, byteCount: record.mapping.byteCount) else {
                return
            }
            records.remove(oldest)
            oldest = record.next
            if oldest == 0 { youngest = 0 }
            let byteCount = Int(bitPattern: record.mapping.byteCount)
            quarantined -= byteCount
            account.heldBytes -= byteCount
            account.overheadBytes -= byteCount
        }
    }

    // MARK: - Blocks

    /// A block in fresh pages, or nil.
    func place(byteCount: Int, alignment: Int) -> UInt? {
        let alignment = UInt(bitPattern: alignment)
        let bytes = UInt(bitPattern: byteCount)
        guard
            let room = roundedUp(byteCount, toMultipleOf: Int(bitPattern: pageByteCount)).map({ UInt(bitPattern: $0) }),
            records.reserveOne(
                Record(
                    mapping: PageMapping(address: 0, byteCount: 0), roomStart: 0, room: 0, byteCount: 0, isLive: false))
        else { return nil }
        let outcome = PageMapping.make(
            room: room, alignment: alignment, guardByteCount: pageByteCount, pageByteCount: pageByteCount)
        switch outcome {
        case .refused: return nil
        case .stranded(let mapping):
            let record = Record(mapping: mapping, roomStart: mapping.address, room: 0, byteCount: 0, isLive: false)
            _ = records.insert(mapping.address, record)
            enqueue(mapping.address, records.find(mapping.address)!)
            account.heldBytes += Int(bitPattern: mapping.byteCount)
            account.overheadBytes += Int(bitPattern: mapping.byteCount)
            return nil
        case .mapped(let mapping, let start):
            // The room starts at the alignment; a smaller one than a page moves the block to the room's end.
            let base = side == .underrun ? start : (start &+ room &- bytes) & ~(alignment &- 1)
            let record = Record(mapping: mapping, roomStart: start, room: room, byteCount: byteCount, isLive: true)
            _ = records.insert(base, record)
            account.enter(byteCount: byteCount, overhead: Int(bitPattern: mapping.byteCount) - byteCount)
            forEachCanaryRange(base, record) { $0.initializeMemory(as: UInt8.self, repeating: Self.canary) }
            return base
        }
    }

    /// What of the room lies before the block, and what behind it.
    func forEachCanaryRange(_ base: UInt, _ record: Record, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        let end = base &+ UInt(bitPattern: record.byteCount)
        for (from, to) in [(record.roomStart, base), (end, record.roomStart &+ record.room)] where from < to {
            body(
                UnsafeMutableRawBufferPointer(
                    start: UnsafeMutableRawPointer(bitPattern: from), count: Int(bitPattern: to &- from)))
        }
    }

    func checkCanary(_ pointer: UnsafeRawPointer, _ record: Record) {
        let base = UInt(bitPattern: pointer)
        forEachCanaryRange(base, record) { range in
            guard !range.allSatisfy({ $0 == Self.canary }) else { return }
            if UInt(bitPattern: range.baseAddress) < base {
                misuse("GuardAllocator", pointer, "was written before its start")
            }
            misuse("GuardAllocator", pointer, "was written beyond its end")
        }
    }

    /// The record of a live block; anything else ends the program.
    func liveRecord(_ pointer: UnsafeRawPointer) -> UnsafeMutablePointer<Record> {
        let address = UInt(bitPattern: pointer)
        if let record = records.find(address) {
            if record.pointee.isLive { return record }
            misuse("GuardAllocator", pointer, "was freed already")
        }
        var isInside = false
        records.visit({ base, record in
            if record.isLive, address > base, address < base &+ UInt(bitPattern: record.byteCount) { isInside = true }
        })
        if isInside { misuse("GuardAllocator", pointer, "points inside a block, not at its start") }
        misuse("GuardAllocator", pointer, "is not a block of this allocator: foreign, or freed long ago")
    }
}

extension GuardAllocator: OwningAllocator, SizeReportingAllocator {
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("GuardAllocator", byteCount: byteCount, alignment: alignment) else { return nil }
        var base = place(byteCount: byteCount, alignment: alignment)
        if base == nil, quarantined > 0 {
            // The kernel may be at a limit that the reserved addresses count towards.
            releaseQuarantine(downTo: 0)
            base = place(byteCount: byteCount, alignment: alignment)
        }
        guard let base else { return nil }
        return UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: base), count: byteCount)
    }

    /// Allocates a block of exactly `byteCount` bytes in pages of its own.
    ///
    /// - Throws: ``AllocationError`` with `.outOfMemory` where the kernel refuses; the quarantine has been emptied
    ///   then.
    /// - Complexity: O(page size), two system calls.
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal("GuardAllocator", byteCount: byteCount, alignment: alignment)
        }
        return block
    }

    /// Checks what lies around the block, makes its pages inaccessible and puts them in quarantine. Where the kernel
    /// refuses to make them inaccessible, the block reads as zeros, and its use is not noticed.
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        let record = liveRecord(pointer)
        checkCanary(pointer, record.pointee)
        let (start, room, byteCount) = (record.pointee.roomStart, record.pointee.room, record.pointee.byteCount)
        if room > 0 {
            SystemMemory.discard(address: start, byteCount: room)
            _ = SystemMemory.protect(address: start, byteCount: room, access: .none)
        }
        // The addresses stay, as overhead.
        account.remove(byteCount: byteCount, overhead: 0)
        account.heldBytes += byteCount
        account.overheadBytes += byteCount
        enqueue(UInt(bitPattern: pointer), record)
        releaseQuarantine(downTo: quarantineByteCount)
    }

    /// Whether the address is the base of a live block. O(1); never touches the memory.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        records.find(UInt(bitPattern: pointer))?.pointee.isLive ?? false
    }

    /// What was asked for. O(1).
    public func byteCount(of pointer: UnsafeRawPointer) -> Int { liveRecord(pointer).pointee.byteCount }
}
