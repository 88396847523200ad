// The tree of bits in which a pool finds its pages, against a set.

import ComposableAllocators
import Testing

@Suite struct BitTreeTests {
    @Test(arguments: [1, 63, 64, 65, 4096, 4097, 300_000])
    func randomSequencesAgreeWithASet(_ count: Int) {
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: BitTree.wordCount(count))
        defer { words.deallocate() }
        let tree = BitTree(words: words, count: count)
        tree.removeAll()
        var model = Set<Int>()
        var random = SeededRandom(seed: UInt64(count))
        for step in 0..<3000 {
            // Now many elements, now few, and often the last ones.
            let element =
                random.next() % 3 == 0
                ? count - 1 - Int(random.next() % UInt64(min(count, 70)))
                : Int(random.next() % UInt64(count))
            if random.next() % 100 < (step / 500 % 2 == 0 ? 70 : 20) {
                tree.insert(element)
                model.insert(element)
            } else if let least = tree.first, random.next() % 2 == 0 {
                tree.remove(least)
                model.remove(least)
            } else {
                tree.remove(element)
                model.remove(element)
            }
            #expect(tree.first == model.min())
            #expect(tree.contains(element) == model.contains(element))
        }
        tree.removeAll()
        #expect(tree.first == nil)
    }
}
