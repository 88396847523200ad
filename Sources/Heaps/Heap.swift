// A heap of Mallow's malloc that the program makes, as an allocator. All of it is the malloc's `FirstClassHeap`; here
// it gets an owner, errors and an account.
//
// Cost: an uncontended lock for each allocation and each free, beside the malloc's own; 256 bytes of records a heap,
// 1,920 more from its first block on, and a page of 64 KiB for each size class that it has blocks of.
//
// Thread-safety: any thread at any time, but for what is said of `freeAll`, `close` and the end of the heap.

public import AllocatorCore
internal import MallocHeap

/// Memory for blocks of any size that belong together: they can be freed one by one, all at once, looked at, and
/// counted.
///
/// Use a heap for what ends together (a session, a document, a plug-in) and is used by several threads, or has blocks
/// of all sizes that are also freed one by one; freeing all costs pages, not blocks. Each heap has pages of its own, so
/// many heaps with few blocks each waste memory: an `ArenaAllocator` over a pool has no such cost, and a `Region` is
/// faster where nothing is freed before the end. Where blocks need not be told apart, ``shared`` is faster than any
/// heap.
///
/// Alignments up to 1 GiB. A free of another heap's block, a second free and a pointer to no block end the program with
/// a message. When the heap's last reference goes, all of its blocks are freed. Heaps in a malloc are from Windows
/// (`HeapCreate`) and mimalloc, that live blocks outlive a heap from the latter.
///
/// Thread-safe; but no other thread may use the heap or free blocks of it during ``freeAll()``.
public final class Heap: Sendable {
    let core: FirstClassHeap

    /// The heap of the whole process, which is never closed.
    public static var shared: SharedHeap { SharedHeap() }

    /// Makes a heap, which takes its memory with its first blocks.
    ///
    /// - Throws: ``AllocationError`` where there is no memory for its record.
    public init() throws(AllocationError) {
        guard let core = FirstClassHeap.make() else {
            throw AllocationError(allocator: "Heap", byteCount: 256, alignment: 128, reason: .outOfMemory)
        }
        self.core = core
    }

    deinit { core.destroy() }

    /// The largest alignment that is served, in bytes: 1 GiB.
    public static var largestAlignment: Int { SharedHeap.largestAlignment }
}

extension Heap: SizeReportingAllocator {
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("Heap", byteCount: byteCount, alignment: alignment) else { return nil }
        guard let pointer = core.allocate(UInt(bitPattern: byteCount), alignment: UInt(bitPattern: alignment)) else {
            return nil
        }
        return UnsafeMutableRawBufferPointer(start: pointer, count: goodSize(for: byteCount, alignment: alignment))
    }

    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal("Heap", byteCount: byteCount, alignment: alignment, largestAlignment: Self.largestAlignment)
        }
        return block
    }

    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        core.deallocate(pointer, caller: "Heap.deallocate")
    }

    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        Heap.shared.goodSize(for: byteCount, alignment: alignment)
    }

    public func byteCount(of pointer: UnsafeRawPointer) -> Int { Heap.shared.byteCount(of: pointer) }
}

extension Heap: OwningAllocator {
    /// Whether the address lies in a page or a large block of this heap: of blocks above 16 MiB, in the first 32 MiB.
    /// O(1): a lock where the address is Mallow's.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        FirstClassHeap.heap(at: UInt(bitPattern: pointer))?.address == core.address
    }
}

extension Heap: ResizableAllocator {
    /// Resizes where the block has the room and stays at least half full, and blocks above 32 KiB where the memory
    /// behind them is free.
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("Heap", byteCount) }
        guard let usable = core.resizeInPlace(pointer, UInt(bitPattern: byteCount)) else { return nil }
        return UnsafeMutableRawBufferPointer(start: pointer, count: Int(bitPattern: usable))
    }

    /// Gives a block another size: in place, or by moving its pages, or else by copying. Blocks above 256 KiB are not
    /// copied when they grow. Where it throws, the block is as it was.
    public func reallocate(
        _ block: UnsafeMutableRawBufferPointer, byteCount: Int, alignment: Int? = nil
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let alignment = alignment ?? defaultAlignment(for: byteCount)
        if byteCount < 0 { negativeByteCount("Heap", byteCount) }
        let base = block.baseAddress.unsafelyUnwrapped
        let isMovable = alignment <= (byteCount > 8 ? 16 : 8) && isPowerOfTwo(alignment)
        // Zero bytes would free the block.
        if isMovable, let moved = core.reallocate(base, UInt(bitPattern: max(byteCount, 1))) {
            return UnsafeMutableRawBufferPointer(start: moved, count: self.byteCount(of: moved))
        }
        if isMovable { throw refusal("Heap", byteCount: byteCount, alignment: alignment) }
        let moved = try allocate(byteCount: byteCount, alignment: alignment)
        moved.copyMemory(from: UnsafeRawBufferPointer(rebasing: block.prefix(min(byteCount, block.count))))
        deallocate(base)
        return moved
    }
}

extension Heap: ResettableAllocator {
    /// Frees every live block and gives the memory back: O(pages and blocks above 32 KiB). No other thread may use the
    /// heap, or free blocks of it, meanwhile.
    public func freeAll() { core.reset() }

    /// Leaves every live block to ``shared``, which frees it from then on, as ``deallocate(_:)`` of this heap does no
    /// more. Nothing is copied, and the heap is as new. O(blocks above 32 KiB). Other threads must not allocate from it
    /// meanwhile, and may free blocks by ``shared``.
    public func moveBlocksToShared() { core.release() }
}
