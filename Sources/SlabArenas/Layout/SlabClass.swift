// A size class: the slabs whose chunks are of one size; and from a request's size to its class.
//
// The sizes rise by the growth factor from the start size, each rounded up to the alignment; the last is the slab size.
// Requests of up to `directLimit` bytes find their class in a table with an entry for each multiple of the alignment;
// larger ones, whose contents take longer to fill than that, by halving.

@usableFromInline
struct SlabClass {
    /// The slab that chunks are allocated from, or `SlabHeader.none`.
    @usableFromInline var current: SlabReference
    @usableFromInline let chunkSize: Int
    /// Since the arena was made.
    @usableFromInline var allocations = 0

    /// The chunks of a slab.
    let chunkCount: Int
    var partial = SlabList()
    var full = SlabList()
    /// Chunks put on a free list for the first time.
    var carved = 0
    /// Requests that found the free list empty.
    var failedPops = 0

    init(chunkSize: Int, slabSize: Int) {
        self.chunkSize = chunkSize
        chunkCount = slabSize / chunkSize
        current = SlabHeader.none
    }

    var hasCurrent: Bool { current != SlabHeader.none }
    var slabCount: Int { partial.count + full.count + (hasCurrent ? 1 : 0) }
    /// O(slabs), as the two below.
    var liveCount: Int {
        var sum = 0
        visit { sum += Int($0.pointee.live) }
        return sum
    }
    /// Bytes that were asked for of the live chunks.
    var requestedBytes: Int {
        var sum = 0
        visit { sum += $0.pointee.requestedBytes }
        return sum
    }
    /// Chunks recycled since the arena was made.
    var recycled: Int { allocations - liveCount }
    /// Chunks that could be allocated without another slab.
    var freeCount: Int { slabCount * chunkCount - liveCount - retired }
    var retired: Int {
        var sum = 0
        visit { sum += Int($0.pointee.retired) }
        return sum
    }

    /// Visits each slab of the class; the body may take the one that it is given off its list.
    func visit<Failure: Error>(_ body: (SlabReference) throws(Failure) -> Void) throws(Failure) {
        if hasCurrent { try body(current) }
        try partial.visit(body)
        try full.visit(body)
    }
}

/// The sizes of the classes, and the way from a request to its class.
@usableFromInline
struct SlabSizes {
    @usableFromInline let slabSize: Int
    @usableFromInline let alignmentMask: Int
    @usableFromInline let alignmentShift: Int
    @usableFromInline let directLimit: Int
    /// The class of each multiple of the alignment up to `directLimit`.
    @usableFromInline let direct: UnsafeMutablePointer<UInt16>
    let sizes: [Int]
    /// The chunk size that items of any size are cut into.
    let chainChunkSize: Int

    static var largestClassCount: Int { 65535 }

    /// Nil where there would be more classes than `largestClassCount`.
    init?(startChunkSize: Int, slabSize: Int, growthFactor: Double, alignment: Int) {
        self.slabSize = slabSize
        alignmentMask = alignment - 1
        alignmentShift = alignment.trailingZeroBitCount
        var sizes: [Int] = []
        var size = startChunkSize
        while true {
            size = min((size + alignment - 1) & ~(alignment - 1), slabSize)
            sizes.append(size)
            if size == slabSize { break }
            if sizes.count == Self.largestClassCount { return nil }
            // Beyond the slab size the product may be beyond Int, too.
            let grown = Double(size) * growthFactor
            size = grown >= Double(slabSize) ? slabSize : max(Int(grown.rounded(.up)), size + 1)
        }
        self.sizes = sizes
        chainChunkSize = Self.chainChunkSize(sizes, slabSize: slabSize, growthFactor: growthFactor)
        directLimit = min(slabSize, alignment * 1024)
        let entries = (directLimit >> alignmentShift) + 1
        direct = .allocate(capacity: entries)
        var index = 0
        for entry in 0..<entries {
            while sizes[index] < entry << alignmentShift { index += 1 }
            direct[entry] = UInt16(index)
        }
    }

    /// The size of which an item of `slabSize` bytes, as a chain, is expected to waste the smallest part.
    ///
    /// Large chunks leave more at the end of a slab, and in the last chunk, small ones cost more records. A last chunk
    /// comes from a class up to the factor too large: of a rest of any length up to S it wastes S/2 * (f-1)/(f+1) on
    /// average.
    private static func chainChunkSize(_ sizes: [Int], slabSize: Int, growthFactor: Double) -> Int {
        // A chunk's record, and as much again and more for following the link to it: bytes that stand for time.
        let costOfChunk = 128.0
        let wasteOfLast = 0.5 * (growthFactor - 1) / (growthFactor + 1) / Double(slabSize)
        var (best, least) = (slabSize, Double.infinity)
        for size in sizes {
            let chunkCount = slabSize / size
            let endOfSlab = Double(slabSize - chunkCount * size) / Double(chunkCount)
            let waste = (endOfSlab + costOfChunk) / Double(size) + wasteOfLast * Double(size)
            if waste <= least { (best, least) = (size, waste) }
        }
        return best
    }

    func free() { direct.deallocate() }

    var byteCount: Int {
        sizes.count * MemoryLayout<Int>.stride + ((directLimit >> alignmentShift) + 1) * MemoryLayout<UInt16>.stride
    }

    /// The first class whose chunks hold so many bytes: at least 0 and at most `slabSize`.
    @inlinable @inline(__always)
    func classIndex(_ byteCount: Int) -> Int {
        byteCount <= directLimit ? directClassIndex(byteCount) : classIndexByHalving(byteCount)
    }

    /// The same for at most `directLimit`.
    @inlinable @inline(__always)
    func directClassIndex(_ byteCount: Int) -> Int {
        Int(direct[(byteCount &+ alignmentMask) &>> alignmentShift])
    }

    @usableFromInline
    func classIndexByHalving(_ byteCount: Int) -> Int {
        var (low, high) = (0, sizes.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if sizes[middle] < byteCount { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
