// How large the store is, and how its memory is cut.

/// What a store is made with.
public struct CacheConfiguration: Sendable {
    /// All that items, and the index of them, may take, in bytes.
    public var memoryLimit = 64 << 20
    /// The largest item, in bytes as memcached counts them: value, key, and about 60 more.
    public var largestItem = 1 << 20
    /// By how much chunk sizes grow from class to class. Finer than memcached's 1.25, since a slab is small here: a
    /// class more costs at most half a slab, and each item saves half of what its class is too large by.
    public var growthFactor = 1.08

    public init() {}

    /// The bytes of the smallest chunk: an item with a key and a value of a few bytes each.
    var startChunkSize: Int { 48 }

    /// A slab is a 1,024th of all memory, at least 64 KiB, and at most 1 MiB: the more slabs, the less is lost to those
    /// that are half empty, and the sooner one can be emptied for another class. Less a page's worth of records at the
    /// end, so that slab and records fill whole pages.
    var slabSize: Int {
        var size = 64 << 10
        while size < 1 << 20, size < memoryLimit >> 10 { size *= 2 }
        return size - 512
    }

    /// The most items there could be: no item takes less than this.
    var largestItemCount: Int { min(memoryLimit / 96 + 2, Int(UInt32.max) - 1) }
}
