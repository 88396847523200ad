// The free blocks of one order, as bits, with the lowest found in a few steps.
//
//     level 2   |                                 ...01 |
//     level 1   |               ...0101 |        ...011 | ...
//     level 0   | word 0 | word 1 | word 2 | ...               bit i: the order's block i is free
//
// F1. `count` bits of level 0 are 1.
// F2. Where a word is not 0, its bit in the level above is 1. (Where it is 0, the bit may be 1 still: a word becomes 0
//     far more often than anyone asks, so only a search that comes upon such a bit clears it.)
// F3. No word in front of `hint` has a bit that is 1.
//
// Cost: taking the lowest out of a word that has more is a load, an and, a store; otherwise a step or two through the
// levels, of which 2^18 blocks have 3 and 2^36 have 6. Clearing a bit that nobody cleared since is paid for by the call
// that set it. Its memory is its owner's. Thread-safety: none.

struct BuddyOrder {
    let words: UnsafeMutablePointer<UInt64>
    /// The index of the last word of level 0.
    let lastWord: Int
    var hint = 0
    private(set) var count = 0

    /// - Parameter words: `wordCount(bits)` words that are 0.
    init(words: UnsafeMutablePointer<UInt64>, bits: Int) {
        self.words = words
        lastWord = (bits - 1) >> 6
    }

    /// The words of all levels.
    static func wordCount(_ bits: Int) -> Int {
        var words = 0
        var size = bits
        repeat {
            size = (size + 63) >> 6
            words += size
        } while size > 1
        return words
    }

    @inline(__always)
    func contains(_ index: Int) -> Bool { words[index >> 6] & 1 &<< UInt64(index & 63) != 0 }

    @inline(__always)
    mutating func insert(_ index: Int) {
        let word = index >> 6
        let before = words[word]
        words[word] = before | 1 &<< UInt64(index & 63)
        if before == 0 {
            if count == 0 || word < hint { hint = word }
            raise(word)
        }
        count &+= 1
    }

    /// Removes the block and says whether it was there.
    @inline(__always)
    mutating func remove(_ index: Int) -> Bool {
        let before = words[index >> 6]
        let bit: UInt64 = 1 &<< UInt64(index & 63)
        if before & bit == 0 { return false }
        words[index >> 6] = before & ~bit
        count &-= 1
        return true
    }

    /// Removes the lowest. There must be one.
    @inline(__always)
    mutating func removeFirst() -> Int {
        if words[hint] == 0 { hint = findWord() }
        let bits = words[hint]
        words[hint] = bits & (bits &- 1)
        count &-= 1
        return hint &<< 6 | bits.trailingZeroBitCount
    }

    /// Sets the bits above a word that is 0 no more, up to the first that is set already (F2).
    @inline(__always)
    private func raise(_ word: Int) {
        var index = word
        var last = lastWord
        var level = words
        while last > 0 {
            level += last &+ 1
            let bit: UInt64 = 1 &<< UInt64(index & 63)
            index &>>= 6
            let before = level[index]
            if before & bit != 0 { return }
            level[index] = before | bit
            if before != 0 { return }
            last &>>= 6
        }
    }

    /// The first word that is not 0: not in front of `hint` (F3), whose word is 0. The count is not 0, so that some bit
    /// of the top level leads to one.
    @inline(never)
    private func findWord() -> Int {
        var depth = 0
        var level = words
        var index = hint
        while true {
            let bits = level[index]
            if bits != 0 {
                if depth == 0 { return index }
                depth -= 1
                level -= lastWord >> (6 * depth) + 1
                index = index << 6 | bits.trailingZeroBitCount
            } else {
                // What led here, if anything did, is out of date.
                level += lastWord >> (6 * depth) + 1
                depth += 1
                level[index >> 6] &= ~(1 << UInt64(index & 63))
                index >>= 6
            }
        }
    }

    /// Counts and levels anew, after the words of level 0 were written by somebody else.
    mutating func restore() {
        count = 0
        hint = 0
        for word in 0...lastWord where words[word] != 0 {
            count += words[word].nonzeroBitCount
            raise(word)
        }
    }

    func brokenInvariant() -> String? {
        var bits = 0
        for word in 0...lastWord where words[word] != 0 {
            bits += words[word].nonzeroBitCount
            if word < hint { return "F3: word \(word) is in front of the hint, \(hint)" }
        }
        if bits != count { return "F1: \(bits) bits, \(count) are counted" }
        var level = words
        var last = lastWord
        while last > 0 {
            let above = level + last + 1
            for word in 0...last where level[word] != 0 && above[word >> 6] & 1 << UInt64(word & 63) == 0 {
                return "F2: word \(word) is not 0, its bit above is"
            }
            level = above
            last >>= 6
        }
        return nil
    }
}
