// How a thread finds its caches, and how they are given back when it ends.
//
// A thread has one table (CMallowShims), found through a thread-local slot: by an allocator's index, a generation and
// the thread's cache. Indices are used again, generations never: an entry whose generation is not the allocator's is
// of one that is gone, or that was closed, and its cache is not touched.
//
// T1. A table is read and written by its thread alone.
// T2. The registry's lock is held for a look-up only, never while an allocator or a depot is called: an allocator's
//     upstream may itself be one of these. It retains the depot, so that a thread that ends may outlive the allocator.
// T3. A depot frees caches only under its lock and with a change of its generation, which a thread that ends checks
//     there.

import CMallowShims
import Synchronization

/// The part of an allocator that a thread that ends gives its cache back to.
class AnyDepot {
    func retire(_ cache: UnsafeMutablePointer<ThreadCache>, generation: UInt64) {}
}

final class ThreadRegistry: @unchecked Sendable {
    static let shared = ThreadRegistry()

    private let lock = SharedLock()
    private var depots: [AnyDepot?] = []
    private var freeIndices: [Int] = []
    private let lastGeneration = Atomic<UInt64>(0)
    private var key = pthread_key_t()

    private init() {
        // SAFETY: the key lives as long as the process, as this object does. Without keys left, threads that end keep
        // their blocks until the allocator is closed.
        hasKey = pthread_key_create(&key) { _ in ThreadRegistry.threadEnds() } == 0
    }

    private var hasKey = false

    func newGeneration() -> UInt64 { lastGeneration.wrappingAdd(1, ordering: .relaxed).newValue }

    func add(_ depot: AnyDepot) -> Int {
        lock.acquire()
        defer { lock.release() }
        if let index = freeIndices.popLast() {
            depots[index] = depot
            return index
        }
        depots.append(depot)
        return depots.count - 1
    }

    func remove(_ index: Int) {
        lock.acquire()
        let depot = depots[index]
        depots[index] = nil
        freeIndices.append(index)
        lock.release()
        // Its end, if this was the last reference, is not under the lock: T2.
        _ = depot
    }

    private func depot(_ index: Int) -> AnyDepot? {
        lock.acquire()
        defer { lock.release() }
        return depots[index]
    }

    /// Enters a cache in this thread's table. False where there is no memory for a larger table.
    func enter(_ cache: UnsafeMutablePointer<ThreadCache>, index: Int, generation: UInt64) -> Bool {
        var table = mallow_magazine_slot().unsafelyUnwrapped
        if index >= table.pointee.count {
            let count = max(index + 1, table.pointee.count * 2, 8)
            let entrySize = MemoryLayout<mallow_magazine_entry>.stride
            guard
                let memory = calloc(1, MemoryLayout<mallow_magazine_table>.stride + count * entrySize)
            else { return false }
            let larger = memory.assumingMemoryBound(to: mallow_magazine_table.self)
            larger.pointee.count = count
            mallow_magazine_entries(larger).update(
                from: mallow_magazine_entries(table), count: table.pointee.count)
            mallow_set_magazine_slot(larger)
            if hasKey { pthread_setspecific(key, larger) }
            if table != mallow_no_magazines() { free(table) }
            table = larger
        }
        mallow_magazine_entries(table)[index] = mallow_magazine_entry(
            generation: generation, cache: UnsafeMutableRawPointer(cache))
        return true
    }

    /// Gives back what the thread has. Giving blocks to an upstream of the same kind may enter new caches, and move the
    /// table: so it is looked at from the start until it is empty.
    private static func threadEnds() {
        while let index = firstEntry() {
            let entry = mallow_magazine_entries(mallow_magazine_slot()) + index
            let (generation, cache) = (entry.pointee.generation, entry.pointee.cache)
            entry.pointee = mallow_magazine_entry(generation: 0, cache: nil)
            shared.depot(index)?.retire(
                cache!.assumingMemoryBound(to: ThreadCache.self), generation: generation)
        }
        let table = mallow_magazine_slot().unsafelyUnwrapped
        mallow_set_magazine_slot(mallow_no_magazines())
        if table != mallow_no_magazines() { free(table) }
        // If what ends after this uses the allocator once more, the key is set again and this is called again.
        pthread_setspecific(shared.key, nil)
    }

    private static func firstEntry() -> Int? {
        let table = mallow_magazine_slot().unsafelyUnwrapped
        return (0..<table.pointee.count).first { mallow_magazine_entries(table)[$0].cache != nil }
    }
}
