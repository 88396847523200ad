// The words of the heap, its geometry, and where things lie. Read this first.
//
//   segment    32 MiB of address space, aligned to 32 MiB; the unit in which memory is asked of the kernel
//   slice      64 KiB, a 512th of a segment; the unit in which segments are handed out
//   page       one slice with blocks of one size class, owned by one heap (a page of the kernel is an "OS page")
//   run        one or more slices that hold one block of 32 KiB to 8 MiB
//   mapping    a larger block, or one that grew by `realloc`, in a mapping of its own at a segment's address
//   block      what the program gets
//   record     128 bytes that describe a page, a run or a mapping; never inside the blocks' pages
//   heap       a thread's pages; outlives the thread, and is inherited whole by a later one
//
// A segment in memory (records of slices 0 and 1 do not exist: the segment's own header lies there):
//
//   +0        +256        +384         …        +64 KiB   +128 KiB
//   | header  | record 2  | record 3 | … 511 |   tails   | slice 2 | slice 3 | …
//
// (tails: see RunTails.swift)
//
// `mallow_segment_map` has one word for each 32 MiB of address space. It leads to the segment, or for a mapping to its
// record; or, where the heap has nothing, to 64 KiB of zeros that read as records of no owner. So a free of any pointer
// finds a record by arithmetic, without a branch and without touching the memory the pointer leads to:
//
//   record(p) = entry(p) + ((p >> 16) & 511) * 128        entry(p) = map[p >> 25] + address of the zeros

import CMallowShims

/// Sizes of the heap's parts, in bytes where nothing else is said.
enum Layout {
    static let segmentShift: UInt = 25
    static let segmentByteCount: UInt = 1 << segmentShift
    static let sliceShift: UInt = 16
    static let sliceByteCount: UInt = 1 << sliceShift
    static let slicesPerSegment: UInt = segmentByteCount >> sliceShift
    /// The slices at the start of a segment that hold its records and header.
    static let reservedSlices: UInt = 2
    static let recordByteCount: UInt = 128

    /// Up to here `malloc` finds the page by one table look-up.
    static let directLimit: UInt = 1024
    /// Up to here blocks share a page with others of their class.
    static let smallLimit: UInt = 32 << 10
    /// Up to here a block is a run inside a segment; above, it has a mapping of its own.
    static let runLimit: UInt = 8 << 20
    /// Up to here a block that doubles is copied into memory that lies idle.
    static let copyLimit: UInt = 16 << 20
    /// A run that grows beyond this by `realloc` moves, by remapping, to a mapping that can grow further.
    static let remapThreshold: UInt = 256 << 10
    /// How many pages of a class are looked at for a free block before the class gets another.
    static let searchLimit = 16
    static let largestAlignment: UInt = 1 << 30
    /// So many threads at once get heaps of their own at their first block; more of them at their ninth: see
    /// Nursery.swift.
    static let earlyHeapCount: UInt = 128
    static let nurseryBlocks: CInt = 8

    /// Beyond it next to nothing would ever be guarded.
    static let largestGuardRate: UInt = 1 << 30

    /// What is free is given back after one to two of these, unless `Malloc.setPurgeDelay` says otherwise.
    static let purgeDelayInMilliseconds: UInt = 50
    static let largestPurgeDelayInMilliseconds: UInt = 1 << 30
    /// So much free memory, and half of what is in use, may lie idle at most.
    static let dirtyByteLimit: UInt = 256 << 20
    /// Freed mappings are kept for reuse up to this many bytes in all, and so many of them.
    static let mappingCacheByteLimit: UInt = 256 << 20
    static let mappingCacheCount = 128

    static func roundedUp(_ value: UInt, toMultipleOf unit: UInt) -> UInt {
        (value &+ unit &- 1) & ~(unit &- 1)
    }
}

// MARK: - Memory as words

@inline(__always)
func loadWord(_ address: UInt) -> UInt {
    UnsafePointer<UInt>(bitPattern: address).unsafelyUnwrapped.pointee
}

@inline(__always)
func storeWord(_ address: UInt, _ value: UInt) {
    UnsafeMutablePointer<UInt>(bitPattern: address).unsafelyUnwrapped.pointee = value
}

@inline(__always)
func rawPointer(_ address: UInt) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped
}

/// The address of the zeros that an entry of 0 leads to. The map lies right behind them, so that the hit path needs one
/// base register for both.
@inline(__always)
var noRecordsAddress: UInt { UInt(bitPattern: mallow_no_records()) }

@inline(__always)
func segmentMapSlot(_ address: UInt) -> UnsafeMutablePointer<UInt> {
    mallow_no_records() + Int(MALLOW_NO_RECORDS_WORDS) + Int(bitPattern: address &>> Layout.segmentShift)
}

/// Where the records begin that the segment map leads to from any address below 2^47.
@inline(__always)
func segmentMapEntry(_ address: UInt) -> UInt {
    noRecordsAddress &+ segmentMapSlot(address).pointee
}

@inline(__always)
func recordAddress(entry: UInt, of address: UInt) -> UInt {
    entry &+ ((address &>> 9) & 0xff80)
}
