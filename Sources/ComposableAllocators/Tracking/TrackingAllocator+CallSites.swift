// The calls that the compiler prefers on a TrackingAllocator whose type is known: with the caller's file and line as
// default arguments. The protocol's own requirements are `@_disfavoredOverload`, and serve generic callers.

public import AllocatorCore

extension TrackingAllocator {
    /// Allocates a block, and remembers the file and line of the call. See
    /// ``Allocator/allocate(byteCount:alignment:)``.
    public func allocate(
        byteCount: Int, alignment: Int, file: StaticString = #fileID, line: UInt = #line
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try track(byteCount, alignment, CallOrigin(file: file, line: line, stackDepth: stackDepth))
    }

    /// Allocates a block of the default alignment, and remembers the file and line of the call.
    public func allocate(
        byteCount: Int, file: StaticString = #fileID, line: UInt = #line
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try allocate(byteCount: byteCount, alignment: defaultAlignment(for: byteCount), file: file, line: line)
    }

    /// Allocates a block, or returns nil, and remembers the file and line of the call.
    public func tryAllocate(
        byteCount: Int, alignment: Int, file: StaticString = #fileID, line: UInt = #line
    ) -> UnsafeMutableRawBufferPointer? {
        trackIfServed(byteCount, alignment, CallOrigin(file: file, line: line, stackDepth: stackDepth))
    }

    /// Allocates room for `count` values of a type, and remembers the file and line of the call.
    public func allocate<T: ~Copyable>(
        _ type: T.Type, count: Int, file: StaticString = #fileID, line: UInt = #line
    ) throws(AllocationError) -> UnsafeMutableBufferPointer<T> {
        let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<T>.stride)
        // As in TypedAllocation.swift: a product that wraps must not turn a negative count into a size that can be
        // served.
        let block = try allocate(
            byteCount: overflow ? (count > 0 ? .max : .min) : byteCount, alignment: MemoryLayout<T>.alignment,
            file: file, line: line)
        return UnsafeMutableBufferPointer(
            start: block.baseAddress!.bindMemory(to: T.self, capacity: count), count: count)
    }

    /// Allocates room for a value and moves it there, and remembers the file and line of the call.
    public func allocate<T: ~Copyable>(
        initializingTo value: consuming T, file: StaticString = #fileID, line: UInt = #line
    ) throws(AllocationError) -> UnsafeMutablePointer<T> {
        let pointer = try allocate(T.self, count: 1, file: file, line: line).baseAddress!
        pointer.initialize(to: value)
        return pointer
    }

    /// Allocates `count` copies of a value, and remembers the file and line of the call.
    public func allocate<T>(
        repeating value: T, count: Int, file: StaticString = #fileID, line: UInt = #line
    ) throws(AllocationError) -> UnsafeMutableBufferPointer<T> {
        let buffer = try allocate(T.self, count: count, file: file, line: line)
        buffer.initialize(repeating: value)
        return buffer
    }

    /// Allocates a copy of a collection's elements, and remembers the file and line of the call.
    public func allocate<Elements: Collection>(
        copying elements: Elements, file: StaticString = #fileID, line: UInt = #line
    ) throws(AllocationError) -> UnsafeMutableBufferPointer<Elements.Element> {
        let buffer = try allocate(Elements.Element.self, count: elements.count, file: file, line: line)
        let end = buffer.initialize(fromContentsOf: elements)
        precondition(end == buffer.count, "a collection gave fewer elements than its count")
        return buffer
    }
}
