// What a program printed, without keeping it: a 64-bit FNV-1a hash and the number of bytes.
//
// FNV-1a takes a multiplication a byte (some 0.8 GB/s), has no state but the hash, and gives the same whatever the
// pieces that the bytes arrive in. It is no defence against somebody who wants two outputs to look alike; nobody here
// does.

struct OutputHash: Hashable {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325
    private(set) var byteCount = 0

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var hash = value
        for byte in bytes {
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
        }
        value = hash
        byteCount += bytes.count
    }

    /// Sixteen hexadecimal digits.
    var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
