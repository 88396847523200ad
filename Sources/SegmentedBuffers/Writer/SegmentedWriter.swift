// A writer of bytes into segments of one size: where it is in the one that it fills, and those before it.
//
//     buffer    [ segment ][ segment ]
//     piece     start ─────── current ───── end        what is written of the memory's room is the next segment
//
// W1. `start..<current` is written and not in `buffer` yet; `current..<end` is room that nobody else knows of. Both lie
//     in `memory`, or are empty.
// W2. Where `bitsEnd == current`, the lowest `bitsLeft` (0...7) bits of the byte before `current` are 0 and the next to
//     be written; elsewhere none are. So writing a byte, which moves `current` on, needs nothing to forget them.
// W3. What failed stays failed: where `failure` is set there is no room, and nothing more is written.
// W4. `stretch` is the number of the places that may be patched, or 0 where none was reserved since the writer was made
//     or its buffer was taken. A place with that number lies in bytes that nobody but the writer has seen.
//
// What goes beyond a segment is done out of line. Cost: an integer is a comparison, a store and an addition.
// Thread-safety: none.

public import AllocatorCore

/// Writes integers, numbers of variable length, bits, strings and bytes into a ``SegmentedBuffer``, as
/// ``SegmentedReader`` reads them.
///
/// It fills segments to their end: a value may begin in one and end in the next. Whole segments and buffers are put
/// between, without copying (``writeSegments(_:)``); lengths that are not known yet have a place kept for them
/// (``reserve(_:)``).
///
///     var writer = SegmentedWriter()
///     writer.writeInteger(UInt32(0x47), byteOrder: .big)
///     try writer.writeString("name", lengthPrefix: .oneByte)
///     let buffer = try writer.finish()
///
/// Where the allocator refuses a segment, writing goes on without effect and ``finish()`` throws: what is written needs
/// no `try`. To append a few bytes to a buffer that is there, ``SegmentedBuffer/append(copying:capacity:)`` does. Bits
/// are written from the highest of a byte on, and **whatever writes bytes goes on at the next whole byte**; the bits
/// between are 0.
///
/// Noncopyable, as two writers must not fill one segment. Not thread-safe.
@frozen
public struct SegmentedWriter: ~Copyable {
    @usableFromInline var buffer: SegmentedBuffer
    @usableFromInline var memory: SegmentMemory?
    @usableFromInline var start: UnsafeMutableRawPointer
    @usableFromInline var current: UnsafeMutableRawPointer
    @usableFromInline var end: UnsafeMutableRawPointer
    @usableFromInline var bitsEnd: UnsafeMutableRawPointer
    @usableFromInline var bitsLeft: Int
    @usableFromInline let segmentSize: Int
    @usableFromInline let allocator: (any Allocator)?
    @usableFromInline var failure: AllocationError?
    /// W4.
    @usableFromInline var stretch: UInt

    /// Makes a writer whose segments come from malloc. O(1); the first segment is made when it is needed.
    ///
    /// - Parameter segmentSize: the bytes of a segment, at least 16. Traps where it is less. 992 make 1 KiB
    ///   with what the memory needs for itself.
    @inlinable
    public init(segmentSize: Int = 992) { self.init(segmentSize, nil) }

    /// Makes a writer whose segments come from an allocator. O(1).
    ///
    /// - Parameters:
    ///   - segmentSize: the bytes of a segment, at least 16. Traps where it is less. 992 make 1 KiB
    ///   with what the memory needs for itself.
    ///   - allocator: gets them back when their last owners are gone.
    @inlinable
    public init(segmentSize: Int, allocator: any Allocator) { self.init(segmentSize, allocator) }

    @inlinable
    init(_ segmentSize: Int, _ allocator: (any Allocator)?) {
        if segmentSize < 16 { fatalError("SegmentedWriter: segments of \(segmentSize) bytes, of at least 16") }
        buffer = SegmentedBuffer()
        memory = nil
        start = UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
        current = start
        end = start
        bitsEnd = start
        bitsLeft = 0
        self.segmentSize = segmentSize
        self.allocator = allocator
        failure = nil
        stretch = 0
    }

    /// The number of bytes that are written, those of which only some bits are among them. O(1).
    @inlinable @inline(__always)
    public var count: Int { buffer.byteCount &+ (current - start) }

    /// Why there was no memory, if there was none: ``finish()`` will throw it. O(1).
    @inlinable
    public var error: AllocationError? { failure }

    /// Ends the writing, and the writer with it. A global can't be consumed, such as a variable at the top of
    /// main.swift, nor can one that a closure captures: use ``takeBuffer()`` there.
    ///
    /// - Returns: what was written. Its last segment has room for more, if it was not full.
    /// - Throws: ``AllocationError`` where a segment was refused; what was written is gone.
    @inlinable
    public consuming func finish() throws(AllocationError) -> SegmentedBuffer {
        cut()
        if let failure { throw failure }
        return buffer
    }

    /// Gives out what was written until now, and goes on behind it: in the same memory, which the two then share.
    ///
    /// Places that were reserved before can't be patched any more.
    ///
    /// - Throws: ``AllocationError`` where a segment was refused; what was written is gone, and the writer empty again.
    @inlinable
    public mutating func takeBuffer() throws(AllocationError) -> SegmentedBuffer {
        cut()
        let written = buffer
        buffer = SegmentedBuffer()
        // W4: places that were reserved before are no longer the writer's.
        stretch = 0
        if let error = failure {
            failure = nil
            throw error
        }
        return written
    }
}

// MARK: - Segments

extension SegmentedWriter {
    @inlinable @inline(__always)
    var room: Int { end - current }

    /// Makes what was written since the last time a segment of the buffer. W1: there is no piece then.
    @inlinable
    mutating func cut() {
        if start != current, let memory {
            buffer.push(Segment(memory: memory, start: start, count: current - start))
            start = current
        }
        // W2: what comes next may lie elsewhere.
        bitsLeft = 0
    }

    /// Goes on in a new segment. False where there is none (W3).
    @usableFromInline @inline(never)
    mutating func advance() -> Bool {
        cut()
        if failure != nil { return false }
        do throws(AllocationError) {
            let segment =
                if let allocator {
                    try Segment(capacity: segmentSize, allocator: allocator)
                } else {
                    Segment(capacity: segmentSize)
                }
            memory = segment.memory
            start = segment.start
            current = start
            end = start + segmentSize
            return true
        } catch {
            failure = error
            memory = nil
            end = current
            return false
        }
    }

    /// Copies bytes over as many segments as they need.
    @usableFromInline @inline(never)
    mutating func writeSlowly(_ bytes: UnsafeRawBufferPointer) {
        var source = bytes.baseAddress.unsafelyUnwrapped
        var left = bytes.count
        while left > 0 {
            if room == 0, !advance() { return }
            let count = min(left, room)
            current.copyMemory(from: source, byteCount: count)
            current += count
            source += count
            left -= count
        }
    }

    /// Puts a segment behind what was written, without copying. O(1).
    @inlinable
    public mutating func writeSegment(_ segment: Segment) {
        if segment.byteCount == 0 { return }
        cut()
        if failure == nil { buffer.push(segment) }
    }

    /// Puts the segments of a buffer behind what was written, without copying, and shares them. O(segments).
    @inlinable
    public mutating func writeSegments(_ other: SegmentedBuffer) {
        if other.isEmpty { return }
        cut()
        if failure == nil { buffer.append(other) }
    }
}

// MARK: - Bytes

extension SegmentedWriter {
    /// Writes a byte. O(1).
    @inlinable @inline(__always)
    public mutating func writeByte(_ byte: UInt8) {
        if current == end, !advance() { return }
        current.storeBytes(of: byte, as: UInt8.self)
        current += 1
    }

    /// Copies bytes. O(bytes).
    @inlinable @inline(__always)
    public mutating func writeBytes(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        if bytes.count <= room {
            current.copyMemory(from: source, byteCount: bytes.count)
            current += bytes.count
        } else {
            writeSlowly(bytes)
        }
    }

    /// Copies bytes. O(bytes).
    @inlinable @inline(__always)
    public mutating func writeBytes(_ bytes: borrowing RawSpan) {
        bytes.withUnsafeBytes { writeBytes($0) }
    }

    /// Copies bytes. O(bytes).
    @inlinable
    public mutating func writeBytes(_ bytes: some Sequence<UInt8>) {
        let done: Void? = bytes.withContiguousStorageIfAvailable { writeBytes(UnsafeRawBufferPointer($0)) }
        if done == nil { for byte in bytes { writeByte(byte) } }
    }

    /// Writes a byte several times, none where the count is 0. Traps where it is negative. O(count).
    @inlinable
    public mutating func writeRepeating(_ byte: UInt8, count: Int) {
        if count < 0 { fatalError("SegmentedWriter: a byte is written \(count) times") }
        var left = count
        while left > 0 {
            if room == 0, !advance() { return }
            let part = min(left, room)
            current.initializeMemory(as: UInt8.self, repeating: byte, count: part)
            current += part
            left -= part
        }
    }
}
