// Segments to and from SwiftNIO's ByteBuffer. Empty where the package trait `NIO` is off.
//
// From a ByteBuffer nothing is copied: it keeps its storage, and whoever writes to it then writes to a copy. The other
// way bytes are copied, since a ByteBuffer writes in place where it is the only one of its storage, and knows nothing
// of the other owners of a segment. Where nobody writes, `unsafelySharing:` copies nothing: such a ByteBuffer gives the
// memory back by an allocator that knows blocks by their address alone, and a table says which segment each address is
// (SegmentTable.swift).
//
// Cost: an allocation a segment from a ByteBuffer; an allocation and two look-ups in the table, under a lock, for a
// ByteBuffer that shares a segment. Thread-safety: that of a ByteBuffer; a segment is given back on the thread that
// drops the last ByteBuffer of it.

#if NIO
    public import Mallow
    @_spi(CustomByteBufferAllocator) public import NIOCore

    extension Segment {
        /// The readable bytes of a `ByteBuffer`, whose storage is kept instead of copied.
        ///
        /// Writing to the byte buffer copies it then, as ever when it is shared.
        ///
        /// - Complexity: O(1), one allocation.
        public init(_ buffer: ByteBuffer) {
            self = buffer.withUnsafeReadableBytesWithStorageManagement { bytes, storage in
                Segment(bytes, ownedBy: storage.takeUnretainedValue())
            }
        }
    }

    extension SegmentedBuffer {
        /// Makes a buffer of the readable bytes of a `ByteBuffer`, without copying: see `Segment.init(_:)`.
        public init(_ buffer: ByteBuffer) {
            self.init()
            push(buffer)
        }

        /// Copies the readable bytes of a `ByteBuffer` into one block of an allocator.
        ///
        /// For memory of the program's own choice, and so that a few bytes don't keep a whole `ByteBuffer`.
        ///
        /// - Parameter allocator: gets the block back when the last owner is gone, and must be able to on that thread.
        ///   Not asked where nothing is readable.
        /// - Throws: `AllocationError`, and nothing is allocated.
        /// - Complexity: O(bytes), and the allocation.
        public init(copying buffer: ByteBuffer, allocator: any Allocator) throws(AllocationError) {
            self.init()
            if buffer.readableBytes == 0 { return }
            push(
                try buffer.withUnsafeReadableBytes { bytes throws(AllocationError) in
                    try Segment(copying: bytes, allocator: allocator)
                })
        }

        /// Puts the readable bytes of a `ByteBuffer` at the end, without copying: see `Segment.init(_:)`.
        public mutating func push(_ buffer: ByteBuffer) {
            if buffer.readableBytes > 0 { push(Segment(buffer)) }
        }
    }

    extension ByteBuffer {
        /// Copies the bytes of a segmented buffer. O(bytes).
        public init(copying buffer: SegmentedBuffer, allocator: ByteBufferAllocator = ByteBufferAllocator()) {
            self = allocator.buffer(capacity: buffer.count)
            writeSegments(buffer)
        }

        /// Copies the bytes of a segment. O(bytes).
        public init(copying segment: Segment, allocator: ByteBufferAllocator = ByteBufferAllocator()) {
            self = allocator.buffer(capacity: segment.count)
            segment.withUnsafeBytes { _ = writeBytes($0) }
        }

        /// The bytes of a segment, which are not copied, for somebody who only reads them.
        ///
        /// The segment's memory is kept until the last byte buffer of it is gone, whether that is this one, a copy or a
        /// slice, and is given back on the thread where that happens: its allocator must be able to.
        ///
        /// **The caller promises** that nobody changes bytes of this byte buffer, or of the last copy or slice of it
        /// that is left, in place. What would is all that writes below the writer index: `set…`, masking, the mutable
        /// bytes and spans; `clear()`, and moving the writer index back, with any write after it; and
        /// `discardReadBytes()`, which moves what is left, and which a `ByteToMessageHandler` calls. It would change
        /// the bytes of every owner of the segment, be that the elements of an array in a `let`, and nothing would
        /// tell; of memory that is read only it would end the program.
        ///
        /// Writing behind the bytes is no danger: there is no room, so the byte buffer moves to memory of its own
        /// first. Nor is any write while a second copy of this byte buffer is kept, as then NIO copies before it
        /// writes: that is what ``SegmentedOutboundHandler`` does. Where none of this can be promised, copy:
        /// `init(copying:)`.
        ///
        /// Where there are byte buffers already of the same address and of other memory (two segments were made of the
        /// same bytes), it is a copy.
        ///
        /// - Parameter segment: of less than 4 GiB, which is what a `ByteBuffer` can have; more traps.
        /// - Complexity: O(1); see the top of the file.
        public init(unsafelySharing segment: Segment) {
            guard segment.count > 0, let start = segment.unsafeBytes.baseAddress else {
                self.init()
                return
            }
            guard segment.count <= Int(UInt32.max) else {
                fatalError("ByteBuffer: a segment of \(segment.count) bytes, and the most is \(UInt32.max)")
            }
            guard SegmentTable.enter(segment, at: UInt(bitPattern: start)) else {
                self.init(copying: segment)
                return
            }
            let bytes = UnsafeMutableRawBufferPointer(mutating: segment.unsafeBytes)
            self.init(
                takingOwnershipOf: bytes, allocator: SegmentTable.allocator, readerIndex: 0, writerIndex: bytes.count)
        }

        /// Copies the bytes of a segmented buffer behind those that are there. O(bytes).
        ///
        /// - Returns: how many that were.
        @discardableResult
        public mutating func writeSegments(_ buffer: SegmentedBuffer) -> Int {
            reserveCapacity(minimumWritableBytes: buffer.count)
            buffer.withEachSegment { bytes in _ = writeBytes(bytes) }
            return buffer.count
        }
    }
#endif
