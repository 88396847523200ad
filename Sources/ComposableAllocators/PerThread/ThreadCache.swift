// What one thread keeps for one `PerThread` allocator: two magazines, which are arrays of addresses of free blocks.
//
//     magazine:  block, block, …  (`capacity` words)  | link to the next magazine, while in the depot
//
// M1. `spare` is empty or full. `loaded` holds `count` blocks.
// M2. Every block in a magazine, here or in the depot, carries its mark in its first word: address ^ secret. No live
//     block carries it: it is cleared as the block is handed out.
// M3. The owner thread alone writes a cache, except where the allocator is closed or deinitialised, when nobody uses
//     it. The counters are atomic because others read them for statistics; a relaxed load and store are plain moves.
// M4. `low` is the least that `count` was since the magazines last changed places, and `settledLow` the least that both
//     magazines held together before that, since the last exchange with the depot: so the most that were live is known.

public import Synchronization

@usableFromInline typealias Magazine = UnsafeMutablePointer<UInt>

@frozen @usableFromInline
struct ThreadCache: ~Copyable {
    @usableFromInline let count = Atomic<Int>(0)
    @usableFromInline let low = Atomic<Int>(0)
    /// Blocks that the thread has allocated.
    @usableFromInline let allocated = Atomic<Int>(0)
    @usableFromInline var loaded: Magazine
    @usableFromInline var spare: Magazine
    @usableFromInline let spareCount = Atomic<Int>(0)
    @usableFromInline let settledLow = Atomic<Int>(.max)
    /// How many blocks to ask upstream for next: doubles, so that a thread that wants a few takes a few.
    @usableFromInline var nextRequest = 4
    /// The depot's list.
    @usableFromInline var next: UnsafeMutablePointer<ThreadCache>?
    @usableFromInline var previous: UnsafeMutablePointer<ThreadCache>?

    init(loaded: Magazine, spare: Magazine) {
        self.loaded = loaded
        self.spare = spare
    }
}

extension UnsafeMutablePointer where Pointee == ThreadCache {
    /// Blocks in both magazines.
    var cached: Int { pointee.count.load(ordering: .relaxed) + pointee.spareCount.load(ordering: .relaxed) }

    /// The least that both magazines held since the last exchange, M4.
    var lowest: Int {
        min(
            pointee.settledLow.load(ordering: .relaxed),
            pointee.low.load(ordering: .relaxed) + pointee.spareCount.load(ordering: .relaxed))
    }

    func set(count: Int, spareCount: Int) {
        pointee.count.store(count, ordering: .relaxed)
        pointee.low.store(count, ordering: .relaxed)
        pointee.spareCount.store(spareCount, ordering: .relaxed)
    }

    /// Lets the magazines change places: M1 keeps, as the loaded one is empty or full.
    func exchangeMagazines(count: Int, spareCount: Int) {
        pointee.settledLow.store(lowest, ordering: .relaxed)
        swap(&pointee.loaded, &pointee.spare)
        set(count: count, spareCount: spareCount)
    }

    /// Begins an epoch after an exchange with the depot, M4.
    func beginEpoch() {
        pointee.settledLow.store(.max, ordering: .relaxed)
    }
}
