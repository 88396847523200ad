// Copies of bytes into a buffer. They fill the room beside the last segment, or the first, where this buffer is the
// only owner of its memory (S2), and go into a new segment where it is not, or there is no more room.
//
// A new segment has room for what is appended or, where that is more, for as many bytes as the buffer has, up to 64
// KiB: n bytes that are appended one by one make O(log n) segments, and none is copied when it grows.
//
// Cost: O(bytes), an allocation for a new segment. Thread-safety: none.

public import AllocatorCore

extension SegmentedBuffer {
    /// Makes a buffer of a copy of some bytes.
    @inlinable
    public init(copying bytes: UnsafeRawBufferPointer, capacity: Int = 0) {
        self.init()
        if bytes.count > 0 {
            last = Segment(copying: bytes, capacity: capacity)
            byteCount = bytes.count
        }
    }

    /// Makes a buffer of a copy of some bytes. ``Segment/init(sharing:)`` makes one of an array without copying.
    @inlinable
    public init(copying bytes: some Sequence<UInt8>) {
        self.init()
        append(copying: bytes)
    }

    /// Copies bytes to the end.
    ///
    /// - Parameter capacity: for how many bytes to make room where a new segment is needed, if for more than said
    ///   above.
    @inlinable @inline(__always)
    public mutating func append(copying bytes: UnsafeRawBufferPointer, capacity: Int = 0) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        if bytes.count <= room() {
            fill(from: source, bytes.count)
        } else {
            appendSlowly(bytes, capacity)
        }
    }

    /// Copies bytes to the end.
    @inlinable @inline(__always)
    public mutating func append(copying bytes: borrowing RawSpan) {
        bytes.withUnsafeBytes { append(copying: $0) }
    }

    /// Copies bytes to the end.
    @inlinable
    public mutating func append(copying bytes: some Sequence<UInt8>) {
        let done: Void? = bytes.withContiguousStorageIfAvailable { append(copying: UnsafeRawBufferPointer($0)) }
        if done == nil { for byte in bytes { append(byte) } }
    }

    /// Puts a byte at the end.
    @inlinable @inline(__always)
    public mutating func append(_ byte: UInt8) {
        if room() == 0 { pushRoom(Segment(capacity: grown(1, 0))) }
        (lastStart + lastCount).storeBytes(of: byte, as: UInt8.self)
        lastCount &+= 1
        byteCount &+= 1
    }

    /// Copies bytes to the end; what needs a new segment goes into a block of an allocator.
    ///
    /// - Parameters:
    ///   - capacity: for how many bytes to make room where a new segment is needed, if for more than said above.
    ///   - allocator: gets the block back when the last owner is gone.
    /// - Throws: ``AllocationError``, and nothing has changed.
    @inlinable
    public mutating func append(
        copying bytes: UnsafeRawBufferPointer, capacity: Int = 0, allocator: any Allocator
    ) throws(AllocationError) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        let part = min(room(), bytes.count)
        let missing = bytes.count - part
        // Before anything changes, since it may throw.
        let new = missing > 0 ? try Segment(capacity: grown(missing, capacity), allocator: allocator) : nil
        if part > 0 { fill(from: source, part) }
        if let new {
            pushRoom(new)
            fill(from: source + part, missing)
        }
    }

    /// Lets a closure write bytes to the end: it gets at least `capacity` bytes of room, and says how many of them it
    /// wrote, from the first on. They hold anything before.
    ///
    /// - Throws: what the closure throws, and nothing has changed.
    @inlinable
    public mutating func append<Failure: Error>(
        capacity: Int, initializingWith body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) {
        let ownRoom = room()
        // None may be filled where there is none, for no bytes either: the memory may be another's too (S2).
        let isInPlace = ownRoom > 0 && capacity <= ownRoom
        var segment = isInPlace ? self.segment(at: segmentCount - 1) : Segment(capacity: grown(capacity, 0))
        let room = segment.roomBehind
        let count = try body(
            UnsafeMutableRawBufferPointer(start: segment.start + segment.byteCount, count: room))
        if count < 0 || count > room { wrongCount(count, room) }
        segment.byteCount &+= count
        byteCount &+= count
        if isInPlace {
            last = segment
        } else if count > 0 {
            pushRoom(segment)
        }
    }

    // MARK: - Privates

    /// The bytes behind the last segment that may be filled (S2).
    @inlinable @inline(__always)
    mutating func room() -> Int {
        // Not bound to a name, which would be an owner.
        if lastMemory == nil { return 0 }
        let room = lastMemory.unsafelyUnwrapped.extent.limit - (lastStart + lastCount)
        return room > 0 && isKnownUniquelyReferenced(&lastMemory) ? room : 0
    }

    /// Copies bytes into the room, of which there is enough.
    @inlinable @inline(__always)
    mutating func fill(from source: UnsafeRawPointer, _ count: Int) {
        (lastStart + lastCount).copyMemory(from: source, byteCount: count)
        lastCount &+= count
        byteCount &+= count
    }

    /// Makes a segment the last one, of which some bytes at most are there. B1 holds again when some are.
    @inlinable @inline(__always)
    mutating func pushRoom(_ segment: Segment) {
        if lastMemory != nil { moveLastToList() }
        lastMemory = segment.memory
        lastStart = segment.start
        lastCount = segment.byteCount
    }

    /// For how many bytes a new segment has room.
    @inlinable @inline(__always)
    func grown(_ count: Int, _ capacity: Int) -> Int { max(count, capacity, min(max(byteCount, 32), 1 << 16)) }

    @usableFromInline @inline(never)
    mutating func appendSlowly(_ bytes: UnsafeRawBufferPointer, _ capacity: Int) {
        guard let source = bytes.baseAddress else { return }
        let part = room()
        if part > 0 { fill(from: source, part) }
        pushRoom(Segment(capacity: grown(bytes.count - part, capacity)))
        fill(from: source + part, bytes.count - part)
    }

    @usableFromInline @inline(never)
    func wrongCount(_ count: Int, _ room: Int) -> Never {
        fatalError("SegmentedBuffer: \(count) bytes were written to room for \(room)")
    }
}

// MARK: - In front

extension SegmentedBuffer {
    /// Copies bytes to the front.
    ///
    /// - Parameter capacity: for how many bytes to make room where a new segment is needed: what is put in front of
    ///   these fills it.
    @inlinable
    public mutating func prepend(copying bytes: UnsafeRawBufferPointer, capacity: Int = 0) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        if !prepend(inPlace: bytes) {
            var segment = Segment(capacity: max(bytes.count, capacity, 32))
            segment.start = segment.memory.extent.limit - bytes.count
            segment.start.copyMemory(from: source, byteCount: bytes.count)
            segment.byteCount = bytes.count
            prepend(segment)
        }
    }

    /// Copies bytes to the front.
    @inlinable
    public mutating func prepend(copying bytes: borrowing RawSpan) {
        bytes.withUnsafeBytes { prepend(copying: $0) }
    }

    /// Copies bytes to the front.
    @inlinable
    public mutating func prepend(copying bytes: some Sequence<UInt8>) {
        let done: Void? = bytes.withContiguousStorageIfAvailable { prepend(copying: UnsafeRawBufferPointer($0)) }
        if done == nil { Array(bytes).withUnsafeBytes { prepend(copying: $0) } }
    }

    /// Fills the room before the first segment, if there is enough of it that may be filled (S2).
    @usableFromInline
    mutating func prepend(inPlace bytes: UnsafeRawBufferPointer) -> Bool {
        func filled(_ segment: inout Segment) -> Bool {
            guard segment.roomBefore >= bytes.count, segment.isUniquelyOwned() else { return false }
            segment.start -= bytes.count
            segment.start.copyMemory(from: bytes.baseAddress.unsafelyUnwrapped, byteCount: bytes.count)
            segment.byteCount += bytes.count
            return true
        }
        if lastMemory == nil { return false }
        let isDone: Bool
        if first < front.count {
            isDone = filled(&front[first]!)
        } else {
            var segment = takeLast()
            isDone = filled(&segment)
            last = segment
        }
        if isDone { byteCount += bytes.count }
        return isDone
    }
}
