// Lists of pages whose memory comes from malloc and whose growth can fail without loss: Swift's own arrays end the
// program where there is no memory.

import AllocatorCore

/// A stack of pages.
struct PageList {
    private(set) var count = 0
    private var capacity = 0
    private var elements: UnsafeMutablePointer<BlockPageReference>?

    var byteCount: Int { capacity * MemoryLayout<BlockPageReference>.stride }

    subscript(index: Int) -> BlockPageReference { elements![index] }

    var last: BlockPageReference? { count == 0 ? nil : elements![count - 1] }

    /// Makes room for so many in all. False where there is no memory: nothing has changed then.
    mutating func reserve(_ wanted: Int) -> Bool {
        if wanted <= capacity { return true }
        let newCapacity = max(wanted, capacity * 2, 8)
        guard let fresh = try? SystemAllocator().allocate(BlockPageReference.self, count: newCapacity).baseAddress
        else {
            return false
        }
        if let elements {
            fresh.initialize(from: elements, count: count)
            SystemAllocator().deallocate(elements)
        }
        elements = fresh
        capacity = newCapacity
        return true
    }

    /// Adds a page, for which there is room.
    mutating func append(_ page: BlockPageReference) {
        precondition(count < capacity)
        (elements! + count).initialize(to: page)
        count += 1
    }

    mutating func removeLast() { count -= 1 }

    mutating func removeAll() { count = 0 }

    mutating func free() {
        elements.map { SystemAllocator().deallocate($0) }
        self = PageList()
    }
}

/// The pages of a pool, in the order of their age, and which of them have room.
///
/// A page that is removed leaves a gap, so that the others keep their numbers; pages move together when the list is
/// full and a quarter of it is gaps.
struct PagesByAge {
    private(set) var count = 0
    /// Numbers in use, gaps included.
    private(set) var end = 0
    private var capacity = 0
    private var slots: UnsafeMutablePointer<BlockPageReference?>?
    /// The pages with room, by number.
    private(set) var withRoom = BitTree(words: Self.noWords, count: 1)

    nonisolated(unsafe) private static let noWords: UnsafeMutablePointer<UInt64> = {
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
        words.initialize(to: 0)
        return words
    }()

    var byteCount: Int { capacity == 0 ? 0 : capacity * 8 + BitTree.wordCount(capacity) * 8 }

    subscript(index: Int) -> BlockPageReference? { slots![index] }

    /// The oldest page with room.
    var oldestWithRoom: BlockPageReference? { withRoom.first.flatMap { slots![$0] } }

    /// Makes room for one page more. False where there is no memory: nothing has changed then.
    mutating func reserve() -> Bool {
        if end < capacity { return true }
        let newCapacity = count * 4 > capacity * 3 || capacity == 0 ? max(capacity * 2, 8) : capacity
        let slotBytes = newCapacity * 8
        let byteCount = slotBytes + BitTree.wordCount(newCapacity) * 8
        guard let memory = SystemAllocator().tryAllocate(byteCount: byteCount, alignment: 16)?.baseAddress else {
            return false
        }
        let fresh = memory.bindMemory(to: BlockPageReference?.self, capacity: newCapacity)
        let tree = BitTree(
            words: (memory + slotBytes).bindMemory(to: UInt64.self, capacity: BitTree.wordCount(newCapacity)),
            count: newCapacity)
        tree.removeAll()
        var next = 0
        for index in 0..<end {
            guard let page = slots![index] else { continue }
            fresh[next] = page
            page.record.pointee.index = next
            if withRoom.contains(index) { tree.insert(next) }
            next += 1
        }
        slots.map { SystemAllocator().deallocate($0) }
        slots = fresh
        withRoom = tree
        capacity = newCapacity
        end = next
        return true
    }

    /// Adds the youngest page, for which there is room; it has room itself.
    mutating func append(_ page: BlockPageReference) {
        precondition(end < capacity)
        slots![end] = page
        page.record.pointee.index = end
        withRoom.insert(end)
        end += 1
        count += 1
    }

    mutating func remove(_ page: BlockPageReference) {
        withRoom.remove(page.record.pointee.index)
        slots![page.record.pointee.index] = nil
        count -= 1
        while end > 0, slots![end - 1] == nil { end -= 1 }
    }

    mutating func removeAll() {
        for index in 0..<end {
            slots![index] = nil
            withRoom.remove(index)
        }
        count = 0
        end = 0
    }

    mutating func free() {
        slots.map { SystemAllocator().deallocate($0) }
        self = PagesByAge()
    }
}
