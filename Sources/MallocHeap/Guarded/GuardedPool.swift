// Guarded blocks: a few of the program's blocks, chosen at random, lie on OS pages of their own between inaccessible
// ones, so that an access behind, before or after the life of such a block faults, and the fault can be named: which
// block, and where it was allocated and freed. Rates of one in thousands cost a production program next to nothing.
//
// The pool is address space of `tierCount` segments' size, reserved once, inaccessible but for live blocks. Each
// segment is a tier of slots of one size:
//
//     | guard | slot 0 | guard | slot 1 | guard | …          guard: one OS page, never accessible
//
//     tier 0: slots of an OS page    tier 1: 64 KiB    tier 2: 1 MiB    tier 3: 15 MiB
//
// A block lies at the end of its slot or at its beginning, by chance, as near as its alignment allows; only the OS
// pages that it touches are accessible, and only while it lives. What is left of these at either side, its slack, holds
// a pattern that is checked when the block is freed. A freed slot waits in its tier's queue, inaccessible, until all
// others have been used. The segment map knows nothing of the pool: so a free of a guarded block finds no record and
// leaves the hit path, at no cost to others.
//
// Invariants (checked by `brokenGuardedPool()`):
//   G1  a slot is live, in its tier's queue, or never used (those from `fresh` on)
//   G2  a live slot's block lies within the slot, and the OS pages that it touches alone are accessible
//   G3  a tier's `live` counts its live slots
//
// The idea is GWP-ASan's (Serebryany, Kennelly and others, 2024), and before it Electric Fence's.
//
// Memory: an OS page or more for each live guarded block, half a KiB for each slot that was ever used.
// Cost: two system calls and a fault to allocate, two system calls to free. Thread-safety: a lock, for a few
// instructions; a record's contents are its block's owner's.

import CMallowShims

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// Slots of one size: a segment of the pool. Guarded by the lock, but for what is constant.
struct GuardedTier: ~Copyable {
    // Constant.
    var start: UInt
    var slotByteCount: UInt
    var slotCount: UInt32

    /// The slots from here on were never used.
    var fresh: UInt32
    var live: UInt32
    /// The queue of freed slots, the oldest first: numbers from 1, 0 for none.
    var oldest: UInt32
    var newest: UInt32
    /// Where the records lie.
    var records: UInt
}

/// What one slot holds or held. Two traces follow it: see `Trace`.
struct SlotRecord: ~Copyable {
    /// 0 until the slot is used for the first time.
    var block: UInt
    /// As the program asked for.
    var byteCount: UInt
    var state: SlotState
    /// The class that it would be of, or `SlotRecord.isLarge`.
    var sizeClass: UInt8
    /// What the slack is filled with depends on it.
    var pattern: UInt8
    /// Its memory could not be given back.
    var holdsMemory: Bool
    /// The next one of the queue, from 1.
    var next: UInt32
    var allocatingThread: UInt32
    var freeingThread: UInt32

    static let isLarge: UInt8 = .max
    static let stride: UInt = 64 + 2 * Trace.byteCount
}

enum SlotState: UInt8 {
    case unused = 0
    case live
    case freed
}

typealias Slot = UnsafeMutablePointer<SlotRecord>
typealias Tier = UnsafeMutablePointer<GuardedTier>

extension UnsafeMutablePointer where Pointee == SlotRecord {
    var allocationTrace: UInt { address &+ 64 }
    var freeTrace: UInt { address &+ 64 &+ Trace.byteCount }
}

/// The pool of guarded blocks: at most one in a process, made when a guard rate is set.
struct GuardedPool: ~Copyable {
    var random: UInt64
    /// Blocks that were ever guarded.
    var guardedCount: UInt
    var osPageByteCount: UInt

    static let tierCount = 4

    /// Whether an address lies in the pool: so it is a guarded block's, or was, or nobody's.
    @inline(__always)
    static func contains(_ address: UInt) -> Bool {
        address &- Process.state.pointee.guardedStart < Process.state.pointee.guardedByteCount
    }

    static func tier(_ index: Int) -> Tier {
        Tier(at: Process.state.pointee.guardedPool.unsafelyUnwrapped.address &+ 128) + index
    }

    /// Reserves the pool's address space. False if the kernel refuses, or there is a pool already.
    static func create() -> Bool {
        guard Process.state.pointee.guardedPool == nil else { return false }
        let osPage = Process.state.pointee.osPageByteCount
        var recordBytes: UInt = 0
        for index in 0..<tierCount { recordBytes &+= slotCount(ofTier: index) &* SlotRecord.stride }
        let records = SystemMemory.map(byteCount: Layout.roundedUp(recordBytes, toMultipleOf: osPage))
        guard records != 0 else { return false }
        let byteCount = UInt(tierCount) &* Layout.segmentByteCount
        Process.poolLock.acquire()
        let start = Address.map(byteCount: byteCount, access: .none)
        let address = Process.metadata(
            byteCount: 128 &+ UInt(bitPattern: tierCount &* MemoryLayout<GuardedTier>.stride))
        if start != 0 { Process.poolPointer.pointee.mappedBytes &+= byteCount }
        Process.poolLock.release()
        guard start != 0, let pool = UnsafeMutablePointer<GuardedPool>(bitPattern: address) else {
            SystemMemory.unmap(address: records, byteCount: Layout.roundedUp(recordBytes, toMultipleOf: osPage))
            if start != 0 { SystemMemory.unmap(address: start, byteCount: byteCount) }
            return false
        }
        pool.pointee.random = UInt64(Process.state.pointee.linkKey) | 1
        pool.pointee.osPageByteCount = osPage
        Process.state.pointee.guardedPool = pool
        var next = records
        for index in 0..<tierCount {
            let tier = tier(index)
            tier.pointee.start = start &+ UInt(bitPattern: index) &* Layout.segmentByteCount
            tier.pointee.slotByteCount = slotByteCount(ofTier: index)
            tier.pointee.slotCount = UInt32(truncatingIfNeeded: slotCount(ofTier: index))
            tier.pointee.records = next
            next &+= slotCount(ofTier: index) &* SlotRecord.stride
        }
        Process.state.pointee.guardedStart = start
        Process.state.pointee.guardedByteCount = byteCount
        return true
    }

    private static func slotByteCount(ofTier index: Int) -> UInt {
        let osPage = Process.state.pointee.osPageByteCount
        switch index {
        case 0: return osPage
        case 1: return 64 << 10
        case 2: return 1 << 20
        default: return 15 << 20
        }
    }

    private static func slotCount(ofTier index: Int) -> UInt {
        let osPage = Process.state.pointee.osPageByteCount
        return (Layout.segmentByteCount &- osPage) / (slotByteCount(ofTier: index) &+ osPage)
    }
}

// MARK: - Slots

extension UnsafeMutablePointer where Pointee == GuardedTier {
    func slot(_ index: UInt32) -> Slot { Slot(at: pointee.records &+ UInt(index) &* SlotRecord.stride) }

    var distance: UInt {
        pointee.slotByteCount &+ Process.state.pointee.guardedPool.unsafelyUnwrapped.pointee.osPageByteCount
    }

    /// Where a slot's memory begins, behind a guard.
    func start(ofSlot index: UInt32) -> UInt {
        pointee.start &+ distance &- pointee.slotByteCount &+ UInt(index) &* distance
    }

    /// The slot that holds an address, or the guard in front of which holds it. May be one past the last.
    func index(at address: UInt) -> UInt32 {
        UInt32(truncatingIfNeeded: (address &- pointee.start) / distance)
    }
}

extension GuardedPool {
    /// The tier that an address of the pool lies in.
    static func tier(at address: UInt) -> Tier {
        tier(Int(bitPattern: (address &- Process.state.pointee.guardedStart) &>> Layout.segmentShift))
    }

    /// The slot that an address of the pool lies in, or in the guard in front of which; nil behind the last.
    static func slot(at address: UInt) -> Slot? {
        let tier = tier(at: address)
        let index = tier.index(at: address)
        return index < tier.pointee.slotCount ? tier.slot(index) : nil
    }

    /// The slot whose block begins at `address`, whatever its state.
    static func slot(ofBlockAt address: UInt) -> Slot? {
        guard let slot = slot(at: address), slot.pointee.block == address, slot.pointee.state != .unused else {
            return nil
        }
        return slot
    }
}
