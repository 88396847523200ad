// Mallow's malloc as an allocator: the heap of the whole process, in which each thread has a part of its own. No state
// here: all of it is the malloc's, in the module MallocHeap. Cost: a call beside the malloc's own.
//
// Thread-safety: everything may be called by any thread at any time; a block may be freed by any thread.

public import AllocatorCore
internal import MallocHeap

/// The default heap of Mallow's malloc, thread-caching and shared by the whole process.
///
/// Use it where an allocator is wanted that any thread may use and that is fast for every size; it is also where the
/// blocks of a ``Heap`` go that is given up with its blocks alive. In a program that runs on Mallow by its own
/// dependencies these are the blocks of `malloc`; elsewhere the heap lies beside the system's malloc, and its blocks
/// are freed here alone. Not for what is to be freed at once, which is a heap's or an arena's.
///
/// Alignments up to 1 GiB. Allocating and freeing are O(1) for up to 32 KiB. A pointer that is not the start of a live
/// block ends the program with a message, wherever the malloc can tell. Thread-safe.
public struct SharedHeap: SizeReportingAllocator, Sendable {
    /// Makes the allocator, which has no state: all are the same.
    public init() {}

    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("SharedHeap", byteCount: byteCount, alignment: alignment) else { return nil }
        guard let pointer = Malloc.allocate(UInt(bitPattern: byteCount), alignment: UInt(bitPattern: alignment)) else {
            return nil
        }
        return UnsafeMutableRawBufferPointer(start: pointer, count: goodSize(for: byteCount, alignment: alignment))
    }

    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal(
                "SharedHeap", byteCount: byteCount, alignment: alignment, largestAlignment: Self.largestAlignment)
        }
        return block
    }

    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        Malloc.deallocate(pointer)
    }

    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        Int(bitPattern: Malloc.usableSize(UnsafeMutableRawPointer(mutating: pointer)))
    }

    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        guard byteCount >= 0, isPowerOfTwo(alignment) else { return byteCount }
        return Int(bitPattern: Malloc.goodSize(UInt(bitPattern: byteCount), alignment: UInt(bitPattern: alignment)))
    }

    /// The largest alignment that is served, in bytes: 1 GiB.
    public static var largestAlignment: Int { 1 << 30 }
}

extension SharedHeap: OwningAllocator {
    /// Whether the address lies in memory of this malloc that blocks have, and of no ``Heap``. O(1): a lock where the
    /// address is Mallow's.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        let address = UInt(bitPattern: pointer)
        return FirstClassHeap.isInMalloc(address) && FirstClassHeap.heap(at: address) == nil
    }
}

extension SharedHeap: ResizableAllocator {
    /// Resizes where the block has the room and stays at least half full, and blocks above 32 KiB where the memory
    /// behind them is free.
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("SharedHeap", byteCount) }
        guard let usable = Malloc.resizeInPlace(pointer, UInt(bitPattern: byteCount)) else { return nil }
        return UnsafeMutableRawBufferPointer(start: pointer, count: Int(bitPattern: usable))
    }
}
