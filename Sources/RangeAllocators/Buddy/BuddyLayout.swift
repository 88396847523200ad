// How the bookkeeping of a BuddyAllocator lies in one block of memory: the orders' records, the hot blocks, each
// order's words, the marks.

struct BuddyLayout {
    let units: Int
    let top: Int
    private(set) var byteCount: Int

    init(units: Int) {
        self.units = units
        top = Int.bitWidth - 1 - units.leadingZeroBitCount
        byteCount = (top + 1) * (MemoryLayout<BuddyOrder>.stride + MemoryLayout<Int>.stride) + (units + 3) / 4
        for order in 0...top { byteCount += BuddyOrder.wordCount(bits(order)) * 8 }
    }

    /// One more than the whole blocks of the order: the last may have a buddy that lies beyond the end, which is asked
    /// for and never free.
    func bits(_ order: Int) -> Int { units >> order + 1 }

    func makeMemory() -> UnsafeMutableRawPointer {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        return memory
    }

    func bind(
        _ memory: UnsafeMutableRawPointer
    ) -> (UnsafeMutablePointer<BuddyOrder>, UnsafeMutablePointer<Int>, BuddyMarks) {
        let orders = memory.bindMemory(to: BuddyOrder.self, capacity: top + 1)
        let hot = UnsafeMutableRawPointer(orders + (top + 1)).bindMemory(to: Int.self, capacity: top + 1)
        var words = UnsafeMutableRawPointer(hot + (top + 1))
        for order in 0...top {
            let count = BuddyOrder.wordCount(bits(order))
            let bound = words.bindMemory(to: UInt64.self, capacity: count)
            (orders + order).initialize(to: BuddyOrder(words: bound, bits: bits(order)))
            words += count * 8
        }
        return (orders, hot, BuddyMarks(bytes: words.bindMemory(to: UInt8.self, capacity: (units + 3) / 4)))
    }
}
