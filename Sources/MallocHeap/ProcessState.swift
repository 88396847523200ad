// What the heaps of a process share. It lies in zero-filled static memory, because nothing may run before the first
// `malloc`, and is set up by the first call that takes a slow path.
//
//   +0    the pool's lock        +128  the registry's lock        +192  the lock of guarded blocks
//   +256  ProcessState           +768  PoolState
//   +1280 the first metadata (heaps), so that a small program touches one page of it
//
// Thread-safety: each field says which lock guards it. Lock order: a first-class heap's, registry,
// pool, guarded blocks.

import CMallowShims
import Synchronization

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

struct ProcessState: ~Copyable {
    /// The thread sanitizer takes a change of any field for one of the first word: so nothing lies there.
    private var unused: UInt
    // The first cache line: what is read wherever a block of another thread's is freed, or a slow path taken. Nothing
    // in it changes while threads come and go.
    /// 0 until `initialize` has run, 2 afterwards.
    let initialized: Atomic<UInt32>
    var hasThreadKey: Bool
    var isCounting: Bool
    var hugePages: HugePages
    var linkKey: UInt
    var osPageByteCount: UInt
    /// In milliseconds. Set by `Malloc.setPurgeDelay`, at any time.
    let purgeDelay: Atomic<UInt>
    /// In bytes. See Limits.swift, as for `hugePages`.
    var limit: UInt
    /// Raised by `trim`: each heap gives back what it can at its next slow path.
    let trimEpoch: Atomic<UInt>
    /// The thread that holds both locks for a fork, or 0.
    let forkingThread: Atomic<UInt>

    // The second: what changes then.
    var threadKey: pthread_key_t
    /// See Purger.swift.
    let purger: Atomic<UInt32>
    /// There is a nursery, and there are threads enough for it; hints that are read without the lock.
    let hasNursery: Atomic<Bool>
    let isCrowded: Atomic<Bool>
    /// A thread waits for its heap, which is parked.
    let isAwaited: Atomic<Bool>
    /// Orphaned heaps; a hint that is read without the lock.
    let orphanCount: Atomic<UInt>
    /// The first of all first-class heaps, and the one that was looked after last.
    let firstClassHeaps: Atomic<UInt>
    let firstClassCursor: Atomic<UInt>

    /// The level of hardened mode, 0 where it is off, and where its state lies. Set by `Malloc.startHardening`, before the
    /// program starts threads.
    var hardening: UInt32
    var hardenedAddress: UInt

    // Guarded blocks: see Guarded/. Zero, and nil, unless there is a guard rate; set before the program starts threads.
    /// One in so many blocks is guarded.
    var guardRate: UInt
    var guardedPool: UnsafeMutablePointer<GuardedPool>?
    /// Where guarded blocks lie.
    var guardedStart: UInt
    var guardedByteCount: UInt
    /// The thread that writes a report of a guarded block's, or 0; and how many were begun.
    let reportingThread: Atomic<UInt>
    let reportCount: Atomic<UInt>

    // Statistics, when they are on (`isCounting`).
    let liveBytes: Atomic<UInt>
    let peakLiveBytes: Atomic<UInt>
    let largeRequestedBytes: Atomic<UInt>
    let largeGrantedBytes: Atomic<UInt>
    let largeAllocations: Atomic<UInt>
    /// Frees by threads that have no heap. Not counted otherwise: the counter is one for all threads.
    let heaplessFrees: Atomic<UInt>

    /// Classes that buckets added, and their sizes, in bytes: see BucketClasses.swift.
    let bucketClassCount: Atomic<UInt>
    var bucketSizes: UnsafeMutablePointer<UInt16>?

    /// What a signal asked for while the locks were held; the next counted call does it.
    var pendingReport: (@convention(c) () -> Void)?

    // Guarded by the registry's lock.
    var heaps: Heap?
    var firstOrphan: Heap?
    var lastOrphan: Heap?
    var nursery: Heap?
    /// First-class heaps that ended.
    var freeFirstClassHeap: UInt
    var heapCount: UInt
    var ownedHeapCount: UInt
    var peakOwnedHeapCount: UInt
}

/// Segments, mappings and metadata. Guarded by the pool's lock.
struct PoolState {
    var segments: Segment?
    var lastSegment: Segment?
    var firstAvailable: Segment?
    var segmentCount: UInt
    /// The address below which the next segment is tried first.
    var lowestSegment: UInt
    /// The kernel has no names for mappings.
    var cannotName: Bool
    var nextTick: UInt
    /// When a slice with memory in it became free last, in milliseconds.
    var lastFreed: UInt
    var usedSlices: UInt
    /// Free slices that hold memory.
    var dirtySlices: UInt
    /// Runs with memory behind their block.
    var tailCount: UInt
    var peakCommittedBytes: UInt
    var mappedBytes: UInt
    var mappingBytes: UInt
    var purgedBytes: UInt
    var purgeCalls: UInt
    // Records of mappings, and freed mappings kept for reuse.
    var freeRecords: Page?
    var cachedMappings: Page?
    var cachedMappingCount: Int
    var cachedMappingBytes: UInt
    /// The kernel does not move several mappings at once: see MappingCache.swift.
    var cannotMovePieces: Bool
    var liveMappings: Page?
    var recordsNext: UInt
    var recordsEnd: UInt
    // Metadata.
    var metadataNext: UInt
    var metadataEnd: UInt
    var metadataBytes: UInt
}

enum Process {
    private static let metadataOffset: UInt = 1280

    @inline(__always)
    static var state: UnsafeMutablePointer<ProcessState> {
        UnsafeMutablePointer<ProcessState>(at: UInt(bitPattern: mallow_process()) &+ 256)
    }
    @inline(__always)
    static var poolLock: UnsafeMutablePointer<Lock> {
        UnsafeMutablePointer<Lock>(at: UInt(bitPattern: mallow_process()))
    }
    @inline(__always)
    static var registryLock: UnsafeMutablePointer<Lock> {
        UnsafeMutablePointer<Lock>(at: UInt(bitPattern: mallow_process()) &+ 128)
    }
    @inline(__always)
    static var guardedLock: UnsafeMutablePointer<Lock> {
        UnsafeMutablePointer<Lock>(at: UInt(bitPattern: mallow_process()) &+ 192)
    }

    /// How long free memory stays before it is given back, in milliseconds.
    @inline(__always)
    static var purgeDelay: UInt { state.pointee.purgeDelay.load(ordering: .relaxed) }

    /// Whether this thread is between the handlers of a fork, and so holds both locks.
    @inline(__always)
    static var isForkingThread: Bool {
        let thread = state.pointee.forkingThread.load(ordering: .relaxed)
        return thread != 0 && thread == UInt(mallow_thread_identity())
    }

    /// Sets up the process once; any thread, any number of times.
    @inline(__always)
    static func initializeIfNeeded() {
        if state.pointee.initialized.load(ordering: .acquiring) != 2 { initialize() }
    }

    @inline(never)
    private static func initialize() {
        registryLock.acquire()
        guard state.pointee.initialized.load(ordering: .acquiring) != 2 else { return registryLock.release() }
        assert(MemoryLayout<ProcessState>.size <= 512 && MemoryLayout<PoolState>.size <= 512)
        state.pointee.osPageByteCount = SystemMemory.pageSize()
        state.pointee.purgeDelay.store(Layout.purgeDelayInMilliseconds, ordering: .relaxed)
        state.pointee.limit = .max
        state.pointee.linkKey = LinkTag.key(random: randomWord())
        poolPointer.pointee.metadataNext = UInt(bitPattern: mallow_process()) &+ metadataOffset
        poolPointer.pointee.metadataEnd = UInt(bitPattern: mallow_process()) &+ UInt(MALLOW_PROCESS_BYTES)
        state.pointee.hasThreadKey = pthread_key_create(&state.pointee.threadKey, threadWillEnd) == 0
        state.pointee.initialized.store(2, ordering: .releasing)
        registryLock.release()
        // As early as can be: handlers run in the order of registration after a fork, and those of others may allocate.
        // So may the registration itself: the process is set up by now, and the lock is open.
        _ = pthread_atfork(
            { HeapRegistry.prepareFork() }, { HeapRegistry.parentAfterFork() },
            {
                HeapRegistry.childAfterFork()
                Purger.startIfWanted()
            })
    }

    static func randomWord() -> UInt {
        #if os(Linux)
            // Sixteen random bytes that the kernel gave the process at its start. Another program's part of them may be
            // the stack protector's secret, so they are mixed, not used as they are.
            if let bytes = mallow_random_bytes() {
                let low = bytes.loadUnaligned(as: UInt.self)
                let high = bytes.loadUnaligned(fromByteOffset: 8, as: UInt.self)
                var mixed = (low ^ 0x9e37_79b9_7f4a_7c15) &* 0xff51_afd7_ed55_8ccd
                mixed = (mixed ^ (mixed &>> 32) ^ high) &* 0xc4ce_b9fe_1a85_ec53
                return mixed ^ (mixed &>> 29)
            }
        #endif
        return 0x5851_f42d_4c95_7f2d
    }

    /// Memory for records, never given back. Zero-filled, 128-byte aligned. Call with the pool's lock held.
    static func metadata(byteCount: UInt) -> UInt {
        let rounded = Layout.roundedUp(byteCount, toMultipleOf: 128)
        let pool = poolPointer
        if pool.pointee.metadataEnd &- pool.pointee.metadataNext < rounded {
            let chunk = Layout.roundedUp(max(rounded, 256 << 10), toMultipleOf: 64 << 10)
            let address = SystemMemory.map(byteCount: chunk)
            guard address != 0 else { return 0 }
            Address.name(address, byteCount: chunk, "mallow: records")
            pool.pointee.metadataNext = address
            pool.pointee.metadataEnd = address &+ chunk
            pool.pointee.mappedBytes &+= chunk
        }
        let address = pool.pointee.metadataNext
        pool.pointee.metadataNext = address &+ rounded
        pool.pointee.metadataBytes &+= rounded
        return address
    }

    @inline(__always)
    static var poolPointer: UnsafeMutablePointer<PoolState> {
        UnsafeMutablePointer<PoolState>(at: UInt(bitPattern: mallow_process()) &+ 768)
    }
}

/// How a free block is marked as free: the upper 16 bits of its first word, encoded, hold this tag.
enum LinkTag {
    /// No address, no small number of either sign, no common text or float has these upper bits.
    static let value: UInt16 = 0xd1b5

    static func key(random: UInt) -> UInt {
        UInt(value) &<< 48 | (random & 0x0000_ffff_ffff_fff8)
    }

    @inline(__always)
    static func isOn(block: UInt) -> Bool {
        UnsafePointer<UInt16>(bitPattern: block &+ 6).unsafelyUnwrapped.pointee == value
    }
}
