// Memory for values of a type, on any allocator.

extension Allocator where Self: ~Copyable {
    /// Allocates room for `count` values of a type, uninitialised.
    ///
    /// - Returns: a buffer of exactly `count` values. Free it by `deallocate(_:)` after its values were deinitialised,
    ///   or by ``deinitializeAndDeallocate(_:)``.
    /// - Throws: ``AllocationError``, also where the size in bytes does not fit an `Int`. A negative count traps.
    @inlinable @inline(__always)
    public borrowing func allocate<T: ~Copyable>(
        _ type: T.Type, count: Int
    ) throws(AllocationError) -> UnsafeMutableBufferPointer<T> {
        let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<T>.stride)
        // No allocator serves so much: each refuses in its own words. A product that wraps must not turn a negative
        // count into a size that can be served.
        let block = try allocate(
            byteCount: overflow ? (count > 0 ? .max : .min) : byteCount, alignment: MemoryLayout<T>.alignment)
        return UnsafeMutableBufferPointer(
            start: block.baseAddress.unsafelyUnwrapped.bindMemory(to: T.self, capacity: count), count: count)
    }

    /// Allocates room for a value and moves it there.
    @inlinable @inline(__always)
    public borrowing func allocate<T: ~Copyable>(
        initializingTo value: consuming T
    ) throws(AllocationError) -> UnsafeMutablePointer<T> {
        let pointer = try allocate(T.self, count: 1).baseAddress.unsafelyUnwrapped
        pointer.initialize(to: value)
        return pointer
    }

    /// Allocates `count` copies of a value.
    @inlinable
    public borrowing func allocate<T>(
        repeating value: T, count: Int
    ) throws(AllocationError) -> UnsafeMutableBufferPointer<T> {
        let buffer = try allocate(T.self, count: count)
        buffer.initialize(repeating: value)
        return buffer
    }

    /// Allocates a copy of a collection's elements.
    @inlinable
    public borrowing func allocate<Elements: Collection>(
        copying elements: Elements
    ) throws(AllocationError) -> UnsafeMutableBufferPointer<Elements.Element> {
        let buffer = try allocate(Elements.Element.self, count: elements.count)
        let end = buffer.initialize(fromContentsOf: elements)
        precondition(end == buffer.count, "a collection gave fewer elements than its count")
        return buffer
    }

    /// Frees the memory of a buffer of values, which are deinitialised or need no deinitialising.
    @inlinable @inline(__always)
    public borrowing func deallocate<T: ~Copyable>(_ buffer: UnsafeMutableBufferPointer<T>) {
        deallocate(UnsafeMutableRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }

    /// Frees the memory of a value, which is deinitialised or needs no deinitialising.
    @inlinable @inline(__always)
    public borrowing func deallocate<T: ~Copyable>(_ pointer: UnsafeMutablePointer<T>) {
        deallocate(UnsafeMutableRawPointer(pointer))
    }

    /// Deinitialises all values of a buffer and frees its memory.
    @inlinable @inline(__always)
    public borrowing func deinitializeAndDeallocate<T: ~Copyable>(_ buffer: UnsafeMutableBufferPointer<T>) {
        deallocate(UnsafeMutableRawPointer(buffer.deinitialize().baseAddress.unsafelyUnwrapped))
    }

    /// Deinitialises a value and frees its memory.
    @inlinable @inline(__always)
    public borrowing func deinitializeAndDeallocate<T: ~Copyable>(_ pointer: UnsafeMutablePointer<T>) {
        deallocate(pointer.deinitialize(count: 1))
    }
}
