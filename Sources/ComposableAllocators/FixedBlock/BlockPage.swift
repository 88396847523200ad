// The record of one page of a FixedBlockAllocator. It lies apart from the page, so that a page holds nothing but blocks and
// a free block's memory is never touched.
//
//     +--------+-------------------------------+---------------------------+
//     | header | words: a bit a block, 64 each | links: one for each word  |
//     +--------+-------------------------------+---------------------------+
//
// W1. A bit is 1 where the block is live. The bits of the last word that stand for no block are 1 for ever.
// W2. Words are put to use in order: those from `freshWord` on have never been allocated from, and all their bits are 0.
// W3. A word in use that has a 0 bit is on the page's stack of words, but for the allocator's current word. The stack goes
//     by `links`, which are not initialised before.
// W4. `live` is the number of 1 bits that stand for blocks.
//
// A bit for each block is what makes a double free certain to be found, in 1/8 byte; the links cost half of that again.

import AllocatorCore

@frozen @usableFromInline
struct BlockPage {
    /// The address of the first block.
    @usableFromInline var base: UInt
    @usableFromInline var live: Int
    /// Pages are numbered as they come: the oldest has the least.
    @usableFromInline var age: UInt
    /// Where it is among the pages with room, or -1.
    @usableFromInline var roomIndex: Int
    /// Where it is among all pages.
    @usableFromInline var index: Int
    /// The first word that was never allocated from.
    @usableFromInline var freshWord: Int
    /// The top of the stack of words with room, or -1.
    @usableFromInline var topWord: Int
    /// Whether it is on the list of pages that drained.
    @usableFromInline var isListedDrained: Bool

    static func wordCount(blocks: Int) -> Int { (blocks + 63) / 64 }

    static func recordByteCount(blocks: Int) -> Int {
        MemoryLayout<BlockPage>.stride + wordCount(blocks: blocks) * 12
    }

    /// A record for a page of so many free blocks, or nil where malloc has no memory.
    static func make(base: UInt, blocks: Int, age: UInt) -> BlockPageReference? {
        let byteCount = recordByteCount(blocks: blocks)
        guard let memory = SystemAllocator().tryAllocate(byteCount: byteCount, alignment: 16)?.baseAddress else {
            return nil
        }
        let page = BlockPageReference(record: memory.bindMemory(to: BlockPage.self, capacity: 1))
        page.record.initialize(
            to: BlockPage(
                base: base, live: 0, age: age, roomIndex: -1, index: -1, freshWord: 0, topWord: -1,
                isListedDrained: false))
        page.clearWords(blocks: blocks)
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

    func links(blocks: Int) -> UnsafeMutablePointer<UInt32> {
        UnsafeMutableRawPointer(words + BlockPage.wordCount(blocks: blocks)).assumingMemoryBound(to: UInt32.self)
    }

    /// Makes every block free, and every word fresh.
    func clearWords(blocks: Int) {
        let wordCount = BlockPage.wordCount(blocks: blocks)
        words.initialize(repeating: 0, count: wordCount)
        if blocks % 64 != 0 { words[wordCount - 1] = ~0 << UInt64(blocks % 64) }
        record.pointee.freshWord = 0
        record.pointee.topWord = -1
        record.pointee.live = 0
    }

    func pushWord(_ word: Int, blocks: Int) {
        links(blocks: blocks)[word] = UInt32(truncatingIfNeeded: record.pointee.topWord)
        record.pointee.topWord = word
    }

    /// A word with room, which is on no stack then; nil where the page has none but those that are current.
    func takeWord(blocks: Int) -> Int? {
        let top = record.pointee.topWord
        if top >= 0 {
            record.pointee.topWord = Int(Int32(bitPattern: links(blocks: blocks)[top]))
            return top
        }
        let fresh = record.pointee.freshWord
        guard fresh < BlockPage.wordCount(blocks: blocks) else { return nil }
        record.pointee.freshWord = fresh + 1
        return fresh
    }

    func free() { SystemAllocator().deallocate(record) }
}
