// A place in a region to go back to. Which region, and whether the place is still there, is checked at run time: the
// value must not borrow the region, else it could never be rewound.

import AllocatorCore

/// A place in a ``Region`` to rewind to, once.
public struct RegionCheckpoint: ~Copyable {
    let region: UInt
    let serial: UInt

    static var refused: AllocationError {
        let layout = MemoryLayout<RegionCheckpointRecord>.self
        return regionRefusal(layout.size, layout.alignment)
    }

    consuming func rewind(_ allocator: RegionAllocator) {
        guard region == allocator.identity else { fatalError("Region: a checkpoint of another region") }
        guard allocator.rewind(to: serial) else {
            fatalError("Region: a checkpoint from before the region was reset, or rewound to an older one")
        }
    }
}

/// The checkpoint of `withCheckpoint`, whose record is in memory of its own, so that setting it cannot fail.
struct RegionScope {
    private let allocator: RegionAllocator
    private let record: UnsafeMutablePointer<RegionCheckpointRecord>
    private let serial: UInt

    init(_ allocator: RegionAllocator) {
        self.allocator = allocator
        record = .allocate(capacity: 1)
        serial = allocator.setCheckpoint(in: record)
    }

    /// Rewinds, if the region was not reset or rewound further by the closure.
    func end() {
        _ = allocator.rewind(to: serial)
        record.deallocate()
    }
}
