// The invariants of BlockPage.swift and FixedBlockAllocator.swift, walked in full: for tests.

extension FixedBlockAllocator {
    /// What is broken, or nil. O(blocks).
    package func brokenInvariant() -> String? {
        var bits = 0
        var count = 0
        for index in 0..<pages.end {
            guard let page = pages[index] else { continue }
            count += 1
            if page.record.pointee.index != index { return "page \(index) has another index" }
            if let broken = brokenInvariant(of: page) { return "page \(index): \(broken)" }
            bits += page.record.pointee.live
        }
        if count != pages.count { return "\(count) pages, \(pages.count) are counted" }
        if currentPage != none { bits += currentWord.pointee.nonzeroBitCount - currentPadding.nonzeroBitCount }
        if bits != self.bits { return "P4: \(bits) bits are 1, \(self.bits) are counted" }
        if lastSpan == 0 ? lastPage != none : lastSpan != UInt(pageSize) || map.find(lastPage.base) != lastPage {
            return "the page of the last free is none of the pages"
        }
        if calmLevel != (pages.count > 1 ? pages.count * blocksPerPage / 4 + 2 : 0) { return "P4: calmLevel" }
        for index in 0..<drained.count where !drained[index].record.pointee.isListedDrained {
            return "a page on the drained list does not know it"
        }
        return brokenCurrentPage() ?? brokenHotBlock(hot.0, hotIsFree.0) ?? brokenHotBlock(hot.1, hotIsFree.1)
            ?? brokenRelease()
    }

    private func brokenInvariant(of page: BlockPageReference) -> String? {
        let tree = page.wordsWithRoom(blocksPerPage)
        let isCurrent = page == currentPage
        var bits = 0
        var room = 0
        for word in 0..<tree.count {
            let isCurrentWord = page.words + word == currentWord
            let hasRoom = page.words[word] != ~0
            if page.words[word] & BlockPage.padding(word, blocksPerPage) != BlockPage.padding(word, blocksPerPage) {
                return "W1: the padding"
            }
            if tree.contains(word) != (hasRoom && !isCurrentWord) { return "W2: word \(word)" }
            if tree.contains(word) { room += 1 }
            if !isCurrentWord { bits += page.bitCount(word, blocksPerPage) }
        }
        if (tree.first == nil) != (room == 0) { return "W2: the tree's levels" }
        if let first = tree.first, !tree.contains(first) { return "W2: the tree's first" }
        if bits != page.record.pointee.live { return "W3: \(bits) bits, live is \(page.record.pointee.live)" }
        if map.find(page.base) != page || map.find(page.base + UInt(pageSize - 1)) != page {
            return "the map does not lead to it"
        }
        let isMarked = pages.withRoom.contains(page.record.pointee.index)
        if isCurrent ? !isMarked : isMarked != (room > 0) { return "P1: its mark is \(isMarked)" }
        if pages.count > 1, isWithoutLive(page), !page.record.pointee.isListedDrained,
            !isHotAndFree(page, hot.0, hotIsFree.0),
            !isHotAndFree(page, hot.1, hotIsFree.1)
        {
            return "P3: it drained and is not on the list"
        }
        return nil
    }

    private func isWithoutLive(_ page: BlockPageReference) -> Bool {
        var live = 0
        for word in 0..<BlockPage.wordCount(blocksPerPage) { live += page.bitCount(word, blocksPerPage) }
        return live == (isHotAndFree(page, hot.0, hotIsFree.0) ? 1 : 0)
            + (isHotAndFree(page, hot.1, hotIsFree.1) ? 1 : 0)
    }

    private func isHotAndFree(_ page: BlockPageReference, _ block: UInt, _ isFree: Bool) -> Bool {
        isFree && block &- page.base < UInt(pageSize)
    }

    private func brokenCurrentPage() -> String? {
        if currentPage == none {
            return currentWord == none.words ? nil : "P2: traces of a current page"
        }
        if currentPage != pages.oldestWithRoom { return "P2: the current page is not the oldest with room" }
        let word = currentWord - currentPage.words
        if word < 0 || word >= BlockPage.wordCount(blocksPerPage) { return "P2: the word is another page's" }
        if currentWordBase != currentPage.base + UInt(word * 64 * blockSize) { return "P2: the word's base" }
        if currentPadding != BlockPage.padding(word, blocksPerPage) { return "P2: the word's padding" }
        return nil
    }

    private func brokenHotBlock(_ block: UInt, _ isFree: Bool) -> String? {
        if block == 0 { return isFree ? "P5: there is no hot block to be free" : nil }
        guard let page = map.find(block) else { return "P5: a hot block is on no page" }
        let offset = Int(block - page.base)
        if offset % blockSize != 0 { return "P5: it is no block" }
        if page.words[offset / blockSize / 64] & 1 << UInt64(offset / blockSize % 64) == 0 { return "P5: its bit is 0" }
        if bits <= calmLevel { return "P5: too few blocks are live" }
        if page == currentPage { return nil }
        if block == hot.0 || hot.0 != 0 { return "P5: it is not on the current page" }
        if isFree {
            if pages.withRoom.contains(page.record.pointee.index) { return "P5: its page has other room" }
            if currentPage != none, currentPage.record.pointee.index < page.record.pointee.index {
                return "P5: its page is not the oldest"
            }
        }
        return nil
    }

    private func brokenRelease() -> String? {
        guard pages.count > 1, liveCount * 4 <= pages.count * blocksPerPage else { return nil }
        for index in 0..<pages.end {
            if let page = pages[index], isWithoutLive(page) { return "a page without a live block was kept" }
        }
        return nil
    }
}
