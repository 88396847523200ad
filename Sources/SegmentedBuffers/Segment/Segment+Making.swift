// The ways to make a segment: a copy of bytes, and bytes that stay where they are.
//
// Cost: one allocation each, which holds the copy too; with an allocator of the caller's, one more, from there.
// Thread-safety: none.

public import AllocatorCore

extension Segment {
    /// Copies bytes into memory from malloc. Ends the program where malloc fails.
    ///
    /// - Parameter capacity: for how many bytes to make room, if more than there are: what is appended fills it.
    /// - Complexity: O(count), one allocation.
    @inlinable
    public init(copying bytes: UnsafeRawBufferPointer, capacity: Int = 0) {
        self.init(capacity: max(bytes.count, capacity))
        if let source = bytes.baseAddress { start.copyMemory(from: source, byteCount: bytes.count) }
        byteCount = bytes.count
    }

    /// Copies bytes into a block from an allocator.
    ///
    /// - Parameters:
    ///   - capacity: for how many bytes to make room, if more than there are.
    ///   - allocator: gets the block back when the last owner is gone, and must be able to on that thread.
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: O(count), and the allocation.
    @inlinable
    public init(
        copying bytes: UnsafeRawBufferPointer, capacity: Int = 0, allocator: any Allocator
    ) throws(AllocationError) {
        try self.init(capacity: max(bytes.count, capacity), allocator: allocator)
        if let source = bytes.baseAddress { start.copyMemory(from: source, byteCount: bytes.count) }
        byteCount = bytes.count
    }

    /// A segment of no bytes at the start of new memory from malloc.
    @inlinable @inline(__always)
    init(capacity: Int) {
        let memory = SegmentMemory.own(byteCount: capacity)
        self.init(memory: memory, start: memory.extent.base, count: 0)
    }

    /// A segment of no bytes at the start of a new block.
    @inlinable
    init(capacity: Int, allocator: any Allocator) throws(AllocationError) {
        let block = try allocator.allocate(byteCount: capacity, alignment: defaultAlignment(for: capacity))
        self.init(taking: block, count: 0, allocator: allocator)
    }

    /// Takes over a block of an allocator, without copying: it is freed there when the last owner is gone. That is a
    /// promise that nobody else frees it, which no allocator can check now: who frees it besides, adopts it twice, or
    /// frees all of the allocator's blocks at once (``ResettableAllocator/freeAll()``, ``ScalableAllocator/recycle()``)
    /// while a segment is left, makes its bytes another's.
    ///
    /// Traps where the allocator can tell that the block is not its own, not a whole block, or of fewer bytes.
    ///
    /// - Parameters:
    ///   - block: as the allocator handed it out. Its bytes from `count` on are room for what is appended.
    ///   - count: how many bytes of it are there; all of them where it is nil. Traps where it goes beyond the block.
    ///   - allocator: gets the block back, and must be able to on the thread that drops it last.
    /// - Complexity: O(1), one allocation.
    @inlinable
    public init(adopting block: UnsafeMutableRawBufferPointer, count: Int? = nil, allocator: any Allocator) {
        guard let base = block.baseAddress else { fatalError("Segment: a block without an address is adopted") }
        let count = count ?? block.count
        if count < 0 || count > block.count { fatalError("Segment: \(count) bytes of a block of \(block.count)") }
        if allocator._tellsOwn, !allocator._owns(base) {
            misuse("Segment", base, "was adopted and is not the allocator's")
        }
        // Of what is no block, an allocator that tells sizes says so by a trap of its own.
        if allocator._tellsSizes { Self.checkSize(block.count, of: allocator._byteCount(of: base)) }
        self.init(taking: block, count: count, allocator: allocator)
    }

    /// A block that is known to be the allocator's.
    @inlinable
    init(taking block: UnsafeMutableRawBufferPointer, count: Int, allocator: any Allocator) {
        let base = block.baseAddress.unsafelyUnwrapped
        let memory = AllocatedMemory.make(
            SegmentExtent(base: base, limit: base + block.count), keeping: allocator)
        self.init(memory: memory, start: base, count: count)
    }

    @inlinable @inline(__always)
    static func checkSize(_ count: Int, of size: Int) {
        if count > size { tooLarge(count, size) }
    }

    @usableFromInline @inline(never)
    static func tooLarge(_ count: Int, _ size: Int) -> Never {
        fatalError("Segment: \(count) bytes adopted of a block of \(size)")
    }

    /// Bytes that are there and don't change for as long as an object lives, which the segment keeps alive.
    ///
    /// - Complexity: O(1), one allocation.
    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer, ownedBy object: AnyObject) { self.init(bytes, keeping: object) }

    /// The elements of an array, which is kept instead of copied.
    ///
    /// It pays from some hundred bytes on; fewer are copied in less time. Changing the array copies it, as ever.
    ///
    /// - Complexity: O(1), one allocation.
    @inlinable
    public init(sharing array: [UInt8]) {
        // An array's elements stay where they are for as long as its storage has an owner and no other writes to it:
        // the copy that is kept sees to both.
        let bytes = array.withUnsafeBytes { $0 }
        self.init(bytes, keeping: array)
    }

    /// Bytes that are there and don't change for as long as a value, or a copy of it, is kept.
    @inlinable
    package init<Value>(_ bytes: UnsafeRawBufferPointer, keeping value: Value) {
        let base = Self.base(of: bytes)
        let memory = KeepingMemory<Value>.make(SegmentExtent(base: base, limit: base), keeping: value)
        self.init(memory: memory, start: base, count: bytes.count)
    }

    /// Bytes that a closure gives back: it is called once, when the last owner is gone, on that thread.
    ///
    /// - Complexity: O(1), one allocation.
    @inlinable
    public init(
        _ bytes: UnsafeMutableRawBufferPointer, releasedBy release: @escaping (UnsafeMutableRawBufferPointer) -> Void
    ) {
        let base = Self.base(of: UnsafeRawBufferPointer(bytes))
        let memory = ReleasedMemory.make(
            SegmentExtent(base: base, limit: base), keeping: SegmentRelease(body: release, byteCount: bytes.count))
        self.init(memory: memory, start: base, count: bytes.count)
    }

    /// Bytes that nobody gives back: they must outlive every segment made from this one, and not change until then.
    ///
    /// For constants, and for memory whose owner is known to live longer.
    ///
    /// - Complexity: O(1), one allocation.
    @inlinable
    public init(unowned bytes: UnsafeRawBufferPointer) {
        let base = Self.base(of: bytes)
        self.init(memory: .unowned(base: base), start: base, count: bytes.count)
    }

    /// Some address, also of no bytes.
    @inlinable @inline(__always)
    static func base(of bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(mutating: bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 16).unsafelyUnwrapped)
    }
}
