// The invariants of BlockPage.swift and FixedBlockAllocator.swift, walked in full: for tests.

extension FixedBlockAllocator {
    /// What is broken, or nil. O(blocks).
    package func brokenInvariant() -> String? {
        var live = 0
        var withRoom = 0
        for index in 0..<pages.count {
            let page = pages[index]
            if page.record.pointee.index != index { return "page \(index) has another index" }
            if let broken = brokenInvariant(of: page) { return "page \(index): \(broken)" }
            live += page.record.pointee.live
            withRoom += page.record.pointee.live < blocksPerPage ? 1 : 0
        }
        if live != allocated - freed { return "\(live) blocks are live, \(allocated - freed) are counted" }
        if let broken = brokenRooms(withRoom: withRoom) { return broken }
        for index in 0..<drained.count where !drained[index].record.pointee.isListedDrained {
            return "a page on the drained list does not know it"
        }
        let releases = pages.count > 1 && drained.count > 0
        if drainLevel != (pages.count > 1 ? 2 : 0) { return "P4: drainLevel is \(drainLevel)" }
        if let broken = brokenHotBlock() { return broken }
        if releaseLevel != (releases ? pages.count * blocksPerPage / 4 + 1 : 0) { return "P4: releaseLevel" }
        if releases, liveCount * 4 <= pages.count * blocksPerPage {
            for index in 0..<pages.count where pages[index].record.pointee.live == 0 {
                return "a page without a live block was kept"
            }
        }
        return nil
    }

    private func brokenInvariant(of page: BlockPageReference) -> String? {
        let record = page.record.pointee
        let wordCount = BlockPage.wordCount(blocks: blocksPerPage)
        var ones = 0
        for word in 0..<wordCount { ones += page.words[word].nonzeroBitCount }
        if ones - (wordCount * 64 - blocksPerPage) != record.live { return "W4: \(ones) bits, \(record.live) live" }
        var stacked = Set<Int>()
        var word = record.topWord
        while word >= 0 {
            if page.words[word] == ~0 { return "W3: a full word is on the stack" }
            if word >= record.freshWord { return "W2: a fresh word is on the stack" }
            if !stacked.insert(word).inserted { return "W3: the stack is a ring" }
            word = Int(Int32(bitPattern: page.links(blocks: blocksPerPage)[word]))
        }
        for word in 0..<record.freshWord where page.words[word] != ~0 && !stacked.contains(word) {
            if page.words + word != currentWord { return "W3: a word with room is on no stack" }
        }
        for word in record.freshWord..<wordCount where page.words[word] != 0 {
            if word != wordCount - 1 || page.words[word] != ~0 << UInt64(blocksPerPage % 64) { return "W2: fresh word" }
        }
        let last = page.base + UInt(pageSize - 1)
        if map.find(page.base) != page || map.find(last) != page { return "the map does not lead to it" }
        if record.live < blocksPerPage, record.roomIndex < 0 { return "P1: it has room and is not among the rooms" }
        if record.live == blocksPerPage, record.roomIndex >= 0, page != currentPage {
            return "P1: full, among the rooms"
        }
        if record.live == 0, pages.count > 1, !record.isListedDrained { return "P3: it drained and is not on the list" }
        return nil
    }

    private func brokenHotBlock() -> String? {
        if hot == 0 { return hotIsFree ? "P5: there is no hot block to be free" : nil }
        let offset = hot &- currentPage.base
        if offset >= currentSpan || offset % UInt(blockSize) != 0 { return "P5: it is not on the current page" }
        let index = Int(offset) / blockSize
        if currentPage.words[index / 64] & 1 << UInt64(index % 64) == 0 { return "P5: its bit is 0" }
        if currentPage.record.pointee.live < drainLevel { return "P5: too few blocks are live on its page" }
        return allocated - freed <= releaseLevel ? "P5: too few blocks are live" : nil
    }

    private func brokenRooms(withRoom: Int) -> String? {
        for index in 0..<rooms.count {
            let page = rooms[index]
            if page.record.pointee.roomIndex != index { return "a page has another place among the rooms" }
            if index > 0, rooms[(index - 1) / 2].record.pointee.age > page.record.pointee.age {
                return "the rooms are no heap"
            }
        }
        let isCurrentFull = currentPage != noPage && currentPage.record.pointee.live == blocksPerPage
        if rooms.count != withRoom + (isCurrentFull ? 1 : 0) { return "P1: \(rooms.count) rooms, \(withRoom) pages" }
        if currentSpan != (currentPage == noPage ? 0 : UInt(pageSize)) { return "the current page's span" }
        if rooms.count == 0 { return currentPage == noPage ? nil : "P2: a page is current and has no room" }
        if currentPage != rooms[0] { return "P2: the oldest page is not current" }
        let distance = currentWord - currentPage.words
        if distance < 0 || distance >= currentPage.record.pointee.freshWord { return "P2: the word is another page's" }
        if currentWordBase != currentPage.base + UInt(distance * 64 * blockSize) { return "P2: the word's base" }
        return nil
    }
}
