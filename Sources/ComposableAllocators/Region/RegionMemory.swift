// What can be put into a region: the part of the interface that `Region` and `ChildRegion` share.
//
// Every result is bound to a borrow of the region. So many can live at once, none outlives the region, and none is
// alive where the region is mutated: reset or rewound.

public import AllocatorCore

/// Memory that is handed out by bumping a pointer and comes back all at once: ``Region`` and ``ChildRegion``.
///
/// No type outside conforms to it. Nothing here is thread-safe. Each throws ``AllocationError`` where upstream has no
/// memory or the size does not fit an `Int`, and the region is then as it was, but for a value that was given away: it
/// is gone. A negative count traps. All are O(1) beyond the copying, and but for a new chunk now and then.
public protocol RegionMemory: ~Copyable, ~Escapable {
    var _handle: _RegionHandle { get }
}

extension RegionMemory where Self: ~Copyable & ~Escapable {
    /// The region as an allocator, for C code and for containers that take one: its blocks come from the same chunks
    /// and go with them, at reset, when it is rewound, and at its end.
    ///
    /// Unsafe: the compiler does not tie its blocks to the region's life. Its `freeAll()` must not be called while
    /// results of the region are in use.
    @inlinable
    public var unsafeAllocator: RegionAllocator { _handle.owner }

    @inlinable @inline(__always)
    var _allocator: RegionAllocator { _handle.owner }

    /// The account as of now: every value, span, array and string is a block. See ``RegionAllocator/statistics``.
    public var statistics: AllocatorStatistics { _allocator.statistics }

    // MARK: - Values

    /// Moves a value into the region. One that needs it is deinitialised when the region is reset, rewound or ends.
    @inlinable @inline(__always) @_lifetime(borrow self)
    public borrowing func allocate<T: ~Copyable>(
        _ value: consuming T
    ) throws(AllocationError) -> RegionReference<T> {
        let pointer: UnsafeMutablePointer<T>
        if _isPOD(T.self) {
            let place = _handle.allocateValue(
                byteCount: MemoryLayout<T>.size, alignment: MemoryLayout<T>.alignment)
            guard let place else { throw regionRefusal(MemoryLayout<T>.size, MemoryLayout<T>.alignment) }
            pointer = place.bindMemory(to: T.self, capacity: 1)
        } else {
            guard let places = _handle.allocateManaged(T.self, count: 1) else {
                throw regionRefusal(MemoryLayout<T>.size, MemoryLayout<T>.alignment)
            }
            _handle.register(places, count: 1)
            pointer = places.values
        }
        pointer.initialize(to: value)
        return _overrideLifetime(RegionReference(pointer), borrowing: self)
    }

    // MARK: - Spans

    /// `count` copies of a value.
    @inlinable @_lifetime(borrow self)
    public borrowing func allocate<T>(repeating value: T, count: Int) throws(AllocationError) -> MutableSpan<T> {
        let buffer = try _handle.allocateElements(T.self, count: count) { $0.initialize(repeating: value) }
        return _overrideLifetime(MutableSpan(_unsafeElements: buffer), borrowing: self)
    }

    /// A copy of a collection's elements.
    @inlinable @_lifetime(borrow self)
    public borrowing func allocate<Elements: Collection>(
        copying elements: Elements
    ) throws(AllocationError) -> MutableSpan<Elements.Element> {
        let buffer = try _handle.allocateElements(Elements.Element.self, count: elements.count) {
            let end = $0.initialize(fromContentsOf: elements)
            precondition(end == $0.count, "Region: a collection gave fewer elements than its count")
        }
        return _overrideLifetime(MutableSpan(_unsafeElements: buffer), borrowing: self)
    }

    /// A copy of a span's elements.
    @inlinable @_lifetime(borrow self)
    public borrowing func allocate<T>(copying elements: borrowing Span<T>) throws(AllocationError) -> MutableSpan<T> {
        let buffer = try elements.withUnsafeBufferPointer { source throws(AllocationError) in
            try _handle.allocateElements(T.self, count: source.count) { _ = $0.initialize(fromContentsOf: source) }
        }
        return _overrideLifetime(MutableSpan(_unsafeElements: buffer), borrowing: self)
    }

    /// Room for `capacity` values, which a closure initialises by appending to an `OutputSpan`; what it appended is the
    /// result. Where it throws, what it appended is deinitialised and the room goes back.
    @inlinable @_lifetime(borrow self)
    public borrowing func allocate<T: ~Copyable>(
        capacity: Int, initializingWith body: (inout OutputSpan<T>) throws -> Void
    ) throws -> MutableSpan<T> {
        guard let places = _handle.allocateManaged(T.self, count: capacity) else {
            throw regionRefusal(regionByteCount(T.self, capacity), MemoryLayout<T>.alignment)
        }
        let serial = _allocator.lastSerial
        let buffer = UnsafeMutableBufferPointer(start: places.values, count: capacity)
        var output = OutputSpan<T>(buffer: buffer, initializedCount: 0)
        do {
            try body(&output)
        } catch {
            _ = consume output
            _allocator.releaseValue(
                places.values, byteCount: MemoryLayout<T>.stride &* capacity, serial: serial)
            throw error
        }
        let count = output.finalize(for: buffer)
        _handle.register(places, count: count)
        return _overrideLifetime(MutableSpan(_unsafeStart: places.values, count: count), borrowing: self)
    }

    /// Room for `capacity` values, to be appended to. The values belong to the `OutputSpan`, which deinitialises them
    /// at its end; only the memory is the region's.
    @inlinable @_lifetime(borrow self)
    public borrowing func makeOutputSpan<T: ~Copyable>(
        of type: T.Type, capacity: Int
    ) throws(AllocationError) -> OutputSpan<T> {
        let byteCount = regionByteCount(T.self, capacity)
        let place = _handle.allocateValue(byteCount: byteCount, alignment: MemoryLayout<T>.alignment)
        guard let place else { throw regionRefusal(byteCount, MemoryLayout<T>.alignment) }
        let buffer = UnsafeMutableBufferPointer(
            start: place.bindMemory(to: T.self, capacity: capacity), count: capacity)
        return _overrideLifetime(OutputSpan(buffer: buffer, initializedCount: 0), borrowing: self)
    }

    // MARK: - What grows

    /// An empty array that grows inside the region.
    @inlinable @_lifetime(borrow self)
    public borrowing func makeArray<T: ~Copyable>(
        of type: T.Type, capacity: Int = 0
    ) throws(AllocationError) -> RegionArray<T> {
        let storage = try _allocator.makeStorage(of: T.self, capacity: capacity)
        return _overrideLifetime(RegionArray(_handle, storage), borrowing: self)
    }

    /// An array with a copy of a collection's elements.
    @inlinable @_lifetime(borrow self)
    public borrowing func makeArray<Elements: Collection>(
        copying elements: Elements
    ) throws(AllocationError) -> RegionArray<Elements.Element> {
        let storage = try _allocator.makeStorage(of: Elements.Element.self, capacity: elements.count)
        var array = RegionArray(_handle, storage)
        try array.append(copying: elements)
        return _overrideLifetime(array, borrowing: self)
    }

    /// An empty string that grows inside the region.
    @inlinable @_lifetime(borrow self)
    public borrowing func makeString(capacity: Int = 0) throws(AllocationError) -> RegionString {
        let storage = try _allocator.makeStorage(of: UInt8.self, capacity: capacity)
        return _overrideLifetime(RegionString(RegionArray(_handle, storage)), borrowing: self)
    }

    /// A string that begins as a copy of another and grows inside the region.
    @inlinable @_lifetime(borrow self)
    public borrowing func makeString(_ text: some StringProtocol) throws(AllocationError) -> RegionString {
        let storage = try _allocator.makeStorage(of: UInt8.self, capacity: text.utf8.count)
        var bytes = RegionArray(_handle, storage)
        try bytes.append(copying: text.utf8)
        return _overrideLifetime(RegionString(bytes), borrowing: self)
    }

    /// A copy of a text in UTF-8 with a zero byte at its end, for C code. A zero byte inside ends it early for C.
    @inlinable @_lifetime(borrow self)
    public borrowing func makeCString(_ text: some StringProtocol) throws(AllocationError) -> RegionCString {
        let utf8 = text.utf8
        let count = utf8.count
        let buffer = try _handle.allocateElements(UInt8.self, count: count &+ 1) {
            let end = UnsafeMutableBufferPointer(rebasing: $0[..<count]).initialize(fromContentsOf: utf8)
            ($0.baseAddress.unsafelyUnwrapped + end).initialize(to: 0)
        }
        return _overrideLifetime(
            RegionCString(UnsafePointer(buffer.baseAddress.unsafelyUnwrapped), count: count), borrowing: self)
    }

    // MARK: - Children

    /// A region whose chunks come from this one, which gets them back when it ends: for work whose memory can go
    /// earlier than its surroundings'. Both can be used meanwhile. The child cannot outlive this region, and this
    /// region cannot be reset while the child lives.
    @_lifetime(borrow self)
    public borrowing func makeChild() -> ChildRegion {
        _overrideLifetime(ChildRegion(RegionAllocator(childOf: _allocator)), borrowing: self)
    }
}
