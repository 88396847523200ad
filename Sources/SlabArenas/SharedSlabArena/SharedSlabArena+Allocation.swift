// Allocating: from the thread's own shard; where upstream refuses that one, from the others; then whoever uses the
// arena may free something.

public import AllocatorCore
import ComposableAllocators

extension SharedSlabArena: OwningAllocator, ResettableAllocator, ResizableAllocator, SizeReportingAllocator,
    MeasuredAllocator
{
    /// A chunk for a request, of which it has one reference; nil where there is no memory, or never.
    func takeChunk(_ byteCount: Int) -> UInt? {
        if byteCount < 0 { negativeByteCount("SharedSlabArena", byteCount) }
        guard byteCount <= slabSize else {
            ownShard.withLock { $0.counters.tooLarge += 1 }
            return nil
        }
        let shard = ownShard
        shard.pointee.lock.acquire()
        let address = shard.withCore { $0.takeChunk(byteCount) }
        shard.pointee.lock.release()
        return address ?? takeChunkElsewhere(byteCount, except: shard)
    }

    private func takeChunkElsewhere(_ byteCount: Int, except own: UnsafeMutablePointer<SlabShard>) -> UInt? {
        var relief = SlabRelief()
        while true {
            // Each of them gives empty slabs back itself before it refuses.
            for distance in 1..<max(shardCount, 1) {
                let shard = shards + ((own - shards + distance) & (shardCount - 1))
                if let address = shard.withLock({ $0.takeChunk(byteCount) }) { return address }
            }
            // What is left are empty slabs that a class still allocates from, or that wait in advance.
            if trim() == 0 {
                let chunkSize = own.withCore { $0.chunkByteCount(for: byteCount) }
                guard isRelieved(chunkSize, &relief) else { return nil }
            }
            if let address = own.withLock({ $0.takeChunk(byteCount) }) { return address }
        }
    }

    /// Asks the handler, with no lock held; false where there is none, or this request is the handler's own.
    private func isRelieved(_ chunkSize: Int, _ relief: inout SlabRelief) -> Bool {
        let live = (0..<shardCount).reduce(0) { $0 + (shards + $1).withLock { $0.liveBytes } }
        if live < relief.leastLive {
            relief.leastLive = live
            relief.idleCalls = 0
        }
        guard relief.idleCalls < SlabRelief.mostIdleCalls else { return false }
        let shortage = SlabShortage(chunkSize: chunkSize, attempt: relief.calls)
        relief.calls += 1
        relief.idleCalls += 1
        let thread = ThreadNumbers.own()
        settingsLock.acquire()
        let handler = threadsInShortage.contains(thread) ? nil : shortageHandler
        if handler != nil { threadsInShortage.append(thread) }
        settingsLock.release()
        guard let handler else { return false }
        defer {
            settingsLock.acquire()
            threadsInShortage.removeAll { $0 == thread }
            settingsLock.release()
        }
        return handler(shortage)
    }

    /// Called when a request finds no memory in any shard: free something (a cache evicts), and return true to have the
    /// request tried again, or false to have it refused. It is called until the request succeeds, or it returns false;
    /// or until it has returned true a thousand times in a row without less being live than before.
    ///
    /// It runs on the thread that makes the request, with no lock of the arena held, and by several threads at once if
    /// they find no memory. It may call everything of the arena; a request of its own that finds no memory is refused.
    /// To be of use for a class of another size, a whole slab must become empty: here is the place for
    /// ``rebalance(to:policy:limit:moved:)``. The arena keeps the closure: capture what owns the arena as `unowned`.
    public var onShortage: (@Sendable (SlabShortage) -> Bool)? {
        get {
            settingsLock.acquire()
            defer { settingsLock.release() }
            return shortageHandler
        }
        set {
            settingsLock.acquire()
            let old = shortageHandler
            shortageHandler = newValue
            settingsLock.release()
            // What it holds may end here, not under the lock.
            _ = old
        }
    }

    private func offers(_ alignment: Int) -> Bool { isPowerOfTwo(alignment) && alignment <= self.alignment }

    func buffer(_ address: UInt, _ count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped, count: count)
    }

    /// Allocates a chunk, with one reference, and gives all of it: nil in place of an error.
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("SharedSlabArena", byteCount) }
        guard offers(alignment), let address = takeChunk(byteCount) else { return nil }
        // H4: the chunk is live.
        let slab = SlabReference(bitPattern: (address & baseMask) &+ headerOffset).unsafelyUnwrapped
        return buffer(address, Int(slab.pointee.chunkSize))
    }

    /// Allocates a chunk of the first class that is large enough, with one reference, and gives all of it.
    ///
    /// - Throws: ``AllocationError``: `.tooLarge` above `slabSize`, `.unsupportedAlignment` above `alignment`,
    ///   `.outOfMemory` where upstream has no more, no shard has, and ``onShortage`` does not help. Nothing is lost.
    /// - Complexity: O(1) under a lock, and a call of upstream where the class needs a slab; O(shards) where that is
    ///   refused.
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if let block = tryAllocate(byteCount: byteCount, alignment: alignment) { return block }
        throw refused(byteCount, alignment)
    }

    /// Allocates a chunk, with one reference, and gives as much of it as was asked for: nil in place of an error.
    ///
    /// - Parameter byteCount: from 0; the buffer's `count`. Traps where it is negative.
    public func tryAllocateChunk(byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        takeChunk(byteCount).map { buffer($0, byteCount) }
    }

    /// Allocates a chunk, with one reference, and gives as much of it as was asked for: what to use for an item, whose
    /// location and links then have its length.
    ///
    /// - Parameter byteCount: from 0 to `slabSize`; the buffer's `count`. Traps where it is negative.
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: as ``allocate(byteCount:alignment:)``.
    public func allocateChunk(byteCount: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if let block = tryAllocateChunk(byteCount: byteCount) { return block }
        throw refused(byteCount, 1)
    }

    func refused(_ byteCount: Int, _ alignment: Int) -> AllocationError {
        refusal(
            "SharedSlabArena", byteCount: byteCount, alignment: alignment, largest: slabSize,
            largestAlignment: self.alignment)
    }

    /// The bytes of the chunk that serves such a request. Takes no lock.
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        shards.withCore { $0.goodSize(for: byteCount, alignment: alignment) }
    }

    /// The bytes of the live chunk that the pointer lies in. Traps where it lies in none. Takes no lock.
    public func byteCount(of pointer: UnsafeRawPointer) -> Int { Int(ownLiveChunk(pointer).slab.pointee.chunkSize) }

    /// The block as it is, to the end of its chunk, where that is large enough; else nil. A chunk never changes its
    /// size. Takes no lock.
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("SharedSlabArena", byteCount) }
        let (slab, record) = ownLiveChunk(pointer)
        let end = (record - slab.records + 1) * Int(slab.pointee.chunkSize)
        let count = end - Int(bitPattern: UInt(bitPattern: pointer) & ~baseMask)
        return byteCount <= count ? UnsafeMutableRawBufferPointer(start: pointer, count: count) : nil
    }
}
