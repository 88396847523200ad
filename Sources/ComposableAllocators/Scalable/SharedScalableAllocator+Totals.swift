// What all shards hold together: the sums of a ScalableAllocator's totals, each as of one moment.

extension SharedScalableAllocator {
    /// What the source gave, in bytes; records come on top of it, which `statistics` counts. O(shards), under all
    /// locks.
    public var heldByteCount: Int { sum(\.heldByteCount) }

    /// Bytes of live blocks. O(shards), under all locks.
    public var usedByteCount: Int { sum(\.usedByteCount) }

    /// Bytes that a block could have and none has. O(shards), under all locks.
    ///
    /// One read after the other, totals are of different moments: where they have to agree, ask `statistics` once.
    public var freeByteCount: Int { sum(\.freeByteCount) }

    /// How many children there are. O(shards), under all locks.
    public var childCount: Int { sum(\.childCount) }

    private func sum(_ total: (ScalableAllocator) -> Int) -> Int {
        withAllShards { cores in cores.reduce(0) { $0 + total($1) } }
    }
}
