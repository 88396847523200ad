// The heap's figures as a Swift value.

#if os(Linux)
    import MallocHeap
#endif

extension Mallow {
    /// Figures of the process's heap at one moment. Bytes where nothing else is said.
    ///
    /// `committedBytes` is what to watch and to alert on: what the heap holds of the machine's memory. `liveBytes` is
    /// what the program holds of the heap: if it grows without end, the program leaks.
    public struct Statistics: Codable, Hashable, Sendable {
        /// Blocks that the program holds.
        public var liveBlocks = 0
        /// What these blocks hold: what was asked for, rounded up to size classes.
        public var liveBytes = 0
        /// Memory behind blocks, free blocks, free pages that have not gone back, and records: an upper bound of what is
        /// resident.
        public var committedBytes = 0
        /// The most that `committedBytes` was so far; short peaks between two slow calls may be missed.
        public var peakCommittedBytes = 0
        /// Free memory that is kept for `purgeDelay`, in case it is needed again. Part of `committedBytes`.
        public var retainedBytes = 0
        /// Memory given back to the operating system since the start.
        public var purgedBytes = 0
        /// Address space. Most of it may have no memory behind it.
        public var mappedBytes = 0
        /// Blocks of more than 32 KiB, and what they hold. Part of the live ones.
        public var largeBlocks = 0
        public var largeBytes = 0
        /// Frees by another thread than the one that the block's heap belongs to, since the start.
        public var remoteFrees = 0
        /// Threads that have a heap now, and the most there were.
        public var threads = 0
        public var peakThreads = 0
        /// Calls since the start, what they asked for and what they were given. 0 unless `MALLOW_STATS` is set, since
        /// the hit paths do not count.
        public var allocations = 0
        public var frees = 0
        public var requestedBytes = 0
        public var grantedBytes = 0
        /// The most that `liveBytes` was so far. 0 unless `MALLOW_STATS` is set.
        public var peakLiveBytes = 0

        /// The figures of an empty heap.
        public init() {}
    }
}

#if os(Linux)
    extension Mallow.Statistics {
        init(_ figures: HeapStatistics) {
            liveBlocks = Int(clamping: figures.liveBlocks)
            liveBytes = Int(clamping: figures.liveBytes)
            committedBytes = Int(clamping: figures.committedBytes)
            peakCommittedBytes = Int(clamping: figures.peakCommittedBytes)
            retainedBytes = Int(clamping: figures.retainedBytes)
            purgedBytes = Int(clamping: figures.purgedBytes)
            mappedBytes = Int(clamping: figures.mappedBytes)
            largeBlocks = Int(clamping: figures.largeBlocks)
            largeBytes = Int(clamping: figures.largeBytes)
            remoteFrees = Int(clamping: figures.remoteFrees)
            threads = Int(clamping: figures.threads)
            peakThreads = Int(clamping: figures.peakThreads)
            allocations = Int(clamping: figures.allocations)
            frees = Int(clamping: figures.frees)
            requestedBytes = Int(clamping: figures.requestedBytes)
            grantedBytes = Int(clamping: figures.grantedBytes)
            peakLiveBytes = Int(clamping: figures.peakLiveBytes)
        }
    }
#endif

extension Mallow.Statistics: CustomStringConvertible {
    public var description: String {
        """
        live \(liveBlocks) blocks, \(liveBytes) bytes; committed \(committedBytes) bytes, peak \(peakCommittedBytes), \
        retained \(retainedBytes), given back \(purgedBytes); \(threads) threads
        """
    }
}
