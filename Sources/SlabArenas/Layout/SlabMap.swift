// From an address to what leads to its chunk, for most slabs: an entry for each place where a slab could begin, from
// the lowest one on.
//
//     | entry | 0 | 0 | entry | …      place 0 is at `low`, each next one a slab's alignment above
//
// Slabs that come from one upstream mostly lie close together, and then a subtraction, a shift and a load find the
// entry, and no slab's header is read: those all begin at the same distance from a power of two, so that the
// processor's caches keep few of them at a time. Where slabs lie far apart, the map stays small: it has at most 16
// places a slab, and what lies elsewhere is in the arena's hash table alone. Cost: O(1); a map that grows is copied.
// Thread-safety: none.

import AllocatorCore

/// What a slab's header says, too. All 0: no slab, or none that is in the map.
@usableFromInline
struct SlabMapEntry: BitwiseCopyable, Equatable {
    @usableFromInline var reciprocal: UInt = 0
    @usableFromInline var carved: UInt = 0
}

@usableFromInline
struct SlabMap {
    @usableFromInline var places: UnsafeMutablePointer<SlabMapEntry>?
    /// The base of place 0.
    @usableFromInline var low: UInt = 0
    @usableFromInline var count: UInt = 0
    @usableFromInline let shift: UInt

    init(slabAlignment: UInt) { shift = UInt(slabAlignment.trailingZeroBitCount) }

    /// Gives the map's memory back; it is empty then.
    mutating func removeAll() {
        places.map { SystemAllocator().deallocate($0) }
        (places, count) = (nil, 0)
    }

    var byteCount: Int { Int(count) * MemoryLayout<SlabMapEntry>.stride }

    /// The entry of the slab that the address lies in; nil where the map doesn't know.
    @inlinable @inline(__always)
    func find(_ address: UInt) -> SlabMapEntry? {
        let place = (address &- low) &>> shift
        guard place < count else { return nil }
        let entry = places.unsafelyUnwrapped[Int(bitPattern: place)]
        return entry.reciprocal != 0 ? entry : nil
    }

    /// Sees to it that there is a place for the base of a slab, of which there are so many with it; unless it is too
    /// far away.
    mutating func reserve(_ base: UInt, slabCount: Int) {
        if (base &- low) &>> shift >= count { grow(to: base, limit: UInt(slabCount) * 16) }
    }

    /// Writes a slab's entry, if there is a place for it.
    func set(_ base: UInt, _ entry: SlabMapEntry) {
        let place = (base &- low) &>> shift
        if place < count { places.unsafelyUnwrapped[Int(place)] = entry }
    }

    /// Makes room for the base, and for as much again in its direction, unless that is more than `limit` places.
    private mutating func grow(to base: UInt, limit: UInt) {
        var first = count == 0 ? base : min(low, base)
        let last = count == 0 ? base : max(low &+ ((count &- 1) &<< shift), base)
        var needed = ((last &- first) &>> shift) &+ 1
        guard needed <= limit else { return }
        let spare = min(needed, limit &- needed)
        needed &+= spare
        // Addresses do not go below 0.
        if count != 0, base < low { first = first &>> shift > spare ? first &- spare &<< shift : 0 }
        // Without memory for it, the map stays as it is.
        let byteCount = Int(needed) * MemoryLayout<SlabMapEntry>.stride
        guard let memory = SystemAllocator().tryAllocate(byteCount: byteCount, alignment: 8)?.baseAddress else {
            return
        }
        let fresh = memory.bindMemory(to: SlabMapEntry.self, capacity: Int(needed))
        fresh.initialize(repeating: SlabMapEntry(), count: Int(needed))
        if let places {
            (fresh + Int((low &- first) &>> shift)).update(from: places, count: Int(count))
            SystemAllocator().deallocate(places)
        }
        (places, low, count) = (fresh, first, needed)
    }

    /// All that is in the map, by bases; for tests. O(places).
    var entries: [(base: UInt, entry: SlabMapEntry)] {
        (0..<count).map { (low &+ $0 &<< shift, places.unsafelyUnwrapped[Int($0)]) }.filter { $0.1 != SlabMapEntry() }
    }
}
