// Places that are kept for what is known later: a length in front of what it is the length of.
//
//     piece    … │ place │ what comes behind it …             `patch` writes there
//
// A place knows the stretch of writing that it belongs to, by a number that no other stretch of any writer has: from
// the first place that is reserved to the next `takeBuffer`. The address alone would not tell: what was given out may
// come back by `writeSegments`, and is shared then.
//
// A LEB128 length has as many bytes as it needs: room for the longest is kept, and what is not needed is left out by
// beginning a segment behind it.
//
//     … segment │ unused │ length │ what it is the length of …

import AllocatorCore
import Synchronization

extension SegmentedWriter {
    /// Bytes that were left out, to be written by ``patch(_:with:byteOrder:)``. They are 0 until then.
    @frozen
    public struct Place {
        @usableFromInline let start: UnsafeMutableRawPointer?
        /// How many bytes there are.
        public let byteCount: Int
        @usableFromInline let stretch: UInt

        @inlinable
        init(start: UnsafeMutableRawPointer?, byteCount: Int, stretch: UInt) {
            self.start = start
            self.byteCount = byteCount
            self.stretch = stretch
        }
    }

    private static let stretches = Atomic<UInt>(0)

    @usableFromInline @inline(never)
    static func newStretch() -> UInt { stretches.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Leaves out some bytes, all in one segment, to be written later. They are 0.
    ///
    /// - Parameter byteCount: at most a segment's. Traps where it is more, or negative.
    /// - Complexity: O(byteCount). Where the segment has too little room, the rest of it stays unused.
    @inlinable
    public mutating func reserve(_ byteCount: Int) -> Place {
        if byteCount < 0 || byteCount > segmentSize { tooLargePlace(byteCount) }
        if stretch == 0 { stretch = Self.newStretch() }
        if room < byteCount, !advance() { return Place(start: nil, byteCount: byteCount, stretch: stretch) }
        let place = Place(start: current, byteCount: byteCount, stretch: stretch)
        writeRepeating(0, count: byteCount)
        return place
    }

    /// Writes an integer to a place. Traps where that has another size than the integer, or is not in what this writer
    /// has: it was given out by ``takeBuffer()`` since, or is another writer's. It stays so where the buffer that was
    /// given out is written to the writer again.
    ///
    /// - Complexity: O(1) in the last segment, else O(segments behind it).
    @inlinable
    public mutating func patch<Value: FixedWidthInteger & BitwiseCopyable>(
        _ place: Place, with value: Value, byteOrder: ByteOrder = .big
    ) {
        let stored = byteOrder == .big ? value.bigEndian : value.littleEndian
        withUnsafeBytes(of: stored) { patch(place, with: $0) }
    }

    /// Writes the lowest bytes of a length to a place of 1 to 8 bytes. Traps as ``patch(_:with:byteOrder:)`` does, and
    /// where the length needs more.
    public mutating func patch(_ place: Place, withLength length: Int, byteOrder: ByteOrder = .big) {
        guard length >= 0, UInt(bitPattern: place.byteCount &- 1) < 8,
            UInt64(length) >> UInt64(place.byteCount * 8) == 0
        else { doesNotFit(place.byteCount) }
        let stored =
            byteOrder == .big
            ? (UInt64(length) &<< UInt64(64 - place.byteCount * 8)).bigEndian : UInt64(length).littleEndian
        withUnsafeBytes(of: stored) { patch(place, with: UnsafeRawBufferPointer(rebasing: $0[..<place.byteCount])) }
    }

    /// Writes bytes to a place, as many as it has. Traps as ``patch(_:with:byteOrder:)`` does.
    @inlinable
    public mutating func patch(_ place: Place, with bytes: UnsafeRawBufferPointer) {
        if bytes.count != place.byteCount { wrongCount(bytes.count, place) }
        if place.stretch != stretch { notOwn(bytes.count) }
        // W3: there was no memory for it.
        guard let target = place.start, let source = bytes.baseAddress, failure == nil else { return }
        if target < start || target + bytes.count > current { checkIsOwn(target, bytes.count) }
        target.copyMemory(from: source, byteCount: bytes.count)
    }

    /// Writes what a closure writes, with the number of its bytes in front.
    ///
    /// - Parameters:
    ///   - prefix: how the length is written.
    ///   - byteOrder: the order of the prefix's bytes.
    ///   - body: writes with the writer that it gets. Traps where it takes the buffer or puts another writer there.
    /// - Throws: ``SegmentedWriteError`` where the prefix can't say the length: nothing is written then.
    /// - Complexity: what the closure costs; O(segments) for LEB128.
    public mutating func writeLengthPrefixed(
        _ prefix: LengthPrefix, byteOrder: ByteOrder = .big, _ body: (inout SegmentedWriter) -> Void
    ) throws(SegmentedWriteError) {
        let before = count
        if let byteCount = prefix.byteCount {
            let place = reserve(byteCount)
            let from = count
            write(body)
            try checkLength(count - from, prefix, before)
            patch(place, withLength: count - from, byteOrder: byteOrder)
        } else {
            try writeLEB128Prefixed(body, before)
        }
    }

    // MARK: - Privates

    /// Lets a closure write behind the place of its length, which must be this writer's afterwards.
    private mutating func write(_ body: (inout SegmentedWriter) -> Void) {
        if stretch == 0 { stretch = Self.newStretch() }
        let before = stretch
        body(&self)
        if stretch != before {
            fatalError("SegmentedWriter: what a length is to be written in front of was taken before it was whole")
        }
    }

    private mutating func writeLEB128Prefixed(
        _ body: (inout SegmentedWriter) -> Void, _ before: Int
    ) throws(SegmentedWriteError) {
        let most = 10
        if room < most, !advance() { return }
        cut()
        let index = buffer.segmentCount
        let memory = memory.unsafelyUnwrapped
        // The place is not a part of any segment yet.
        current += most
        start = current
        let from = current
        write(body)
        cut()
        let length = count - before
        if failure != nil { return }
        withUnsafeTemporaryAllocation(byteCount: most, alignment: 1) { bytes in
            let size = Self.encodeLEB128(UInt64(length), to: bytes.baseAddress.unsafelyUnwrapped)
            let place = from - size
            place.copyMemory(from: bytes.baseAddress.unsafelyUnwrapped, byteCount: size)
            let prefix = Segment(memory: memory, start: place, count: size)
            if index < buffer.segmentCount, buffer.bytes(ofSegment: index).baseAddress == UnsafeRawPointer(from),
                buffer.segment(at: index).sharesMemory(with: prefix)
            {
                let first = buffer.segment(at: index)
                buffer.replaceSegment(
                    index, with: Segment(memory: memory, start: place, count: size + first.count))
            } else {
                buffer.insert(prefix, at: index)
            }
        }
    }

    private mutating func checkLength(
        _ length: Int, _ prefix: LengthPrefix, _ before: Int
    ) throws(SegmentedWriteError) {
        if length <= prefix.largest { return }
        cut()
        buffer.removeLast(buffer.count - before)
        throw .tooLong(count: length, limit: prefix.largest)
    }

    /// Traps where bytes are in no segment of this writer's.
    @usableFromInline
    func checkIsOwn(_ target: UnsafeMutableRawPointer, _ count: Int) {
        for index in (0..<buffer.segmentCount).reversed() {
            let segment = buffer.segment(at: index)
            if target >= segment.start, target + count <= segment.start + segment.byteCount, segment.isWritable {
                return
            }
        }
        notOwn(count)
    }

    @usableFromInline @inline(never)
    func notOwn(_ count: Int) -> Never {
        fatalError("SegmentedWriter: \(count) bytes are patched that this writer does not have")
    }

    @usableFromInline @inline(never)
    func wrongCount(_ count: Int, _ place: Place) -> Never {
        fatalError("SegmentedWriter: a place of \(place.byteCount) bytes is patched with \(count)")
    }

    @usableFromInline @inline(never)
    func tooLargePlace(_ byteCount: Int) -> Never {
        fatalError("SegmentedWriter: a place of \(byteCount) bytes, in segments of \(segmentSize)")
    }
}
