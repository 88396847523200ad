// Where the items are: an entry of 32 bytes an item, and buckets of 4 bytes that lead from a key's hash to the entries.
//
//     buckets:  | entry number | entry number | …            entries:  | (none) | entry 1 | entry 2 | …
//
// Both lie in address space that is reserved for as many items as could ever be, and take memory a page at a time as
// they grow. The buckets grow one by one (linear hashing): each new bucket takes its share of one old bucket's entries,
// so there is never a moment at which all items are hashed again, nor a table that is half empty.
//
// X1. An entry is in one bucket's list (by `nextInBucket`) and in one of the two orders (by `newer` and `older`), or on
//     the list of free entries (by `nextInBucket`, with a nil location).
// X2. Entry 0 is nobody's: as a number it means none.
// X3. Entries from `used` on, and buckets from `bucketCount` on, have never been touched.
//
// Cost: a look-up reads a bucket and 1.5 entries on average. Thread-safety: none, the store's lock.

import Mallow

struct ItemEntry: BitwiseCopyable {
    /// Of the first chunk, and as long as the part of the item in it.
    var location: SlabLocation
    var nextInBucket: UInt32
    var newer: UInt32
    var older: UInt32
    /// When it expires, on the store's clock: 0 is never. The topmost bit says in which order it is.
    var expiryAndOrder: UInt32

    var expiry: UInt32 {
        get { expiryAndOrder & 0x7FFF_FFFF }
        set { expiryAndOrder = newValue | expiryAndOrder & 0x8000_0000 }
    }
    var isProtected: Bool {
        get { expiryAndOrder >> 31 != 0 }
        set { expiryAndOrder = expiryAndOrder & 0x7FFF_FFFF | (newValue ? 0x8000_0000 : 0) }
    }
}

/// A list of entries from the one used last to the one to be evicted first.
struct UseOrder {
    private(set) var newest: UInt32 = 0
    private(set) var oldest: UInt32 = 0
    private(set) var count = 0

    @inline(__always)
    mutating func prepend(_ number: UInt32, _ entries: UnsafeMutablePointer<ItemEntry>) {
        let entry = entries + Int(number)
        entry.pointee.newer = 0
        entry.pointee.older = newest
        if newest != 0 { entries[Int(newest)].newer = number } else { oldest = number }
        newest = number
        count &+= 1
    }

    @inline(__always)
    mutating func remove(_ number: UInt32, _ entries: UnsafeMutablePointer<ItemEntry>) {
        let (newer, older) = (entries[Int(number)].newer, entries[Int(number)].older)
        if newer != 0 { entries[Int(newer)].older = older } else { newest = older }
        if older != 0 { entries[Int(older)].newer = newer } else { oldest = newer }
        count &-= 1
    }
}

struct ItemIndex {
    let entries: UnsafeMutablePointer<ItemEntry>
    let buckets: UnsafeMutablePointer<UInt32>
    let capacity: Int
    /// Entries that were ever used, and entry 0.
    private(set) var used = 1
    private(set) var bucketCount = 1
    private(set) var count = 0
    /// The least power of two that is not below `bucketCount`, less one.
    private var mask: UInt32 = 0
    private var firstFree: UInt32 = 0
    /// Items that were used again after they came, and those that were not, or not for long. Evicted are the latter.
    var protected = UseOrder()
    var probation = UseOrder()

    init(entries: UnsafeMutablePointer<ItemEntry>, buckets: UnsafeMutablePointer<UInt32>, capacity: Int) {
        self.entries = entries
        self.buckets = buckets
        self.capacity = capacity
    }

    static func byteCount(entries: Int) -> Int { entries * MemoryLayout<ItemEntry>.stride }
    static func byteCount(buckets: Int) -> Int { buckets * MemoryLayout<UInt32>.stride }

    /// The bytes that have been touched, in pages of so many bytes.
    func touchedBytes(pageByteCount: Int) -> Int {
        func pages(_ byteCount: Int) -> Int { (byteCount + pageByteCount - 1) & ~(pageByteCount - 1) }
        return pages(Self.byteCount(entries: used)) + pages(Self.byteCount(buckets: bucketCount))
    }

    @inline(__always)
    subscript(number: UInt32) -> UnsafeMutablePointer<ItemEntry> { entries + Int(number) }

    @inline(__always)
    func bucket(_ hash: UInt32) -> UnsafeMutablePointer<UInt32> {
        let wide = hash & mask
        return buckets + Int(wide < UInt32(truncatingIfNeeded: bucketCount) ? wide : hash & mask &>> 1)
    }

    var isFull: Bool { firstFree == 0 && used == capacity }

    // MARK: - Buckets

    /// Enters an item; there is room. It is the newest of those on probation.
    mutating func insert(_ location: SlabLocation, hash: UInt32, expiry: UInt32) -> UInt32 {
        let number: UInt32
        if firstFree != 0 {
            number = firstFree
            firstFree = self[number].pointee.nextInBucket
        } else {
            number = UInt32(used)
            used += 1
        }
        let bucket = bucket(hash)
        self[number].initialize(
            to: ItemEntry(
                location: location, nextInBucket: bucket.pointee, newer: 0, older: 0, expiryAndOrder: expiry))
        bucket.pointee = number
        count += 1
        probation.prepend(number, entries)
        return number
    }

    /// Takes an entry out of its bucket and its order.
    mutating func remove(_ number: UInt32, hash: UInt32) {
        var link = bucket(hash)
        while link.pointee != number { link = nextLink(of: link.pointee) }
        link.pointee = self[number].pointee.nextInBucket
        removeFromOrder(number)
        count -= 1
        self[number].pointee.location = .nil
        self[number].pointee.nextInBucket = firstFree
        firstFree = number
    }

    @inline(__always)
    func nextLink(of number: UInt32) -> UnsafeMutablePointer<UInt32> {
        UnsafeMutableRawPointer(self[number]).advanced(by: MemoryLayout<SlabLocation>.size)
            .assumingMemoryBound(to: UInt32.self)
    }

    /// Whether there are more items than buckets, so that another is due.
    var wantsBucket: Bool { count >= bucketCount && bucketCount < capacity }

    /// Adds a bucket, and moves those entries to it that belong there.
    mutating func addBucket(hash: (UInt32) -> UInt32) {
        let new = UInt32(bucketCount)
        if new > mask { mask = mask &<< 1 | 1 }
        bucketCount += 1
        buckets[Int(new)] = 0
        var link = buckets + Int(new & mask >> 1)
        while link.pointee != 0 {
            let number = link.pointee
            if hash(number) & mask == new {
                link.pointee = self[number].pointee.nextInBucket
                self[number].pointee.nextInBucket = buckets[Int(new)]
                buckets[Int(new)] = number
            } else {
                link = nextLink(of: number)
            }
        }
    }

    // MARK: - Orders

    @inline(__always)
    private mutating func removeFromOrder(_ number: UInt32) {
        if self[number].pointee.isProtected {
            protected.remove(number, entries)
        } else {
            probation.remove(number, entries)
        }
    }

    /// Notes that an item was used: it becomes the newest of the protected.
    mutating func use(_ number: UInt32) {
        if protected.newest == number { return }
        removeFromOrder(number)
        self[number].pointee.isProtected = true
        protected.prepend(number, entries)
        shrinkProtected()
    }

    /// Sees to it that at most 3 items in 4 are protected: the oldest go back on probation.
    mutating func shrinkProtected() {
        while protected.count * 4 > count * 3 {
            let oldest = protected.oldest
            protected.remove(oldest, entries)
            self[oldest].pointee.isProtected = false
            probation.prepend(oldest, entries)
        }
    }

    /// The next item to be evicted; 0 where there is none.
    var oldest: UInt32 { probation.oldest != 0 ? probation.oldest : protected.oldest }
}
