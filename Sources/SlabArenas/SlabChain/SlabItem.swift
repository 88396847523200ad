// An item of any size with an owner that the compiler checks: one chunk, or a chain of them.
//
// T1. `head` has a reference of the first chunk, and each chunk of the chain one of the next (R4): for as long as the
//     item is not changed, no segment goes away, since others replace links only of chunks to which they have the only
//     reference (B3).
// T2. The chain has at least `count` bytes. It may have got more behind them, by another handle on its last chunk: the
//     item does not see them.
//
// The rest is SlabChain's. Thread-safety: none.

public import AllocatorCore

/// An item of any size in a ``SlabArena``, as one chunk or a chain of them, that is released when its owner ends.
///
/// Use it for what may be larger than a chunk: a value of a cache, a message, a file's part. It owns one reference of
/// the first chunk, which is a ``SlabBuffer``; the compiler sees to it that the item has one owner and that no span
/// outlives it. Offsets are in bytes from the first.
///
/// Items may share chunks, by ``duplicate()`` or by chains with a common end, and are read then; writing asks that
/// every chunk of the item has one reference, and traps otherwise (``copy(chunkSize:)`` is the way out). What is said
/// of `SlabBuffer` and the raw face holds here, too. Not thread-safe.
public struct SlabItem: ~Copyable {
    private var head: SlabBuffer
    /// How many bytes there are. O(1).
    public let count: Int

    /// Makes an item of a buffer and all that its chunk links to. O(segments).
    public init(_ head: consuming SlabBuffer) {
        count = head.arena.chain(head.unsafeBytes).count
        self.head = head
    }

    init(_ head: consuming SlabBuffer, count: Int) {
        self.head = head
        self.count = count
    }

    /// The first chunk's buffer, with the item's reference: its `count` is that of the first segment. O(1).
    public consuming func intoBuffer() -> SlabBuffer { head }

    /// The arena that the memory is of.
    public var arena: SlabArena { head.arena }

    /// The raw view of the chain. Unsafe: the compiler does not see that it dangles when the item ends. For `writev`,
    /// and for C.
    public var unsafeChain: SlabChain { SlabChain(arena: head.arena, head: head.unsafeBytes) }

    // MARK: - Reading

    /// The bytes, to read where they are, span after span:
    ///
    ///     var spans = item.spans
    ///     while let span = spans.next() { … }
    ///
    /// They are valid for as long as the item is not written, changed or given away. In a function that gives an item
    /// away later (``store()``), Swift 6.3 refuses this of an item in a `let`: use ``withSpans(_:)`` there.
    public var spans: SlabSpans {
        @_lifetime(borrow self)
        borrowing get {
            _overrideLifetime(SlabSpans(SegmentCursor(unsafeChain, from: 0, to: count)), borrowing: self)
        }
    }

    /// Calls a closure with each segment's bytes, to read, and with the offset of the first in the item.
    ///
    /// - Throws: what `body` throws.
    /// - Complexity: O(segments).
    public borrowing func withSpans<Failure: Error>(
        _ body: (RawSpan, _ offset: Int) throws(Failure) -> Void
    ) throws(Failure) {
        var spans = spans
        var offset = 0
        while let span = spans.next() {
            try body(span, offset)
            offset += span.byteCount
        }
    }

    /// Copies bytes out of the item.
    ///
    /// - Parameters:
    ///   - offset: the first byte. Traps where it is negative.
    ///   - target: where to.
    /// - Returns: how many bytes were copied: fewer than the target has at the end of the item, 0 beyond it.
    /// - Complexity: O(segments up to the last byte + bytes).
    @discardableResult
    public borrowing func read(at offset: Int = 0, into target: inout MutableRawSpan) -> Int {
        let (chain, count) = (unsafeChain, count)
        return target.withUnsafeMutableBytes { bytes in
            let wanted = min(bytes.count, max(count - max(offset, 0), 0))
            return chain.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<wanted]))
        }
    }

    /// The bytes of a range, or all, copied to an array. Traps where the range goes beyond the item.
    ///
    /// - Complexity: O(segments + bytes).
    public borrowing func bytes(in range: Range<Int>? = nil) -> [UInt8] {
        let range = range ?? 0..<count
        if range.lowerBound < 0 || range.upperBound > count { itemMisuse("bytes of \(range) of \(count)") }
        let chain = unsafeChain
        return [UInt8](unsafeUninitializedCapacity: range.count) { bytes, initialized in
            initialized = chain.read(at: range.lowerBound, into: UnsafeMutableRawBufferPointer(bytes))
        }
    }

    // MARK: - Writing

    /// Whether nothing else has a reference of any of the item's chunks. O(segments).
    public var isOnlyReference: Bool {
        var record = arena.liveChunk(UnsafeRawPointer(head.start)).record
        while record.pointee.references == 1 {
            guard let next = arena.follow(record) else { return true }
            record = next.record
        }
        return false
    }

    /// Copies bytes into the item, which keeps its length.
    ///
    /// - Parameters:
    ///   - offset: where the first byte goes.
    ///   - source: the bytes. Traps where they go beyond the item, and where a chunk of the item has another reference.
    /// - Complexity: O(segments + bytes).
    public mutating func write(at offset: Int = 0, from source: borrowing RawSpan) {
        checkWritable()
        if offset < 0 || source.byteCount > count - offset {
            itemMisuse("\(source.byteCount) bytes written at \(offset), beyond the \(count) that it has")
        }
        let chain = unsafeChain
        source.withUnsafeBytes { chain.write(at: offset, from: $0) }
    }

    /// Calls a closure with each segment, to write it, and with the offset of its first byte in the item.
    ///
    /// Traps where a chunk of the item has another reference.
    ///
    /// - Throws: what `body` throws.
    /// - Complexity: O(segments).
    public mutating func withMutableSpans<Failure: Error>(
        _ body: (inout MutableRawSpan, _ offset: Int) throws(Failure) -> Void
    ) throws(Failure) {
        checkWritable()
        var offset = 0
        for segment in unsafeChain.segments(in: 0..<count) {
            var span = MutableRawSpan(_unsafeBytes: segment)
            try body(&span, offset)
            offset += segment.count
        }
    }

    private func checkWritable() {
        guard isOnlyReference else {
            misuse("SlabItem", head.start, "is written while a chunk has other references: copy it first")
        }
    }

    // MARK: - References

    /// Another owner of the same item, with a reference of its own. O(1).
    public borrowing func duplicate() -> SlabItem { SlabItem(head.duplicate(), count: count) }

    /// Copies the bytes into chunks of their own: what to do before writing to shared ones.
    ///
    /// - Parameter chunkSize: as for ``SlabArena/allocateChain(byteCount:chunkSize:)``.
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: O(segments + bytes).
    public borrowing func copy(chunkSize: Int? = nil) throws(AllocationError) -> SlabItem {
        let copy = try arena.makeItem(byteCount: count, chunkSize: chunkSize)
        var segments = unsafeChain.segments(in: 0..<count).makeIterator()
        var rest = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        copy.unsafeChain.fill { target in
            if rest.isEmpty { rest = segments.next() ?? rest }
            let count = min(rest.count, target.count)
            target.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            rest = UnsafeMutableRawBufferPointer(rebasing: rest[count...])
            return count
        }
        return copy
    }

    /// The location of the first segment, which holds no reference. O(1).
    public var location: SlabLocation { head.location }

    /// Gives the reference to a location, which from here on holds the item: ``SlabArena/takeItem(at:)`` undoes it, and
    /// ``SlabArena/release(at:)`` releases the item. The first chunk may then be moved, and takes its link along; those
    /// that are linked to are not moved. Traps where a location holds the first chunk already. O(1).
    public consuming func store() -> SlabLocation { head.store() }
}

/// The bytes of a ``SlabItem`` as spans, one for each segment.
public struct SlabSpans: ~Escapable {
    private var segments: SegmentCursor

    @_lifetime(immortal)
    init(_ segments: SegmentCursor) { self.segments = segments }

    /// The next segment's bytes, which are not empty; nil at the end of the item. O(1).
    @_lifetime(copy self)
    public mutating func next() -> RawSpan? {
        guard let segment = segments.next() else { return nil }
        return _overrideLifetime(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(segment)), copying: self)
    }
}

// MARK: - Making

extension SlabArena {
    /// Allocates an item of any size, larger than a slab too, with an owner that releases it. It holds what the memory
    /// held before, until it is written.
    ///
    /// - Parameters:
    ///   - byteCount: the item's bytes: from 0. Traps where it is negative.
    ///   - chunkSize: as for ``allocateChain(byteCount:chunkSize:)``, where nil is what wastes little.
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: O(chunks).
    public func makeItem(byteCount: Int, chunkSize: Int? = nil) throws(AllocationError) -> SlabItem {
        let head = try allocateChain(byteCount: byteCount, chunkSize: chunkSize)
        return SlabItem(SlabBuffer(arena: self, adopting: head), count: byteCount)
    }

    /// Allocates an item with a copy of some bytes.
    ///
    /// - Throws: ``AllocationError``, and nothing has changed.
    /// - Complexity: O(chunks + bytes).
    public func makeItem(copying bytes: borrowing RawSpan, chunkSize: Int? = nil) throws(AllocationError) -> SlabItem {
        let head = try allocateChain(byteCount: bytes.byteCount, chunkSize: chunkSize)
        bytes.withUnsafeBytes { chain(head).write(from: $0) }
        return SlabItem(SlabBuffer(arena: self, adopting: head), count: bytes.byteCount)
    }

    /// An item whose first segment a location holds, with a reference of its own; nil where the location is nil,
    /// outlived its chunk, or holds no reference: only an item that was stored (``SlabItem/store()``) is served.
    /// O(segments).
    public func makeItem(at location: SlabLocation) -> SlabItem? {
        guard let head = makeBuffer(at: location) else { return nil }
        return SlabItem(head)
    }

    /// An item that takes over the reference which a location holds; nil where it holds none, see ``take(_:)``.
    /// O(segments).
    public func takeItem(at location: SlabLocation) -> SlabItem? {
        guard let head = takeBuffer(at: location) else { return nil }
        return SlabItem(head)
    }
}

@inline(never)
func itemMisuse(_ what: String) -> Never { fatalError("SlabItem: \(what)") }
