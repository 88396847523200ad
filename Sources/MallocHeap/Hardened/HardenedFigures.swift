// What hardened pages, runs and mappings hold: for statistics, and for tests that walk the whole heap.
//
// Thread-safety: exact while nobody else is in the heap. `brokenInvariant` is for then only.

import CMallowShims

extension UnsafeMutablePointer where Pointee == PageRecord {
    /// Blocks of a hardened page, run or mapping that the program holds.
    var hardenedLiveBlocks: UInt {
        if pointee.kind != PageKind.hardened {
            return pointee.kind == PageKind.hardenedRun || pointee.kind == PageKind.hardenedMapping ? 1 : 0
        }
        let table = sideTable
        if table.address == 0 { return 0 }
        let quarantined = table.quarantinedCount.pointee
        let used = UInt(pointee.used)
        return used > quarantined ? used &- quarantined : 0
    }

    /// Bytes of memory behind it, at most.
    var hardenedCommittedBytes: UInt {
        switch pointee.kind {
        case PageKind.hardened:
            let carved = UInt(pointee.carved) &* pointee.blockByteCount
            return pointee.wasDirty
                ? Layout.sliceByteCount
                : Layout.roundedUp(carved, toMultipleOf: Process.state.pointee.osPageByteCount)
        case PageKind.hardenedRun, PageKind.hardenedMapping:
            return pointee.blockByteCount
        default:
            return 0
        }
    }
}

#if !hasFeature(Embedded)
    extension UnsafeMutablePointer where Pointee == PageRecord {
        /// D1, D3, and the counts of the side table.
        var brokenHardened: String? {
            let table = sideTable
            if table.address == 0 { return "a hardened page without a side table" }
            var counts = [0, 0, 0, 0] as [UInt]
            for index in 0..<UInt(pointee.capacity) {
                let state = table[index].state
                counts[Int(state)] += 1
                if (state == BlockState.free) != table.isMarkedFree(index) { return "bit and state of \(index) differ" }
                if (state == BlockState.uncarved) != (index >= UInt(pointee.carved)) { return "carved to \(index)" }
            }
            let live = counts[Int(BlockState.live)]
            let quarantined = counts[Int(BlockState.quarantined)]
            if quarantined != table.quarantinedCount.pointee { return "quarantined: \(quarantined)" }
            if counts[Int(BlockState.free)] != table.freeCount.pointee { return "free: \(counts)" }
            if live + quarantined != UInt(pointee.used) { return "D3: used \(pointee.used), in use \(counts)" }
            if pointee.isCurrent != (pointee.used < pointee.capacity) { return "D1: \(pointee.used) used" }
            return nil
        }
    }

    extension Hardened {
        /// D1 and D2.
        static func brokenInvariant() -> String? {
            guard isOn else { return nil }
            for index in 0..<shardCount {
                let shard = Shard.at(index)
                for sizeClass in 0..<SizeClasses.count {
                    var previous: Page?
                    var next = Page(bitPattern: shard.pages(sizeClass).pointee)
                    while let page = next {
                        if !page.pointee.isCurrent || Int(page.pointee.sizeClass) != sizeClass {
                            return "D1: a wrong list"
                        }
                        if page.pointee.previous != previous { return "D1: not linked both ways" }
                        if page.sideTable.shard.pointee != shard.address { return "D1: another shard's page" }
                        previous = page
                        next = page.pointee.next
                    }
                }
                var bytes: UInt = 0
                for position in 0..<shard.pointee.quarantinedCount {
                    let block = shard.quarantined(position)
                    guard let page = page(of: block), page.pointee.kind == PageKind.hardened else {
                        return "D2: a quarantined block without a page"
                    }
                    bytes += page.pointee.blockByteCount
                    let number = (block - page.start) / page.pointee.blockByteCount
                    if page.sideTable[number].state != BlockState.quarantined { return "D2: not quarantined" }
                }
                if bytes != shard.pointee.quarantinedBytes { return "D2: \(bytes) bytes quarantined" }
            }
            return nil
        }
    }
#endif
