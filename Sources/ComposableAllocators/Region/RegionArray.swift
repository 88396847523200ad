// An array that grows inside a region: where it is, as long as it is the last in its chunk; else it moves, and what it
// leaves stays unused until the reset.
//
// The account of the elements lies in the region too, so that they are deinitialised with the region, in their turn,
// also when the array itself is long gone. Cost of an append: three loads, a compare, two stores.

public import AllocatorCore

/// Where an array's elements are. The region's: an array only points at it.
@frozen @usableFromInline
struct RegionStorage<Element: ~Copyable> {
    @usableFromInline var elements: UnsafeMutablePointer<Element>
    @usableFromInline var count: Int
    @usableFromInline var capacity: Int
    /// The newest checkpoint when the elements' memory was allocated.
    @usableFromInline var serial: UInt
    /// The newest checkpoint when this storage was made.
    @usableFromInline var ownSerial: UInt

    @inlinable
    init(elements: UnsafeMutablePointer<Element>, capacity: Int, serial: UInt) {
        self.elements = elements
        count = 0
        self.capacity = capacity
        self.serial = serial
        ownSerial = serial
    }
}

extension RegionAllocator {
    /// An empty array's storage; its elements will be deinitialised with the region.
    @inlinable
    func makeStorage<T: ~Copyable>(
        of type: T.Type, capacity: Int
    ) throws(AllocationError) -> UnsafeMutablePointer<RegionStorage<T>> {
        typealias Storage = RegionStorage<T>
        let byteCount = regionByteCount(T.self, capacity)
        let managed = !_isPOD(T.self)
        let recordSize = managed ? MemoryLayout<RegionCleanup>.stride : 0
        let serial = lastSerial
        let place = handle.allocateValue(byteCount: recordSize &+ MemoryLayout<Storage>.size, alignment: 16)
        guard let place else { throw regionRefusal(byteCount, MemoryLayout<T>.alignment) }
        let elements = handle.allocateValue(byteCount: byteCount, alignment: MemoryLayout<T>.alignment)
        guard let elements else {
            releaseValue(place, byteCount: recordSize &+ MemoryLayout<Storage>.size, serial: serial)
            throw regionRefusal(byteCount, MemoryLayout<T>.alignment)
        }
        let storage = (place + recordSize).bindMemory(to: Storage.self, capacity: 1)
        storage.initialize(
            to: Storage(
                elements: elements.bindMemory(to: T.self, capacity: capacity), capacity: capacity, serial: serial))
        if managed {
            let record = place.bindMemory(to: RegionCleanup.self, capacity: 1)
            handle.register(storage, count: 1, in: record) { values, _ in
                let storage = values.assumingMemoryBound(to: Storage.self)
                storage.pointee.elements.deinitialize(count: storage.pointee.count)
            }
        }
        return storage
    }

    /// Makes room for at least so many elements, in place if they are the last in their chunk.
    ///
    /// - Returns: the storage, which is another one where a checkpoint was set since it was made. Rewinding would else
    ///   take the elements' new place away and leave the record that deinitialises them.
    @inlinable @inline(never)
    func grow<T: ~Copyable>(
        _ storage: UnsafeMutablePointer<RegionStorage<T>>, to minimum: Int
    ) throws(AllocationError) -> UnsafeMutablePointer<RegionStorage<T>> {
        let stride = MemoryLayout<T>.stride
        let old = storage.pointee
        let oldByteCount = old.capacity &* stride
        let least = regionByteCount(T.self, minimum)
        let goal = max(minimum, old.capacity < Int.max / 2 ? old.capacity * 2 : .max, stride > 64 ? 4 : 8)
        let goalByteCount = regionByteCount(T.self, goal)
        if goalByteCount != .max,
            resizeLast(old.elements, from: oldByteCount, to: goalByteCount, serial: old.serial)
        {
            storage.pointee.capacity = goal
            return storage
        }
        if least != .max, resizeLast(old.elements, from: oldByteCount, to: least, serial: old.serial) {
            storage.pointee.capacity = minimum
            return storage
        }
        var fresh = storage
        if !_isPOD(T.self) && lastSerial != old.ownSerial {
            do throws(AllocationError) { fresh = try makeStorage(of: T.self, capacity: goal) } catch {
                fresh = try makeStorage(of: T.self, capacity: minimum)
            }
        } else {
            var capacity = goal
            let serial = lastSerial
            var place = handle.allocateValue(byteCount: goalByteCount, alignment: MemoryLayout<T>.alignment)
            if place == nil, minimum < goal {
                capacity = minimum
                place = handle.allocateValue(byteCount: least, alignment: MemoryLayout<T>.alignment)
            }
            guard let place else { throw regionRefusal(least, MemoryLayout<T>.alignment) }
            storage.pointee.elements = place.bindMemory(to: T.self, capacity: capacity)
            storage.pointee.capacity = capacity
            storage.pointee.serial = serial
        }
        storage.pointee.count = 0
        fresh.pointee.elements.moveInitialize(from: old.elements, count: old.count)
        fresh.pointee.count = old.count
        releaseValue(old.elements, byteCount: oldByteCount, serial: old.serial)
        return fresh
    }
}

/// An array inside a ``Region``, which grows there.
///
/// It grows without moving while nothing else was allocated in the region after it; else it moves to twice the room,
/// and the old room stays unused until the region is reset. Elements that need it are deinitialised with the region,
/// not with the array. Appending is O(1) amortised. Indices out of bounds trap.
@frozen
public struct RegionArray<Element: ~Copyable>: ~Copyable, ~Escapable {
    /// Kept alive by the borrow that the array is bound to.
    @usableFromInline let handle: _RegionHandle
    @usableFromInline var storage: UnsafeMutablePointer<RegionStorage<Element>>

    @inlinable @_lifetime(immortal)
    init(_ handle: _RegionHandle, _ storage: UnsafeMutablePointer<RegionStorage<Element>>) {
        self.handle = handle
        self.storage = storage
    }

    @inlinable @inline(__always)
    var allocator: RegionAllocator { handle.owner }

    /// How many elements there are. O(1).
    @inlinable public var count: Int { storage.pointee.count }
    /// Whether there are no elements. O(1).
    @inlinable public var isEmpty: Bool { count == 0 }
    /// How many elements there is room for. O(1).
    @inlinable public var capacity: Int { storage.pointee.capacity }

    /// The element at an index, in place.
    @inlinable
    public subscript(index: Int) -> Element {
        unsafeAddress { UnsafePointer(address(of: index)) }
        @_lifetime(self: copy self) unsafeMutableAddress { address(of: index) }
    }

    @inlinable @inline(__always)
    func address(of index: Int) -> UnsafeMutablePointer<Element> {
        precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "RegionArray: index out of bounds")
        return storage.pointee.elements + index
    }

    /// The elements, to read.
    @inlinable
    public var span: Span<Element> {
        @_lifetime(borrow self) borrowing get {
            _overrideLifetime(Span(_unsafeStart: storage.pointee.elements, count: count), borrowing: self)
        }
    }

    /// The elements, to change in place.
    @inlinable
    public var mutableSpan: MutableSpan<Element> {
        @_lifetime(&self) mutating get {
            let span = MutableSpan(_unsafeStart: storage.pointee.elements, count: count)
            return _overrideLifetime(span, mutating: &self)
        }
    }

    /// Sees to it that so many elements have room in all.
    @inlinable @_lifetime(self: copy self)
    public mutating func reserveCapacity(_ minimum: Int) throws(AllocationError) {
        if minimum > capacity { storage = try allocator.grow(storage, to: minimum) }
    }

    /// Adds an element. Where it throws, the array is as it was and the element is gone.
    @inlinable @inline(__always) @_lifetime(self: copy self)
    public mutating func append(_ element: consuming Element) throws(AllocationError) {
        let count = storage.pointee.count
        if count == storage.pointee.capacity { storage = try allocator.grow(storage, to: count &+ 1) }
        (storage.pointee.elements + count).initialize(to: element)
        storage.pointee.count = count &+ 1
    }

    /// Takes the last element out, or nil where there is none.
    @inlinable @_lifetime(self: copy self)
    public mutating func popLast() -> Element? {
        guard count > 0 else { return nil }
        storage.pointee.count &-= 1
        return (storage.pointee.elements + storage.pointee.count).move()
    }

    /// Deinitialises all elements, the last too, and keeps the room.
    @inlinable @_lifetime(self: copy self)
    public mutating func removeAll() {
        let count = storage.pointee.count
        // First, so that a deinit finds no element twice.
        storage.pointee.count = 0
        storage.pointee.elements.deinitialize(count: count)
    }

    /// Ends the growing: the elements, for as long as the region is not reset. Room that is left goes back, if it is
    /// the last in its chunk.
    @inlinable @_lifetime(copy self)
    public consuming func finish() -> MutableSpan<Element> {
        let stride = MemoryLayout<Element>.stride
        let (count, capacity) = (storage.pointee.count, storage.pointee.capacity)
        if allocator.resizeLast(
            storage.pointee.elements, from: capacity &* stride, to: count &* stride, serial: storage.pointee.serial)
        {
            storage.pointee.capacity = count
        }
        let span = MutableSpan(_unsafeStart: storage.pointee.elements, count: count)
        return _overrideLifetime(span, copying: self)
    }
}

extension RegionArray {
    /// Adds copies of a collection's elements. Where it throws, the array is as it was.
    @inlinable @_lifetime(self: copy self)
    public mutating func append(copying elements: some Collection<Element>) throws(AllocationError) {
        let added = elements.count
        let (needed, overflow) = count.addingReportingOverflow(added)
        try reserveCapacity(overflow ? .max : needed)
        let room = UnsafeMutableBufferPointer(start: storage.pointee.elements + count, count: added)
        let end = room.initialize(fromContentsOf: elements)
        storage.pointee.count &+= end
    }

    /// Adds copies of a span's elements. Where it throws, the array is as it was.
    @inlinable @_lifetime(self: copy self)
    public mutating func append(copying elements: borrowing Span<Element>) throws(AllocationError) {
        // Of another array or region: the span of this one cannot be alive here.
        let (needed, overflow) = count.addingReportingOverflow(elements.count)
        try reserveCapacity(overflow ? .max : needed)
        let end = storage.pointee.elements + count
        elements.withUnsafeBufferPointer { source in
            _ = UnsafeMutableBufferPointer(start: end, count: source.count).initialize(fromContentsOf: source)
        }
        storage.pointee.count = needed
    }
}
