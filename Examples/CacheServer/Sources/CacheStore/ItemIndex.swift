// Where the items are: an entry of 36 bytes an item, and buckets of 4 bytes that lead from a key's hash to the entries.
//
//     buckets:  | entry number | entry number | …            entries:  | (none) | entry 1 | entry 2 | …
//
// Both lie in address space that is reserved for as many items as could ever be, and take memory a page at a time as
// they grow. The buckets grow one by one (linear hashing): each new bucket takes its share of one old bucket's entries,
// so there is never a moment at which all items are hashed again, nor a table that is half empty.
//
// X1. An entry is in one bucket's list (by `nextInBucket`) and in the order of its group (by `newer` and `older`), or
//     on the list of free entries (by `nextInBucket`, with a nil location).
// X2. Entry 0 is nobody's: as a number it means none.
// X3. Entries from `used` on, and buckets from `bucketCount` on, have never been touched.
//
// X4. Uses are counted modulo 2^32, half a day at 100,000 a second. So that what was not used for longer does not look
//     new, `limitAge` makes it 2^31 uses old, on and on; the crawler calls it for every entry in turn, two for each
//     item that is stored. What escapes it: 2^31 uses while fewer items are stored than half of those that are there.
//
// Cost: a look-up reads a bucket and 1.5 entries on average. Thread-safety: none, the store's lock.

import Mallow

struct ItemEntry: BitwiseCopyable {
    /// Of the first chunk, and as long as the part of the item in it.
    var location: SlabLocation
    var nextInBucket: UInt32
    var newer: UInt32
    var older: UInt32
    /// The count of uses when it was used last, modulo 2^32 (X4).
    var lastUse: UInt32
    /// Bits 0-26: when it expires, on the store's clock: 0 is never, as is what is more than four years after the
    /// start. Bits 27-31: its group.
    private var expiryAndGroup: UInt32

    static var latestExpiry: UInt32 { 1 << 27 - 1 }

    init(location: SlabLocation, nextInBucket: UInt32, expiry: UInt32, group: Int) {
        (self.location, self.nextInBucket) = (location, nextInBucket)
        (newer, older, lastUse) = (0, 0, 0)
        expiryAndGroup = UInt32(group) << 27
        self.expiry = expiry
    }

    var expiry: UInt32 {
        get { expiryAndGroup & Self.latestExpiry }
        set { expiryAndGroup = expiryAndGroup & ~Self.latestExpiry | (newValue > Self.latestExpiry ? 0 : newValue) }
    }

    /// Items of one group have sizes from a power of two to the next.
    var group: Int {
        get { Int(expiryAndGroup >> 27) }
        set { expiryAndGroup = expiryAndGroup & Self.latestExpiry | UInt32(newValue) << 27 }
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

package struct ItemIndex {
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
    /// A group's items in the order of their last use.
    private let orders: UnsafeMutablePointer<UseOrder>
    private let weights: UnsafeMutablePointer<Double>
    package var uses: UInt32 = 0

    static var groupCount: Int { 24 }

    /// Whose sizes, in bytes, are from 2^group on.
    package static func group(byteCount: Int) -> Int { Int.bitWidth - 1 - byteCount.leadingZeroBitCount }

    init(entries: UnsafeMutablePointer<ItemEntry>, buckets: UnsafeMutablePointer<UInt32>, capacity: Int) {
        self.entries = entries
        self.buckets = buckets
        self.capacity = capacity
        orders = .allocate(capacity: Self.groupCount)
        orders.initialize(repeating: UseOrder(), count: Self.groupCount)
        weights = .allocate(capacity: Self.groupCount)
        for group in 0..<Self.groupCount {
            weights[group] = Double(3 << group / 2 + Self.overhead).squareRoot()
        }
    }

    /// What an item takes beside its own bytes, about.
    private static var overhead: Int { 72 }

    /// Frees what is not in the memory that `init` was given.
    func destroy() {
        orders.deallocate()
        weights.deallocate()
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

    /// Enters an item; there is room.
    mutating func insert(_ location: SlabLocation, byteCount: Int, hash: UInt32, expiry: UInt32) {
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
                location: location, nextInBucket: bucket.pointee, expiry: expiry,
                group: Self.group(byteCount: byteCount)))
        bucket.pointee = number
        count += 1
        makeNewest(number)
    }

    /// Takes an entry out of its bucket and its order.
    mutating func remove(_ number: UInt32, hash: UInt32) {
        var link = bucket(hash)
        while link.pointee != number { link = nextLink(of: link.pointee) }
        link.pointee = self[number].pointee.nextInBucket
        orders[self[number].pointee.group].remove(number, entries)
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

    /// Notes that an item was used.
    mutating func use(_ number: UInt32) {
        let order = orders + self[number].pointee.group
        if order.pointee.newest != number {
            order.pointee.remove(number, entries)
            makeNewest(number)
        } else {
            uses &+= 1
            self[number].pointee.lastUse = uses
        }
    }

    /// Keeps an item's time without use within what `lastUse` can tell (X4).
    @inline(__always)
    func limitAge(_ number: UInt32) {
        let oldest: UInt32 = 1 << 31
        if uses &- self[number].pointee.lastUse > oldest { self[number].pointee.lastUse = uses &- oldest }
    }

    /// Enters an entry's item anew, which has another size from now on.
    mutating func replace(_ number: UInt32, by location: SlabLocation, byteCount: Int, expiry: UInt32) {
        let entry = self[number]
        orders[entry.pointee.group].remove(number, entries)
        entry.pointee.location = location
        entry.pointee.expiry = expiry
        entry.pointee.group = Self.group(byteCount: byteCount)
        makeNewest(number)
    }

    private mutating func makeNewest(_ number: UInt32) {
        uses &+= 1
        self[number].pointee.lastUse = uses
        orders[self[number].pointee.group].prepend(number, entries)
    }

    /// The group that the next item to be evicted is of; nil where there is no item.
    ///
    /// Of the items that were not used for longest in their groups, the one goes of which time without use, times the
    /// square root of its size, is largest. By time alone an item of 1 MiB would take as long to go as each of the ten
    /// thousand small ones that have room in its place; by the product of both a few large ones that are in use would
    /// never stay beside many small ones that are not.
    package func groupToEvict() -> Int? {
        var found: Int?
        var highest = -1.0
        for group in 0..<Self.groupCount where orders[group].oldest != 0 {
            let age = uses &- self[orders[group].oldest].pointee.lastUse
            let score = Double(age) * weights[group]
            if score > highest { (found, highest) = (group, score) }
        }
        return found
    }

    /// The item of a group that was not used for longest; 0 where it has none.
    func oldest(ofGroup group: Int) -> UInt32 { orders[group].oldest }
}
