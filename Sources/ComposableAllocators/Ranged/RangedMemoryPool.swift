// Small ranged memories that come and go, for many threads: each with its buffer and its records, which are kept.
//
// L1. A space is live, in a RangedMemory, or kept, in the list of its size; a kept one is empty.
// L2. While a memory is live the pool has a reference to itself, so that a memory needs none: that would be two atomic
//     operations more each time.
// L3. `keptBytes` is the sum of the kept buffers, and at most `keptByteCount`.
//
// Cost: making and dropping take the lock once each. Thread-safety: all of it; upstream is called under the lock.

public import AllocatorCore

/// A source of small ``RangedMemory`` values, which go back there when they end.
///
/// For memories that are made and dropped all the time, such as one for each request: the buffer and the records of
/// one that ended serve the next, which takes no memory then. ``shared`` has the usual sizes, 1, 4 and 16 KiB; see
/// ``RangedMemory/pooled(byteCount:)``. It is of no use for a memory that lives long.
///
/// Thread-safe. A memory that was made here keeps the pool alive. Not for use in a child of `fork` of a program with
/// several threads.
public final class RangedMemoryPool: @unchecked Sendable {
    /// The bytes that memories can have, in rising order.
    public let sizes: [Int]
    /// What the pieces of all memories are multiples of, in bytes.
    public let granule: Int
    /// How many bytes of buffers are kept at most.
    public let keptByteCount: Int

    private let lock = SharedLock()
    private let upstream: any Allocator
    /// The first kept space of each size.
    private let heads: UnsafeMutablePointer<Unmanaged<RangedSpace>?>
    private var counts = Statistics()

    /// What a pool did and has: memories, and bytes of their buffers.
    public struct Statistics: Codable, Equatable, Sendable {
        /// Memories that are in use now.
        public var liveMemories = 0
        /// Bytes of the memories that are in use now.
        public var liveBytes = 0
        /// Memories that are kept for the next requests.
        public var keptMemories = 0
        /// Bytes of the memories that are kept.
        public var keptBytes = 0
        /// Requests that were served by a new buffer.
        public var made = 0
        /// Requests that were served by a kept one.
        public var reused = 0
        /// Buffers that went back upstream, because enough were kept or by ``RangedMemoryPool/drain()``.
        public var givenBack = 0

        /// The account of a pool that did nothing.
        public init() {}
    }

    /// The sizes of ``shared``: 1, 4 and 16 KiB.
    public static let usualSizes = [1 << 10, 4 << 10, 16 << 10]

    /// The pool for everybody: the usual sizes, in granules of one byte, over the system's malloc. It keeps 1 MiB.
    public static let shared = RangedMemoryPool()

    private init() {
        sizes = Self.usualSizes
        granule = 1
        keptByteCount = 1 << 20
        upstream = SystemAllocator()
        heads = Self.makeHeads(sizes.count)
    }

    /// Makes a pool, which takes nothing from upstream before the first request.
    ///
    /// - Parameters:
    ///   - sizes: the bytes that memories can have: rising multiples of `granule`, at least 64, at most 2^30.
    ///   - granule: what the sizes of pieces are rounded up to: a power of two from 1 to 65536.
    ///   - keptByteCount: how many bytes of buffers are kept at most; 0 turns the pool into a plain source.
    ///   - upstream: where buffers come from, under a lock; it is this object's from now on.
    /// - Throws: ``ConfigurationError``, which names the argument.
    public init(
        sizes: [Int] = RangedMemoryPool.usualSizes, granule: Int = 1, keptByteCount: Int = 1 << 20,
        upstream: sending any Allocator = SystemAllocator()
    ) throws(ConfigurationError) {
        func wrong(_ argument: String, _ value: Int, _ requirement: String) -> ConfigurationError {
            ConfigurationError(
                allocator: "RangedMemoryPool", argument: argument, value: value, requirement: requirement)
        }
        try RangedMemory.check(granule, "RangedMemoryPool")
        if sizes.isEmpty { throw wrong("sizes", 0, "one at least") }
        var last = 63
        for size in sizes {
            guard size > last, size <= 1 << 30, size % granule == 0 else {
                throw wrong("sizes", size, "a multiple of granule (\(granule)) from \(last + 1) to \(1 << 30)")
            }
            last = size
        }
        guard keptByteCount >= 0 else { throw wrong("keptByteCount", keptByteCount, "zero or more") }
        self.sizes = sizes
        self.granule = granule
        self.keptByteCount = keptByteCount
        self.upstream = upstream
        heads = Self.makeHeads(sizes.count)
    }

    private static func makeHeads(_ count: Int) -> UnsafeMutablePointer<Unmanaged<RangedSpace>?> {
        let heads = UnsafeMutablePointer<Unmanaged<RangedSpace>?>.allocate(capacity: count)
        heads.initialize(repeating: nil, count: count)
        return heads
    }

    deinit {
        // L2: none is live.
        drain()
        heads.deallocate()
        lock.destroy()
    }

    // MARK: - Making

    /// A memory of the least size that has room for `byteCount` bytes, all of it free; its bytes hold what they held
    /// before. It comes back when it ends.
    ///
    /// - Parameter byteCount: from 0 to the last of ``sizes``; a negative number traps.
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: O(number of sizes), and a call of upstream where none is kept.
    public func makeMemory(byteCount: Int) throws(AllocationError) -> sending RangedMemory {
        guard byteCount >= 0, let sizeClass = sizes.firstIndex(where: { $0 >= byteCount }) else {
            throw refusal("RangedMemoryPool", byteCount: byteCount, alignment: granule, largest: sizes[sizes.count - 1])
        }
        lock.acquire()
        defer { lock.release() }
        if let space = heads[sizeClass] {
            heads[sizeClass] = space._withUnsafeGuaranteedRef { $0.next }
            counts.keptMemories -= 1
            counts.keptBytes -= sizes[sizeClass]
            counts.reused += 1
            enterLive(sizes[sizeClass])
            return RangedMemory(space)
        }
        let buffer = try upstream.allocate(byteCount: sizes[sizeClass], alignment: max(granule, mallocAlignment))
        let space = RangedSpace(
            UnsafeMutableRawBufferPointer(rebasing: buffer[..<sizes[sizeClass]]), granule: granule)
        space.pool = Unmanaged.passUnretained(self)
        space.sizeClass = sizeClass
        counts.made += 1
        enterLive(sizes[sizeClass])
        return RangedMemory(Unmanaged.passRetained(space))
    }

    private func enterLive(_ byteCount: Int) {
        if counts.liveMemories == 0 { _ = Unmanaged.passRetained(self) }
        counts.liveMemories += 1
        counts.liveBytes += byteCount
    }

    /// Takes a memory back that ended: the reference is the pool's from here on.
    func takeBack(_ space: Unmanaged<RangedSpace>) {
        // What is its owner's alone still needs no lock.
        let sizeClass = space._withUnsafeGuaranteedRef {
            if !$0.isEmpty { $0.freeAll() }
            return $0.sizeClass
        }
        let byteCount = sizes[sizeClass]
        // Once it is open, another thread may end the last memory, and with it the pool: nothing of it is used then.
        let lock = lock
        lock.acquire()
        counts.liveMemories -= 1
        counts.liveBytes -= byteCount
        let wasLast = counts.liveMemories == 0
        if byteCount <= keptByteCount - counts.keptBytes {
            space._withUnsafeGuaranteedRef { $0.next = heads[sizeClass] }
            heads[sizeClass] = space
            counts.keptMemories += 1
            counts.keptBytes += byteCount
        } else {
            giveBack(space)
        }
        lock.release()
        if wasLast { Unmanaged.passUnretained(self).release() }
    }

    private func giveBack(_ space: Unmanaged<RangedSpace>) {
        upstream.deallocate(space._withUnsafeGuaranteedRef { $0.start })
        space.release()
        counts.givenBack += 1
    }

    // MARK: - What is kept

    /// Gives all memories that are kept back upstream. Those that are in use are kept when they end.
    ///
    /// - Returns: the bytes of their buffers.
    /// - Complexity: O(kept memories).
    @discardableResult
    public func drain() -> Int {
        lock.acquire()
        defer { lock.release() }
        for sizeClass in sizes.indices {
            while let space = heads[sizeClass] {
                heads[sizeClass] = space._withUnsafeGuaranteedRef { $0.next }
                giveBack(space)
            }
        }
        defer {
            counts.keptMemories = 0
            counts.keptBytes = 0
        }
        return counts.keptBytes
    }

    /// The account as of now. O(1).
    public var statistics: Statistics {
        lock.acquire()
        defer { lock.release() }
        return counts
    }

    /// What is wrong with the pool, or nil: counts what is kept.
    package func brokenInvariant() -> String? {
        lock.acquire()
        defer { lock.release() }
        var (memories, bytes) = (0, 0)
        for sizeClass in sizes.indices {
            var next = heads[sizeClass]
            while let space = next?.takeUnretainedValue() {
                if !space.isEmpty || space.sizeClass != sizeClass { return "L1: a kept memory is not empty" }
                memories += 1
                bytes += space.byteCount
                next = space.next
            }
        }
        if memories != counts.keptMemories || bytes != counts.keptBytes { return "L3: the account of what is kept" }
        return bytes <= keptByteCount ? nil : "L3: more is kept than may be"
    }
}

extension RangedMemory {
    /// A small memory from ``RangedMemoryPool/shared``: of 1, 4 or 16 KiB, the least that has room for `byteCount`. It
    /// goes back there when it ends, and what is still allocated of it with it.
    ///
    /// - Throws: ``AllocationError``, and nothing has changed.
    public static func pooled(byteCount: Int) throws(AllocationError) -> sending RangedMemory {
        try RangedMemoryPool.shared.makeMemory(byteCount: byteCount)
    }
}
