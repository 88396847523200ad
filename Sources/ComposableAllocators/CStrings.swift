// Strings and bytes for C code, in memory of any allocator. Cost: one allocation and one copy; a string whose UTF-8 is
// not at hand (one that came from Objective-C) is encoded twice, to measure and to copy. Thread-safety: that of the
// allocator.

public import AllocatorCore

extension Allocator where Self: ~Copyable {
    /// Allocates a zero-terminated copy of a string, in UTF-8.
    ///
    /// A zero character inside the string is copied as it is: C code that looks for the end stops at the first.
    ///
    /// - Returns: the characters; free them with `deallocate(_:)`.
    /// - Throws: ``AllocationError``.
    /// - Complexity: O(*n*) in the string's length.
    @inlinable
    public borrowing func makeCString(
        _ text: some StringProtocol
    ) throws(AllocationError) -> UnsafeMutablePointer<CChar> {
        let block = try makeTerminatedCopy(text.utf8)
        return block.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self)
    }

    /// Calls a closure with a zero-terminated copy of a string, and frees the copy when the closure is done.
    ///
    /// - Throws: ``AllocationError``; the closure is not called then.
    @inlinable
    public borrowing func withCString<Result: ~Copyable>(
        _ text: some StringProtocol, _ body: (UnsafePointer<CChar>) -> Result
    ) throws(AllocationError) -> Result {
        let copy = try makeCString(text)
        defer { deallocate(copy) }
        return body(UnsafePointer(copy))
    }

    /// Calls a closure with a zero-terminated copy of a string, and frees the copy when the closure is done or throws.
    ///
    /// - Throws: what the closure throws, or ``AllocationError``: the closure is not called then.
    @inlinable
    public borrowing func withCString<Result: ~Copyable>(
        _ text: some StringProtocol, _ body: (UnsafePointer<CChar>) throws -> Result
    ) throws -> Result {
        let copy = try makeCString(text)
        defer { deallocate(copy) }
        return try body(UnsafePointer(copy))
    }

    /// Allocates a copy of bytes.
    ///
    /// - Returns: a buffer of exactly as many bytes; free it with `deallocate(_:)`. Of no bytes, too, there is a block.
    /// - Throws: ``AllocationError``.
    @inlinable
    public borrowing func makeBytes(
        _ bytes: some Collection<UInt8>
    ) throws(AllocationError) -> UnsafeMutableBufferPointer<UInt8> {
        try allocate(copying: bytes)
    }

    /// Allocates a copy of the bytes of a span.
    ///
    /// - Returns: a buffer of exactly as many bytes; free it with `deallocate(_:)`. Of no bytes, too, there is a block.
    /// - Throws: ``AllocationError``.
    @inlinable
    public borrowing func makeBytes(_ bytes: RawSpan) throws(AllocationError) -> UnsafeMutableBufferPointer<UInt8> {
        let copy = try allocate(UInt8.self, count: bytes.byteCount)
        bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(copy).copyMemory(from: $0) }
        return copy
    }

    /// Allocates a copy of the bytes of a span.
    ///
    /// - Returns: a buffer of exactly as many bytes; free it with `deallocate(_:)`. Of no bytes, too, there is a block.
    /// - Throws: ``AllocationError``.
    @inlinable
    public borrowing func makeBytes(_ bytes: Span<UInt8>) throws(AllocationError) -> UnsafeMutableBufferPointer<UInt8> {
        try makeBytes(bytes.bytes)
    }

    @inlinable
    borrowing func makeTerminatedCopy(
        _ characters: some Collection<UInt8>
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let count = characters.count
        let block = try allocate(byteCount: count &+ 1, alignment: 1)
        let copy = UnsafeMutableRawBufferPointer(rebasing: block.prefix(count &+ 1))
        copy.prefix(count).copyBytes(from: characters)
        copy[count] = 0
        return copy
    }
}
