// Buffers are equal where their bytes are, however they are cut.
//
// Cost: O(bytes) where the counts are the same, else O(1). Thread-safety: none.

import CMallowShims

extension SegmentedBuffer: Equatable {
    public static func == (left: Self, right: Self) -> Bool {
        if left.byteCount != right.byteCount { return false }
        var place = 0
        var other = left.firstBytes
        for index in 0..<right.segmentCount {
            var bytes = right.bytes(ofSegment: index)
            while bytes.count > 0 {
                if other.count == 0 {
                    // B1, and the counts are the same: there is another.
                    place += 1
                    other = left.bytes(ofSegment: place)
                }
                let count = min(bytes.count, other.count)
                if !isEqual(bytes.baseAddress.unsafelyUnwrapped, other.baseAddress.unsafelyUnwrapped, count) {
                    return false
                }
                bytes = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(count))
                other = UnsafeRawBufferPointer(rebasing: other.dropFirst(count))
            }
        }
        return true
    }

    /// Whether the bytes are these. O(bytes) where there are as many, else O(1).
    public func isEqual(to bytes: UnsafeRawBufferPointer) -> Bool {
        if byteCount != bytes.count { return false }
        var done = 0
        for index in 0..<segmentCount {
            let own = self.bytes(ofSegment: index)
            let start = own.baseAddress.unsafelyUnwrapped
            if !Self.isEqual(start, bytes.baseAddress.unsafelyUnwrapped + done, own.count) { return false }
            done += own.count
        }
        return true
    }

    /// Whether the bytes are those of an array.
    public static func == (left: Self, right: [UInt8]) -> Bool { right.withUnsafeBytes { left.isEqual(to: $0) } }

    private static func isEqual(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ count: Int) -> Bool {
        left == right || memcmp(left, right, count) == 0
    }
}

extension SegmentedBuffer: Hashable {
    /// The count, and the bytes in blocks of 256 whatever the segments, so that what is equal hashes alike.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(byteCount)
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { gathered in
            var index = 0
            var offset = 0
            var position = 0
            while position < byteCount {
                let size = min(byteCount - position, 256)
                let bytes = self.bytes(ofSegment: index)
                if offset + size <= bytes.count {
                    hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + size]))
                    offset += size
                } else {
                    var done = 0
                    while done < size {
                        let bytes = self.bytes(ofSegment: index)
                        let part = min(bytes.count - offset, size - done)
                        (gathered.baseAddress.unsafelyUnwrapped + done).copyMemory(
                            from: bytes.baseAddress.unsafelyUnwrapped + offset, byteCount: part)
                        done += part
                        offset += part
                        if offset == bytes.count, done < size { (index, offset) = (index + 1, 0) }
                    }
                    hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: gathered[..<size]))
                }
                position += size
                if offset == self.bytes(ofSegment: index).count { (index, offset) = (index + 1, 0) }
            }
        }
    }
}

extension SegmentedBuffer: CustomStringConvertible {
    public var description: String { "SegmentedBuffer(\(byteCount) bytes in \(segmentCount) segments)" }
}
