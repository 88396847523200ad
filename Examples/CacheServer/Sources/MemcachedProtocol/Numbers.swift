// Decimal numbers from bytes and to bytes, with the limits that memcached's have: it reads them as C's strtoull and
// strtoll do, so white space before a number, a sign, and whatever follows white space after it are all let through.

/// Decimal numbers as the protocol writes them.
public enum Decimal {
    /// The most digits that a number of 64 bits has.
    public static let longest = 20

    /// An unsigned number; nil where there is none, where it is below zero, or above 2^64 - 1.
    public static func unsigned(_ bytes: UnsafeRawBufferPointer) -> UInt64? {
        guard let (magnitude, isNegative) = number(bytes), !isNegative || magnitude == 0 else { return nil }
        return magnitude
    }

    /// A signed number; nil where there is none, or where it needs more than 64 bits.
    public static func signed(_ bytes: UnsafeRawBufferPointer) -> Int64? {
        guard let (magnitude, isNegative) = number(bytes) else { return nil }
        if !isNegative { return Int64(exactly: magnitude) }
        return magnitude <= UInt64(Int64.max) + 1 ? Int64(truncatingIfNeeded: 0 &- magnitude) : nil
    }

    private static func number(_ bytes: UnsafeRawBufferPointer) -> (magnitude: UInt64, isNegative: Bool)? {
        var offset = 0
        while offset < bytes.count, isWhiteSpace(bytes[offset]) { offset += 1 }
        var isNegative = false
        if offset < bytes.count, bytes[offset] == UInt8(ascii: "-") || bytes[offset] == UInt8(ascii: "+") {
            isNegative = bytes[offset] == UInt8(ascii: "-")
            offset += 1
        }
        let firstDigit = offset
        var value: UInt64 = 0
        while offset < bytes.count {
            let digit = bytes[offset] &- UInt8(ascii: "0")
            guard digit <= 9 else { break }
            let (tenfold, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tenfold.addingReportingOverflow(UInt64(digit))
            if overflow || carry { return nil }
            value = sum
            offset += 1
        }
        guard offset > firstDigit else { return nil }
        // A zero byte ends a number as it ends a string in C.
        guard offset == bytes.count || isWhiteSpace(bytes[offset]) || bytes[offset] == 0 else { return nil }
        return (value, isNegative)
    }

    private static func isWhiteSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte >= 0x09 && byte <= 0x0D }

    /// Writes a number, and says how many bytes that took: at most ``longest``, for which there must be room.
    public static func write(_ value: UInt64, to target: UnsafeMutableRawPointer) -> Int {
        var count = 1
        var limit: UInt64 = 10
        while value >= limit {
            count += 1
            if count == longest { break }
            limit *= 10
        }
        var rest = value
        for offset in stride(from: count - 1, through: 0, by: -1) {
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            target.storeBytes(of: UInt8(ascii: "0") + UInt8(digit), toByteOffset: offset, as: UInt8.self)
            rest = quotient
        }
        return count
    }
}
