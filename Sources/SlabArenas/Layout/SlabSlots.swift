// From a slab's number to the slab: an array that grows, so that a location is resolved without a search.
//
// Each number remembers, while no slab has it, above which generation its next slab's chunks begin (R3). A number whose
// generations are used up is not given again.

import AllocatorCore

@usableFromInline
struct SlabSlot: BitwiseCopyable {
    @usableFromInline var slab: SlabReference?
    /// Of a number that no slab has: the first generation of its next.
    var firstGeneration: UInt32
    /// Of a number that no slab has: the next such number, or `noSlab`.
    var nextFree: UInt32
}

@usableFromInline
struct SlabSlots {
    @usableFromInline var slots: UnsafeMutablePointer<SlabSlot>?
    @usableFromInline var count: UInt32 = 0
    var capacity: UInt32 = 0
    var firstFree = noSlab
    /// The numbers are below it: a power of two.
    var limit: UInt32 = 1 << 31
    /// The first generation of a number that was never given.
    var freshGeneration: UInt32 = 1

    init() {}

    var byteCount: Int { Int(capacity) * MemoryLayout<SlabSlot>.stride }

    /// The slab of a number that may be no slab's.
    @inlinable @inline(__always)
    func find(_ number: UInt32) -> SlabReference? {
        number < count ? slots.unsafelyUnwrapped[Int(number)].slab : nil
    }

    subscript(number: UInt32) -> SlabSlot {
        get { slots.unsafelyUnwrapped[Int(number)] }
        nonmutating set { slots.unsafelyUnwrapped[Int(number)] = newValue }
    }

    /// Sees to it that `take` finds a number. False where there is no memory, or no number, for it.
    mutating func reserveOne() -> Bool {
        if firstFree != noSlab || count < capacity { return true }
        guard capacity < limit else { return false }
        let larger = max(capacity * 2, 16)
        guard let memory = malloc(Int(larger) * MemoryLayout<SlabSlot>.stride) else { return false }
        let moved = memory.bindMemory(to: SlabSlot.self, capacity: Int(larger))
        if let slots {
            moved.update(from: slots, count: Int(count))
            free(slots)
        }
        slots = moved
        capacity = larger
        return true
    }

    /// A number for a slab, and the first generation of its chunks. There is one: `reserveOne` said so.
    mutating func take() -> (number: UInt32, firstGeneration: UInt32) {
        let number = firstFree
        if number == noSlab {
            self[count] = SlabSlot(slab: nil, firstGeneration: freshGeneration, nextFree: noSlab)
            count += 1
            return (count - 1, freshGeneration)
        }
        firstFree = self[number].nextFree
        return (number, self[number].firstGeneration)
    }

    /// Gives a number back, whose chunks had generations below the given one.
    mutating func giveBack(_ number: UInt32, firstGeneration: UInt32) {
        let isUsedUp = firstGeneration > ChunkRecord.lastGeneration
        self[number] = SlabSlot(
            slab: nil, firstGeneration: firstGeneration, nextFree: isUsedUp ? noSlab : firstFree)
        if !isUsedUp { firstFree = number }
    }

    /// Gives the array's memory back, where no number is a slab's: all numbers then begin above the generations of
    /// before. Where some are used up, it stays.
    mutating func forget() {
        var highest = freshGeneration
        for number in 0..<count { highest = max(highest, self[number].firstGeneration) }
        guard highest <= ChunkRecord.lastGeneration else { return }
        free()
        freshGeneration = highest
    }

    mutating func free() {
        if let slots { free(slots) }
        let limit = limit
        self = SlabSlots()
        self.limit = limit
    }

    private func free(_ memory: UnsafeMutableRawPointer) { SystemAllocator().deallocate(memory) }

    private func malloc(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        SystemAllocator().tryAllocate(byteCount: byteCount, alignment: 16)?.baseAddress
    }
}
