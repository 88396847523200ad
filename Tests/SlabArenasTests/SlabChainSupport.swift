// What the tests of chains share: bytes that tell where they are.

@testable import SlabArenas

/// Bytes of which each says where it is.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ seed) &* 31 &+ ($0 >> 8)) }
}

extension SlabChain {
    func write(_ bytes: [UInt8], at offset: Int = 0) {
        bytes.withUnsafeBytes { write(at: offset, from: $0) }
    }

    func bytes(at offset: Int = 0, count: Int? = nil) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count ?? self.count) { bytes, initialized in
            initialized = read(at: offset, into: UnsafeMutableRawBufferPointer(bytes))
        }
    }
}
