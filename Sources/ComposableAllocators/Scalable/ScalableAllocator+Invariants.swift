// What tests look at after every step.

import RangeAllocators

extension ScalableAllocator {
    /// What is broken of S1 to S5, of the bits, of the tree and of the account, or nil. O(memory).
    package func brokenInvariant() -> String? {
        if let broken = tree.brokenInvariant() ?? free.brokenInvariant() { return broken }
        var children: [Child] = []
        tree.visit { children.append($0) }
        return brokenOpenRange() ?? brokenSums(children) ?? brokenGranules(children) ?? brokenEmpties(children)
    }

    private func brokenOpenRange() -> String? {
        guard let child = openChild else {
            return openBase == 0 && openStart == 0 && cursor == 0 && limit == 0 && last == 0
                ? nil : "S3: an open range of no child"
        }
        guard openBase == child.pointee.base, openStart >= openBase, cursor >= openStart, limit >= cursor,
            limit <= child.pointee.end, cursor & 15 == 0, limit & 15 == 0
        else { return "S3: the open range \(openBase) \(openStart) \(cursor) \(limit)" }
        return last == 0 || (last >= openBase && last < cursor) ? nil : "S2: the last block at \(last)"
    }

    private func brokenSums(_ children: [Child]) -> String? {
        let lastBytes = last == 0 ? 0 : Int(bitPattern: cursor - last)
        let used = children.reduce(0) { $0 + $1.pointee.used &<< 4 } + lastBytes
        if used != account.liveBytes { return "S4: \(used) bytes are marked, \(account.liveBytes) live" }
        if heldBytes != children.reduce(0, { $0 + $1.pointee.heldByteCount })
            || regularBytes != children.reduce(0, { $0 + ($1.pointee.isAlone ? 0 : $1.pointee.heldByteCount) })
            || recordBytes != children.reduce(0, { $0 + $1.pointee.recordByteCount })
            || unusableBytes != children.reduce(0, { $0 + $1.pointee.unusableByteCount })
        {
            return "the sums over all children are wrong"
        }
        let statistics = self.statistics
        return statistics.freeBytes >= 0 && statistics.freeBytes == freeByteCount
            ? nil : "the account does not add up: \(statistics)"
    }

    /// S1, S2 and S4: blocks, free ranges and the open range follow one another without a gap.
    private func brokenGranules(_ children: [Child]) -> String? {
        var ranges = free.freeRanges().map {
            UInt(bitPattern: $0.lowerBound) &<< 4..<UInt(bitPattern: $0.upperBound) &<< 4
        }
        if cursor < limit { ranges.append(cursor..<limit) }
        if freedLastLower < freedLastUpper { ranges.append(freedLastLower..<freedLastUpper) }
        ranges.sort { $0.lowerBound < $1.lowerBound }
        var next = ranges[...]
        var blocks = last == 0 ? 0 : 1
        for child in children {
            if child.pointee.isBare { child.writeBits() }
            let record = child.pointee
            let (found, broken) = record.bits.blocks(granules: record.granules)
            if let broken { return broken }
            if found.reduce(0, { $0 + $1.count }) != record.used { return "S4: used is \(record.used)" }
            let high = child == openChild ? max(record.high, Int(cursor - record.base) >> 4) : record.high
            if let end = found.last?.upperBound, end > high, !record.isAlone {
                return "a block ends beyond \(record.high)"
            }
            blocks += found.count
            var live = found.map { record.base + UInt($0.lowerBound) &<< 4..<record.base + UInt($0.upperBound) &<< 4 }
            if child == openChild {
                let run = live.filter { $0.lowerBound < cursor && $0.upperBound > openStart }
                let sum = run.reduce(0) { $0 + (min($1.upperBound, cursor) - max($1.lowerBound, openStart)) }
                if sum + (last == 0 ? 0 : cursor - max(last, openStart)) != cursor - openStart {
                    return "S3: not all behind openStart is live"
                }
                if last != 0 { live.append(last..<cursor) }
            }
            if child == lent || !source.recycles {
                if child == lent, !live.isEmpty { return "what is lent is used" }
                continue
            }
            var address = record.base
            for block in live.sorted(by: { $0.lowerBound < $1.lowerBound }) + [record.end..<record.end] {
                while address < block.lowerBound, let range = next.first, range.lowerBound == address {
                    address = range.upperBound
                    next = next.dropFirst()
                }
                if address != block.lowerBound {
                    return "S1: \(address) is neither live, open nor free, or it is twice"
                }
                address = block.upperBound
            }
        }
        if let left = next.first { return "S1: \(left) is free in no child, or live" }
        return blocks == account.liveBlocks ? nil : "\(blocks) blocks are marked, \(account.liveBlocks) live"
    }

    private func brokenEmpties(_ children: [Child]) -> String? {
        var listed: Set<UInt> = []
        var bytes = 0
        var child = empty.first
        while let here = child {
            listed.insert(here.pointee.base)
            bytes += here.pointee.heldByteCount
            child = here.pointee.nextEmpty
        }
        if listed.count != empty.count || bytes != empty.byteCount || empty.spareBytes < 0 || empty.droppedBytes < 0 {
            return "S5: the list of empty children"
        }
        for child in children where child != lent {
            let record = child.pointee
            let isEmpty = record.used == 0 && !record.isAlone
            let mayBeLeftOut = child == openChild && isEmpty
            if record.isListed != isEmpty && !mayBeLeftOut || record.isListed != listed.contains(record.base) {
                return "S5: the child at \(record.base) is listed or is not"
            }
            let holdsLast = last != 0 && child == openChild
            if record.isAlone, record.used == 0, !holdsLast { return "an empty child alone was not given back" }
        }
        return nil
    }
}

extension BlockBits {
    /// The blocks, and what is broken of G1 and G2, or nil.
    fileprivate func blocks(granules: Int) -> (blocks: [Range<Int>], broken: String?) {
        var blocks: [Range<Int>] = []
        var first: Int?
        for granule in 0..<64 * Self.wordCount(granules) where starts[granule >> 6] | ends[granule >> 6] != 0 {
            let bit = Self.mask(granule)
            if starts[granule >> 6] & bit != 0 {
                if first != nil || granule >= granules { return ([], "G1: a start in a block, at \(granule)") }
                first = granule
            }
            if ends[granule >> 6] & bit != 0 {
                guard let start = first, granule < granules else {
                    return ([], "G1: an end of no block, at \(granule)")
                }
                blocks.append(start..<granule + 1)
                first = nil
            }
        }
        return (blocks, first == nil ? nil : "G1: a block without an end")
    }
}
