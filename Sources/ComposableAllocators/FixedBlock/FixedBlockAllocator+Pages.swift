// What happens when a word fills, a page fills or drains, and when pages come and go. The invariants are in
// FixedBlockAllocator.swift.

import AllocatorCore

/// What is current where no page has room: a word without a 0 bit.
@usableFromInline
nonisolated(unsafe) let noPage: BlockPageReference = {
    let page = BlockPage.make(base: 0, blocks: 1, age: 0)!
    page.words[0] = ~0
    return page
}()

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

    /// Makes a word with room current: of the current page, else of the next page with room, else of a new page. False
    /// where upstream or malloc has no memory; nothing has changed then.
    private func findRoom() -> Bool {
        if currentPage != noPage {
            if let next = currentPage.takeWord(blocks: blocksPerPage) {
                setCurrentWord(next)
                return true
            }
            // P1: it has no free block any more.
            rooms.removeByAge(currentPage)
            haveNoCurrentPage()
        }
        if rooms.count == 0, !addPage() { return false }
        enterOldestPage()
        return true
    }

    var liveCount: Int { allocated - freed - (hotIsFree ? 1 : 0) }

    /// P5, after a change of what it is held against.
    private func coolDownIfNeeded() {
        guard hot != 0 else { return }
        if currentPage.record.pointee.live >= drainLevel, allocated - freed > releaseLevel { return }
        coolDown()
        if pages.count > 1, currentPage.record.pointee.live == 0 { listAsDrained(currentPage) }
    }

    /// Has no hot block any more: P5 would not hold for it. Its bit is cleared if it is free.
    private func coolDown() {
        if hotIsFree {
            hotIsFree = false
            freed += 1
            let index = Int((hot - currentPage.base) / UInt(blockSize))
            let word = currentPage.words + index / 64
            let wasFull = word.pointee == ~0
            word.pointee ^= 1 << UInt64(index % 64)
            currentPage.record.pointee.live -= 1
            if wasFull, word != currentWord { currentPage.pushWord(index / 64, blocks: blocksPerPage) }
        }
        hot = 0
    }

    private func haveNoCurrentPage() {
        hot = 0
        currentPage = noPage
        currentSpan = 0
        currentWord = noPage.words
    }

    private func setCurrentWord(_ word: Int) {
        currentWord = currentPage.words + word
        currentWordBase = currentPage.base + UInt(word * 64 * blockSize)
    }

    /// Leaves the current page: W3, its current word goes to the stack if it has room; P1, a full page is not in `rooms`.
    private func leaveCurrentPage() {
        guard currentPage != noPage else { return }
        coolDown()
        if currentWord.pointee != ~0 { currentPage.pushWord(currentWord - currentPage.words, blocks: blocksPerPage) }
        if currentPage.record.pointee.live == blocksPerPage { rooms.removeByAge(currentPage) }
        haveNoCurrentPage()
    }

    /// P2: makes the oldest page with room the current one.
    private func enterOldestPage() {
        guard rooms.count > 0 else { return }
        currentPage = rooms[0]
        currentSpan = UInt(pageSize)
        // P1, W3: it has a free block, and so a word to take.
        setCurrentWord(currentPage.takeWord(blocks: blocksPerPage)!)
    }

    private func addPage() -> Bool {
        // Upstream first: where it refuses, no list has grown.
        guard let memory = upstream.tryAllocate(byteCount: pageSize, alignment: alignment)?.baseAddress else {
            return false
        }
        let count = pages.count + 1
        guard map.reserve(), rooms.reserve(count), drained.reserve(count), pages.reserve(count),
            let page = BlockPage.make(base: UInt(bitPattern: memory), blocks: blocksPerPage, age: nextAge)
        else {
            upstream.deallocate(memory)
            return false
        }
        nextAge += 1
        page.record.pointee.index = pages.count
        pages.append(page)
        map.insert(page)
        rooms.insertByAge(page)
        // P3 asks for the list as soon as a page is not the only one.
        if pages.count == 2, pages[0].record.pointee.live == 0 { listAsDrained(pages[0]) }
        setLevels()
        return true
    }

    /// What a free leaves to be done: a word that got room, a page that drained, pages that may go back.
    @usableFromInline @inline(never)
    func settle(_ page: BlockPageReference, word: Int, wasFull: Bool) {
        if wasFull, page.words + word != currentWord {
            page.pushWord(word, blocks: blocksPerPage)
            if page.record.pointee.roomIndex < 0 {
                rooms.insertByAge(page)
                if page != currentPage, rooms[0] == page {
                    leaveCurrentPage()
                    enterOldestPage()
                }
            }
        }
        if pages.count > 1 {
            coolDownIfNeeded()
            if page.record.pointee.live == 0 { listAsDrained(page) }
            giveBackDrainedPages()
        }
    }

    private func listAsDrained(_ page: BlockPageReference) {
        if page.record.pointee.isListedDrained { return }
        page.record.pointee.isListedDrained = true
        drained.append(page)
    }

    /// Gives drained pages back for as long as three quarters of all blocks are free and there is more than one page.
    private func giveBackDrainedPages() {
        while pages.count > 1, let page = drained.last, mayGiveBackPage {
            drained.removeLast()
            page.record.pointee.isListedDrained = false
            if page.record.pointee.live == 0 { giveBack(page) }
        }
        setLevels()
    }

    private var mayGiveBackPage: Bool { liveCount <= pages.count * blocksPerPage / 4 }

    private func setLevels() {
        let mayRelease = pages.count > 1 && drained.count > 0
        releaseLevel = mayRelease ? pages.count * blocksPerPage / 4 + 1 : 0
        drainLevel = pages.count > 1 ? 2 : 0
        coolDownIfNeeded()
    }

    private func giveBack(_ page: BlockPageReference) {
        let wasCurrent = page == currentPage
        if wasCurrent {
            haveNoCurrentPage()
        }
        if page.record.pointee.roomIndex >= 0 { rooms.removeByAge(page) }
        map.remove(page)
        let moved = pages.removeLast()
        if moved != page {
            pages[page.record.pointee.index] = moved
            moved.record.pointee.index = page.record.pointee.index
        }
        upstream.deallocate(UnsafeMutableRawPointer(bitPattern: page.base)!)
        page.free()
        if wasCurrent { enterOldestPage() }
    }

    /// Gives every page back, whatever is live, and the records.
    func giveBackAllPages() {
        if hotIsFree { freed += 1 }
        hotIsFree = false
        haveNoCurrentPage()
        while pages.count > 0 {
            let page = pages.removeLast()
            upstream.deallocate(UnsafeMutableRawPointer(bitPattern: page.base)!)
            page.free()
        }
        map.free()
        rooms.free()
        pages.free()
        drained.free()
        setLevels()
    }

    /// Frees every block, keeps the oldest page and gives the others back.
    func emptyAllPages() {
        guard pages.count > 0 else { return }
        var oldest = pages[0]
        for index in 1..<pages.count where pages[index].record.pointee.age < oldest.record.pointee.age {
            oldest = pages[index]
        }
        haveNoCurrentPage()
        rooms.removeAll()
        drained.removeAll()
        map.removeAll()
        while pages.count > 0 {
            let page = pages.removeLast()
            if page == oldest { continue }
            upstream.deallocate(UnsafeMutableRawPointer(bitPattern: page.base)!)
            page.free()
        }
        oldest.clearWords(blocks: blocksPerPage)
        oldest.record.pointee.index = 0
        oldest.record.pointee.isListedDrained = false
        pages.append(oldest)
        map.insert(oldest)
        rooms.insertByAge(oldest)
        enterOldestPage()
        setLevels()
    }
}
