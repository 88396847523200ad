// From any address to the page of a FixedBlockAllocator that holds it, in O(1) and without touching what is there.
//
// The address space is cut into granules: the least power of two that is not below the page size. A page lies in one
// granule or two, and is entered under each; a granule holds parts of three pages at most. So pages need no alignment,
// and one pool can take its pages from another. The entries are a hash table, open addressing with linear probing, at
// most half in use; an entry is removed by moving later ones back. Its memory comes from malloc.
// Cost of a look-up: a multiplication and, mostly, one entry. Thread-safety: none.

import AllocatorCore

@frozen @usableFromInline
struct PageMap {
    @frozen @usableFromInline
    struct Entry {
        @usableFromInline var granule: UInt
        @usableFromInline var page: BlockPageReference?
    }

    @usableFromInline var entries: UnsafeMutablePointer<Entry>
    @usableFromInline var mask: Int
    /// 64 less the logarithm of the capacity.
    @usableFromInline var hashShift: UInt
    @usableFromInline let granuleShift: UInt
    @usableFromInline let pageSize: UInt
    var count = 0

    init(pageSize: Int) {
        self.pageSize = UInt(pageSize)
        granuleShift = UInt(UInt.bitWidth - (pageSize - 1).leadingZeroBitCount)
        entries = Self.none
        mask = 0
        hashShift = 63
    }

    /// What an empty map looks into: two entries, neither of which is ever in use.
    nonisolated(unsafe) private static let none: UnsafeMutablePointer<Entry> = {
        let entries = UnsafeMutablePointer<Entry>.allocate(capacity: 2)
        entries.initialize(repeating: Entry(granule: 0, page: nil), count: 2)
        return entries
    }()

    var byteCount: Int { mask == 0 ? 0 : (mask + 1) * MemoryLayout<Entry>.stride }

    @inlinable @inline(__always)
    func home(_ granule: UInt) -> Int {
        Int(truncatingIfNeeded: (granule &* 0x9E37_79B9_7F4A_7C15) &>> hashShift)
    }

    /// The page that the address lies in.
    @inlinable @inline(__always)
    func find(_ address: UInt) -> BlockPageReference? {
        let granule = address &>> granuleShift
        var index = home(granule)
        while let page = entries[index].page {
            if entries[index].granule == granule {
                if address &- page.base < pageSize { return page }
            }
            index = (index &+ 1) & mask
        }
        return nil
    }

    /// Makes room for two entries more. False where there is no memory: nothing has changed then.
    mutating func reserve() -> Bool {
        if (count + 2) * 2 <= mask + 1 && mask > 0 { return true }
        let capacity = max((mask + 1) * 2, 8)
        guard let fresh = try? SystemAllocator().allocate(repeating: Entry(granule: 0, page: nil), count: capacity)
        else { return false }
        let old = (entries: entries, capacity: mask == 0 ? 0 : mask + 1)
        entries = fresh.baseAddress!
        mask = capacity - 1
        hashShift = UInt(64 - capacity.trailingZeroBitCount)
        for index in 0..<old.capacity {
            if let page = old.entries[index].page { place(Entry(granule: old.entries[index].granule, page: page)) }
        }
        if old.capacity > 0 { SystemAllocator().deallocate(old.entries) }
        return true
    }

    /// Enters a page, for which there is room.
    mutating func insert(_ page: BlockPageReference) {
        forEachGranule(page) { place(Entry(granule: $0, page: page)) }
        forEachGranule(page) { _ in count += 1 }
    }

    mutating func remove(_ page: BlockPageReference) {
        forEachGranule(page) { removeEntry($0, page) }
        forEachGranule(page) { _ in count -= 1 }
    }

    /// Forgets all pages, and keeps the memory.
    mutating func removeAll() {
        for index in 0...mask where mask > 0 { entries[index].page = nil }
        count = 0
    }

    /// Forgets all pages and gives the memory back.
    mutating func free() {
        if mask > 0 { SystemAllocator().deallocate(entries) }
        entries = Self.none
        mask = 0
        hashShift = 63
        count = 0
    }

    private func forEachGranule(_ page: BlockPageReference, _ body: (UInt) -> Void) {
        let first = page.base >> granuleShift
        let last = (page.base &+ (pageSize - 1)) >> granuleShift
        body(first)
        if last != first { body(last) }
    }

    private func place(_ entry: Entry) {
        var index = home(entry.granule)
        while entries[index].page != nil { index = (index + 1) & mask }
        entries[index] = entry
    }

    private func removeEntry(_ granule: UInt, _ page: BlockPageReference) {
        var gap = home(granule)
        while entries[gap].granule != granule || entries[gap].page != page { gap = (gap + 1) & mask }
        var next = (gap + 1) & mask
        while entries[next].page != nil {
            // An entry may fill the gap if its home is not after the gap, going round.
            if (next - home(entries[next].granule)) & mask >= (next - gap) & mask {
                entries[gap] = entries[next]
                gap = next
            }
            next = (next + 1) & mask
        }
        entries[gap].page = nil
    }
}
