// Which shard a block is of, by its address, for threads that free what another shard gave out: read without a lock.
//
//     address:  bits 32-47: which leaf       bits 16-31: which byte of it      16 bits: within a page of 64 KiB
//
//     root  | leaf or 0 | … 65,536 |         leaf  | shard + 1, or 0 | … 65,536 |       a leaf for each 4 GiB in use
//
// H1. The pages of a live child have its shard's number. Children are whole pages, so a page is of one child.
// H2. A leaf that was made stays until the allocator is closed or ends.
//
// Cost: two loads to look up; a byte a page of 64 KiB to enter. Root and leaves are address space until they are
// written. Thread-safety: all of it.

import CMallowShims
import Synchronization

struct ShardMap: @unchecked Sendable {
    private typealias Leaf = UnsafeMutablePointer<Atomic<UInt8>>

    static var pageByteCount: Int { 1 << 16 }

    private let root: UnsafeMutablePointer<Atomic<UInt>>
    private static var rootCount: Int { 1 << 16 }
    private static var leafCount: Int { 1 << 16 }
    private static var leafByteCount: Int { leafCount + 2 * MemoryLayout<UInt>.stride }

    init() {
        // SAFETY: an atomic number of all zero bits is 0.
        guard let memory = calloc(Self.rootCount + 1, MemoryLayout<UInt>.stride) else {
            fatalError("SharedScalableAllocator: no memory for the map of children")
        }
        root = memory.bindMemory(to: Atomic<UInt>.self, capacity: Self.rootCount + 1)
    }

    func destroy() {
        removeLeaves()
        free(root)
    }

    /// Frees the leaves, in which nothing is entered. For a moment at which nobody looks anything up.
    func removeLeaves() {
        visitLeaves { leaf in
            let index = leaf.load(fromByteOffset: Self.leafCount + MemoryLayout<UInt>.stride, as: Int.self)
            (root + index).pointee.store(0, ordering: .relaxed)
            free(leaf)
        }
        newest.pointee.store(0, ordering: .relaxed)
    }

    /// Behind the root: the leaf that was made last. Behind each leaf: the one made before it, and its own number.
    private var newest: UnsafeMutablePointer<Atomic<UInt>> { root + Self.rootCount }

    private func visitLeaves(_ body: (UnsafeMutableRawPointer) -> Void) {
        var address = newest.pointee.load(ordering: .acquiring)
        while let leaf = UnsafeMutableRawPointer(bitPattern: address) {
            address = leaf.load(fromByteOffset: Self.leafCount, as: UInt.self)
            body(leaf)
        }
    }

    private func leaf(_ index: Int) -> Leaf? {
        let address = (root + index).pointee.load(ordering: .acquiring)
        return UnsafeMutableRawPointer(bitPattern: address)?.assumingMemoryBound(to: Atomic<UInt8>.self)
    }

    /// The shard of the address, or nil.
    @inline(__always)
    func shard(of address: UInt) -> Int? {
        guard address &>> 48 == 0, let leaf = leaf(Int(bitPattern: address &>> 32)) else { return nil }
        let number = (leaf + Int(bitPattern: address &>> 16 & 0xffff)).pointee.load(ordering: .relaxed)
        return number == 0 ? nil : Int(number) &- 1
    }

    /// Enters the pages of a child. False where there is no memory for a leaf, or the address is out of reach: then
    /// some may be entered.
    func insert(_ base: UInt, byteCount: Int, shard: Int) -> Bool {
        let pages = base >> 16..<(base + UInt(byteCount)) >> 16
        guard pages.upperBound <= 1 << 32 else { return false }
        for page in pages {
            guard let leaf = leaf(Int(page >> 16)) ?? makeLeaf(Int(page >> 16)) else { return false }
            (leaf + Int(page & 0xffff)).pointee.store(UInt8(shard + 1), ordering: .relaxed)
        }
        return true
    }

    func remove(_ base: UInt, byteCount: Int) {
        for page in base >> 16..<(base + UInt(byteCount)) >> 16 {
            guard let leaf = leaf(Int(page >> 16)) else { continue }
            (leaf + Int(page & 0xffff)).pointee.store(0, ordering: .relaxed)
        }
    }

    private func makeLeaf(_ index: Int) -> Leaf? {
        guard let memory = calloc(1, Self.leafByteCount) else { return nil }
        memory.storeBytes(of: index, toByteOffset: Self.leafCount + MemoryLayout<UInt>.stride, as: Int.self)
        let (exchanged, original) = (root + index).pointee.compareExchange(
            expected: 0, desired: UInt(bitPattern: memory), ordering: .acquiringAndReleasing)
        if exchanged {
            var before = newest.pointee.load(ordering: .relaxed)
            repeat {
                memory.storeBytes(of: before, toByteOffset: Self.leafCount, as: UInt.self)
                let (pushed, current) = newest.pointee.compareExchange(
                    expected: before, desired: UInt(bitPattern: memory), ordering: .acquiringAndReleasing)
                if pushed { break }
                before = current
            } while true
            return memory.bindMemory(to: Atomic<UInt8>.self, capacity: Self.leafCount)
        }
        free(memory)
        return UnsafeMutableRawPointer(bitPattern: original)?.assumingMemoryBound(to: Atomic<UInt8>.self)
    }

    /// Bytes of the root and the leaves.
    var byteCount: Int {
        var byteCount = (Self.rootCount + 1) * MemoryLayout<UInt>.stride
        visitLeaves { _ in byteCount += Self.leafByteCount }
        return byteCount
    }
}
