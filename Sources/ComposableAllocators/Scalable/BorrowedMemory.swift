// Memory that is used and not taken: it lies where the next request may go.
//
// The compiler ties it to a borrow of the allocator's reference, so that it leaves neither the scope nor outlives the
// allocator. It does not see other calls of the allocator, which is a class: the checked mode does, by a number.
//
// B1. `moment` rises with every call that hands memory out, lends it, or may give some back, whole or in part. It is a
//     sum, so that the hit paths count nothing more: allocations and frees are counted anyway, and `events` what is
//     neither. A cut takes as much from the frees as it leaves blocks; `events` rises by as much.

public import AllocatorCore

/// Memory that a ``ScalableAllocator`` has lent until its next call.
///
/// For bytes that are needed for a moment: to format, to decode, to receive what mostly is thrown away. Nonescapable:
/// it can't be returned, stored or captured. Whatever is called of the allocator afterwards may hand the same memory
/// out, or give it back to the source.
///
///     var memory = try allocator.borrow(byteCount: 64)
///     var bytes = memory.mutableBytes          // a variable: what writes changes the span
///     bytes.storeBytes(of: 7, as: UInt32.self)
///
/// An allocator that was made with `checked: true` traps where the memory is used after such a call: where a span is
/// asked for, and at the start and the end of ``withUnsafeMutableBytes(_:)``. A span that was asked for *before* the
/// call is not looked at again: its reads and writes are plain ones, in the checked mode as well. So ask for the span
/// where it is used, and keep none beside other calls.
@frozen
public struct BorrowedMemory: ~Copyable, ~Escapable {
    @usableFromInline let start: UnsafeMutableRawPointer
    /// How many bytes there are: as many as were asked for.
    public let byteCount: Int
    @usableFromInline let owner: Unmanaged<ScalableAllocator>
    /// The allocator's number when it lent the memory, or -1 where nothing is checked.
    @usableFromInline let moment: Int

    @inlinable @inline(__always) @_lifetime(immortal)
    init(_ start: UnsafeMutableRawPointer, byteCount: Int, owner: ScalableAllocator) {
        self.start = start
        self.byteCount = byteCount
        self.owner = .passUnretained(owner)
        moment = owner.isChecked ? owner.moment : -1
    }

    @inlinable @inline(__always)
    func check() {
        if moment >= 0 { compareMoment(start, owner, moment) }
    }

    /// The bytes, uninitialised until they are written.
    @inlinable
    public var mutableBytes: MutableRawSpan {
        @inline(__always) @_lifetime(&self)
        mutating get {
            check()
            let bytes = MutableRawSpan(_unsafeStart: start, byteCount: byteCount)
            return _overrideLifetime(bytes, mutating: &self)
        }
    }

    /// The bytes, to be read.
    @inlinable
    public var bytes: RawSpan {
        @inline(__always) @_lifetime(borrow self)
        get {
            check()
            let bytes = RawSpan(_unsafeStart: start, byteCount: byteCount)
            return _overrideLifetime(bytes, borrowing: self)
        }
    }

    /// Calls a closure with the bytes, for C code; they must not leave it. The checked mode asks before and after it,
    /// so that a call of the allocator in the closure is found, though not before the closure is done.
    @inlinable
    public mutating func withUnsafeMutableBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        check()
        defer { check() }
        return try body(UnsafeMutableRawBufferPointer(start: start, count: byteCount))
    }
}

/// Out of line, so that a loan that is not checked pays for a sign and a branch.
@usableFromInline @inline(never)
func compareMoment(_ start: UnsafeRawPointer, _ owner: Unmanaged<ScalableAllocator>, _ moment: Int) {
    guard owner._withUnsafeGuaranteedRef({ $0.moment }) != moment else { return }
    misuse("ScalableAllocator", start, "was borrowed, and is used after another call of the allocator")
}

extension ScalableAllocator {
    /// B1.
    @inlinable @inline(__always)
    var moment: Int { (account.allocatedBlocks &+ account.freedBlocks &+ events) & .max }

    /// Lends memory without allocating it: nothing is to be freed.
    ///
    /// The memory is good until the next call of the allocator, also until it is borrowed from again. The compiler
    /// keeps it in its scope; what it does not see is a use after another call. So make the allocator with
    /// `checked: true` in debug builds: there such a use ends the program with a message.
    ///
    ///     #if DEBUG
    ///         let checked = true
    ///     #else
    ///         let checked = false
    ///     #endif
    ///     let allocator = try ScalableAllocator(checked: checked)
    ///
    ///     var memory = try allocator.borrow(byteCount: 1500)
    ///     let count = memory.withUnsafeMutableBytes { recv(socket, $0.baseAddress, $0.count, 0) }
    ///     guard count >= 12, isForUs(memory.bytes) else { return } // mostly it is not, and nothing is to be freed
    ///
    /// Not for what is kept, and not where a call in between may use the same allocator: there, allocate. The
    /// statistics do not know of what is borrowed.
    ///
    /// Borrow by a `let`, a parameter or a local variable. Where the allocator is a `var` property of a class and is
    /// *set* while the memory is in use, Swift 6.3's compiler ends with "Invalid lifetime of value", instead of
    /// refusing the program.
    ///
    /// - Parameters:
    ///   - byteCount: how many bytes; any number, a negative one traps.
    ///   - alignment: a power of two.
    /// - Throws: `AllocationError`, as an allocation does.
    ///
    /// O(1): where the open range has room, an addition.
    @inlinable @inline(__always) @_lifetime(borrow self)
    public func borrow(byteCount: Int, alignment: Int = 16) throws(AllocationError) -> BorrowedMemory {
        guard let start = findRoom(byteCount: byteCount, alignment: alignment) else {
            throw refusal(
                "ScalableAllocator", byteCount: byteCount, alignment: alignment, largest: Self.largestRequest)
        }
        return _overrideLifetime(BorrowedMemory(start, byteCount: byteCount, owner: self), borrowing: self)
    }

    /// Lends memory to a closure. See ``borrow(byteCount:alignment:)``: in the closure, too, the memory is good until
    /// the next call of the allocator.
    ///
    /// - Throws: `AllocationError`, or what the closure throws.
    @inlinable
    public func withBorrowed<Result: ~Copyable>(
        byteCount: Int, alignment: Int = 16, _ body: (inout BorrowedMemory) throws -> Result
    ) throws -> Result {
        var memory = try borrow(byteCount: byteCount, alignment: alignment)
        return try body(&memory)
    }

    @inlinable @inline(__always)
    func findRoom(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer? {
        guard isValid("ScalableAllocator", byteCount: byteCount, alignment: alignment) else { return nil }
        let mask = UInt(bitPattern: alignment) &- 1
        let start = (cursor &+ mask) & ~mask
        // Nothing is open where both are 0; a start that wrapped, or is beyond the limit, is below the cursor or makes
        // the room wrap to more than there is.
        guard start >= cursor, start < limit, UInt(bitPattern: byteCount) <= limit &- start else {
            return findRoomSlow(byteCount: byteCount, alignment: alignment)
        }
        if isChecked { events &+= 1 }
        return UnsafeMutableRawPointer(bitPattern: start)
    }

    @usableFromInline @inline(never)
    func findRoomSlow(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer? {
        guard byteCount <= Self.largestRequest, alignment <= Self.largestRequest else { return nil }
        beginEvent()
        let size = (UInt(bitPattern: max(byteCount, 1)) &+ 15) & ~15
        return room(size: size, alignment: max(UInt(bitPattern: alignment), 16)).flatMap {
            UnsafeMutableRawPointer(bitPattern: $0)
        }
    }

    /// A place that is free, and stays so.
    private func room(size: UInt, alignment: UInt) -> UInt? {
        guard source.recycles, needed(size: size, alignment: alignment) <= UInt(bitPattern: largestChild) else {
            guard let child = makeAlone(size: size, alignment: alignment) else { return nil }
            lent = child
            return child.pointee.base
        }
        settleFreedLast()
        // What is borrowed once is borrowed again: from then on it is found at the cursor.
        if alignment == 16, size <= Self.largestCut { return openRoom(size: size) }
        let count = Int(bitPattern: size &>> 4)
        func place() -> UInt? {
            free.find(count: count, alignment: Int(bitPattern: alignment &>> 4)).map { UInt(bitPattern: $0) &<< 4 }
        }
        if let place = place() { return place }
        closeOpenRange()
        if let place = place() { return place }
        return makeChild(size: size, alignment: alignment) ? place() : nil
    }
}
