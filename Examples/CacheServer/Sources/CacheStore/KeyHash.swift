// A hash of keys, seeded by chance at start, so that nobody who chooses keys can choose them to meet in one bucket.
// Words are mixed by a multiplication of 64 by 64 bits whose halves are added bit by bit, as wyhash does it. About 10
// ns for a key of 32 bytes.

struct KeyHash: Sendable {
    private let seed: UInt64
    private let secret: UInt64

    init() {
        seed = .random(in: .min ... .max)
        // Odd and with bits all over: a factor that is small, or even, loses bits.
        secret = .random(in: .min ... .max) | 0x8000_0000_0000_0001
    }

    @inline(__always)
    private func mix(_ word: UInt64, _ with: UInt64) -> UInt64 {
        let product = (word ^ secret).multipliedFullWidth(by: with)
        return product.high ^ product.low
    }

    @inline(__always)
    func callAsFunction(_ key: UnsafeRawBufferPointer) -> UInt32 {
        // An empty key is none, but must not be read.
        guard let base = key.baseAddress else { return 0 }
        var state = seed ^ UInt64(truncatingIfNeeded: key.count)
        var offset = 0
        while key.count &- offset >= 8 {
            state = mix(base.loadUnaligned(fromByteOffset: offset, as: UInt64.self) &+ state, state ^ odd)
            offset &+= 8
        }
        var tail: UInt64 = 0
        if key.count &- offset >= 4 {
            tail = UInt64(base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            offset &+= 4
        }
        while offset < key.count {
            tail = tail &<< 8 | UInt64(base.load(fromByteOffset: offset, as: UInt8.self))
            offset &+= 1
        }
        state = mix(tail &+ state, state ^ odd)
        state = mix(state, odd)
        return UInt32(truncatingIfNeeded: state ^ state &>> 32)
    }

    private var odd: UInt64 { 0xA076_1D64_78BD_642F }
}
