// One value in memory of any allocator, with an owner that the compiler checks.
//
// Layout and invariants: BoxOwner.swift. Size: three words. Cost: one allocate and one deallocate of the allocator, all
// inlined where the types are known, and a retain and a release of an allocator that is a class. Thread-safety: a
// box has one owner at a time, so it may cross to another task where its value and its allocator may.

public import AllocatorCore

/// Owns one value in memory of an allocator, and frees it when its own life ends.
///
/// Use it to give a value a stable address, to keep a noncopyable or a recursive value out of line, or to put single
/// values into a pool or an arena without freeing by hand. It cannot be copied: freeing twice, taking twice and using
/// it after its value was taken do not compile. Where a value needs several owners, use a class; for many values of a
/// short common life, a region is faster.
///
/// The allocator is copied into the box, which so keeps a pool alive. Freed by an arena's `freeAll()` or by a region's
/// reset before the box ends, the memory is gone under the box: that is misuse, as it is for any pointer.
///
/// The idea is C++'s `unique_ptr` with a deleter, and Rust's `Box<T, A>`.
@frozen
public struct Box<Value: ~Copyable, A: Allocator>: ~Copyable {
    @usableFromInline var owner: BoxOwner

    @inlinable @inline(__always)
    init(owning value: UnsafeMutablePointer<Value>, allocator: UInt) {
        owner = BoxOwner(
            value: UnsafeMutableRawPointer(value), allocator: allocator, contents: TypedBoxContents<Value, A>.self)
    }

    // Only the fast way: see BoxOwner.swift.
    @inlinable @inline(__always)
    deinit {
        if let (value, allocator) = owner.end() { BoxLayout<Value, A>.destroy(value, allocator: allocator) }
    }

    @inlinable @inline(__always)
    static func place(_ allocator: A) throws(AllocationError) -> UnsafeMutablePointer<Value> {
        let block = try allocator.allocate(
            byteCount: BoxLayout<Value, A>.byteCount, alignment: BoxLayout<Value, A>.alignment)
        return (block.baseAddress.unsafelyUnwrapped + BoxLayout<Value, A>.offset)
            .bindMemory(to: Value.self, capacity: 1)
    }

    @inlinable @inline(__always)
    var pointer: UnsafeMutablePointer<Value> { owner.value.unsafelyUnwrapped.assumingMemoryBound(to: Value.self) }
}

// The value and the allocator have one owner, whoever holds the box.
extension Box: @unchecked Sendable where Value: Sendable & ~Copyable, A: Sendable {}

// MARK: - Making

extension Box where Value: ~Copyable {
    /// Moves a value into memory of an allocator.
    ///
    /// - Throws: ``AllocationError`` where the allocator has no memory; the value has been consumed and ends then. A
    ///   value that must survive it goes in by ``init(moving:in:)``.
    @inlinable @inline(__always)
    public init(_ value: consuming Value, in allocator: A) throws(AllocationError) {
        let place = try Self.place(allocator)
        place.initialize(to: value)
        self.init(owning: place, allocator: BoxLayout<Value, A>.store(allocator, inBlockOf: place))
    }

    /// Makes a value once there is memory for it.
    ///
    /// - Throws: ``AllocationError`` where the allocator has no memory; `make` was not called then.
    @inlinable @inline(__always)
    public init(in allocator: A, making make: () -> Value) throws(AllocationError) {
        let place = try Self.place(allocator)
        place.initialize(to: make())
        self.init(owning: place, allocator: BoxLayout<Value, A>.store(allocator, inBlockOf: place))
    }

    /// Moves a value out of an optional once there is memory for it.
    ///
    /// Traps where the optional is nil.
    ///
    /// - Throws: ``AllocationError`` where the allocator has no memory; the optional still holds the value then.
    @inlinable
    public init(moving value: inout Value?, in allocator: A) throws(AllocationError) {
        if value == nil { fatalError("Box: there is no value to move") }
        let place = try Self.place(allocator)
        place.initialize(to: value.take()!)
        self.init(owning: place, allocator: BoxLayout<Value, A>.store(allocator, inBlockOf: place))
    }

    /// Takes a value back that ``leak()`` let go.
    ///
    /// - Parameters:
    ///   - pointer: what `leak()` of a box of the same type gave, and nobody else adopts. Where the allocator is not
    ///     larger than a pointer (a class, or without state), any initialised value in a block of its own will do.
    ///   - allocator: the allocator that the value's memory came from.
    @inlinable
    public init(adopting pointer: UnsafeMutablePointer<Value>, in allocator: A) {
        // A larger allocator is in the block since the box was made.
        let fits = BoxLayout<Value, A>.allocatorFitsWord
        self.init(owning: pointer, allocator: fits ? BoxLayout<Value, A>.store(allocator, inBlockOf: pointer) : 0)
    }
}

extension Box where Value: ~Copyable, A == SystemAllocator {
    /// Moves a value into memory of the system's malloc.
    ///
    /// - Throws: ``AllocationError`` where there is no memory; the value has been consumed and ends then.
    @inlinable @inline(__always)
    public init(_ value: consuming Value) throws(AllocationError) {
        try self.init(value, in: SystemAllocator())
    }
}

// MARK: - Using

extension Box where Value: ~Copyable {
    /// The value, where it is: reading borrows it and writing changes it in place, O(1), without a copy.
    @inlinable
    public var value: Value {
        // Not by unsafeAddress, from which the compiler concludes that the value was lent for good: no take() after a
        // read.
        @inline(__always)
        _read { yield pointer.pointee }
        @inline(__always)
        _modify {
            // In a variable of its own: of `pointer.pointee` the compiler makes a module that is not valid under the
            // thread sanitizer (Swift 6.3.1).
            let place = pointer
            yield &place.pointee
        }
    }

    /// The allocator that the memory came from.
    @inlinable
    public var allocator: A {
        BoxLayout<Value, A>.copyAllocator(owner.allocator, inBlockOf: owner.value.unsafelyUnwrapped)
    }

    /// Puts another value in, and gives the old one.
    @inlinable @inline(__always)
    public mutating func replace(with value: consuming Value) -> Value {
        let old = pointer.move()
        pointer.initialize(to: value)
        return old
    }

    /// Calls a closure with the address of the value, which stays the same for as long as the box lives and is valid,
    /// for reading, until the closure returns.
    @inlinable @inline(__always)
    public borrowing func withUnsafePointer<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafePointer<Value>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafePointer(pointer))
    }

    /// Calls a closure with the address of the value, for reading and writing until the closure returns.
    @inlinable @inline(__always)
    public mutating func withUnsafeMutablePointer<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeMutablePointer<Value>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(pointer)
    }
}

extension Box {
    /// Another box with a copy of the value, in memory of the same allocator.
    ///
    /// - Throws: ``AllocationError`` where the allocator has no memory.
    @inlinable
    public borrowing func copy() throws(AllocationError) -> Box {
        try Box(value, in: allocator)
    }
}

// MARK: - Ending

extension Box where Value: ~Copyable {
    /// Gives the value and frees its memory.
    @inlinable @inline(__always)
    public consuming func take() -> Value {
        let (place, word) = owner.relinquish().unsafelyUnwrapped
        let allocator = BoxLayout<Value, A>.takeAllocator(word, inBlockOf: place)
        let value = place.assumingMemoryBound(to: Value.self).move()
        allocator.deallocate(place - BoxLayout<Value, A>.offset)
        return value
    }

    /// Lets the value go without ending it: for C code that keeps the pointer, until ``init(adopting:in:)`` takes it
    /// back.
    ///
    /// The allocator must be kept alive meanwhile. The pointer is the base of a block of the allocator, to be freed by
    /// it, where the allocator is not larger than a pointer (a class, or without state); otherwise only a box frees it.
    @inlinable
    public consuming func leak() -> UnsafeMutablePointer<Value> {
        let (place, word) = owner.relinquish().unsafelyUnwrapped
        // A larger allocator stays in the block.
        if BoxLayout<Value, A>.allocatorFitsWord { _ = BoxLayout<Value, A>.takeAllocator(word, inBlockOf: place) }
        return place.assumingMemoryBound(to: Value.self)
    }
}
