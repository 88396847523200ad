// What some allocators can do and others cannot, a protocol each.

/// Can tell its own blocks from others'.
///
/// Telling never touches the memory behind the pointer, so that any address may be asked about.
public protocol OwningAllocator: Allocator, ~Copyable {
    /// Whether the address is in memory that this allocator manages. True for every live block; for an address inside a
    /// block, or one that was freed, it may be either.
    borrowing func owns(_ pointer: UnsafeRawPointer) -> Bool
}

extension OwningAllocator where Self: ~Copyable {
    @inlinable @inline(__always)
    public var _tellsOwn: Bool { true }

    @inlinable @inline(__always)
    public borrowing func _owns(_ pointer: UnsafeRawPointer) -> Bool { owns(pointer) }

    @inlinable
    public borrowing func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        guard owns(pointer) else { return false }
        deallocate(pointer)
        return true
    }
}

/// Can free all of its live blocks at once.
public protocol ResettableAllocator: Allocator, ~Copyable {
    /// Frees every live block. Pointers into them dangle, and so does what adopted one to free it later, such as a
    /// segment of a buffer: free all when nothing of that is left. What lies in them is not deinitialised.
    borrowing func freeAll()
}

/// Can grow or shrink a block where it is.
public protocol ResizableAllocator: Allocator, ~Copyable {
    /// Changes the size of a live block without moving it.
    ///
    /// - Returns: the block with its new count, or nil where it cannot be done in place: nothing has changed then.
    borrowing func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer?
}

extension ResizableAllocator where Self: ~Copyable {
    /// Gives a block another size, in place where that can be, else by moving it. Where it throws, the block is as it
    /// was.
    @inlinable
    public borrowing func reallocate(
        _ block: UnsafeMutableRawBufferPointer, byteCount: Int, alignment: Int? = nil
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let alignment = alignment ?? defaultAlignment(for: byteCount)
        let base = block.baseAddress.unsafelyUnwrapped
        if Int(bitPattern: base) & (alignment &- 1) == 0, let resized = resize(base, byteCount: byteCount) {
            return resized
        }
        let moved = try allocate(byteCount: byteCount, alignment: alignment)
        moved.copyMemory(from: UnsafeRawBufferPointer(rebasing: block.prefix(min(byteCount, block.count))))
        deallocate(block)
        return moved
    }
}

/// Knows the size of a live block from its address.
public protocol SizeReportingAllocator: Allocator, ~Copyable {
    /// The usable bytes of a live block: at least its request, and the same for as long as it lives and is not resized.
    borrowing func byteCount(of pointer: UnsafeRawPointer) -> Int
}

extension SizeReportingAllocator where Self: ~Copyable {
    @inlinable @inline(__always)
    public var _tellsSizes: Bool { true }

    @inlinable @inline(__always)
    public borrowing func _byteCount(of pointer: UnsafeRawPointer) -> Int { byteCount(of: pointer) }
}

/// Keeps account of what it handed out.
public protocol MeasuredAllocator: Allocator, ~Copyable {
    /// The account as of now. Reading it costs no more than a walk over the allocator's pages.
    var statistics: AllocatorStatistics { get }
}

extension MeasuredAllocator where Self: ~Copyable {
    /// The leak that ``AllocatorStatistics`` shows.
    @inlinable
    package borrowing func leakInStatistics(of allocator: StaticString) -> LeakError? {
        let statistics = self.statistics
        guard statistics.liveBlocks > 0 else { return nil }
        return LeakError(allocator: "\(allocator)", blocks: statistics.liveBlocks, bytes: statistics.liveBytes)
    }
}
