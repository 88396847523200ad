// The memory behind `Region`, and its unsafe face: bump allocation in growing chunks.
//
// Chunks form one list in the order in which they fill; those behind `current` are spare:
//
//     first ──> … ──> current ──> spare ──> spare          large ──> large (newest first)
//                     [header|used … cursor|free … limit]  [header|one block]
//
// I1. All of a chunk before the cursor, and all of an earlier chunk, is used; a spare chunk is free from its header on.
// I2. current is nil only where first is: cursor is then 1 and limit 0, so that no request fits, not one for nothing.
// I3. The cursor never goes below the newest checkpoint's position, but by rewinding.
// I4. A request that needs more than half of the largest chunk has a chunk of its own, so that no tail is wasted for
//     it.
//
// Upwards, not downwards: arrays and strings then grow where they are. RegionHandle.swift has the hit. The most that
// was ever live is noted when something is freed, not here.
// Thread-safety: none.

public import AllocatorCore
import Synchronization

/// A bump allocator: requests are served one after the other from chunks that grow, and memory comes back all at once.
///
/// It is the unsafe face of ``Region``, for C code and for containers that take an allocator; where the memory is used
/// from Swift alone, `Region` is the better choice, because the compiler then refuses what would be a dangling pointer
/// here. Use it where many blocks die together (a request, a frame, a parsed file). It is the wrong choice where blocks
/// of mixed lifetimes are freed one by one: only the last block, a block with a chunk of its own, and the end of all
/// live blocks give memory back; the others' comes back at ``freeAll()``.
///
/// Each block has 16 bytes in front of it, which tell its size and stamp it with its address: a second free, an address
/// inside a block and a pointer from before ``freeAll()`` trap. A block that was freed and whose place was given out
/// again cannot be told from the new one.
///
/// Allocating is O(1), and where the current chunk has no room O(spare chunks) and, if none will do, a call or two of
/// upstream. A free is O(1), but O(chunks) for a block with a chunk of its own or at a multiple of 4,096, and
/// O(checkpoints) for a block that is older than they are. Not thread-safe.
///
/// The idea is old: obstacks of GNU libc, `std::pmr::monotonic_buffer_resource`, bumpalo.
public final class RegionAllocator {
    // Invariants I1 to I4 are in the file's head.
    /// The cursor and what else a hit touches; ours to free.
    @usableFromInline let handle: _RegionHandle
    /// Blocks and bytes that are gone of those that were ever allocated.
    @exclusivity(unchecked) @usableFromInline var freedBlocks = 0
    @exclusivity(unchecked) @usableFromInline var freedBytes = 0
    /// The serial number of the newest checkpoint that was ever set.
    @exclusivity(unchecked) @usableFromInline var lastSerial: UInt = 0
    /// Tells the stamps of this region's blocks, in this phase, from all others.
    @exclusivity(unchecked) @usableFromInline var key: UInt

    @exclusivity(unchecked) var first: UnsafeMutablePointer<RegionChunk>?
    @exclusivity(unchecked) var current: UnsafeMutablePointer<RegionChunk>?
    @exclusivity(unchecked) var large: UnsafeMutablePointer<RegionChunk>?
    @exclusivity(unchecked) var lastLargeSerial: UInt = 0
    @exclusivity(unchecked) var checkpoints: UnsafeMutablePointer<RegionCheckpointRecord>?
    @exclusivity(unchecked) var nextChunkSize: Int
    @exclusivity(unchecked) var heldBytes = 0
    @exclusivity(unchecked) @usableFromInline var peakBlocks = 0
    @exclusivity(unchecked) @usableFromInline var peakBytes = 0
    /// Chunks that children have now, and ever had.
    @exclusivity(unchecked) @usableFromInline var lentBlocks = 0
    @exclusivity(unchecked) @usableFromInline var lentBytes = 0
    @exclusivity(unchecked) var totalLentBlocks = 0
    @exclusivity(unchecked) var totalLentBytes = 0
    /// The region has ended, but not its children: what they give back goes upstream.
    @exclusivity(unchecked) var isAbandoned = false

    let upstream: any Allocator
    let initialChunkSize: Int
    let maximumChunkSize: Int
    let keptByteCount: Int
    /// No other region of this process ever has it.
    let identity: UInt

    private static let identities = Atomic<UInt>(0)

    /// The first chunk's bytes, unless told otherwise.
    public static var defaultInitialChunkSize: Int { 4096 }
    /// The largest chunk's bytes, unless told otherwise.
    public static var defaultMaximumChunkSize: Int { 1 << 20 }
    /// The bytes of chunks that a reset keeps at most, unless told otherwise.
    public static var defaultKeptByteCount: Int { 16 << 20 }

    /// Makes an allocator whose first chunk is taken when something is allocated.
    ///
    /// - Parameters:
    ///   - initialChunkSize: the bytes of the first chunk; each is twice the one before. A multiple of 16, at least
    ///     256.
    ///   - maximumChunkSize: the bytes at which chunks stop growing; a request for more than half has a chunk of its
    ///     own. A multiple of 16 from `initialChunkSize` up to 2^40.
    ///   - keptByteCount: how many bytes of chunks ``freeAll()`` keeps at most.
    ///   - upstream: where chunks come from.
    /// - Throws: ``ConfigurationError``.
    public init(
        initialChunkSize: Int = RegionAllocator.defaultInitialChunkSize,
        maximumChunkSize: Int = RegionAllocator.defaultMaximumChunkSize,
        keptByteCount: Int = RegionAllocator.defaultKeptByteCount,
        upstream: any Allocator = SystemAllocator()
    ) throws(ConfigurationError) {
        func require(_ condition: Bool, _ argument: String, _ value: Int, _ requirement: String)
            throws(ConfigurationError)
        {
            if condition { return }
            throw ConfigurationError(
                allocator: "RegionAllocator", argument: argument, value: value, requirement: requirement)
        }
        try require(
            initialChunkSize >= 256 && initialChunkSize % 16 == 0, "initialChunkSize", initialChunkSize,
            "a multiple of 16, at least 256")
        try require(
            maximumChunkSize >= initialChunkSize && maximumChunkSize % 16 == 0 && maximumChunkSize <= 1 << 40,
            "maximumChunkSize", maximumChunkSize,
            "a multiple of 16 from initialChunkSize (\(initialChunkSize)) to \(1 << 40)")
        try require(keptByteCount >= 0, "keptByteCount", keptByteCount, "zero or more")
        self.initialChunkSize = initialChunkSize
        self.maximumChunkSize = maximumChunkSize
        self.keptByteCount = keptByteCount
        self.upstream = upstream
        nextChunkSize = initialChunkSize
        identity = Self.identities.wrappingAdd(1, ordering: .relaxed).newValue
        key = identity &* 0xD6E8_FEB8_6659_FD93
        handle = _RegionHandle(.allocate(capacity: 1))
        handle.state.initialize(to: RegionState(owner: self))
    }

    /// A child's allocator, whose chunks come from its parent and go back there.
    package init(childOf parent: RegionAllocator) {
        initialChunkSize = parent.initialChunkSize
        maximumChunkSize = parent.maximumChunkSize
        keptByteCount = parent.keptByteCount
        upstream = RegionLender(parent: parent)
        nextChunkSize = initialChunkSize
        identity = Self.identities.wrappingAdd(1, ordering: .relaxed).newValue
        key = identity &* 0xD6E8_FEB8_6659_FD93
        handle = _RegionHandle(.allocate(capacity: 1))
        handle.state.initialize(to: RegionState(owner: self))
    }

    /// Deinitialises what needs it and gives all memory upstream, that of live blocks too.
    deinit {
        releaseAll()
        handle.state.deallocate()
    }

    // MARK: - The state of a hit

    @inlinable @inline(__always)
    var cursor: UInt {
        get { handle.state.pointee.cursor }
        set { handle.state.pointee.cursor = newValue }
    }
    @inlinable @inline(__always)
    var limit: UInt {
        get { handle.state.pointee.limit }
        set { handle.state.pointee.limit = newValue }
    }
    @inlinable @inline(__always)
    var totalBlocks: Int {
        get { handle.state.pointee.totalBlocks }
        set { handle.state.pointee.totalBlocks = newValue }
    }
    @inlinable @inline(__always)
    var totalBytes: Int {
        get { handle.state.pointee.totalBytes }
        set { handle.state.pointee.totalBytes = newValue }
    }
    @inlinable @inline(__always)
    var cleanups: UnsafeMutablePointer<RegionCleanup>? {
        get { handle.state.pointee.cleanups }
        set { handle.state.pointee.cleanups = newValue }
    }

    // MARK: - The last block

    /// Takes a block without a header back, at once if it is the last.
    ///
    /// - Parameter serial: `lastSerial` as it was when the block was allocated.
    @usableFromInline @inline(never)
    func releaseValue(_ start: UnsafeMutableRawPointer, byteCount: Int, serial: UInt) {
        let address = UInt(bitPattern: start)
        if address &+ UInt(bitPattern: byteCount) == cursor && byteCount > 0 {
            cursor = address
        } else if large != nil {
            releaseLargeChunk(holding: start)
        }
        retire(blocks: 1, byteCount: byteCount, serial: serial)
    }

    /// Makes a block without a header larger or smaller where it is, if it is the last.
    @inlinable @inline(__always)
    func resizeLast(_ start: UnsafeMutableRawPointer, from oldByteCount: Int, to byteCount: Int, serial: UInt) -> Bool {
        let end = UInt(bitPattern: start) &+ UInt(bitPattern: oldByteCount)
        let newEnd = UInt(bitPattern: start) &+ UInt(bitPattern: byteCount)
        guard end == cursor, newEnd <= limit else { return false }
        cursor = newEnd
        if byteCount >= oldByteCount {
            totalBytes &+= byteCount &- oldByteCount
        } else {
            retire(blocks: 0, byteCount: oldByteCount &- byteCount, serial: serial)
        }
        return true
    }

    /// Bytes from the cursor to the end of its chunk.
    @inlinable @inline(__always)
    var room: Int { cursor > limit ? 0 : Int(bitPattern: limit &- cursor) }
}
