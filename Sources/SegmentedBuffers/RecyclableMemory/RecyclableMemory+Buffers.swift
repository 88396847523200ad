// Adding buffers, and looking at those that are there.

public import AllocatorCore
public import ComposableAllocators

// MARK: - Adding

extension RecyclableMemory {
    /// Adds a buffer of the allocator.
    ///
    /// - Parameters:
    ///   - byteCount: how many bytes are needed; zero is valid, and a negative number traps.
    ///   - alignment: what the address must be a multiple of: a power of two, in bytes.
    /// - Returns: the buffer, uninitialised, of exactly `byteCount` bytes. It is the sequence's: do not free it.
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: the allocator's, and O(1) amortised.
    @inlinable
    public mutating func allocate(
        byteCount: Int, alignment: Int
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let buffer = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            return try allocateAgain(byteCount: byteCount, alignment: alignment)
        }
        return buffer
    }

    /// Adds a buffer of ``defaultAlignment(for:)``.
    @inlinable @inline(__always)
    public mutating func allocate(byteCount: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        try allocate(byteCount: byteCount, alignment: defaultAlignment(for: byteCount))
    }

    /// Adds a buffer as ``allocate(byteCount:alignment:)`` does, with nil in place of an error.
    @inlinable @inline(__always)
    public mutating func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        if count == capacity, !grow() { return nil }
        let block =
            if let scalable {
                scalable._withUnsafeGuaranteedRef { $0.tryAllocate(byteCount: byteCount, alignment: alignment) }
            } else {
                current.tryAllocate(byteCount: byteCount, alignment: alignment)
            }
        guard let start = block?.baseAddress else { return nil }
        enter(start, byteCount, owner: currentOwner)
        return UnsafeMutableRawBufferPointer(start: start, count: byteCount)
    }

    /// Once more, for the allocator's error; it may have memory now.
    @usableFromInline @inline(never)
    mutating func allocateAgain(
        byteCount: Int, alignment: Int
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if count == capacity, !grow() {
            throw AllocationError(
                allocator: "RecyclableMemory", byteCount: byteCount, alignment: alignment, reason: .outOfMemory)
        }
        let block = try current.allocate(byteCount: byteCount, alignment: alignment)
        let start = block.baseAddress.unsafelyUnwrapped
        enter(start, byteCount, owner: currentOwner)
        return UnsafeMutableRawBufferPointer(start: start, count: byteCount)
    }

    /// Adds a copy of some bytes, in a buffer of the allocator.
    ///
    /// - Throws: ``AllocationError``, and nothing has changed.
    @discardableResult
    public mutating func append(
        copying bytes: borrowing RawSpan
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let buffer = try allocate(byteCount: bytes.byteCount)
        bytes.withUnsafeBytes { buffer.copyMemory(from: $0) }
        return buffer
    }

    /// Adds a block that the program has from ``allocator``: the sequence gives it back from here on.
    ///
    /// Traps where the buffer has no address, where the allocator can tell that the block is not its own, and where it
    /// tells the sizes of blocks, as most do, and this one is smaller. An allocator that tells neither takes what it is
    /// given: one of foreign functions, an arena that keeps no sizes. O(1), and the allocator's finding of the size.
    ///
    /// - Parameter block: the block, from its base address on; `count` is how many of its bytes are meant, at most as
    ///   many as it has.
    public mutating func adopt(_ block: UnsafeMutableRawBufferPointer) {
        guard let start = block.baseAddress else { fatalError("RecyclableMemory: a buffer without an address") }
        if current._tellsOwn, !current._owns(start) {
            misuse("RecyclableMemory", start, "was adopted and is not of the sequence's allocator")
        }
        if current._tellsSizes {
            let size = current._byteCount(of: start)
            if block.count > size { fatalError("RecyclableMemory: \(block.count) bytes adopted of a block of \(size)") }
        }
        if count == capacity, !grow() { noMemory() }
        enter(start, block.count, owner: currentOwner)
    }

    /// Adds a segment, whose memory is counted: the sequence is one more of its owners.
    public mutating func push(_ segment: Segment) {
        enterOther(segment.start, segment.count, owner: RecyclableEntry.owner(counting: segment.memory))
    }

    /// Adds bytes that are another's and don't change, and keeps an object alive for as long as they are here, in a
    /// share of them or in segments made of them.
    public mutating func push(_ bytes: UnsafeRawBufferPointer, ownedBy object: AnyObject) {
        push(Segment(bytes, ownedBy: object))
    }

    /// Adds bytes that are another's and don't change, and only refers to them: the caller sees to it that they stay
    /// for as long as they are here, in a share of them or in segments made of them.
    public mutating func push(unowned bytes: UnsafeRawBufferPointer) {
        enterOther(Segment.base(of: bytes), bytes.count, owner: 0)
    }

    /// Adds the segments of a buffer, whose memory is counted: ``takeSegments()`` is the way back. O(segments).
    public mutating func append(_ buffer: SegmentedBuffer) {
        reserveCapacity(count + buffer.segmentCount)
        for segment in buffer.segments { push(segment) }
    }
}

// MARK: - Looking

extension RecyclableMemory {
    /// Whose the bytes of a buffer are.
    public enum Ownership: Hashable, Sendable {
        /// The sequence's alone: recycling gives the block back to the allocator that it came from.
        case own
        /// Counted: recycling gives up one of the references to them.
        case counted
        /// Another's: recycling forgets them.
        case foreign
    }

    @inlinable @inline(__always)
    func entry(at index: Int) -> UnsafeMutablePointer<RecyclableEntry> {
        if UInt(bitPattern: index) >= UInt(bitPattern: count) { outOfRange(index) }
        return records.unsafelyUnwrapped + index
    }

    @usableFromInline @inline(never)
    func outOfRange(_ index: Int) -> Never { fatalError("RecyclableMemory: buffer \(index) of \(count)") }

    /// The buffer at a place, in the order in which they were added. Traps outside of `0..<count`. O(1).
    ///
    /// Unsafe as every pointer is: it dangles when the buffer is recycled. Write only what ``isWritable(at:)``.
    @inlinable
    public subscript(index: Int) -> UnsafeMutableRawBufferPointer { entry(at: index).pointee.buffer }

    /// The bytes of a buffer, to read, for as long as the sequence is not changed. Traps outside of `0..<count`. O(1).
    @inlinable
    @_lifetime(borrow self)
    public borrowing func span(at index: Int) -> RawSpan {
        _overrideLifetime(
            RawSpan(_unsafeBytes: UnsafeRawBufferPointer(entry(at: index).pointee.buffer)), borrowing: self)
    }

    /// The bytes of a buffer, to write. Traps outside of `0..<count`, and where they are not ``isWritable(at:)``. O(1).
    @_lifetime(&self)
    public mutating func mutableSpan(at index: Int) -> MutableRawSpan {
        // Read before the branch: where nothing returns, the sequence may be ended behind its last use.
        let buffer = entry(at: index).pointee.buffer
        if !isWritable(at: index) {
            misuse(
                "RecyclableMemory", buffer.baseAddress.unsafelyUnwrapped, "is written and not the sequence's alone")
        }
        return _overrideLifetime(MutableRawSpan(_unsafeBytes: buffer), mutating: &self)
    }

    /// Calls a closure with the bytes of each buffer, in their order.
    ///
    /// - Throws: what the closure throws.
    @inlinable
    public borrowing func withEachBuffer<Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        for index in indices { try body(UnsafeRawBufferPointer(self[index])) }
    }

    /// Whose the bytes at a place are. O(1).
    public func ownership(at index: Int) -> Ownership {
        let entry = entry(at: index).pointee
        if entry.allocatorNumber != nil { return .own }
        return entry.memory == nil ? .foreign : .counted
    }

    /// Whether the memory at a place is counted and has other owners than this sequence's buffer. O(1).
    public func isShared(at index: Int) -> Bool {
        let entry = entry(at: index)
        guard entry.pointee.memory != nil else { return false }
        // SAFETY: the word is the bits of a reference that the entry owns.
        return withUnsafeMutablePointer(to: &entry.pointee.owner) { word in
            word.withMemoryRebound(to: SegmentMemory.self, capacity: 1) { !isKnownUniquelyReferenced(&$0.pointee) }
        }
    }

    /// Whether the bytes at a place may be written: those that are the sequence's own, and counted ones that have no
    /// other owner and are nobody's constant. O(1).
    public func isWritable(at index: Int) -> Bool {
        let entry = entry(at: index).pointee
        if entry.allocatorNumber != nil { return true }
        guard let memory = entry.memory, !isShared(at: index) else { return false }
        let extent = memory._withUnsafeGuaranteedRef { $0.extent }
        return extent.limit != extent.base
    }

    /// Leaves out the end of a buffer, such as what a read did not fill: the bytes from `byteCount` on are no longer
    /// counted, and go back with the rest of the block. Traps where there are fewer. O(1).
    public mutating func shorten(at index: Int, to byteCount: Int) {
        let entry = entry(at: index)
        let old = entry.pointee.count
        if byteCount < 0 || byteCount > old {
            fatalError("RecyclableMemory: \(old) bytes shortened to \(byteCount)")
        }
        entry.pointee.count = byteCount
        totalBytes &-= old &- byteCount
    }
}
