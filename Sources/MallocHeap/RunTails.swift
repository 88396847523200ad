// What a run holds behind its block. A run is whole slices, its block ends anywhere in the last one. In slices that the
// kernel gave fresh, what is behind is never touched; in slices that others used before, it holds their memory for as
// long as the block lives: a third of what it has, for blocks of 32 to 96 KiB.
//
// So runs that were taken with memory in them, or that shrank, are remembered by their first slice, and at the second
// tick from then on the OS pages behind the block go back to the kernel: most blocks of that size do not live so long.
//
//   T1  recent ∩ aged = ∅; each member is the first slice of a live run of the program's
//   T2  the members are `tailCount`
//
// They lie in slice 1 of the segment, which holds nothing else and no memory before the first is noted.
//
// Cost: a bit when a run is taken, two when it is given back; a call of the kernel for each that lives on.
// Thread-safety: under the pool's lock. What a run's block holds changes under it as well: a tick must not take what
// the program has just been given.

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// The runs of a segment with memory behind their block, by their first slice.
struct RunTails: ~Copyable {
    /// Noted since the last tick, …
    var recent: SliceSet
    /// … and before it.
    var aged: SliceSet
}

extension UnsafeMutablePointer where Pointee == SegmentRecord {
    var tails: UnsafeMutablePointer<RunTails> {
        UnsafeMutablePointer<RunTails>(at: address &+ Layout.sliceByteCount)
    }
}

extension SlicePool {
    /// Sets what a run's block holds. `holdsMemory`: there may be memory behind it.
    static func setByteCount(_ page: Page, _ byteCount: UInt, holdsMemory: Bool) {
        page.pointee.blockByteCount = byteCount
        let segment = Segment(at: page.address & ~(Layout.segmentByteCount &- 1))
        let first = Int(bitPattern: (page.address &- segment.address) / Layout.recordByteCount)
        if byteCount >= UInt(page.pointee.sliceCount) &<< Layout.sliceShift {
            forgetTail(segment, first)
        } else if holdsMemory, !hasTail(segment, first) {
            segment.tails.pointee.recent.set(first, count: 1, to: true)
            segment.pointee.tailCount &+= 1
            state.pointee.tailCount &+= 1
        }
    }

    /// The same, and takes the lock. A block that shrank leaves memory behind.
    static func setByteCount(_ page: Page, _ byteCount: UInt) {
        Process.poolLock.acquire()
        setByteCount(page, byteCount, holdsMemory: byteCount < page.pointee.blockByteCount)
        Process.poolLock.release()
    }

    private static func hasTail(_ segment: Segment, _ first: Int) -> Bool {
        segment.pointee.tailCount > 0
            && (segment.tails.pointee.recent.contains(first) || segment.tails.pointee.aged.contains(first))
    }

    /// The run is given back, or its block fills it.
    static func forgetTail(_ segment: Segment, _ first: Int) {
        guard hasTail(segment, first) else { return }
        segment.tails.pointee.recent.set(first, count: 1, to: false)
        segment.tails.pointee.aged.set(first, count: 1, to: false)
        segment.pointee.tailCount &-= 1
        state.pointee.tailCount &-= 1
    }

    /// Gives back what lies behind the blocks of aged runs, until the budget is spent; and ages the recent ones.
    static func discardTails(_ segment: Segment, budget: inout UInt) {
        guard segment.pointee.tailCount > 0 else { return }
        var first = segment.tails.pointee.aged.firstMember(from: 0)
        while first < SliceSet.capacity, budget > 0 {
            let page = Page(at: segment.address &+ UInt(bitPattern: first) &* Layout.recordByteCount)
            forgetTail(segment, first)
            let used = Layout.roundedUp(
                page.pointee.blockByteCount, toMultipleOf: Process.state.pointee.osPageByteCount)
            let held = UInt(page.pointee.sliceCount) &<< Layout.sliceShift
            // Refused: it stays until the block is freed.
            if used < held, SystemMemory.discard(address: page.start &+ used, byteCount: held &- used) {
                state.pointee.purgedBytes &+= held &- used
                state.pointee.purgeCalls &+= 1
                budget = budget > held &- used ? budget &- (held &- used) : 0
            }
            first = segment.tails.pointee.aged.firstMember(from: first &+ 1)
        }
    }

    static func ageTails(_ segment: Segment) {
        guard segment.pointee.tailCount > 0 else { return }
        segment.tails.pointee.aged = .union(segment.tails.pointee.aged, segment.tails.pointee.recent)
        segment.tails.pointee.recent = SliceSet()
    }
}
