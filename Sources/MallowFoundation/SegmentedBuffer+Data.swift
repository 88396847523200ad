// Segments to and from Foundation's Data. Where the package trait `Foundation` is off, only words that say so.
//
// From a Data nothing is copied: it is kept, and whoever changes it then changes a copy. The other way bytes are
// copied, since a Data is changed in place where it is the only one of its storage, and knows nothing of the other
// owners of a segment; where nobody changes it, `unsafelySharing:` copies nothing.
//
// Cost: an allocation a segment. Thread-safety: none; a Data that shares a segment gives it back on the thread that
// drops it last.

#if Foundation
    public import Foundation
    public import Mallow

    extension Segment {
        /// The bytes of a `Data`, which is kept instead of copied; fewer than 64 are copied.
        ///
        /// Changing the data copies it, as ever.
        ///
        /// - Complexity: O(1), one allocation.
        public init(_ data: Data) {
            if data.count < 64 {
                self = data.withUnsafeBytes { Segment(copying: $0) }
            } else {
                // A Data of more than a few bytes has them in an object, which stays as it is for as long as two share
                // it: that one and the copy that is kept.
                let bytes = data.withUnsafeBytes { $0 }
                self.init(bytes, keeping: data)
            }
        }
    }

    extension SegmentedBuffer {
        /// Makes a buffer of the bytes of a `Data`, without copying: see `Segment.init(_:)`.
        public init(_ data: Data) {
            self.init()
            push(data)
        }

        /// Puts the bytes of a `Data` at the end, without copying: see `Segment.init(_:)`.
        public mutating func push(_ data: Data) { push(Segment(data)) }
    }

    extension Data {
        /// Copies the bytes of a buffer. O(bytes).
        public init(copying buffer: SegmentedBuffer) {
            self.init(count: buffer.count)
            withUnsafeMutableBytes { _ = buffer.copyBytes(to: $0) }
        }

        /// Copies the bytes of a segment. O(bytes).
        public init(copying segment: Segment) {
            self = segment.withUnsafeBytes { Data($0) }
        }

        /// The bytes of a segment, which are not copied, for somebody who only reads them.
        ///
        /// The segment's memory is kept until the last data of it is gone, whether that is this one, a copy or a slice,
        /// and is given back on the thread where that happens: its allocator must be able to.
        ///
        /// **The caller promises** that nobody changes bytes of this data, or of the last copy or slice of it that is
        /// left, in place: by a subscript, `replaceSubrange`, `resetBytes`, `removeFirst` and the like, the mutable
        /// bytes. It would change the bytes of every owner of the segment, be that the elements of an array in a `let`,
        /// and nothing would tell; of memory that is read only it would end the program. Where that can't be promised,
        /// copy: `init(copying:)`.
        ///
        /// - Complexity: O(1), two allocations; Foundation copies a few bytes instead.
        public init(unsafelySharing segment: Segment) {
            let bytes = segment.unsafeBytes
            guard let start = bytes.baseAddress, bytes.count > 0 else {
                self.init()
                return
            }
            let kept = KeptSegment(segment)
            self.init(
                bytesNoCopy: UnsafeMutableRawPointer(mutating: start), count: bytes.count,
                deallocator: .custom { _, _ in withExtendedLifetime(kept) {} })
        }
    }

    /// A segment that is only dropped, on the thread that drops it last: its owner's promise.
    private final class KeptSegment: @unchecked Sendable {
        let segment: Segment
        init(_ segment: Segment) { self.segment = segment }
    }
#else
    public import Mallow

    // What a program finds that hands a Data over and has not turned the trait on; Data itself isn't known here.

    extension Segment {
        @available(
            *, unavailable,
            message: "turn on the trait Foundation of the package mallow: .package(url: …, traits: [\"Foundation\"])"
        )
        public init(_ data: some RandomAccessCollection<UInt8>) { fatalError() }
    }

    extension SegmentedBuffer {
        @available(
            *, unavailable,
            message: "turn on the trait Foundation of the package mallow: .package(url: …, traits: [\"Foundation\"])"
        )
        public init(_ data: some RandomAccessCollection<UInt8>) { fatalError() }

        @available(
            *, unavailable,
            message: "turn on the trait Foundation of the package mallow: .package(url: …, traits: [\"Foundation\"])"
        )
        public mutating func push(_ data: some RandomAccessCollection<UInt8>) { fatalError() }
    }
#endif
