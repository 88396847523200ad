// What happens when a word fills or gets room, a page drains, and when pages come and go. The invariants are in
// BlockPage.swift and FixedBlockAllocator.swift.

import AllocatorCore

/// What is current where no page is: a word without a 0 bit.
@usableFromInline
nonisolated(unsafe) let noPage: BlockPageReference = {
    let page = BlockPage.make(base: 0, blocks: 1)!
    page.words[0] = ~0
    return page
}()

// MARK: - Allocating

extension FixedBlockAllocator {
    /// Allocates where the current word has no room, or refuses.
    @usableFromInline @inline(never)
    func tryAllocateSlowly(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("FixedBlockAllocator", byteCount) }
        guard serves(byteCount, alignment), findRoom(), let address = takeBlock() else { return nil }
        return block(address)
    }

    @usableFromInline @inline(never)
    func allocateSlowly(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocateSlowly(byteCount: byteCount, alignment: alignment) else {
            throw refusal(
                "FixedBlockAllocator", byteCount: byteCount, alignment: alignment, largest: blockSize,
                largestAlignment: self.alignment)
        }
        return block
    }

    /// Makes a word with room current: of the current page, else of the oldest page with room, else of a new page.
    /// False where upstream or malloc has no memory; nothing has changed then.
    private func findRoom() -> Bool {
        if currentPage != none {
            let page = currentPage
            leaveCurrentPage()
            if pages.withRoom.contains(page.record.pointee.index) {
                enter(page)
                return true
            }
        }
        if pages.oldestWithRoom == nil, !addPage() { return false }
        enter(pages.oldestWithRoom!)
        return true
    }

    private func addPage() -> Bool {
        // Upstream first: where it refuses, no list has grown.
        guard let memory = upstream.tryAllocate(byteCount: pageSize, alignment: alignment)?.baseAddress else {
            return false
        }
        guard map.reserve(), pages.reserve(), drained.reserve(pages.count + 1),
            let page = BlockPage.make(base: UInt(bitPattern: memory), blocks: blocksPerPage)
        else {
            upstream.deallocate(memory)
            return false
        }
        // P3 asks for the list as soon as a page is not the only one.
        if pages.count == 1, let only = pages[pages.end - 1], isEmpty(only) { listAsDrained(only) }
        pages.append(page)
        map.insert(page)
        setLevel()
        return true
    }
}

// MARK: - The current page

extension FixedBlockAllocator {
    /// W2, W3: its current word is one of its words again. P1: a page without room is not among those with room.
    private func leaveCurrentPage() {
        let page = currentPage
        guard page != none else { return }
        let word = currentWord - page.words
        page.record.pointee.live += page.bitCount(word, blocksPerPage)
        let tree = page.wordsWithRoom(blocksPerPage)
        if currentWord.pointee != ~0 { tree.insert(word) }
        if tree.first == nil { pages.withRoom.remove(page.record.pointee.index) }
        // P5: what was hot is no longer of the current page.
        assert(hotIsFree == (false, false))
        hot = (0, 0)
        haveNoCurrentPage()
    }

    private func enter(_ page: BlockPageReference) {
        let tree = page.wordsWithRoom(blocksPerPage)
        // P1: it has room.
        let word = tree.first!
        tree.remove(word)
        page.record.pointee.live -= page.bitCount(word, blocksPerPage)
        currentPage = page
        currentWord = page.words + word
        currentWordBase = page.base + UInt(word * 64 * blockSize)
        currentPadding = BlockPage.padding(word, blocksPerPage)
    }

    private func haveNoCurrentPage() {
        currentPage = none
        currentWord = none.words
    }

    private func isEmpty(_ page: BlockPageReference) -> Bool {
        page.record.pointee.live == 0 && (page != currentPage || currentWord.pointee == currentPadding)
    }
}

// MARK: - Freeing

extension FixedBlockAllocator {
    /// Frees a block of a word that has no room.
    @usableFromInline @inline(never)
    func freeInFullWord(_ page: BlockPageReference, _ index: Int, _ address: UInt) {
        if bits > peak { peak = bits }
        if page != currentPage {
            let isOlder = currentPage == none || page.record.pointee.index < currentPage.record.pointee.index
            if isOlder, !pages.withRoom.contains(page.record.pointee.index) {
                // It would be the only room of the oldest page with room, and so the next block to be allocated: P5.
                if hotIsFree == (false, false), bits > calmLevel {
                    hot = (0, address)
                    hotIsFree.1 = true
                    return
                }
                coolDown()
            }
        }
        clearBit(page, index)
        settle(page)
    }

    /// Clears a block's bit, whichever its word.
    private func clearBit(_ page: BlockPageReference, _ index: Int) {
        let word = page.words + index / 64
        let wasFull = word.pointee == ~0
        word.pointee ^= 1 << UInt64(index % 64)
        bits -= 1
        freed += 1
        if word == currentWord { return }
        page.record.pointee.live -= 1
        guard wasFull else { return }
        page.wordsWithRoom(blocksPerPage).insert(index / 64)
        if page == currentPage || pages.withRoom.contains(page.record.pointee.index) { return }
        pages.withRoom.insert(page.record.pointee.index)
        // P2: the oldest page with room is current.
        if currentPage == none || page.record.pointee.index < currentPage.record.pointee.index {
            leaveCurrentPage()
            enter(page)
        }
    }

    /// What a free may leave to be done: a page that drained, pages that may go back.
    @usableFromInline @inline(never)
    func settle(_ page: BlockPageReference) {
        guard pages.count > 1 else { return }
        if bits <= calmLevel { coolDown() }
        if isEmpty(page) { listAsDrained(page) }
        giveBackDrainedPages()
    }

    /// Has no hot blocks any more: P5 would not hold for them. The bits of those that are free are cleared.
    private func coolDown() {
        let (blocks, areFree) = (hot, hotIsFree)
        hot = (0, 0)
        hotIsFree = (false, false)
        if areFree.0 { cool(blocks.0) }
        if areFree.1 { cool(blocks.1) }
    }

    private func cool(_ block: UInt) {
        let page = map.find(block)!
        clearBit(page, Int(block - page.base) / blockSize)
        if pages.count > 1, isEmpty(page) { listAsDrained(page) }
    }

    private func listAsDrained(_ page: BlockPageReference) {
        if page.record.pointee.isListedDrained { return }
        page.record.pointee.isListedDrained = true
        drained.append(page)
    }

    /// Gives drained pages back for as long as three quarters of all blocks are free and there is more than one page.
    private func giveBackDrainedPages() {
        guard drained.count > 0 else { return }
        while pages.count > 1, let page = drained.last, liveCount <= pages.count * blocksPerPage / 4 {
            drained.removeLast()
            page.record.pointee.isListedDrained = false
            if isEmpty(page) { giveBack(page) }
        }
        setLevel()
    }

    var liveCount: Int { bits - (hotIsFree.0 ? 1 : 0) - (hotIsFree.1 ? 1 : 0) }

    private func setLevel() {
        calmLevel = pages.count > 1 ? pages.count * blocksPerPage / 4 + 2 : 0
        if bits <= calmLevel { coolDown() }
    }

    private func giveBack(_ page: BlockPageReference) {
        forgetLastPage()
        if page == currentPage {
            haveNoCurrentPage()
            pages.remove(page)
            if let oldest = pages.oldestWithRoom { enter(oldest) }
        } else {
            pages.remove(page)
        }
        map.remove(page)
        upstream.deallocate(UnsafeMutableRawPointer(bitPattern: page.base)!)
        page.free()
    }
}

// MARK: - All pages at once

extension FixedBlockAllocator {
    /// Gives every page back, whatever is live, and the records.
    func giveBackAllPages() {
        forgetAllBlocks()
        for index in 0..<pages.end {
            guard let page = pages[index] else { continue }
            upstream.deallocate(UnsafeMutableRawPointer(bitPattern: page.base)!)
            page.free()
        }
        map.free()
        pages.free()
        drained.free()
        setLevel()
    }

    /// Frees every block, keeps the oldest page and gives the others back.
    func emptyAllPages() {
        forgetAllBlocks()
        var oldest: BlockPageReference?
        for index in 0..<pages.end {
            guard let page = pages[index] else { continue }
            if oldest == nil {
                oldest = page
                continue
            }
            upstream.deallocate(UnsafeMutableRawPointer(bitPattern: page.base)!)
            page.free()
        }
        guard let oldest else { return }
        pages.removeAll()
        drained.removeAll()
        map.removeAll()
        oldest.clearWords(blocksPerPage)
        oldest.record.pointee.isListedDrained = false
        pages.append(oldest)
        map.insert(oldest)
        setLevel()
    }

    private func forgetAllBlocks() {
        if bits > peak { peak = bits }
        freed += bits
        bits = 0
        hot = (0, 0)
        hotIsFree = (false, false)
        forgetLastPage()
        haveNoCurrentPage()
    }

    private func forgetLastPage() {
        lastPage = none
        lastSpan = 0
    }
}
