// The record of one page of a FixedBlockAllocator. It lies apart from the page, so that a page holds nothing but blocks
// and a free block's memory is never touched.
//
//     +--------+-------------------------------+--------------------------------+
//     | header | words: a bit a block, 64 each | which words have room: BitTree |
//     +--------+-------------------------------+--------------------------------+
//
// W1. A bit is 1 where the block is live (or hot: see FixedBlockAllocator.swift). The bits of the last word that stand
//     for no block, the padding, are 1 for ever.
// W2. A word with a 0 bit is in the tree, but for the allocator's current word, which is not.
// W3. `live` is the number of 1 bits that stand for blocks, without those of the current word.
//
// A bit for each block is what makes a double free certain to be found; the tree adds a sixty-third of that.

import AllocatorCore

@frozen @usableFromInline
struct BlockPage {
    /// The address of the first block.
    @usableFromInline var base: UInt
    @usableFromInline var live: Int
    /// Where it is among all pages, which are in the order of their age.
    @usableFromInline var index: Int
    /// Whether it is on the list of pages that drained.
    @usableFromInline var isListedDrained: Bool

    static func wordCount(_ blocks: Int) -> Int { (blocks + 63) / 64 }

    static func recordByteCount(_ blocks: Int) -> Int {
        MemoryLayout<BlockPage>.stride + (wordCount(blocks) + BitTree.wordCount(wordCount(blocks))) * 8
    }

    /// The bits of a word that stand for no block.
    static func padding(_ word: Int, _ blocks: Int) -> UInt64 {
        word == blocks / 64 ? ~0 << UInt64(blocks % 64) : 0
    }

    /// A record for a page of so many free blocks, or nil where malloc has no memory.
    static func make(base: UInt, blocks: Int) -> BlockPageReference? {
        let byteCount = recordByteCount(blocks)
        guard let memory = SystemAllocator().tryAllocate(byteCount: byteCount, alignment: 16)?.baseAddress else {
            return nil
        }
        let page = BlockPageReference(record: memory.bindMemory(to: BlockPage.self, capacity: 1))
        page.record.initialize(to: BlockPage(base: base, live: 0, index: -1, isListedDrained: false))
        page.clearWords(blocks)
        return page
    }
}

/// A page, by its record.
@frozen @usableFromInline
struct BlockPageReference: Equatable {
    @usableFromInline let record: UnsafeMutablePointer<BlockPage>

    @inlinable @inline(__always)
    init(record: UnsafeMutablePointer<BlockPage>) { self.record = record }

    @inlinable @inline(__always)
    var base: UInt { record.pointee.base }

    @inlinable @inline(__always)
    var words: UnsafeMutablePointer<UInt64> {
        UnsafeMutableRawPointer(record + 1).assumingMemoryBound(to: UInt64.self)
    }

    func wordsWithRoom(_ blocks: Int) -> BitTree {
        BitTree(words: words + BlockPage.wordCount(blocks), count: BlockPage.wordCount(blocks))
    }

    /// The 1 bits of a word that stand for blocks.
    func bitCount(_ word: Int, _ blocks: Int) -> Int {
        words[word].nonzeroBitCount - BlockPage.padding(word, blocks).nonzeroBitCount
    }

    /// Makes every block free; no word is current.
    func clearWords(_ blocks: Int) {
        let wordCount = BlockPage.wordCount(blocks)
        words.initialize(repeating: 0, count: wordCount)
        words[wordCount - 1] = BlockPage.padding(wordCount - 1, blocks)
        let tree = wordsWithRoom(blocks)
        tree.removeAll()
        for word in 0..<wordCount { tree.insert(word) }
        record.pointee.live = 0
    }

    func free() { SystemAllocator().deallocate(record) }
}
