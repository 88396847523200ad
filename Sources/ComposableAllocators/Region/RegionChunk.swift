// What a region writes into its own memory: a chunk's header, the records of what must be deinitialised, of a
// checkpoint. Each is in place until the region is reset or rewound to before it.

/// The head of a chunk: 32 bytes, so that what follows is aligned as the chunk is, to 16.
struct RegionChunk {
    static var headerSize: Int { 32 }

    var next: UnsafeMutablePointer<RegionChunk>?
    /// With the header; a multiple of 16.
    var byteCount: Int
    /// The place in the order of large chunks, newer ones higher; 0 for an ordinary one.
    var serial: UInt
}

extension UnsafeMutablePointer<RegionChunk> {
    var start: UInt { UInt(bitPattern: self) &+ UInt(RegionChunk.headerSize) }
    var end: UInt { UInt(bitPattern: self) &+ UInt(bitPattern: pointee.byteCount) }
    /// Bytes that blocks can have.
    var capacity: Int { pointee.byteCount &- RegionChunk.headerSize }

    func contains(_ address: UInt) -> Bool { address >= start && address < end }
}

/// Values that need to be deinitialised.
@frozen @usableFromInline
struct RegionCleanup {
    @usableFromInline var previous: UnsafeMutablePointer<RegionCleanup>?
    @usableFromInline var values: UnsafeMutableRawPointer
    @usableFromInline var count: Int
    @usableFromInline var destroy: (UnsafeMutableRawPointer, Int) -> Void

    @inlinable
    init(
        previous: UnsafeMutablePointer<RegionCleanup>?, values: UnsafeMutableRawPointer, count: Int,
        destroy: @escaping (UnsafeMutableRawPointer, Int) -> Void
    ) {
        self.previous = previous
        self.values = values
        self.count = count
        self.destroy = destroy
    }
}

/// Where a region was when a checkpoint was set. Lies at the position that it records, or on the stack.
struct RegionCheckpointRecord {
    var previous: UnsafeMutablePointer<RegionCheckpointRecord>?
    var serial: UInt
    var chunk: UnsafeMutablePointer<RegionChunk>?
    var cursor: UInt
    var largeSerial: UInt
    var cleanups: UnsafeMutablePointer<RegionCleanup>?
    /// Of what was live then, what still is.
    var liveBlocks: Int
    var liveBytes: Int
}
