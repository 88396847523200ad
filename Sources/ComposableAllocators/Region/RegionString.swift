// A string that grows inside a region: an array of its bytes in UTF-8.

public import AllocatorCore

/// A string inside a ``Region``, in UTF-8, which grows there as a ``RegionArray`` does. Always valid UTF-8, since only
/// strings are appended. For building text; what compares and searches it is `String`'s, by ``description``.
@frozen
public struct RegionString: ~Copyable, ~Escapable {
    @usableFromInline var bytes: RegionArray<UInt8>

    @inlinable @_lifetime(copy bytes)
    init(_ bytes: consuming RegionArray<UInt8>) { self.bytes = bytes }

    /// The bytes, not the characters.
    @inlinable public var utf8Count: Int { bytes.count }
    @inlinable public var isEmpty: Bool { bytes.isEmpty }
    /// How many bytes there is room for.
    @inlinable public var utf8Capacity: Int { bytes.capacity }

    /// Adds a text. Where it throws, the string is as it was.
    @inlinable @_lifetime(self: copy self)
    public mutating func append(_ text: some StringProtocol) throws(AllocationError) {
        try bytes.append(copying: text.utf8)
    }

    /// Adds a character.
    @inlinable @_lifetime(self: copy self)
    public mutating func append(_ character: Character) throws(AllocationError) {
        try bytes.append(copying: character.utf8)
    }

    /// Adds a whole number in decimal digits, without making a `String`.
    @inlinable @_lifetime(self: copy self)
    public mutating func append(decimal number: some BinaryInteger) throws(AllocationError) {
        var rest = number
        // Least digit first, then turned round. A negative number's digits come from negative remainders.
        let start = bytes.count
        try bytes.reserveCapacity(start + number.bitWidth * 3 / 10 + 3)
        repeat {
            let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: 10)
            try bytes.append(UInt8(truncatingIfNeeded: 48 + remainder.magnitude))
            rest = quotient
        } while rest != 0
        if number < 0 { try bytes.append(45) }
        var (low, high) = (start, bytes.count - 1)
        while low < high {
            (bytes[low], bytes[high]) = (bytes[high], bytes[low])
            low += 1
            high -= 1
        }
    }

    /// Makes the string empty and keeps the room.
    @inlinable @_lifetime(self: copy self)
    public mutating func removeAll() { bytes.removeAll() }

    /// The bytes, to read.
    @inlinable
    public var utf8: Span<UInt8> {
        @_lifetime(borrow self) borrowing get { bytes.span }
    }

    /// A copy outside the region.
    @inlinable
    public var description: String {
        String(decoding: UnsafeBufferPointer(start: bytes.storage.pointee.elements, count: bytes.count), as: UTF8.self)
    }

    /// Ends the growing: the text with a zero byte at its end, for C code, where it is.
    @inlinable @_lifetime(copy self)
    public consuming func finishAsCString() throws(AllocationError) -> RegionCString {
        try bytes.append(0)
        let count = bytes.count &- 1
        let start = UnsafePointer(bytes.storage.pointee.elements)
        return _overrideLifetime(RegionCString(start, count: count), copying: self)
    }
}
