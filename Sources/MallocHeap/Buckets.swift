// Buckets: blocks of exactly the size of a type, from the thread's own pages of them.
//
// A bucket is three words in the program's memory, of which the third remembers the class (BucketClasses.swift) from
// the first use on. A heap that buckets are used with has a table beside its own:
//
//   +0     an entry that never has a free block, for buckets that have no class yet
//   +8     an entry for each class: its current page, as in the direct table; or none while every allocation must take
//          the slow path (they are counted, or watched), and where the heap has no page of the class
//   …      the current page of each added class; those of fixed classes are where they always are
//
// A heap without a table, and a thread without a heap, have `mallow_no_buckets` in its place, in which no entry has a
// free block: so the hit path needs no check for either.
//
//   B1  an entry of a class that is in use leads to the class's current page, or to none
//   B2  a heap that has a page of an added class has a table
//
// Cost of `allocate(from:)` where the current page has a free block: two loads to the table, one by the class that the
// bucket remembers, and a pop; no size is looked at. Blocks are freed as any others are.
//
// Thread-safety: any thread, any bucket, at any time. A table is its heap's.

import CMallowShims
import Synchronization

/// What a program has of a bucket: `struct mallow_bucket` of mallow.h.
public struct BucketRecord: ~Copyable {
    /// In bytes.
    public let byteCount: UInt
    /// A power of two, in bytes.
    public let alignment: UInt
    /// Where the class's entry is in a heap's table, in bytes; 0 until it is known, and for types too large for a
    /// class.
    let entryOffset: Atomic<UInt>

    public init(byteCount: UInt, alignment: UInt) {
        self.byteCount = byteCount
        self.alignment = alignment
        entryOffset = Atomic(0)
    }
}

enum BucketTables {
    static let pagesOffset = UInt(MALLOW_BUCKET_ENTRIES) * 8
    static let wordCount = UInt(MALLOW_BUCKET_ENTRIES) + UInt(BucketClasses.limit)

    @inline(__always)
    static func entryOffset(_ sizeClass: Int) -> UInt { UInt(bitPattern: sizeClass &+ 1) &* 8 }

    @inline(__always)
    static func sizeClass(_ entryOffset: UInt) -> Int { Int(bitPattern: entryOffset / 8) &- 1 }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// The heap's table, or the one that stands for none.
    @inline(__always)
    var bucketTable: UInt {
        get { loadWord(address &+ HeapTables.bucketsOffset) }
        nonmutating set { storeWord(address &+ HeapTables.bucketsOffset, newValue) }
    }

    @inline(__always)
    var hasBucketTable: Bool { bucketTable != UInt(bitPattern: mallow_no_buckets()) }

    /// The page that an entry leads to: one without a free block where the slow path is to be taken.
    @inline(__always)
    func bucketPage(_ entryOffset: UInt) -> Page { Page(at: loadWord(bucketTable &+ entryOffset)) }

    /// What the heap may have of a class of any kind. Added ones: where it has a table (B2).
    @inline(__always)
    func pages(_ sizeClass: Int) -> UnsafeMutablePointer<ClassPages> {
        if sizeClass < SizeClasses.count { return fixedPages(sizeClass) }
        return UnsafeMutablePointer<ClassPages>(
            at: bucketTable &+ BucketTables.pagesOffset &+ UInt(bitPattern: sizeClass &- SizeClasses.count) &* 8)
    }

    /// Classes that the heap may have pages of: their numbers are below this.
    var classEnd: Int { hasBucketTable ? SizeClasses.count &+ BucketClasses.count : SizeClasses.count }

    /// Gives the heap a table, if it has none. False when the kernel has no memory. The owner calls it.
    func makeBucketTable() -> Bool {
        if hasBucketTable { return true }
        let savedErrno = mallow_errno()
        Process.poolLock.acquire()
        let table = Process.metadata(byteCount: BucketTables.wordCount * 8)
        Process.poolLock.release()
        mallow_set_errno(savedErrno)
        guard table != 0 else { return false }
        for index in 0..<BucketTables.wordCount { storeWord(table &+ index &* 8, Page.none.address) }
        bucketTable = table
        guard pointee.counters == nil, pointee.watchedCalls == 0 else { return true }
        for sizeClass in 0..<SizeClasses.count {
            setBucketEntry(sizeClass, to: hitPage(sizeClass, fixedPages(sizeClass).pointee.current))
        }
        return true
    }

    /// Keeps B1. Nothing where the heap has no table.
    @inline(__always)
    func setBucketEntry(_ sizeClass: Int, to page: Page) {
        if hasBucketTable { storeWord(bucketTable &+ BucketTables.entryOffset(sizeClass), page.address) }
    }
}

extension Malloc {
    /// Allocates a block for the bucket's type: of exactly its size where that is a multiple of 8 and of its alignment,
    /// else rounded up to such, and aligned as it asks.
    ///
    /// - Returns: the block, or nil with `errno` set to `ENOMEM`. It is freed by `deallocate`.
    /// - Complexity: O(1); the first use of a bucket takes a lock.
    @inline(__always)
    public static func allocate(from bucket: UnsafeMutablePointer<BucketRecord>) -> UnsafeMutableRawPointer? {
        let entry = bucket.pointee.entryOffset.load(ordering: .relaxed)
        let heap = enterHitPath(Layout.smallLimit &+ entry)
        let page = heap.bucketPage(entry)
        let block = page.pointee.free
        if block == 0 { return allocateSlow(from: bucket) }
        let result = heap.take(block, of: page)
        leaveHitPath()
        return result
    }

    /// `allocate(from:)`, all zeros.
    @inline(__always)
    public static func allocateZeroed(from bucket: UnsafeMutablePointer<BucketRecord>) -> UnsafeMutableRawPointer? {
        guard let block = allocate(from: bucket) else { return nil }
        memset(block, 0, Int(bitPattern: bucket.pointee.byteCount))
        return block
    }

    @inline(never)
    private static func allocateSlow(from bucket: UnsafeMutablePointer<BucketRecord>) -> UnsafeMutableRawPointer? {
        var entry = bucket.pointee.entryOffset.load(ordering: .acquiring)
        if entry == 0 {
            entry = bucketEntry(byteCount: bucket.pointee.byteCount, alignment: bucket.pointee.alignment)
            // Others may do the same at this moment, and store the same.
            bucket.pointee.entryOffset.store(entry, ordering: .releasing)
        }
        return allocateSlow(
            bucketEntry: entry, byteCount: bucket.pointee.byteCount, alignment: bucket.pointee.alignment)
    }

    // MARK: - Without a record

    /// What finds the blocks for a type: for callers that keep it themselves, as a `BucketRecord` does. 0 where the
    /// type is too large for a class.
    ///
    /// - Parameter alignment: a power of two, in bytes.
    /// - Complexity: O(classes), under a lock, where the size is no fixed class's.
    public static func bucketEntry(byteCount: UInt, alignment: UInt) -> UInt {
        let savedErrno = mallow_errno()
        defer { mallow_set_errno(savedErrno) }
        guard let sizeClass = BucketClasses.sizeClass(byteCount: byteCount, alignment: alignment) else { return 0 }
        return BucketTables.entryOffset(sizeClass)
    }

    /// What `usableSize` says of a bucket's blocks, in bytes. O(1).
    public static func blockSize(bucketEntry entry: UInt, byteCount: UInt, alignment: UInt) -> UInt {
        if entry != 0 { return BucketClasses.byteCount(of: BucketTables.sizeClass(entry)) }
        if Hardened.isOn { return byteCount }
        Process.initializeIfNeeded()
        return Layout.roundedUp(byteCount, toMultipleOf: Process.state.pointee.osPageByteCount)
    }

    /// `allocate(from:)` for who has the entry that `bucketEntry(byteCount:alignment:)` gave for the same type.
    @inline(__always)
    public static func allocate(
        bucketEntry entry: UInt, byteCount: UInt, alignment: UInt
    ) -> UnsafeMutableRawPointer? {
        let heap = enterHitPath(Layout.smallLimit &+ entry)
        let page = heap.bucketPage(entry)
        let block = page.pointee.free
        if block == 0 { return allocateSlow(bucketEntry: entry, byteCount: byteCount, alignment: alignment) }
        let result = heap.take(block, of: page)
        leaveHitPath()
        return result
    }

    @inline(never)
    private static func allocateSlow(
        bucketEntry entry: UInt, byteCount: UInt, alignment: UInt
    ) -> UnsafeMutableRawPointer? {
        if entry == 0 { return allocate(byteCount, alignment: alignment) }
        let heap = enter()
        if Hardened.isOn, !heap.isHeap {
            leave()
            return Hardened.allocate(
                blockSize(bucketEntry: entry, byteCount: byteCount, alignment: alignment), alignment: alignment)
        }
        let hasTable = !heap.isHeap || heap.makeBucketTable()
        leave()
        if !hasTable { return outOfMemory() }
        if Process.state.pointee.guardRate != 0 {
            return allocateObserved(
                byteCount, sizeClass: BucketTables.sizeClass(entry), alignment: max(alignment, byteCount > 8 ? 16 : 8))
        }
        return allocateSmall(byteCount, sizeClass: BucketTables.sizeClass(entry))
    }
}
