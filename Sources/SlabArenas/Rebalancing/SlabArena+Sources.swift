// Which slab is emptied.
//
// A class can give a slab where as many chunks are free on its slabs that hold something as a slab has: then what lives
// on any one of them has room on the others. Of those slabs the policy ranks the ones that are cheap enough, and the
// first whose chunks can all be moved is taken.
//
// Looking for a chunk that cannot be moved may take a look at every record of a slab. A slab on which one was found is
// marked, and not looked at again before fewer chunks live on it, or until the next explicit call: so automatic mode,
// which asks at every shortage, pays for a slab's records once for each of its chunks that are released. And it does
// not look at the slabs again before it may find what it did not find (SlabOutlook).

import Synchronization

/// A record's state, read such that what others did with the chunk before they let it go is seen: in a shared arena its
/// references are released without the lock that rebalancing holds. What is movable then is nobody's but the
/// location's, which is resolved under that lock.
struct SettledState {
    private let bits: UInt64

    fileprivate init(_ bits: UInt64) { self.bits = bits }

    var isLive: Bool { UInt32(truncatingIfNeeded: bits) != 0 }

    /// One reference, a location's.
    var isMovable: Bool { bits & (ChunkRecord.oneGeneration - 1) == ChunkRecord.heldByLocation | 1 }
}

extension UnsafeMutablePointer where Pointee == ChunkRecord {
    var state: SettledState { SettledState(atomicState.pointee.load(ordering: .acquiring)) }
}

extension SlabArena {
    /// The slab to be emptied, or nil; no slab of the class that is to get it.
    func findSource(
        except receiver: UnsafeMutablePointer<SlabClass>?, _ policy: SlabRebalancePolicy, limit: Int
    ) -> SlabReference? {
        guard limit > 0 else { return nil }
        var best: (slab: SlabReference, rank: (Int, Int))?
        var outlook = SlabOutlook(
            receiver: receiver.map { $0 - classes } ?? -1, released: referencesReleased, releasesNeeded: .max)
        var looks = 0
        for index in 0..<sizes.sizes.count where classes + index != receiver {
            let kind = classes + index
            guard kind.pointee.slabCount > 1 else { continue }
            let chunkCount = kind.pointee.chunkCount
            let free = freeBesideLive(kind)
            looks += kind.pointee.partial.count
            outlook.releasesNeeded = min(outlook.releasesNeeded, max(chunkCount - free, 1))
            // Of a slab with retired chunks less than all its chunks must find room.
            guard free >= chunkCount || counters.retired > 0 else { continue }
            looks += kind.pointee.slabCount
            let copy = kind.pointee
            copy.visit { slab in
                let live = Int(slab.pointee.live)
                guard live > 0, free >= chunkCount - Int(slab.pointee.retired) else { return }
                let isUnlikely = slab.pointee.liveWhenPinned != 0 && live >= Int(slab.pointee.liveWhenPinned)
                if isUnlikely { return }
                guard live <= limit else {
                    outlook.movesNeeded = min(outlook.movesNeeded, live)
                    return
                }
                let rank = rank(slab, free, policy)
                if let best, best.rank <= rank { return }
                if canMoveAll(slab) {
                    slab.pointee.liveWhenPinned = 0
                    best = (slab, rank)
                } else {
                    slab.pointee.liveWhenPinned = slab.pointee.live
                }
            }
        }
        // A header that was looked at in vain is paid for by a 64th of a release.
        outlook.releasesNeeded = max(outlook.releasesNeeded, 1 + looks / 64)
        moving.outlook = best == nil ? outlook : SlabOutlook()
        return best?.slab
    }

    /// Slabs of a lower rank are emptied first.
    private func rank(_ slab: SlabReference, _ free: Int, _ policy: SlabRebalancePolicy) -> (Int, Int) {
        let liveBytes = Int(slab.pointee.live) * Int(slab.pointee.chunkSize)
        return switch policy {
        case .emptiest: (liveBytes, 0)
        // The serial goes round: what counts is how long ago it was given.
        case .oldest: (-Int(moving.serial &- slab.pointee.serial), liveBytes)
        case .mostFree: (-free * Int(slab.pointee.chunkSize), liveBytes)
        }
    }

    /// Free chunks of a class on slabs that hold something. O(slabs with room).
    private func freeBesideLive(_ kind: UnsafeMutablePointer<SlabClass>) -> Int {
        var free = 0
        func add(_ slab: SlabReference) {
            guard slab.pointee.live > 0 else { return }
            free += Int(slab.pointee.chunkCount - slab.pointee.live - slab.pointee.retired)
        }
        if kind.pointee.hasCurrent { add(kind.pointee.current) }
        let partial = kind.pointee.partial
        partial.visit(add)
        return free
    }

    /// Whether every live chunk of a slab has one reference, a location's. O(carved chunks).
    private func canMoveAll(_ slab: SlabReference) -> Bool {
        for index in 0..<Int(slab.pointee.carved) {
            let state = (slab.records + index).state
            if state.isLive, !state.isMovable { return false }
        }
        return true
    }

    /// Has every slab looked at again. O(slabs).
    func forgetPinned() {
        for number in 0..<slots.count { slots[number].slab?.pointee.liveWhenPinned = 0 }
    }
}
