// The records of pages, heaps and segments, as they lie in mapped or static memory. A record is reached by a pointer
// and never moved or copied; fresh memory is zero, and all zeros is a valid record of nothing.
//
// Invariants of a page (checked by `brokenInvariant()`):
//   I1  used + reserve + blocks on `free` + blocks not yet carved + blocks of hollow OS pages == capacity, where `used`
//       includes the blocks on `remote` (and one extra while the page is the current one of its class: a current page
//       that runs empty must not be given back from `free`'s hit path)
//   I2  `owner` is the heap's address (plus `Ownership.slow` when statistics are on, or the page has hollow OS pages);
//       the page is in its ring
//   I3  only the owner touches the first cache line, but for reads of `owner`; others write the second one only
//   I4  a page is on its heap's `messages` exactly while bit 0 of `remote` is set, and is not given back before it is
//       off

import CMallowShims
import Synchronization

typealias Page = UnsafeMutablePointer<PageRecord>
typealias Heap = UnsafeMutablePointer<HeapRecord>
typealias Segment = UnsafeMutablePointer<SegmentRecord>

enum Ownership {
    /// Every free takes the slow path: it is counted, or the block may be in a hollow OS page.
    static let slow: UInt = 1
    static let mask: UInt = 1
}

enum PageKind {
    static let none: UInt8 = 0
    static let small: UInt8 = 1
    static let run: UInt8 = 2
    static let mapping: UInt8 = 3
    /// From here on: of hardened mode, see Hardened/.
    static let hardened: UInt8 = 4
    static let hardenedRun: UInt8 = 5
    static let hardenedMapping: UInt8 = 6
    static let quarantinedRun: UInt8 = 7
    static let quarantinedMapping: UInt8 = 8
}

/// A page of small blocks, a run, or a mapping.
struct PageRecord: ~Copyable {
    // First cache line: the owner's.
    /// The first free block or 0. Each free block's first word is the next one's address, exclusive-or the link key.
    var free: UInt
    /// Not the first field: the thread sanitizer takes a change of any field for one of the record's first word.
    let owner: Atomic<UInt>
    var used: UInt32
    /// ⌈2^32 / block size⌉. An offset is a multiple of the block size exactly when offset × inverse mod 2^32 is below
    /// `remainderLimit`: for multiples it is less than 2^16, the error of the division added up, and for others at
    /// least the inverse itself, 2^17 or more. (Lemire, Kaser, Kurz: Faster remainder by direct computation, 2019.)
    var inverse: UInt32
    /// What a block holds. For runs and mappings: what may be used of the one block.
    var blockByteCount: UInt
    var capacity: UInt32
    /// Blocks that were ever put on a free list. Those beyond were never touched.
    var carved: UInt32
    var next: Page?
    var previous: Page?
    var sizeClass: UInt8
    var kind: UInt8
    var isCurrent: Bool
    /// Some of its slices held memory already when they were taken.
    var wasDirty: Bool
    var sliceCount: UInt32

    // Second cache line: other threads'.
    /// Blocks that other threads freed: count in the upper 32 bits, offset of the first from the page's start below,
    /// and in bit 0 whether the page is on its heap's list of messages.
    let remote: Atomic<UInt>
    var nextMessage: UInt

    // Mappings only.
    var mappingAddress: UInt
    var mappingByteCount: UInt
    /// A live run or mapping: the first-class heap it is of, or 0. A freed mapping: when it was freed. A current page:
    /// what its list was like when it was looked at last.
    var mark: UInt

    // Pages of small blocks: see SparsePages.swift. The links also serve large blocks of first-class heaps.
    var nextSparse: Page?
    var previousSparse: Page?
    /// When the page became sparse, in milliseconds that wrap around; 0 while it is not.
    var sparseSince: UInt32
    /// Live blocks that `used` leaves out, so that it comes to 0 before the page is empty.
    var reserve: UInt16
    /// The OS pages that were given back, a bit each.
    var hollow: UInt16
}

extension PageRecord {
    static let remainderLimit: UInt32 = 1 << 17
}

enum RemoteWord {
    static let isMessage: UInt = 1
    static func count(_ word: UInt) -> UInt { word &>> 32 }
    static func offset(_ word: UInt) -> UInt { word & 0xffff_fff8 }
}

enum MessageWord {
    /// How many pages are on the list of a heap's messages, modulo 64, stands in bits that are 0 in a record's address.
    static let countMask: UInt = 63
}

/// A thread's pages. The table of current pages by size follows it, then the current page of each fixed class: see
/// `HeapTables`.
struct HeapRecord: ~Copyable {
    /// What links of free blocks are encoded with; the same in the whole process.
    var linkKey: UInt
    var nextInRegistry: Heap?
    var nextOrphan: Heap?
    var state: HeapState
    /// Whose it is, while it is owned.
    var thread: ThisThread?
    /// Another thread works on it: see Parking.swift. Then one page may still be in the owner's hands.
    var isParked: Bool
    var avoided: Page?
    /// Set while the owner changes lists. A child of `fork` adopts only heaps of other threads that were not busy.
    var isBusy: Bool
    /// Not 0: calls of `malloc` that leave the hit path are counted, or may be sampled.
    var observesCalls: UInt8
    var trimEpoch: UInt
    var searches: UInt
    var refills: UInt
    var counters: UnsafeMutablePointer<HeapCounters>?
    /// Blocks of other heaps that this heap's thread freed.
    var remoteFrees: UInt
    /// Pages that may have OS pages to give back, the oldest first.
    var firstSparse: Page?
    var lastSparse: Page?
    /// When the heap looks after itself the next time, in milliseconds.
    var nextTick: UInt
    /// What it gave back of pages that it kept, in bytes.
    var purgedBytes: UInt
    /// Calls of `malloc` that still come to the slow path, so that what is due is done: see Housekeeping.swift.
    var watchedCalls: UInt16
    /// Calls of `malloc` of 1 to 32 KiB, modulo 256: at 0 there is a tick.
    var mediumCalls: UInt8
    /// Ticks in a row at which no current page had changed.
    var quietTicks: UInt16
    /// Pages that became sparse since blocks were last put on a list: many in a row are a burst of frees.
    var sparseInARow: UInt32
    /// When calls are watched anew, in milliseconds.
    var nextWatch: UInt
    /// The time of the last tick, in milliseconds.
    var clock: UInt
    /// Raised by the owner's slow paths, and what it was when the purger last found nothing to do here.
    let activity: Atomic<UInt>
    var settledActivity: UInt
    /// A page whose message was left, since the owner may be at the page; 0 if there is none.
    let heldMessage: Atomic<UInt>

    // A cache line of its own: other threads write it.
    /// Pages of this heap that other threads freed blocks of, linked by `nextMessage`: a `MessageWord`.
    let messages: Atomic<UInt>
    /// When the owner was reminded of them, in milliseconds: see Reminding.swift.
    let reminded: Atomic<UInt>
    /// The first-class heap whose blocks these are, or 0: see FirstClassHeap.swift.
    let handle: Atomic<UInt>
    /// Which of its blocks are guarded: nil unless there is a guard rate. Constant while the heap has an owner.
    var sampler: Sampler?
}

enum HeapState: UInt8 {
    case unused = 0
    case owned
    case orphaned
    /// The nursery, which no thread owns: used under the registry's lock.
    case shared
    /// A heap that the program made, which no thread owns: used under its own lock.
    case firstClass
    /// Its thread was in the middle of a change when the process forked: nobody may allocate from it again.
    case frozen
}

/// What a heap has of a class: a ring of pages, of which one is current; `Page.none` if there are none.
struct ClassPages {
    var current: Page
}

enum HeapTables {
    /// A word that leads to the heap's table of buckets: see Buckets.swift.
    static let bucketsOffset = UInt(MALLOW_HEAP_BUCKETS_WORD) * 8
    static let directOffset = bucketsOffset + 8
    static let directCount: UInt = Layout.directLimit / 8 + 1
    static let pagesStride: UInt = 8
    static let pagesOffset = directOffset + directCount * 8
    static let byteCount = Layout.roundedUp(pagesOffset + UInt(SizeClasses.count) * pagesStride, toMultipleOf: 128)
}

/// What a heap counts for each class when statistics are on. Only its owner writes it.
struct HeapCounters {
    var requestedBytes: UInt
    var allocations: UInt

    /// Of the counters of all classes.
    static var byteCount: UInt { UInt(BucketClasses.numberEnd * MemoryLayout<HeapCounters>.stride) }
}

/// The header of a segment: which slices are free, and which of the free ones still hold memory.
struct SegmentRecord: ~Copyable {
    var free: SliceSet
    /// Free slices with memory in them that were freed since the last tick, …
    var recentlyFreed: SliceSet
    /// … and before it: these are given back at the next tick.
    var aged: SliceSet
    var next: Segment?
    var nextAvailable: Segment?
    var previousAvailable: Segment?
    var freeCount: UInt32
    /// No free run is longer than this.
    var longestRun: UInt32
    var usableSliceCount: UInt32
    var isAvailable: Bool
    /// See RunTails.swift.
    var tailCount: UInt16
    var mappedByteCount: UInt
}

// MARK: - Reaching records

extension UnsafeMutablePointer where Pointee: ~Copyable {
    @inline(__always)
    var address: UInt { UInt(bitPattern: self) }

    @inline(__always)
    init(at address: UInt) {
        self = UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
    }
}

extension UnsafeMutablePointer where Pointee == PageRecord {
    /// The page that stands for "none": it never has a free block.
    @inline(__always)
    static var none: Page { Page(at: UInt(bitPattern: mallow_no_page())) }

    /// Where the page's blocks begin.
    @inline(__always)
    var start: UInt {
        if pointee.kind == PageKind.mapping { return pointee.mappingAddress }
        let segment = address & ~(Layout.segmentByteCount &- 1)
        return segment &+ (((address &- segment) / Layout.recordByteCount) &<< Layout.sliceShift)
    }

    /// Whether blocks of this page begin at `offset` from its start.
    @inline(__always)
    func hasBlock(atOffset offset: UInt) -> Bool {
        UInt32(truncatingIfNeeded: offset) &* pointee.inverse < PageRecord.remainderLimit
    }

    /// `owner`, read as cheaply as can be. Any thread may read it: a word is loaded whole, and only the thread itself
    /// ever stores its own heap's address there. The compiler folds a plain load into the comparison, an atomic one
    /// not.
    @inline(__always)
    var ownerOnHitPath: UInt {
        #if hasFeature(Embedded)
            return loadWord(address &+ 8)
        #else
            return pointee.owner.load(ordering: .relaxed)
        #endif
    }

    @inline(__always)
    var heap: Heap? { Heap(bitPattern: pointee.owner.load(ordering: .acquiring) & ~Ownership.mask) }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    @inline(__always)
    func directEntry(_ index: UInt) -> UnsafeMutablePointer<UInt> {
        UnsafeMutablePointer<UInt>(at: address &+ HeapTables.directOffset &+ index &* 8)
    }

    /// What the heap has of a class of `SizeClasses`.
    @inline(__always)
    func fixedPages(_ sizeClass: Int) -> UnsafeMutablePointer<ClassPages> {
        UnsafeMutablePointer<ClassPages>(
            at: address &+ HeapTables.pagesOffset &+ UInt(bitPattern: sizeClass) &* HeapTables.pagesStride)
    }
}
