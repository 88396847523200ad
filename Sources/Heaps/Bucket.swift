// Blocks of exactly one type's size, from the malloc's pages of that size. A bucket is one word: where a thread's heap
// has its current page of the class, which is the malloc's own table (MallocHeap/Buckets.swift). So it is copied and
// sent anywhere, and a Box in it is three words, as in a pool.
//
// Cost: one call. Allocating takes an instruction less than malloc's hit path, freeing is free's.
//
// Thread-safety: everything may be called by any thread at any time; a block may be freed by any thread.

public import AllocatorCore
public import MallocHeap

/// Memory for values of one type, exactly as large as they are, for all threads at once.
///
/// Use it for many values of a type that malloc rounds up: 24 bytes take 24 and not 32, 40 take 40 and not 48. It is as
/// fast as malloc, each thread has pages of its own, and any thread may free. For values of one thread a
/// `FixedBlockAllocator` is faster, and ends with all its memory; a bucket keeps no account of what is live.
///
///     let nodes = Bucket<Node>()                      // once: all of the same size are one bucket
///     let node = try Box(Node(value: 1), in: nodes)   // or nodes.allocate(), nodes.deallocate(pointer)
///
/// Sizes are rounded up to 8 bytes, and to the alignment. What malloc has exactly, such as 240 bytes, comes from its
/// own pages. Up to 128 sizes in a process have pages of their own; further ones share malloc's, as do types above 32
/// KiB. It lies beside the system's malloc: its blocks are freed here, or by a ``SharedHeap``, and not by C's `free`,
/// unless the program runs on Mallow by its own dependencies.
///
/// Allocating and freeing are O(1). A request for more than a value's bytes, or a larger alignment, throws. A pointer
/// that is not the start of a live block ends the program with a message, wherever the malloc can tell. Thread-safe.
@frozen
public struct Bucket<Value: ~Copyable>: SizeReportingAllocator, ResizableAllocator, Sendable {
    @usableFromInline let entry: UInt

    /// Finds the bucket for the type, or makes it.
    ///
    /// Complexity: O(1) where malloc has the size exactly; else O(sizes in use) under a lock. So make it once.
    public init() {
        entry = Malloc.bucketEntry(
            byteCount: UInt(bitPattern: Self.blockSize), alignment: UInt(bitPattern: Self.alignment))
    }

    /// The bytes of a block: a value's stride, rounded up to a multiple of 8.
    @inlinable @inline(__always)
    public static var blockSize: Int { (MemoryLayout<Value>.stride &+ 7) & ~7 }

    /// What a block's address is a multiple of: a value's alignment, and 8 at least.
    @inlinable @inline(__always)
    public static var alignment: Int { max(MemoryLayout<Value>.alignment, 8) }

    @inlinable @inline(__always)
    func takeBlock() -> UnsafeMutableRawPointer? {
        Malloc.allocate(
            bucketEntry: entry, byteCount: UInt(bitPattern: Self.blockSize),
            alignment: UInt(bitPattern: Self.alignment))
    }

    /// Memory for a value, uninitialised. Freed by ``deallocate(_:)``, after the value was deinitialised or moved out,
    /// or by `deinitializeAndDeallocate(_:)`.
    ///
    /// - Throws: ``AllocationError`` where there is no memory.
    @inlinable @inline(__always)
    public func allocate() throws(AllocationError) -> UnsafeMutablePointer<Value> {
        guard let block = takeBlock() else {
            throw refusal("Bucket", byteCount: Self.blockSize, alignment: Self.alignment)
        }
        return block.bindMemory(to: Value.self, capacity: 1)
    }

    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("Bucket", byteCount: byteCount, alignment: alignment), byteCount <= Self.blockSize,
            alignment <= Self.alignment, let block = takeBlock()
        else { return nil }
        return UnsafeMutableRawBufferPointer(start: block, count: Self.blockSize)
    }

    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal(
                "Bucket", byteCount: byteCount, alignment: alignment, largest: Self.blockSize,
                largestAlignment: Self.alignment)
        }
        return block
    }

    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        Malloc.deallocate(pointer)
    }

    @inlinable @inline(__always)
    public func byteCount(of pointer: UnsafeRawPointer) -> Int { Self.blockSize }

    /// Succeeds up to a block's size: all blocks have the same.
    @inlinable @inline(__always)
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("Bucket", byteCount) }
        return byteCount <= Self.blockSize ? UnsafeMutableRawBufferPointer(start: pointer, count: Self.blockSize) : nil
    }

    @inlinable @inline(__always)
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        byteCount >= 0 && byteCount <= Self.blockSize && alignment <= Self.alignment ? Self.blockSize : byteCount
    }
}
