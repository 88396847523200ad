// A slab arena's account as flat pairs: for a protocol's `stats`, a metrics exporter, a line in a log.
//
// The names are those of the properties, and part of the interface: they don't change, and new ones come behind the
// others of their group. Cost: a few strings for each class.

extension SlabStatistics {
    /// Every number of the account with a name, always in the same order: the arena's, such as `allocations` or
    /// `bytesHeld`, and then each class's, by rising chunk size, as in `class.1024.chunksInUse`.
    ///
    /// What is a fraction is given in thousandths: `fragmentationInThousandths`. O(classes).
    public var namedValues: [(name: String, value: Int)] {
        var values: [(name: String, value: Int)] = [
            ("classes", classes.count),
            ("allocations", allocations),
            ("referencesAdded", referencesAdded),
            ("referencesReleased", referencesReleased),
            ("releasesToZero", releasesToZero),
            ("chainReads", chainReads),
            ("chainWrites", chainWrites),
            ("slabAllocations", slabAllocations),
            ("slabAllocationFailures", slabAllocationFailures),
            ("slabsGivenBack", slabsGivenBack),
            ("slabsReassigned", slabsReassigned),
            ("chunksMoved", chunksMoved),
            ("requestsTooLarge", requestsTooLarge),
            ("freeListPushes", freeListPushes),
            ("freeListPops", freeListPops),
            ("freeListFailedPops", freeListFailedPops),
            ("bytesRequested", bytesRequested),
            ("bytesGranted", bytesGranted),
            ("bytesHeld", bytesHeld),
            ("bytesOverhead", bytesOverhead),
            ("slabs", slabs),
            ("slabsEmpty", slabsEmpty),
            ("fragmentationInThousandths", Int((fragmentation * 1000).rounded())),
        ]
        for kind in classes {
            for (name, value) in kind.namedValues { values.append(("class.\(kind.chunkSize).\(name)", value)) }
        }
        return values
    }
}

extension SlabClassStatistics {
    /// Every number of the class with a name, as in ``SlabStatistics/namedValues``, without the `class.1024.` in front.
    public var namedValues: [(name: String, value: Int)] {
        [
            ("chunkSize", chunkSize),
            ("slabs", slabs),
            ("chunks", chunks),
            ("chunksFree", chunksFree),
            ("chunksInUse", chunksInUse),
            ("chunksRetired", chunksRetired),
            ("allocations", allocations),
            ("bytesRequested", bytesRequested),
            ("bytesGranted", bytesGranted),
            ("bytesFree", bytesFree),
            ("fragmentationInThousandths", Int((fragmentation * 1000).rounded())),
        ]
    }
}
