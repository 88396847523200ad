// The invariants that SlabArena.swift, SlabHeader.swift and ChunkRecord.swift number, walked through. For tests.

extension SlabArena {
    /// Walks every structure of the arena: traps where one is broken. O(chunks); for tests.
    public func checkInvariants() {
        if let broken = brokenInvariant() { fatalError("SlabArena: \(broken)") }
    }

    /// What is broken, or nil.
    package func brokenInvariant() -> String? { brokenInvariant(following: nil) }

    /// What is broken, or nil; links lead where the closure says, if there is one.
    func brokenInvariant(following: ((ChunkRecord) -> (slab: SlabReference, index: Int)?)?) -> String? {
        func target(_ record: ChunkRecord) -> (slab: SlabReference, index: Int)? {
            if let following { return following(record) }
            return slots.find(record.linkSlab).map { ($0, $0.chunkIndex(offset: UInt(record.linkPosition))) }
        }
        var seen: Set<UInt32> = []
        var incoming: [SlabReference: [Int: UInt32]] = [:]
        for index in 0..<sizes.sizes.count {
            let kind = classes + index
            var broken: String?
            var (slabs, liveChunks, requested) = (0, 0, 0)
            kind.pointee.visit { slab in
                slabs += 1
                liveChunks += Int(slab.pointee.live)
                if slab.pointee.classIndex != UInt32(index) { broken = "S1: a slab is on another class's list" }
                if !seen.insert(slab.pointee.number).inserted {
                    broken = "S1: slab \(slab.pointee.number) is listed twice"
                }
                for chunk in 0..<Int(slab.pointee.carved) where slab.records[chunk].references != 0 {
                    requested += Int(slab.records[chunk].requested)
                }
                broken = broken ?? brokenInvariant(of: slab, target, &incoming)
            }
            if let broken { return broken }
            if slabs != kind.pointee.slabCount { return "S1: class \(index) miscounts its slabs" }
            if liveChunks != kind.pointee.liveCount { return "S4: class \(index) miscounts its live chunks" }
            if requested != kind.pointee.requestedBytes {
                return "S4: class \(index) miscounts the bytes that were asked for"
            }
            if kind.pointee.hasCurrent, kind.pointee.current.pointee.place != .current {
                return "S1: a current slab says it is elsewhere"
            }
            kind.pointee.partial.visit { slab in
                if slab.pointee.place != .partial { broken = "S1: a partial slab says it is elsewhere" }
                if !slab.pointee.hasRoom { broken = "S2: a partial slab has no room" }
            }
            kind.pointee.full.visit { slab in
                if slab.pointee.place != .full { broken = "S1: a full slab says it is elsewhere" }
                if slab.pointee.hasRoom { broken = "S2: a full slab has room" }
                if slab.pointee.live == 0 { broken = "S2: a full slab is empty" }
            }
            if let broken { return broken }
        }
        var broken: String?
        empty.visit { slab in
            if slab.pointee.place != .empty || slab.pointee.live != 0 { broken = "S2: an empty slab is none" }
            if !seen.insert(slab.pointee.number).inserted { broken = "S1: an empty slab is listed twice" }
            broken = broken ?? brokenInvariant(of: slab, target, &incoming)
        }
        return broken ?? brokenSlots(seen) ?? brokenLinks(incoming) ?? brokenAccount()
    }

    /// H1 to H3, and R1 to R4 of the chunks.
    private func brokenInvariant(
        of slab: SlabReference, _ target: (ChunkRecord) -> (slab: SlabReference, index: Int)?,
        _ incoming: inout [SlabReference: [Int: UInt32]]
    ) -> String? {
        let header = slab.pointee
        var (live, retired, free) = (0, 0, 0)
        for index in 0..<Int(header.carved) {
            let record = slab.records[index]
            if record.references != 0 {
                live += 1
                if record.generation < header.firstGeneration { return "R3: a generation is below its slab's first" }
                if record.requested > header.chunkSize { return "a chunk is smaller than its request" }
                guard record.hasNext else { continue }
                guard let target = target(record) else { return "R4: a link leads to no slab" }
                incoming[target.slab, default: [:]][target.index, default: 0] += 1
            } else if record.hasNext {
                return "R4: a free chunk has a link"
            } else if record.isHeldByLocation {
                return "R2: a free chunk is held"
            } else if record.generation == 0 {
                retired += 1
            }
        }
        var index = header.freeHead
        while index != noChunk {
            if index >= header.carved { return "H2: a chunk on the free list was never carved" }
            let record = slab.records[Int(index)]
            if record.references != 0 { return "H2: a chunk on the free list has references" }
            if record.generation == 0 { return "R3: a retired chunk is on the free list" }
            free += 1
            if free > Int(header.carved) { return "H2: the free list has a ring" }
            index = record.linkPosition
        }
        let isKept = header.place == .current && emptyDelay != 0
        if header.settleBelow != (isKept ? 0 : header.place == .full ? .max : 1) {
            return "S4: slab \(header.number) does not know when it settles"
        }
        if live != header.live || retired != header.retired { return "H3: slab \(header.number) miscounts its chunks" }
        if live + retired + free != header.carved { return "H3: chunks of slab \(header.number) are lost" }
        if header.carved > header.chunkCount || header.chunkCount > header.recordCapacity {
            return "H1: too many chunks"
        }
        return nil
    }

    /// S1, S3.
    private func brokenSlots(_ seen: Set<UInt32>) -> String? {
        var count = 0
        for number in 0..<slots.count {
            guard let slab = slots[number].slab else { continue }
            count += 1
            if slab.pointee.number != number || !seen.contains(number) { return "S1: slot \(number) is wrong" }
            if bases[UInt(bitPattern: slab) - headerOffset] == nil { return "S1: slab \(number) is not in the set" }
        }
        if count != seen.count || bases.count != count { return "S1: \(count) slabs, \(bases.count) in the set" }
        if last.chunk != noBase {
            let base = UInt(bitPattern: last.slab) - headerOffset
            guard bases[base] != nil else { return "S3: the last chunk's slab is gone" }
            guard last.index < Int(last.slab.pointee.carved),
                last.chunk == base + UInt(last.index) * UInt(last.slab.pointee.chunkSize)
            else { return "S3: the last chunk is none" }
        }
        for (base, entry) in map.entries {
            guard bases[base] != nil else { return "S7: the map has an entry that is no slab's" }
            let header = SlabReference(bitPattern: base + headerOffset).unsafelyUnwrapped.pointee
            guard entry == SlabMapEntry(reciprocal: header.reciprocal, carved: UInt(header.carved)) else {
                return "S7: the map's entry is not what slab \(header.number) says"
            }
        }
        return nil
    }

    /// R4: no chunk has fewer references than links lead to it.
    private func brokenLinks(_ incoming: [SlabReference: [Int: UInt32]]) -> String? {
        for (slab, chunks) in incoming {
            for (index, count) in chunks where slab.records[index].references < count {
                return "R4: more links lead to a chunk than it has references"
            }
        }
        return nil
    }

    private func brokenAccount() -> String? {
        var (count, bytes) = (0, 0)
        for index in 0..<sizes.sizes.count {
            count += classes[index].liveCount
            bytes += classes[index].liveCount * classes[index].chunkSize
        }
        if count != live || bytes != liveBytes { return "S6: the arena miscounts its live chunks" }
        if belowPeak < 0 || bytesBelowPeak < 0 { return "S6: more is live than ever was" }
        let account = statistics
        if account.freeBytes < 0 { return "the account: \(account)" }
        return nil
    }
}
