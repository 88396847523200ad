// The bases of a shared arena's slabs, as a set that is asked without a lock: so any address may be asked about.
//
// Layout of a table: [capacity - 1 | the table before it, or 0 | entries…], open addressing with linear probing. An
// entry is 0, a base, or a base with its lowest bit set: one whose slab has gone back.
//
// B1. An entry that is not 0 keeps its base for as long as its table exists; only the lowest bit changes. So a search
//     that runs while another thread enters or removes bases finds every base that was there all the time.
// B2. A table is written under the lock. A larger one is filled before it is published, and the one before it stays
//     where it is, for those that still search it: all tables before the current one are together smaller than it.
//
// Cost: a multiplication and mostly one entry. Thread-safety: all of it but `removeAll`.

import AllocatorCore
import ComposableAllocators
import Synchronization

final class SlabBaseSet: @unchecked Sendable {
    private let lock = SharedLock()
    private let current = Atomic<UInt>(0)
    private var used = 0
    private(set) var count = 0
    private(set) var byteCount = 0

    deinit {
        freeTables()
        lock.destroy()
    }

    private typealias Table = UnsafeMutablePointer<Atomic<UInt>>

    private static func entries(_ table: Table) -> (first: Table, mask: Int) {
        (table + 2, Int(bitPattern: table.pointee.load(ordering: .relaxed)))
    }

    private static func home(_ base: UInt, _ mask: Int) -> Int {
        // Fibonacci hashing: bases differ in their middle bits.
        Int(truncatingIfNeeded: (base &* 0x9E37_79B9_7F4A_7C15) &>> 32) & mask
    }

    /// The entry of a base, or the one where it would be entered.
    private static func find(_ base: UInt, in table: Table) -> (entry: Table, value: UInt) {
        let (first, mask) = entries(table)
        var index = home(base, mask)
        while true {
            let value = (first + index).pointee.load(ordering: .acquiring)
            if value == 0 || value & ~1 == base { return (first + index, value) }
            index = (index + 1) & mask
        }
    }

    func contains(_ base: UInt) -> Bool {
        guard base != 0, let table = Table(bitPattern: current.load(ordering: .acquiring)) else { return false }
        return Self.find(base, in: table).value == base
    }

    /// Enters a base that isn't there. False where there is no memory for it.
    func insert(_ base: UInt) -> Bool {
        lock.acquire()
        defer { lock.release() }
        var table = Table(bitPattern: current.load(ordering: .relaxed))
        let capacity = table.map { Self.entries($0).mask + 1 } ?? 0
        if (used + 1) * 4 > capacity * 3 {
            guard let larger = grow(table, to: max(capacity * 2, 64)) else { return false }
            table = larger
        }
        let found = Self.find(base, in: table.unsafelyUnwrapped)
        if found.value == 0 { used += 1 }
        found.entry.pointee.store(base, ordering: .releasing)
        count += 1
        return true
    }

    func remove(_ base: UInt) {
        lock.acquire()
        defer { lock.release() }
        guard let table = Table(bitPattern: current.load(ordering: .relaxed)) else { return }
        let found = Self.find(base, in: table)
        guard found.value == base else { return }
        found.entry.pointee.store(base | 1, ordering: .releasing)
        count -= 1
    }

    private func grow(_ old: Table?, to capacity: Int) -> Table? {
        let bytes = (capacity + 2) * MemoryLayout<UInt>.stride
        guard let memory = SystemAllocator().tryAllocate(byteCount: bytes, alignment: 16)?.baseAddress else {
            return nil
        }
        let table = memory.bindMemory(to: Atomic<UInt>.self, capacity: capacity + 2)
        for index in 0..<capacity + 2 { (table + index).initialize(to: Atomic(0)) }
        table.pointee.store(UInt(capacity - 1), ordering: .relaxed)
        table[1].store(UInt(bitPattern: old), ordering: .relaxed)
        used = 0
        if let old {
            let (first, mask) = Self.entries(old)
            for index in 0...mask {
                let base = first[index].load(ordering: .relaxed)
                guard base != 0, base & 1 == 0 else { continue }
                Self.find(base, in: table).entry.pointee.store(base, ordering: .relaxed)
                used += 1
            }
        }
        byteCount += bytes
        current.store(UInt(bitPattern: table), ordering: .releasing)
        return table
    }

    /// Gives the tables' memory back, for a moment at which nobody searches them.
    func removeAll() {
        lock.acquire()
        freeTables()
        lock.release()
    }

    private func freeTables() {
        var table = Table(bitPattern: current.load(ordering: .relaxed))
        while let freed = table {
            table = Table(bitPattern: freed[1].load(ordering: .relaxed))
            SystemAllocator().deallocate(UnsafeMutableRawPointer(freed))
        }
        current.store(0, ordering: .relaxed)
        (used, count, byteCount) = (0, 0, 0)
    }
}
