// What the heap did and holds, as values. Reading walks the records of all pages: it costs microseconds a megabyte, and
// nothing to those who don't ask.

import Synchronization

/// Figures of the whole process. Bytes where nothing else is said.
public struct HeapStatistics {
    /// What the program asked for in all; 0 unless counting is on.
    public var requestedBytes: UInt = 0
    /// What it was given in all; 0 unless counting is on.
    public var grantedBytes: UInt = 0
    /// Allocations and frees so far; 0 unless counting is on.
    public var allocations: UInt = 0
    public var frees: UInt = 0
    /// Frees of blocks by another thread than the one whose heap they are of; those by threads that never allocated
    /// only while counting is on.
    public var remoteFrees: UInt = 0
    /// Blocks the program holds now, and what they hold.
    public var liveBlocks: UInt = 0
    public var liveBytes: UInt = 0
    /// The most `liveBytes` ever was; 0 unless counting is on.
    public var peakLiveBytes: UInt = 0
    /// Address space asked of the kernel.
    public var mappedBytes: UInt = 0
    /// Memory that blocks, free blocks, free slices not yet given back and records hold: an upper bound of what is
    /// resident.
    public var committedBytes: UInt = 0
    /// The most that slices in use or not yet given back, and mappings, ever were.
    public var peakCommittedBytes: UInt = 0
    /// Memory given back to the kernel so far.
    public var purgedBytes: UInt = 0
    /// Free memory that the kernel has not got back: free slices and cached mappings.
    public var retainedBytes: UInt = 0
    /// Blocks that were given out before and are free, of up to 32 KiB.
    public var freeBlocks: UInt = 0
    /// Blocks of more than 32 KiB.
    public var largeBlocks: UInt = 0
    public var largeBytes: UInt = 0
    public var largeAllocations: UInt = 0
    /// Guarded blocks now, which the figures above include, and so far.
    public var guardedBlocks: UInt = 0
    public var guardedAllocations: UInt = 0
    /// Heaps owned by a thread now, at most so far, and made in all.
    public var threads: UInt = 0
    public var peakThreads: UInt = 0
    public var heaps: UInt = 0
    public var segments: UInt = 0

    public init() {}
}

/// Figures of one size class.
public struct ClassStatistics {
    public var byteCount: UInt = 0
    public var allocations: UInt = 0
    public var liveBlocks: UInt = 0
    /// Blocks that were given out before and are free.
    public var freeBlocks: UInt = 0
    public var pages: UInt = 0

    public init() {}
}

extension Malloc {
    /// Turns exact counting on, for `requestedBytes` and the like. Call it before the program starts threads.
    public static func startCounting() {
        Counting.enable()
    }

    /// The number of classes, fixed and added, is at most this.
    public static var classLimit: Int { BucketClasses.numberEnd }

    public static var isCounting: Bool { Process.state.pointee.isCounting }

    /// Reads the figures.
    ///
    /// - Parameter classes: filled with the classes' figures: room for `classLimit`, or nil. Classes that buckets added
    ///   come behind the fixed ones; those that do not exist have no figures.
    /// - Complexity: O(pages). Takes the heap's locks, one after another; other threads may change what is read, and
    ///   then each figure is one that was true at some moment.
    public static func statistics(classes: UnsafeMutablePointer<ClassStatistics>? = nil) -> HeapStatistics {
        Process.initializeIfNeeded()
        var result = HeapStatistics()
        if let classes {
            let end = SizeClasses.count &+ BucketClasses.count
            for index in 0..<classLimit {
                (classes + index).initialize(to: ClassStatistics())
                if index < end { classes[index].byteCount = BucketClasses.byteCount(of: index) }
            }
        }
        Process.registryLock.acquire()
        addHeaps(to: &result, classes)
        Process.registryLock.release()
        let state = Process.state
        result.remoteFrees &+= state.pointee.heaplessFrees.load(ordering: .relaxed)
        result.largeAllocations = state.pointee.largeAllocations.load(ordering: .relaxed)
        result.allocations &+= result.largeAllocations
        result.requestedBytes &+= state.pointee.largeRequestedBytes.load(ordering: .relaxed)
        result.grantedBytes &+= state.pointee.largeGrantedBytes.load(ordering: .relaxed)
        result.peakLiveBytes = state.pointee.peakLiveBytes.load(ordering: .relaxed)
        addPages(to: &result, classes)
        result.addGuarded(classes)
        if result.allocations > result.liveBlocks { result.frees = result.allocations &- result.liveBlocks }
        return result
    }

    private static func addHeaps(to result: inout HeapStatistics, _ classes: UnsafeMutablePointer<ClassStatistics>?) {
        let state = Process.state
        result.threads = state.pointee.ownedHeapCount
        result.peakThreads = state.pointee.peakOwnedHeapCount
        result.heaps = state.pointee.heapCount
        var candidate = state.pointee.heaps
        while let heap = candidate {
            candidate = heap.pointee.nextInRegistry
            result.remoteFrees &+= heap.pointee.remoteFrees
            result.purgedBytes &+= heap.pointee.purgedBytes
            result.subtractRations(of: heap, classes)
            if let counters = heap.pointee.counters { add(counters, upTo: heap.classEnd, to: &result, classes) }
        }
        if Hardened.isOn, isCounting {
            for index in 0..<Hardened.shardCount {
                add(Shard.at(index).counters, upTo: SizeClasses.count, to: &result, classes)
            }
        }
    }

    private static func add(
        _ counters: UnsafeMutablePointer<HeapCounters>, upTo end: Int, to result: inout HeapStatistics,
        _ classes: UnsafeMutablePointer<ClassStatistics>?
    ) {
        for index in 0..<end {
            let allocations = counters[index].allocations
            result.allocations &+= allocations
            result.requestedBytes &+= counters[index].requestedBytes
            result.grantedBytes &+= allocations &* BucketClasses.byteCount(of: index)
            if let classes { classes[index].allocations &+= allocations }
        }
    }

    private static func addPages(to result: inout HeapStatistics, _ classes: UnsafeMutablePointer<ClassStatistics>?) {
        // Captured by the closure as pointers, so that nothing is boxed.
        withUnsafeMutablePointer(to: &result) { result in
            Process.forEachPage { page in
                let live = page.liveBlocks
                result.pointee.liveBlocks &+= live
                result.pointee.liveBytes &+= live &* page.pointee.blockByteCount
                result.pointee.committedBytes &+= page.committedBytes
                if page.pointee.kind != PageKind.small, page.pointee.kind != PageKind.hardened {
                    if live == 0 { return }
                    result.pointee.largeBlocks &+= 1
                    result.pointee.largeBytes &+= page.pointee.blockByteCount
                    return
                }
                let free = UInt(page.pointee.carved) &- min(UInt(page.pointee.carved), live)
                result.pointee.freeBlocks &+= free
                guard let classes else { return }
                let figures = classes + Int(page.pointee.sizeClass)
                figures.pointee.byteCount = page.pointee.blockByteCount
                figures.pointee.liveBlocks &+= live
                figures.pointee.freeBlocks &+= free
                figures.pointee.pages &+= 1
            }
        }
        Process.poolLock.acquire()
        let pool = Process.poolPointer
        result.retainedBytes = pool.pointee.dirtySlices &<< Layout.sliceShift &+ pool.pointee.cachedMappingBytes
        result.committedBytes &+= result.retainedBytes &+ pool.pointee.metadataBytes
        result.committedBytes &+= pool.pointee.segmentCount &* 4096
        result.mappedBytes = pool.pointee.mappedBytes
        pool.pointee.peakCommittedBytes = max(pool.pointee.peakCommittedBytes, result.committedBytes)
        result.peakCommittedBytes = pool.pointee.peakCommittedBytes
        result.purgedBytes &+= pool.pointee.purgedBytes
        result.segments = pool.pointee.segmentCount
        Process.poolLock.release()
    }
}

extension Malloc {
    /// Calls `body`, which reads statistics, now if no lock of the heap is held, and otherwise, when counting is on, at
    /// the next allocation. For signal handlers: the lock may be held by the very thread that the signal came to.
    public static func whenUnlocked(_ body: @convention(c) () -> Void) {
        if Process.registryLock.tryAcquire() {
            let isOpen = Process.poolLock.tryAcquire()
            if isOpen { Process.poolLock.release() }
            Process.registryLock.release()
            if isOpen { return body() }
        }
        Process.state.pointee.pendingReport = body
    }

    @inline(never)
    static func reportIfPending() {
        guard let body = Process.state.pointee.pendingReport else { return }
        Process.state.pointee.pendingReport = nil
        body()
    }
}
