// Whether the records of a file's slabs can be trusted: all that SlabHeader.swift and ChunkRecord.swift say of them (H1
// to H3, R1 to R4), read without relying on any of it. Nothing is written. O(chunks).

struct SlabFileCheck {
    let arena: SlabArena
    let table: SlabFileContents
    /// By slab number; 0: no slab.
    let bases: [UInt]

    private func records(_ number: Int) -> UnsafeMutablePointer<ChunkRecord> {
        SlabReference(bitPattern: bases[number] + arena.headerOffset).unsafelyUnwrapped.records
    }

    /// What is wrong with a slab by itself, or with a class's account of its slabs.
    func brokenRecords(checkingData: Bool) -> String? {
        var live = [UInt64](repeating: 0, count: arena.sizes.sizes.count)
        var requested = live
        for number in bases.indices where bases[number] != 0 {
            let slot = table.slots[number]
            let records = records(number)
            let bytes = UnsafeRawBufferPointer(
                start: records, count: Int(slot.carved) * MemoryLayout<ChunkRecord>.stride)
            guard SlabChecksum.of(bytes) == slot.recordsChecksum else {
                return "the checksum of slab \(number)'s records is wrong"
            }
            let chunkSize = arena.classes[Int(slot.classIndex)].chunkSize
            if checkingData {
                let data = UnsafeRawBufferPointer(
                    start: UnsafeRawPointer(bitPattern: bases[number]), count: Int(slot.carved) * chunkSize)
                guard SlabChecksum.of(data) == slot.dataChecksum else {
                    return "the checksum of slab \(number)'s data is wrong"
                }
            }
            guard let sum = requestedBytes(slot, records, chunkSize) else {
                return "slab \(number)'s records contradict themselves"
            }
            live[Int(slot.classIndex)] += UInt64(slot.live)
            requested[Int(slot.classIndex)] += sum
        }
        for index in live.indices {
            let kind = table.classes[index]
            guard kind.allocations - kind.recycled == live[index],
                kind.requestedBytes == requested[index]
            else { return "class \(index) miscounts what is live" }
        }
        return nil
    }

    /// What was asked for of the slab's live chunks; nil where its records can't be so.
    private func requestedBytes(
        _ slot: SlabFileSlot, _ records: UnsafeMutablePointer<ChunkRecord>, _ chunkSize: Int
    ) -> UInt64? {
        var (live, retired, requested): (UInt32, UInt32, UInt64) = (0, 0, 0)
        for index in 0..<Int(slot.carved) {
            let record = records[index]
            if record.references == 0 {
                // R2, R3, R4
                guard !record.hasNext else { return nil }
                if record.state == 0 {
                    retired += 1
                } else if record.isHeldByLocation || record.generation < slot.firstGeneration {
                    return nil
                }
                continue
            }
            // As many references as can't be counted to would make adding one trap.
            guard record.generation >= slot.firstGeneration, Int(record.requested) <= chunkSize,
                record.references <= 1 << 31
            else { return nil }
            live += 1
            requested += UInt64(record.requested)
        }
        // H3
        guard live == slot.live, retired == slot.retired else { return nil }
        // H2: a list of as many steps as there are free chunks, which ends there, has each of them once.
        var (index, free) = (slot.freeHead, slot.carved - live - retired)
        while index != noChunk {
            guard free > 0, index < slot.carved else { return nil }
            let record = records[Int(index)]
            guard record.references == 0, record.state != 0 else { return nil }
            free -= 1
            index = record.linkPosition
        }
        return free == 0 ? requested : nil
    }

    /// What is wrong with the links: each leads to bytes of a live chunk (R4), which has a reference for it and one for
    /// the location that holds it, and none leads back to where it came from.
    func brokenLinks() -> String? {
        // By slab number and chunk; empty where no link leads to the slab.
        var incoming = [[UInt32]](repeating: [], count: bases.count)
        var links = 0
        for number in bases.indices where bases[number] != 0 {
            let records = records(number)
            for index in 0..<Int(table.slots[number].carved) where records[index].isLinked {
                guard let target = target(of: records[index]) else {
                    return "a link of slab \(number) leads to no chunk"
                }
                if incoming[target.number].isEmpty {
                    incoming[target.number] = [UInt32](
                        repeating: 0, count: Int(table.slots[target.number].carved))
                }
                let record = self.records(target.number)[target.index]
                incoming[target.number][target.index] += 1
                guard incoming[target.number][target.index] <= record.references - (record.isHeldByLocation ? 1 : 0)
                else { return "more links lead to a chunk of slab \(target.number) than it has references" }
                links += 1
            }
        }
        return links == 0 || links == unlinked(&incoming) ? nil : "a chain of its chunks is a ring"
    }

    /// Takes chunks that no link leads to off their chains until there are none. Returns how many links that were: all,
    /// unless some make a ring.
    private func unlinked(_ incoming: inout [[UInt32]]) -> Int {
        var count = 0
        for number in bases.indices where bases[number] != 0 {
            let records = records(number)
            for index in 0..<Int(table.slots[number].carved) where records[index].isLinked {
                guard incoming[number].isEmpty || incoming[number][index] == 0 else { continue }
                var record = records[index]
                while record.isLinked, let target = target(of: record) {
                    count += 1
                    incoming[target.number][target.index] -= 1
                    guard incoming[target.number][target.index] == 0 else { break }
                    record = self.records(target.number)[target.index]
                    // Not again when its turn comes, before or after this.
                    if record.isLinked { incoming[target.number][target.index] = .max }
                }
            }
        }
        return count
    }

    /// The chunk that a link leads to, where it does.
    private func target(of record: ChunkRecord) -> (number: Int, index: Int)? {
        let number = Int(record.linkSlab)
        guard number < bases.count, bases[number] != 0 else { return nil }
        let slot = table.slots[number]
        let chunkSize = arena.classes[Int(slot.classIndex)].chunkSize
        let index = Int(record.linkPosition) / chunkSize
        guard index < Int(slot.carved), records(number)[index].references != 0,
            Int(record.linkPosition) + Int(record.linkCount) <= (index + 1) * chunkSize
        else { return nil }
        return (number, index)
    }
}

extension ChunkRecord {
    /// Live, and linked to a next chunk.
    fileprivate var isLinked: Bool { references != 0 && hasNext }
}
