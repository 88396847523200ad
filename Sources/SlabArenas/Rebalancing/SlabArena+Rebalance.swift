// Slabs that are emptied by moving what lives on them, for the class that needs them or for upstream.
//
// A slab is emptied whole or not begun: which one can be is known before the first move (SlabArena+Sources.swift), and
// a move takes no memory. Every invariant holds whenever the callback runs: a slab that is being emptied is an ordinary
// one with room, so that it stays usable where the callback gets in the way.
//
// Cost: for each slab that is emptied, a look at the header of every slab of the classes that could give one, and the
// moves: a copy of the chunk and a few dozen instructions each. Thread-safety: none.

extension SlabArena {
    /// Empties slabs by moving the chunks on them, so that memory goes to another class, or back to upstream.
    ///
    /// For programs whose mix of sizes has changed: slabs full of holes are then of a class that nobody asks for. Only
    /// chunks move that have one reference, held by a location (``store(_:)``), and which no chain leads to; a chunk
    /// that begins a chain takes its link along. A slab with another live chunk stays as it is, and so does one whose
    /// chunks the rest of its class has no room for. Slabs without a live chunk that no class was promised by
    /// ``prefill(byteCount:chunkCount:)`` are handed over first, without a move.
    ///
    /// The callback is called for each chunk, when it has been moved. Both locations are of the bytes that the chunk
    /// was asked for, from its start: those that `store` gave for a buffer of ``allocateChunk(byteCount:)``. The old
    /// one is stale from then on, as is every location of a part of it; ``location(_:movedFrom:to:)`` says where a part
    /// went. The callback may read the chunk, allocate and release; a call of this method there does nothing.
    ///
    /// - Parameters:
    ///   - byteCount: a request's bytes: the class that gets one slab, of another class. It keeps it until it was used
    ///     and is empty again, or until ``trim()``. Nil: every slab that can be emptied is, and goes back to upstream.
    ///     Traps where it is negative or above `slabSize`.
    ///   - policy: which slab is emptied first.
    ///   - limit: the most chunks that are moved.
    ///   - moved: called with a chunk's old and new location.
    /// - Returns: what was done. Where a slab has too little room for the class's records, or so much that it would be
    ///   wasted, its memory goes back and another is asked for: if upstream refuses that, further slabs go back.
    /// - Complexity: for each slab that is emptied, O(slabs) and the bytes of the chunks that are moved.
    @discardableResult
    public func rebalance(
        to byteCount: Int? = nil, policy: SlabRebalancePolicy = .emptiest, limit: Int = .max,
        moved: (SlabLocation, SlabLocation) -> Void
    ) -> SlabRebalanceResult {
        // A precondition would say nothing in a release build.
        if let byteCount, byteCount < 0 || byteCount > slabSize {
            fatalError("SlabArena: rebalance to \(byteCount) bytes, for which there is no class")
        }
        var result = SlabRebalanceResult()
        guard !moving.isRebalancing else { return result }
        forgetPinned()
        let kind = byteCount.map { classes + sizes.classIndex($0) }
        if let kind {
            gatherIdle(except: kind)
            if takeEmpty(for: kind) { result.slabsHandedOver = 1 }
            while result.slabsHandedOver == 0, let slab = empty.first {
                empty.remove(slab)
                handOver(slab, to: kind, &result)
            }
        }
        // Each slab is emptied at most once: the callback may fill others meanwhile.
        var rounds = bases.count
        while rounds > 0, result.slabsHandedOver == 0,
            let source = findSource(except: kind, policy, limit: limit - result.chunksMoved)
        {
            rounds -= 1
            guard evacuate(source, &result, moved) else { break }
            handOver(source, to: kind, &result)
        }
        return result
    }

    /// What may be moved without being asked: when a request finds no memory, slabs are emptied for its class as
    /// ``rebalance(to:policy:limit:moved:)`` does, within this limit, before ``onShortage`` is called. Nil, as it is at
    /// first: nothing moves by itself. Nothing does without ``onMove``, either. A slab is never emptied that has a
    /// chunk which a chain links to, or which a handle or a buffer has a reference of.
    public var automaticRebalancing: SlabAutomaticRebalancing? {
        get { moving.automatic }
        set {
            moving.automatic = newValue
            moving.outlook = SlabOutlook()
            moving.lastRefill = clock()
            moving.creditInThousandths = newValue.map { $0.burst > Int.max / 1000 ? .max : $0.burst * 1000 } ?? 0
        }
    }

    /// Called when ``automaticRebalancing`` has moved a chunk: its old and its new location, as in
    /// ``rebalance(to:policy:limit:moved:)``. It runs inside the request that found no memory, so that a location which
    /// was looked up before a request may be stale after it. Items that begin with their key are found by it. The arena
    /// keeps the closure: capture what owns the arena as `unowned`.
    public var onMove: ((SlabLocation, SlabLocation) -> Void)? {
        get { moving.onMove }
        set { moving.onMove = newValue }
    }

    /// The location of a whole chunk, as far as it was asked for, from the location of any part of it: what the
    /// callbacks of rebalancing report. To find an item by it, keep it under this location; that of a buffer as
    /// ``allocateChunk(byteCount:)`` gave it is the same.
    ///
    /// - Returns: `.nil` where the location is nil or outlived its chunk. O(1).
    public func chunkLocation(of location: SlabLocation) -> SlabLocation {
        guard let found = chunk(at: location) else { return .nil }
        return self.location(ofChunk: found.record - found.slab.records, of: found.slab)
    }

    /// Where a part of a chunk is after the chunk was moved.
    ///
    /// - Parameters:
    ///   - part: the location of a chunk or of a part of one, from before the move.
    ///   - old: the first location that the callback was given.
    ///   - new: the second, whose chunk is live.
    /// - Returns: the same bytes at the new place; nil where `part` is not of the chunk that was moved. O(1).
    public func location(
        _ part: SlabLocation, movedFrom old: SlabLocation, to new: SlabLocation
    ) -> SlabLocation? {
        guard part.slab == old.slab, part.generation == old.generation, part.position >= old.position,
            let found = chunk(at: new), part.position - old.position < found.slab.pointee.chunkSize
        else { return nil }
        return SlabLocation(
            slab: new.slab, position: new.position + (part.position - old.position), length: part.length,
            generation: new.generation)
    }

    /// Empties a slab for a class after upstream refused, if the rate allows it. Whether memory has moved.
    func rebalanceAutomatically(to kind: UnsafeMutablePointer<SlabClass>) -> Bool {
        guard let limit = moving.automatic, let onMove = moving.onMove, !moving.isRebalancing else { return false }
        let credit = moving.credit(limit, now: clock())
        guard credit > 0,
            moving.outlook.isWorthALook(for: kind - classes, released: referencesReleased, credit: credit)
        else { return false }
        guard let source = findSource(except: kind, limit.policy, limit: credit) else { return false }
        var result = SlabRebalanceResult()
        let isEmptied = evacuate(source, &result, onMove)
        moving.pay(result.chunksMoved)
        guard isEmptied else { return false }
        handOver(source, to: kind, &result)
        return true
    }

    /// What becomes of a slab that was emptied, and is on no list: it is the class's, or goes back to upstream, which
    /// then is asked for one that suits the class.
    private func handOver(
        _ slab: SlabReference, to kind: UnsafeMutablePointer<SlabClass>?, _ result: inout SlabRebalanceResult
    ) {
        if let kind, fits(slab, kind) {
            counters.slabsReassigned += 1
            assign(slab, to: kind)
            kind.pointee.partial.prepend(slab, as: .partial)
            result.slabsHandedOver += 1
            return
        }
        result.bytesGivenBack += slab.pointee.blockByteCount
        giveBack(slab)
        if let kind, let fresh = newSlab(for: kind) {
            kind.pointee.partial.prepend(fresh, as: .partial)
            result.slabsHandedOver += 1
        }
    }
}
