// The invariants of BuddyAllocator.swift, BuddyOrder.swift and BuddyMarks.swift, walked in full: for tests.

extension BuddyAllocator {
    /// What is broken, or nil. Changes nothing. O(`size / smallestBlock`).
    public func brokenInvariant() -> String? {
        var free = [Int](repeating: 0, count: top + 1)
        var used = 0
        var marked = 0
        var hotBlocks = 0
        var unit = 0
        while unit < units {
            var found = -1
            for order in 0...top where unit & (1 << order - 1) == 0 && unit + 1 << order <= units {
                let isFree = orders[order].contains(unit >> order)
                let isHot = hotOrders & 1 << UInt64(order) != 0 && hot[order] == unit
                let isUsed = marks[unit] == order
                let count = (isFree ? 1 : 0) + (isHot ? 1 : 0) + (isUsed ? 1 : 0)
                if count > 1 || count == 1 && found >= 0 { return "I1: unit \(unit) is in several blocks" }
                if count == 0 { continue }
                found = order
                if isFree { free[order] += 1 }
                if isHot { hotBlocks += 1 }
                if isUsed {
                    used += 1 << order
                    marked += 1
                }
                if isFree, order < top, orders[order].contains(unit >> order ^ 1) {
                    return "I5: unit \(unit) is not joined with its buddy"
                }
            }
            if found < 0 { return "I1: unit \(unit) is in no block" }
            unit += 1 << found
        }
        for order in 0...top {
            if let broken = orders[order].brokenInvariant() { return "order \(order): \(broken)" }
            // With F1: no bit is 1 that the walk did not meet.
            if orders[order].count != free[order] { return "I1: a free block of order \(order) is inside of another" }
            if (occupied & 1 << UInt64(order) != 0) != (free[order] > 0) { return "I2: order \(order) of occupied" }
        }
        if occupied >> UInt64(top + 1) != 0 || hotOrders >> UInt64(top + 1) != 0 { return "I2: orders above the top" }
        if hotBlocks != hotOrders.nonzeroBitCount { return "I4: a hot block is inside of another" }
        for unit in 0..<units where marks[unit] >= 0 { marked -= 1 }
        if marked != 0 { return "I3: a mark inside of a block" }
        if used != usedUnits { return "I6: \(used) units in use, \(usedUnits) are counted" }
        return nil
    }
}
