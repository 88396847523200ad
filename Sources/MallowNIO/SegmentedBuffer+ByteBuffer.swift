// Segments to and from SwiftNIO's ByteBuffer, without copying. Empty where the package trait `NIO` is off.
//
// A ByteBuffer of a segment's memory gives it back by an allocator that knows blocks by their address alone: a table
// says which segment each address is (SegmentTable.swift).
//
// Cost: an allocation a segment from a ByteBuffer; an allocation and two look-ups in the table, under a lock, for a
// ByteBuffer of a segment. Thread-safety: that of a ByteBuffer; a segment is given back on the thread that drops the
// last ByteBuffer of it.

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

        /// The bytes of a segment, whose memory is kept until the last such byte buffer is gone, on whatever thread.
        ///
        /// To be read, as a channel does: what is written to it in place (`setInteger`, masking) is seen by all who
        /// share the segment. Appending copies it.
        ///
        /// - Complexity: O(1); see the top of the file.
        public init(sharing segment: Segment) {
            guard segment.count > 0, let start = segment.unsafeBytes.baseAddress else {
                self.init()
                return
            }
            SegmentTable.enter(segment, at: UInt(bitPattern: start))
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
