// What the kit's wrappers know of the blocks that went through them: number and size by address, and the account.

import AllocatorCore

struct LiveBlocks {
    struct Entry {
        var id: Int
        var byteCount: Int
    }

    private var entries: [UInt: Entry] = [:]
    private(set) var statistics = AllocatorStatistics()

    subscript(pointer: UnsafeRawPointer) -> Entry? { entries[UInt(bitPattern: pointer)] }

    /// The live blocks, in the order of their allocation.
    var pointers: [UnsafeMutableRawPointer] {
        entries.sorted { $0.value.id < $1.value.id }.map { UnsafeMutableRawPointer(bitPattern: $0.key)! }
    }

    /// Numbers a block that was allocated just now.
    mutating func enter(_ block: UnsafeMutableRawBufferPointer) -> Int {
        let id = statistics.totalBlocks
        entries[UInt(bitPattern: block.baseAddress!)] = Entry(id: id, byteCount: block.count)
        statistics.enter(byteCount: block.count, overhead: 0)
        return id
    }

    /// Takes a block out; one that is not live ends the program.
    mutating func remove(_ pointer: UnsafeRawPointer, _ allocator: StaticString) -> Entry {
        guard let entry = entries.removeValue(forKey: UInt(bitPattern: pointer)) else {
            fatalError("\(allocator): \(pointer) is not a live block of this allocator")
        }
        statistics.remove(byteCount: entry.byteCount, overhead: 0)
        return entry
    }

    mutating func resize(_ pointer: UnsafeRawPointer, to byteCount: Int) {
        let old = entries[UInt(bitPattern: pointer)]!.byteCount
        entries[UInt(bitPattern: pointer)]!.byteCount = byteCount
        statistics.liveBytes += byteCount - old
        statistics.heldBytes += byteCount - old
        statistics.totalBytes += max(byteCount - old, 0)
        statistics.peakBytes = max(statistics.peakBytes, statistics.liveBytes)
    }

    func leak(of allocator: String) -> LeakError? {
        guard statistics.liveBlocks > 0 else { return nil }
        return LeakError(allocator: allocator, blocks: statistics.liveBlocks, bytes: statistics.liveBytes)
    }
}
