// Moving chunks off a slab.

extension SlabArena {
    /// Moves every live chunk of a slab to other slabs of its class, and takes the slab off its list. False where the
    /// callback got in the way: then the slab is where it belongs, with what is left on it.
    func evacuate(
        _ source: SlabReference, _ result: inout SlabRebalanceResult, _ moved: (SlabLocation, SlabLocation) -> Void
    ) -> Bool {
        moving.isRebalancing = true
        defer { moving.isRebalancing = false }
        let number = source.pointee.number
        let classIndex = source.pointee.classIndex
        let kind = classes + Int(classIndex)
        if source.pointee.place == .current { retireCurrent(kind) }
        var target: (slab: SlabReference, number: UInt32)?
        var index = 0
        // The callback may have done anything: even given this slab back, so that its header is gone.
        while slots.find(number) == source, source.pointee.classIndex == classIndex, source.pointee.live > 0,
            index < Int(source.pointee.carved)
        {
            let record = source.records + index
            index += 1
            if !record.state.isLive { continue }
            if let last = target, slots.find(last.number) != last.slab || !isTarget(last.slab, kind, source) {
                target = nil
            }
            if target == nil { target = findTarget(kind, source).map { ($0, $0.pointee.number) } }
            guard let target, record.state.isMovable else { return false }
            let old = location(ofChunk: index - 1, of: source)
            let new = move(index - 1, of: source, to: target.slab, kind)
            result.chunksMoved += 1
            result.bytesMoved += kind.pointee.chunkSize
            moved(old, new)
        }
        guard slots.find(number) == source, source.pointee.classIndex == classIndex, source.pointee.live == 0 else {
            return false
        }
        switch source.pointee.place {
        case .current: kind.pointee.current = SlabHeader.none
        case .partial: kind.pointee.partial.remove(source)
        case .full: kind.pointee.full.remove(source)
        case .empty: empty.remove(source)
        }
        result.slabsEmptied += 1
        return true
    }

    /// Whether a chunk that is moved off the source may go to this slab. Not to one that holds nothing: that would gain
    /// nothing.
    private func isTarget(
        _ slab: SlabReference, _ kind: UnsafeMutablePointer<SlabClass>, _ source: SlabReference
    ) -> Bool {
        slab != source && slab.pointee.classIndex == UInt32(kind - classes) && slab.pointee.live > 0
            && slab.pointee.hasRoom && slab.pointee.place != .empty
    }

    /// The fullest slab of the class with room: the emptiest are the next to be emptied. O(slabs with room).
    private func findTarget(_ kind: UnsafeMutablePointer<SlabClass>, _ source: SlabReference) -> SlabReference? {
        var best: SlabReference?
        if kind.pointee.hasCurrent, isTarget(kind.pointee.current, kind, source) { best = kind.pointee.current }
        let partial = kind.pointee.partial
        partial.visit { slab in
            guard isTarget(slab, kind, source) else { return }
            if let best, best.pointee.live >= slab.pointee.live { return }
            best = slab
        }
        return best
    }

    /// Moves a chunk to a slab with room, and says where it is. The account does not change: it is the same allocation.
    private func move(
        _ index: Int, of source: SlabReference, to target: SlabReference, _ kind: UnsafeMutablePointer<SlabClass>
    ) -> SlabLocation {
        if target.pointee.freeHead == noChunk { _ = carve(target, kind) }
        let targetIndex = Int(target.pointee.freeHead)
        let old = source.records + index
        let new = target.records + targetIndex
        let size = kind.pointee.chunkSize
        // All of it: the buffer may have been extended beyond what was asked for.
        memory(ofChunk: targetIndex, of: target, size)
            .copyMemory(from: UnsafeRawBufferPointer(memory(ofChunk: index, of: source, size)))
        target.pointee.freeHead = new.pointee.linkPosition
        target.pointee.account += SlabHeader.account(ofChunk: Int(old.pointee.requested))
        if target.pointee.liveWhenPinned != 0 { target.pointee.liveWhenPinned += 1 }
        // Its own generation, and the old one's reference, which the location holds. R4: the link's reference goes
        // along.
        new.pointee = ChunkRecord(
            state: new.pointee.state | ChunkRecord.heldByLocation | 1, linkSlab: old.pointee.linkSlab,
            linkPosition: old.pointee.linkPosition, linkCount: old.pointee.linkCount,
            requested: old.pointee.requested)
        if target.pointee.place == .partial, !target.pointee.hasRoom {
            kind.pointee.partial.remove(target)
            kind.pointee.full.prepend(target, as: .full)
        }
        free(old, of: source)
        if source.pointee.place == .full, source.pointee.hasRoom {
            kind.pointee.full.remove(source)
            kind.pointee.partial.prepend(source, as: .partial)
        }
        counters.chunksMoved += 1
        return location(ofChunk: targetIndex, of: target)
    }

    /// Puts the place that a chunk was moved from on its slab's free list. R3: with the next generation.
    private func free(_ record: UnsafeMutablePointer<ChunkRecord>, of slab: SlabReference) {
        slab.pointee.account -= SlabHeader.account(ofChunk: Int(record.pointee.requested))
        let generation = record.pointee.generation
        record.pointee.linkSlab = noSlab
        if generation == ChunkRecord.lastGeneration {
            retire(slab, record)
            return
        }
        record.pointee.state = UInt64(generation + 1) << 33
        record.pointee.linkPosition = slab.pointee.freeHead
        slab.pointee.freeHead = UInt32(record - slab.records)
    }

    private func memory(ofChunk index: Int, of slab: SlabReference, _ size: Int) -> UnsafeMutableRawBufferPointer {
        buffer(UInt(bitPattern: slab) - headerOffset + UInt(index * size), size)
    }

    /// The location of a live chunk, as far as it was asked for.
    func location(ofChunk index: Int, of slab: SlabReference) -> SlabLocation {
        SlabLocation(
            slab: slab.pointee.number, position: UInt32(index) * slab.pointee.chunkSize,
            length: slab.records[index].requested, generation: slab.records[index].generation)
    }
}
