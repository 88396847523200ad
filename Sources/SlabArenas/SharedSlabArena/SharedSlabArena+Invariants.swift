// The shards' invariants, and those that SharedSlabArena.swift numbers, walked through. For tests.

extension SharedSlabArena {
    /// Walks every structure of the arena: traps where one is broken. For a moment at which no other thread uses the
    /// arena. O(chunks); for tests.
    public func checkInvariants() {
        if let broken = brokenInvariant() { fatalError("SharedSlabArena: \(broken)") }
    }

    /// What is broken, or nil. For a moment at which no other thread uses the arena.
    package func brokenInvariant() -> String? {
        withAllShards { cores in
            var slabs = 0
            for (index, core) in cores.enumerated() {
                if let broken = core.brokenInvariant(following: target) { return "shard \(index): \(broken)" }
                for number in 0..<core.slots.count {
                    guard let slab = core.slots[number].slab else { continue }
                    slabs += 1
                    if slab.pointee.owner != UInt(bitPattern: shards + index) { return "P4: a slab of another owner" }
                    if number > SlabShard.numberMask { return "P4: a slab number is too high" }
                    if !bases.contains(UInt(bitPattern: slab) - headerOffset) { return "a slab is not in the set" }
                }
            }
            return slabs == bases.count ? nil : "\(slabs) slabs, \(bases.count) in the set"
        }
    }

    /// P5: where a link leads.
    private func target(_ record: ChunkRecord) -> (slab: SlabReference, index: Int)? {
        let address = UInt(record.linkSlab) << 32 | UInt(record.linkPosition)
        guard bases.contains(address & baseMask),
            let slab = SlabReference(bitPattern: (address & baseMask) + headerOffset)
        else { return nil }
        return (slab, slab.chunkIndex(offset: address & ~baseMask))
    }
}
