// A chain of chunks, seen as one run of bytes: the raw view. SlabItem.swift has the owner that the compiler checks.
//
//     head ──► │ chunk        │    ┌► │ chunk        │    ┌► │ chunk        │
//                 └─ segment ─┘    │  └ segment ─┘        │  └─ segment ────┘
//              record: link ───────┘  record: link ───────┘  record: no link
//
// A segment is what the head buffer, or a link, says of its chunk: the whole of it, or a slice with an offset, or a
// shortened one. The bytes of the chain are its segments', in order. Segments without bytes are passed over.
//
// Cost: the view is a reference and a buffer; each segment costs a few dozen instructions, and counts as a read of the
// chain in the arena's statistics. Thread-safety: none.

import AllocatorCore

/// A view of a chain of chunks of a ``SlabArena`` as one run of bytes, from its head.
///
/// Use it where an item of any size (``SlabArena/allocateChain(byteCount:chunkSize:)``) is read, written or handed to
/// the operating system in pieces. It adds no reference: it is valid for as long as the caller has one to the head, and
/// links no chunk of the chain anew. In Swift code that isn't about C, ``SlabItem`` has both sorted out.
///
/// Offsets and ranges are in bytes from the head's first. Finding an offset follows the links up to it: O(segments), so
/// read in order, by ``segments(in:)``, ``read(at:into:)`` with large pieces, or ``withIOVectors(in:maximumCount:_:)``.
/// A chain that was closed to a ring has no end. Not thread-safe.
public struct SlabChain {
    /// The arena that the chunks are of.
    public let arena: SlabArena
    /// The first segment.
    public let head: UnsafeMutableRawBufferPointer

    /// All bytes, by segments.
    public var segments: Segments { Segments(self, from: 0, to: nil) }

    /// The bytes of a range, by segments, the first and the last cut to it.
    ///
    /// Traps where the range is negative, and, when it is iterated, where it goes beyond the chain. O(1).
    public func segments(in range: Range<Int>) -> Segments {
        if range.lowerBound < 0 { chainMisuse("a range that begins at \(range.lowerBound)") }
        return Segments(self, from: range.lowerBound, to: range.upperBound)
    }

    /// The bytes of a range where they are, without a copy: as many buffers as segments have a part of it.
    ///
    /// Traps where the range goes beyond the chain. O(segments).
    public func slice(_ range: Range<Int>) -> [UnsafeMutableRawBufferPointer] { Array(segments(in: range)) }

    /// How many bytes the chain has. O(segments).
    public var count: Int { segments.reduce(0) { $0 + $1.count } }

    /// How many segments the chain has, those without bytes left out. O(segments).
    public var segmentCount: Int { segments.reduce(0) { count, _ in count + 1 } }

    /// The last chunk's buffer, where a link to what follows would go. O(segments).
    public var last: UnsafeMutableRawBufferPointer {
        var last = head
        var record = arena.liveChunk(UnsafeRawPointer(head.baseAddress.unsafelyUnwrapped)).record
        while let next = arena.follow(record) { (record, last) = next }
        return last
    }
}

extension SlabChain {
    /// A chain's bytes, or a range of them, as the buffers that they lie in: none is empty.
    public struct Segments: Sequence {
        private let chain: SlabChain
        private let start: Int
        /// Nil: to the end of the chain.
        private let end: Int?

        init(_ chain: SlabChain, from start: Int, to end: Int?) {
            self.chain = chain
            self.start = start
            self.end = end
        }

        public func makeIterator() -> Iterator { Iterator(chain, from: start, to: end) }

        public struct Iterator: IteratorProtocol {
            private let arena: SlabArena
            private var cursor: SegmentCursor

            init(_ chain: SlabChain, from start: Int, to end: Int?) {
                arena = chain.arena
                cursor = SegmentCursor(chain, from: start, to: end)
            }

            public mutating func next() -> UnsafeMutableRawBufferPointer? { cursor.next() }
        }
    }
}

/// Follows a chain, segment by segment. Trivial: whoever has it sees to it that the arena lives.
struct SegmentCursor {
    private let arena: Unmanaged<SlabArena>
    /// What comes next, and its chunk; nil at the end of the chain.
    private var upcoming: (record: UnsafeMutablePointer<ChunkRecord>, buffer: UnsafeMutableRawBufferPointer)?
    /// Bytes until the range begins, and in it.
    private var skipped: Int
    private var wanted: Int
    private let goesToEnd: Bool

    init(_ chain: SlabChain, from start: Int, to end: Int?) {
        arena = Unmanaged.passUnretained(chain.arena)
        let head = UnsafeRawPointer(chain.head.baseAddress.unsafelyUnwrapped)
        upcoming = (chain.arena.liveChunk(head).record, chain.head)
        skipped = start
        wanted = end.map { $0 - start } ?? .max
        goesToEnd = end == nil
    }

    mutating func next() -> UnsafeMutableRawBufferPointer? {
        while wanted > 0 {
            guard let (record, buffer) = upcoming else {
                if goesToEnd { return nil }
                chainMisuse("a range that goes beyond the chain by \(skipped + wanted) bytes")
            }
            let offset = min(skipped, buffer.count)
            let count = min(buffer.count - offset, wanted)
            skipped -= offset
            wanted -= count
            // Now, as what the caller does with the segment may be to release it; and not where nothing more is asked
            // for.
            upcoming = wanted > 0 ? arena._withUnsafeGuaranteedRef { $0.follow(record) } : nil
            if count > 0 { return UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<offset + count]) }
        }
        return nil
    }
}

extension SlabArena {
    /// A view of the chain whose head is given: a chunk, or a part of one, and what it links to. A chunk without a link
    /// is a chain of one.
    ///
    /// Traps where the buffer's chunk is not live. O(1).
    public func chain(_ head: UnsafeMutableRawBufferPointer) -> SlabChain {
        let start = UnsafeRawPointer(head.baseAddress.unsafelyUnwrapped)
        _ = liveChunk(start)
        if location(of: head).isNil { misuse("SlabArena", start, "is a buffer that goes beyond its chunk") }
        return SlabChain(arena: self, head: head)
    }

    /// A view of the chain whose head a location stands for; nil where the location is nil or outlived its chunk. O(1).
    public func chain(at location: SlabLocation) -> SlabChain? {
        buffer(at: location).map { SlabChain(arena: self, head: $0) }
    }
}

@inline(never)
func chainMisuse(_ what: String) -> Never { fatalError("SlabChain: \(what)") }
