// A shard: pages of small hardened blocks and the quarantine of such, behind one lock. Threads find theirs by their
// identity; two that find the same one wait for each other.
//
// A shard in memory:
//
//   +0  its lock   +128  ShardRecord   +256  the first page with room, by class   +896  counters, by class
//   +2112  side tables, by size: the first free one, the first never used, the end of these
//   +4096  the quarantine: a ring of addresses, the oldest first
//
// Invariants (checked by `brokenInvariant()`):
//   D1  a page is in its class's list exactly while one of its blocks is neither live nor quarantined
//   D2  the blocks of the ring are the quarantined ones of the shard's pages
//
// Cost: an uncontended lock a call. Thread-safety: all of it under the shard's lock.

import CMallowShims

typealias Shard = UnsafeMutablePointer<ShardRecord>

struct ShardRecord: ~Copyable {
    static let offset: UInt = 128
    static let pagesOffset: UInt = 256
    static let countersOffset: UInt = 896
    static let tablesOffset: UInt = 2112
    static let quarantineOffset: UInt = 4096
    static let quarantineCapacity: UInt = 8192
    /// Freed memory that one shard keeps from being used again, at most.
    static let quarantineByteLimit: UInt = 2 << 20
    static let byteCount = quarantineOffset + quarantineCapacity * 8

    /// The thread sanitizer takes a change of any field for one of the first word: so nothing lies there.
    private var unused: UInt
    /// The state of the generator of random numbers; never 0.
    var random: UInt
    // The quarantine.
    var oldest: UInt
    var quarantinedCount: UInt
    var quarantinedBytes: UInt
}

extension UnsafeMutablePointer where Pointee == ShardRecord {
    @inline(__always)
    static func at(_ index: UInt) -> Shard {
        let first = Process.state.pointee.hardenedAddress &+ HardenedRecord.byteCount
        return Shard(at: first &+ index &* ShardRecord.byteCount &+ ShardRecord.offset)
    }

    /// The calling thread's. Threads' identities are addresses; their upper bits are spread over the shards.
    @inline(__always)
    static var current: Shard {
        at((UInt(mallow_thread_identity()) &* 0x9e37_79b9_7f4a_7c15) &>> 61)
    }

    @inline(__always)
    var base: UInt { address &- ShardRecord.offset }

    @inline(__always)
    var lock: UnsafeMutablePointer<Lock> { UnsafeMutablePointer<Lock>(at: base) }

    /// The first page of a class with room, or 0.
    @inline(__always)
    func pages(_ sizeClass: Int) -> UnsafeMutablePointer<UInt> {
        UnsafeMutablePointer<UInt>(at: base &+ ShardRecord.pagesOffset &+ UInt(bitPattern: sizeClass) &* 8)
    }

    @inline(__always)
    var counters: UnsafeMutablePointer<HeapCounters> {
        UnsafeMutablePointer<HeapCounters>(at: base &+ ShardRecord.countersOffset)
    }

    /// A random number: xorshift64* (Marsaglia 2003; Vigna 2016). Its upper bits are the better ones.
    @inline(__always)
    func nextRandom() -> UInt {
        var word = pointee.random
        word ^= word &>> 12
        word ^= word &<< 25
        word ^= word &>> 27
        pointee.random = word
        return word &* 0x2545_f491_4f6c_dd1d
    }

    // MARK: - The list of pages with room

    func insert(_ page: Page) {
        let first = pages(Int(page.pointee.sizeClass))
        page.pointee.isCurrent = true
        page.pointee.previous = nil
        page.pointee.next = Page(bitPattern: first.pointee)
        if let next = page.pointee.next { next.pointee.previous = page }
        first.pointee = page.address
    }

    func remove(_ page: Page) {
        page.pointee.isCurrent = false
        if let next = page.pointee.next { next.pointee.previous = page.pointee.previous }
        if let previous = page.pointee.previous {
            previous.pointee.next = page.pointee.next
        } else {
            pages(Int(page.pointee.sizeClass)).pointee = UInt(bitPattern: page.pointee.next)
        }
        page.pointee.next = nil
        page.pointee.previous = nil
    }

    // MARK: - Side tables

    private static var tablesPerMapping: UInt { 64 }

    @inline(__always)
    private func tables(_ size: Int) -> UnsafeMutablePointer<TableStore> {
        UnsafeMutablePointer<TableStore>(at: base &+ ShardRecord.tablesOffset &+ UInt(bitPattern: size) &* 24)
    }

    /// A side table of zeros for so many blocks, or nil where the kernel has no memory.
    func takeTable(capacity: UInt) -> SideTable? {
        let size = SideTable.size(capacity: capacity)
        let byteCount = SideTable.byteCount(of: size)
        let store = tables(size)
        if store.pointee.free != 0 {
            let table = SideTable(address: store.pointee.free)
            store.pointee.free = loadWord(table.address)
            storeWord(table.address, 0)
            return table
        }
        if store.pointee.next == store.pointee.end {
            let total = Self.tablesPerMapping &* byteCount
            let address = Hardened.mapMetadata(byteCount: total, isGuarded: Hardened.takeGuards(2))
            guard address != 0 else { return nil }
            store.pointee.next = address
            store.pointee.end = address &+ total
        }
        defer { store.pointee.next &+= byteCount }
        return SideTable(address: store.pointee.next)
    }

    func giveTable(_ table: SideTable, capacity: UInt) {
        let store = tables(SideTable.size(capacity: capacity))
        table.clear(capacity: capacity)
        storeWord(table.address, store.pointee.free)
        store.pointee.free = table.address
    }
}

/// Side tables of one size that are free, linked by their first words, and memory for more.
struct TableStore {
    var free: UInt
    var next: UInt
    var end: UInt
}
