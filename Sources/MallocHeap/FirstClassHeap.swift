// Heaps that the program makes: blocks of one purpose together, which are freed at once, looked at, or counted apart
// from all others.
//
// Such a heap is a heap like a thread's (`HeapRecord`), but one that no thread owns: whoever allocates from it holds
// its lock. So nothing of the hit paths knows of it: a `free` of one of its blocks finds an owner that is not the
// thread's heap, and sends a message, as for another thread's block. Beside that there is a record:
//
//   FirstClassHeapRecord ──► HeapRecord, made with the first small block: rings of pages, as any heap's
//                        ──► large block ◄─► large block …   runs and mappings: a list through their records
//
//   F1  a small block is the heap's exactly when its page's owner is the heap's `HeapRecord`, whose `handle` is the
//       record; a large one when its page's `mark` is the record's address, and then it is in the record's list
//   F2  `HeapRecord`s and records are never given back: what is read of one that has ended is old, never foreign
//   F3  locks are taken in this order: heap, registry, pool. So who holds the registry's lock only tries a heap's
//
// Records and their heaps serve again after `destroy`; after `delete` the `HeapRecord` belongs to whichever thread
// comes next, as that of an ended thread does, and nothing is copied.
//
// Cost: the lock (FirstClassHeap+Lock.swift) beside what malloc and free cost; a heap takes 256 bytes, and 1,920 more from
// its first small block on. A page is one heap's, so a heap with a block of each of ten sizes holds ten pages.
//
// Thread-safety: any thread at any time; but no other thread may use a heap, or free blocks of it, while it is
// destroyed, nor allocate from it while it is deleted.

import CMallowShims
import Synchronization

struct FirstClassHeapRecord: ~Copyable {
    /// The thread sanitizer takes a change of any field for one of the first word: so nothing lies there.
    private var unused: UInt
    /// At `lockOffset`.
    let lock: Lock
    /// A byte for each of four threads, at `insideOffset`: see FirstClassHeap+Lock.swift.
    let inside: Atomic<UInt32>
    let isLive: Atomic<Bool>
    /// The thread whose visitor runs, which holds the lock, or 0.
    let visitor: Atomic<UInt>
    /// In the list of all records that were ever made. Constant.
    var next: UInt
    /// In the list of those that ended. Guarded by the registry's lock.
    var nextFree: UInt

    // Guarded by the heap's lock.
    var leaning: LeaningState
    var pages: Heap?
    var account: HeapAccount

    // Guarded by the pool's lock.
    var firstLarge: Page?
    /// Where a visit of the large blocks goes on.
    var nextVisited: Page?

    static let lockOffset: UInt = 8
    static let insideOffset: UInt = 12
    static let byteCount: UInt = 256
}

/// What went through a heap. A block that was freed by `free` counts as live until somebody asks.
struct HeapAccount {
    var allocatedBlocks: UInt = 0
    var allocatedBytes: UInt = 0
    var freedBlocks: UInt = 0
    var freedBytes: UInt = 0
    var peakBlocks: UInt = 0
    var peakBytes: UInt = 0

    mutating func notePeak() {
        peakBlocks = max(peakBlocks, allocatedBlocks &- freedBlocks)
        peakBytes = max(peakBytes, allocatedBytes &- freedBytes)
    }

    @inline(__always)
    mutating func add(_ byteCount: UInt) {
        allocatedBlocks &+= 1
        allocatedBytes &+= byteCount
    }

    @inline(__always)
    mutating func remove(_ byteCount: UInt) {
        notePeak()
        freedBlocks &+= 1
        freedBytes &+= byteCount
    }

    mutating func resize(from old: UInt, to new: UInt) {
        if new < old {
            notePeak()
            freedBytes &+= old &- new
        } else {
            allocatedBytes &+= new &- old
        }
    }

    /// What a look at all pages found to be live.
    mutating func correct(liveBlocks: UInt, liveBytes: UInt) {
        let blocks = allocatedBlocks &- freedBlocks
        if liveBlocks < blocks { freedBlocks &+= blocks &- liveBlocks }
        if liveBlocks > blocks { allocatedBlocks &+= liveBlocks &- blocks }
        resize(from: allocatedBytes &- freedBytes, to: liveBytes)
    }
}

/// A heap that the program made. A value that names it; the heap lives until `destroy` or `delete`.
public struct FirstClassHeap: @unchecked Sendable {
    let record: UnsafeMutablePointer<FirstClassHeapRecord>

    /// The heap's name in C: the address of its record.
    public var address: UInt { record.address }

    /// The heap of that name.
    public init?(address: UInt) {
        guard let record = UnsafeMutablePointer<FirstClassHeapRecord>(bitPattern: address) else { return nil }
        self.record = record
    }

    init(_ record: UnsafeMutablePointer<FirstClassHeapRecord>) {
        self.record = record
    }

    // MARK: - Allocating

    /// A block of this heap, as `Malloc.allocate` gives it. O(1).
    public func allocate(_ byteCount: UInt) -> UnsafeMutableRawPointer? {
        if byteCount > Layout.smallLimit { return allocateLarge(byteCount, alignment: 1, isZeroed: false) }
        return allocateSmall(byteCount, SizeClasses.sizeClass(for: byteCount))
    }

    /// Zeros, as `Malloc.allocateZeroed` gives them.
    public func allocateZeroed(count: UInt, byteCount: UInt) -> UnsafeMutableRawPointer? {
        let (total, overflow) = count.multipliedReportingOverflow(by: byteCount)
        if overflow { return Malloc.outOfMemory() }
        if total > Layout.smallLimit { return allocateLarge(total, alignment: 1, isZeroed: true) }
        guard let block = allocateSmall(total, SizeClasses.sizeClass(for: total)) else { return nil }
        memset(block, 0, Int(bitPattern: total))
        return block
    }

    /// A block at a multiple of `alignment`, as `Malloc.allocate(_:alignment:)` gives it.
    public func allocate(_ byteCount: UInt, alignment: UInt) -> UnsafeMutableRawPointer? {
        guard alignment != 0, alignment & (alignment &- 1) == 0 else {
            mallow_set_errno(EINVAL)
            return nil
        }
        if alignment <= 8 || alignment == 16 && byteCount > 8 { return allocate(byteCount) }
        if byteCount > UInt(Int.max) || alignment > Layout.largestAlignment { return Malloc.outOfMemory() }
        if alignment <= Layout.smallLimit,
            let sizeClass = SizeClasses.sizeClass(for: byteCount, alignment: alignment)
        {
            return allocateSmall(byteCount, sizeClass)
        }
        return allocateLarge(byteCount, alignment: alignment, isZeroed: false)
    }

    private func allocateSmall(_ byteCount: UInt, _ sizeClass: Int) -> UnsafeMutableRawPointer? {
        let entry = enterQuickly("mallow_heap_malloc")
        let block = allocateUnderLock(byteCount, sizeClass)
        leave(entry)
        return block
    }

    @inline(__always)
    private func allocateUnderLock(_ byteCount: UInt, _ sizeClass: Int) -> UnsafeMutableRawPointer? {
        guard let heap = record.pointee.pages ?? makePages() else { return Malloc.outOfMemory() }
        let page = heap.pages(sizeClass).pointee.current
        let free = page.pointee.free
        let block = free != 0 ? heap.take(free, of: page) : heap.refillUnderLock(sizeClass)
        if block != nil {
            record.pointee.account.add(SizeClasses.byteCount(of: sizeClass))
            if heap.pointee.counters != nil { heap.count(allocationOf: byteCount, sizeClass) }
        }
        return block
    }

    /// A block of the heap that a live block's page is of, the default one or another. Any thread may end that heap
    /// meanwhile, and leave its blocks to the malloc.
    static func allocate(_ byteCount: UInt, besides page: Page) -> UnsafeMutableRawPointer? {
        guard let heap = owner(of: page) else { return Malloc.allocate(byteCount) }
        if byteCount > Layout.smallLimit {
            let block = Malloc.allocateOrdinaryLarge(byteCount, alignment: 1, isZeroed: false)
            if let block, heap.enter(asOwnerOf: page) {
                heap.adopt(large: block)
                heap.leave()
            }
            return block
        }
        guard heap.enter(asOwnerOf: page) else { return Malloc.allocate(byteCount) }
        let block = heap.allocateUnderLock(byteCount, SizeClasses.sizeClass(for: byteCount))
        heap.leave()
        return block
    }

    /// Takes the lock, if the page is this heap's still.
    private func enter(asOwnerOf page: Page) -> Bool {
        if isVisitedByThisThread { Misuse.heapInVisit("realloc", address) }
        acquire()
        if Self.owner(of: page)?.address == address { return true }
        leave()
        return false
    }

    @inline(never)
    private func makePages() -> Heap? {
        let savedErrno = mallow_errno()
        Process.registryLock.acquire()
        let heap = HeapRegistry.makeHeap()
        heap?.pointee.state = .firstClass
        heap?.pointee.handle.store(address, ordering: .releasing)
        Process.registryLock.release()
        mallow_set_errno(savedErrno)
        record.pointee.pages = heap
        return heap
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// A block of a class whose current page has none free; nil without memory. The heap's lock is held.
    @inline(never)
    fileprivate func refillUnderLock(_ sizeClass: Int) -> UnsafeMutableRawPointer? {
        let savedErrno = mallow_errno()
        pointee.refills &+= 1
        pointee.sparseInARow = 0
        let epoch = Process.state.pointee.trimEpoch.load(ordering: .relaxed)
        if epoch != pointee.trimEpoch {
            pointee.trimEpoch = epoch
            giveBackEmptyPages()
            sweepAllPages()
        } else if pointee.refills & 15 == 0 {
            tick()
        }
        let block = allocateShared(sizeClass)
        mallow_set_errno(savedErrno)
        return block == 0 ? Malloc.outOfMemory() : rawPointer(block)
    }
}
