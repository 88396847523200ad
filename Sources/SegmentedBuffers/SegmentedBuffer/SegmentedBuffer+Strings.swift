// Text into a buffer and out of it, as UTF-8.
//
// Cost: O(bytes). Thread-safety: none.

extension SegmentedBuffer {
    /// Makes a buffer of a string's bytes as UTF-8. O(bytes), one allocation where the string is stored as UTF-8.
    @inlinable
    public init(copying string: some StringProtocol) { self.init(copying: string.utf8) }

    /// Copies a string's bytes as UTF-8 to the end, and nothing else: no length, no zero. O(bytes).
    @inlinable
    public mutating func append(copying string: some StringProtocol) { append(copying: string.utf8) }

    /// Copies a string's bytes as UTF-8 to the front. O(bytes).
    @inlinable
    public mutating func prepend(copying string: some StringProtocol) { prepend(copying: string.utf8) }
}

extension String {
    /// The bytes of a buffer as text. What is no UTF-8 is repaired as by ``Swift/String/init(decoding:as:)``: it
    /// becomes `U+FFFD`. Where that must not pass unseen, use ``init(validating:)``, or read by
    /// ``SegmentedReader/readString(_:)``, which throws.
    ///
    /// A character whose bytes lie in two segments is one all the same.
    ///
    /// - Complexity: O(bytes); those of several segments are put together first, in memory that ends with the call.
    public init(_ buffer: SegmentedBuffer) { self = buffer.withContiguousBytes { String(decoding: $0, as: UTF8.self) } }

    /// The bytes of a buffer as text, or nil where they are not UTF-8. O(bytes), as ``init(_:)``.
    public init?(validating buffer: SegmentedBuffer) {
        let string = buffer.withContiguousBytes { bytes in
            String(validating: bytes.assumingMemoryBound(to: UInt8.self), as: UTF8.self)
        }
        guard let string else { return nil }
        self = string
    }
}
