// A set of small integers as bits, with the least found in a few steps: level 0 has a bit for each integer, and each
// further level a bit for each word of the level below that is not 0, up to a level of one word.
//
//     level 1   |               ...0101 |
//     level 0   | word 0 | word 1 | word 2 | ...
//
// 64 integers take one level, 4,096 two, 262,144 three. Its memory is its owner's. Cost: O(levels). Thread-safety:
// none.

package struct BitTree {
    package let words: UnsafeMutablePointer<UInt64>
    package let count: Int

    package init(words: UnsafeMutablePointer<UInt64>, count: Int) {
        self.words = words
        self.count = count
    }

    /// The words that a set of integers below `count` takes.
    package static func wordCount(_ count: Int) -> Int {
        var words = 0
        var bits = count
        repeat {
            bits = (bits + 63) / 64
            words += bits
        } while bits > 1
        return words
    }

    package func removeAll() { words.initialize(repeating: 0, count: Self.wordCount(count)) }

    package func contains(_ element: Int) -> Bool { words[element / 64] & 1 << UInt64(element % 64) != 0 }

    package func insert(_ element: Int) {
        var index = element
        var level = words
        var bits = count
        while true {
            let before = level[index / 64]
            level[index / 64] = before | 1 &<< UInt64(index % 64)
            // The levels above have known of this word.
            if before != 0 || bits <= 64 { return }
            bits = (bits + 63) / 64
            level += bits
            index /= 64
        }
    }

    package func remove(_ element: Int) {
        var index = element
        var level = words
        var bits = count
        while true {
            let after = level[index / 64] & ~(1 &<< UInt64(index % 64))
            level[index / 64] = after
            if after != 0 || bits <= 64 { return }
            bits = (bits + 63) / 64
            level += bits
            index /= 64
        }
    }

    /// The least element.
    package var first: Int? {
        if count <= 64 { return words[0] == 0 ? nil : words[0].trailingZeroBitCount }
        var depth = 1
        var size = (count + 63) / 64
        while size > 1 {
            size = (size + 63) / 64
            depth += 1
        }
        // From the top, whose word is the last, down.
        var level = words + (Self.wordCount(count) - 1)
        if level[0] == 0 { return nil }
        var index = 0
        for below in stride(from: depth - 2, through: 0, by: -1) {
            index = index * 64 + level[index].trailingZeroBitCount
            level -= sizeOfLevel(below)
        }
        index = index * 64 + level[index].trailingZeroBitCount
        return index
    }

    /// The words of a level.
    private func sizeOfLevel(_ level: Int) -> Int {
        var size = count
        for _ in 0...level { size = (size + 63) / 64 }
        return size
    }
}
