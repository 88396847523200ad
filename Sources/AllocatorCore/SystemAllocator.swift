// malloc and free, whichever the program runs on: libc's, or Mallow's when it is preloaded or linked. No state, so it
// is thread-safe and costs what malloc costs, plus a test of the alignment.

public import CMallowShims

/// The system's malloc: the upstream of every allocator that names no other.
///
/// Blocks come from `malloc`, so C code may `free` them, and this frees what C code allocated. Any alignment; a freed
/// or foreign pointer is found as the malloc finds it. Costs what malloc and free cost. Thread-safe.
@frozen
public struct SystemAllocator: SizeReportingAllocator, ResizableAllocator, Sendable {
    /// Makes the allocator, which has no state: all are the same.
    @inlinable @inline(__always)
    public init() {}

    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("SystemAllocator", byteCount: byteCount, alignment: alignment) else { return nil }
        var pointer: UnsafeMutableRawPointer?
        if alignment <= mallocAlignment {
            // Some mallocs answer a request for nothing with nothing.
            pointer = malloc(max(byteCount, 1))
        } else if posix_memalign(&pointer, alignment, max(byteCount, 1)) != 0 {
            return nil
        }
        guard let pointer else { return nil }
        return UnsafeMutableRawBufferPointer(start: pointer, count: byteCount)
    }

    // Not `@inline(__always)`: a throwing function of a type that is not generic then stays a call through the witness
    // table in specialised code of other modules (Swift 6.3.1).
    @inlinable
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal("SystemAllocator", byteCount: byteCount, alignment: alignment)
        }
        return block
    }

    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        free(pointer)
    }

    @inlinable
    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        mallow_system_usable_size(pointer)
    }

    /// Succeeds where the malloc gave the block that much room from the start, and does not make it smaller than half:
    /// C has no call that resizes and never moves.
    @inlinable
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("SystemAllocator", byteCount) }
        let usable = self.byteCount(of: pointer)
        guard byteCount <= usable, byteCount >= usable / 2 else { return nil }
        return UnsafeMutableRawBufferPointer(start: pointer, count: byteCount)
    }
}
