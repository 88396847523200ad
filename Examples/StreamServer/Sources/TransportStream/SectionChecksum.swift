// The checksum of sections (ISO/IEC 13818-1, annex A): CRC-32 with the polynomial 0x04C11DB7, most significant bit
// first, from all ones, not inverted at the end. Over a section with its checksum it is 0.

/// The checksum of a table's section.
public enum SectionChecksum {
    private static let table: [UInt32] = (0..<256).map { index in
        var remainder = UInt32(index) << 24
        for _ in 0..<8 {
            remainder = remainder & 0x8000_0000 != 0 ? remainder << 1 ^ 0x04C1_1DB7 : remainder << 1
        }
        return remainder
    }

    /// The checksum of some bytes; 0 for a section that has its own behind it and is sound.
    public static func compute(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var remainder: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            remainder = remainder << 8 ^ table[Int(UInt8(truncatingIfNeeded: remainder >> 24) ^ byte)]
        }
        return remainder
    }
}
