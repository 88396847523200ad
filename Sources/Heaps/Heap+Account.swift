// Looking at a heap: its live blocks, its account, and whether it leaks.

public import AllocatorCore
internal import MallocHeap

extension Heap {
    /// Calls `body` with each live block and all of its usable bytes, in no order, until it throws.
    ///
    /// `body` may read and write the block, free it or others, and use other allocators. It may not allocate from this
    /// heap, resize, visit or empty it: such a call ends the program with a message. A block that another thread frees
    /// meanwhile may be visited or not. O(blocks); other threads wait with what they ask of the heap.
    public func forEachBlock<Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        var failure: Failure?
        withoutActuallyEscaping(
            { (block: UnsafeMutableRawBufferPointer) -> Bool in
                do throws(Failure) { try body(block) } catch {
                    failure = error
                    return false
                }
                return true
            },
            do: visit)
        if let failure { throw failure }
    }

    private func visit(_ body: @escaping (UnsafeMutableRawBufferPointer) -> Bool) {
        var body = body
        withUnsafeMutablePointer(to: &body) { context in
            _ = core.visit(context: context) { context, block, byteCount in
                let body = context.unsafelyUnwrapped.assumingMemoryBound(
                    to: ((UnsafeMutableRawBufferPointer) -> Bool).self)
                let block = UnsafeMutableRawBufferPointer(start: block, count: Int(bitPattern: byteCount))
                return body.pointee(block) ? 0 : 1
            }
        }
    }
}

extension Heap: MeasuredAllocator {
    /// The account: held is the memory behind the heap's pages and large blocks, at most, and its records. A block that
    /// was freed by other means than this heap, as by ``shared``, counts as live until somebody asks: so the peaks may
    /// be too high then. O(pages and blocks above 32 KiB).
    public var statistics: AllocatorStatistics {
        let figures = core.statistics()
        return AllocatorStatistics(
            liveBlocks: Int(bitPattern: figures.liveBlocks), liveBytes: Int(bitPattern: figures.liveBytes),
            peakBlocks: Int(bitPattern: figures.peakBlocks), peakBytes: Int(bitPattern: figures.peakBytes),
            totalBlocks: Int(bitPattern: figures.totalBlocks), totalBytes: Int(bitPattern: figures.totalBytes),
            heldBytes: Int(bitPattern: figures.committedBytes &+ figures.recordBytes),
            overheadBytes: Int(bitPattern: figures.recordBytes))
    }

    public func findLeaks() -> LeakError? { leakInStatistics(of: "Heap") }

    /// Gives all memory back, but 2 KiB of records, where no block is live. The heap can be used again afterwards.
    ///
    /// - Throws: ``LeakError`` where blocks are live; nothing has changed then.
    public func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        core.trim()
    }
}
