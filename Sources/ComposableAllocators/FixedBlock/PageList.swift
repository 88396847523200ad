// A growing array of pages whose memory comes from malloc, and whose growth can fail without loss: Swift's own arrays end
// the program where there is no memory.

import AllocatorCore

struct PageList {
    private(set) var count = 0
    private var capacity = 0
    private var elements: UnsafeMutablePointer<BlockPageReference>?

    var byteCount: Int { capacity * MemoryLayout<BlockPageReference>.stride }

    subscript(index: Int) -> BlockPageReference {
        get { elements![index] }
        nonmutating set { elements![index] = newValue }
    }

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

    @discardableResult
    mutating func removeLast() -> BlockPageReference {
        count -= 1
        return elements![count]
    }

    mutating func removeAll() { count = 0 }

    mutating func free() {
        elements.map { SystemAllocator().deallocate($0) }
        self = PageList()
    }
}

// MARK: - As a heap, the oldest page first

extension PageList {
    /// Puts a page into the heap, which has room for it.
    mutating func insertByAge(_ page: BlockPageReference) {
        append(page)
        page.record.pointee.roomIndex = count - 1
        rise(count - 1)
    }

    mutating func removeByAge(_ page: BlockPageReference) {
        let hole = page.record.pointee.roomIndex
        let moved = removeLast()
        page.record.pointee.roomIndex = -1
        if moved == page { return }
        set(hole, moved)
        rise(hole)
        sink(moved.record.pointee.roomIndex)
    }

    private func set(_ index: Int, _ page: BlockPageReference) {
        self[index] = page
        page.record.pointee.roomIndex = index
    }

    private func rise(_ start: Int) {
        var index = start
        let page = self[index]
        while index > 0 {
            let parent = self[(index - 1) / 2]
            if parent.record.pointee.age < page.record.pointee.age { break }
            set(index, parent)
            index = (index - 1) / 2
        }
        set(index, page)
    }

    private func sink(_ start: Int) {
        var index = start
        let page = self[index]
        while true {
            var child = 2 * index + 1
            if child >= count { break }
            if child + 1 < count, self[child + 1].record.pointee.age < self[child].record.pointee.age { child += 1 }
            if page.record.pointee.age < self[child].record.pointee.age { break }
            set(index, self[child])
            index = child
        }
        set(index, page)
    }
}
