// What a block is filled with: pseudo-random bytes that depend on the block's number and on the place in the block, so
// that neither another block's bytes nor its own ones shifted pass for them. The bytes are made once and copied.

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#endif

enum Pattern {
    /// A prime, so that no shift by a round number of bytes repeats it.
    private static let period = 65_521

    private static let bytes: [UInt8] = {
        var random = SeededGenerator(seed: 0x6d61_6c6c_6f77)
        return (0..<period).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }()

    static func fill(_ base: UnsafeMutableRawPointer, byteCount: Int, id: Int) {
        eachPiece(byteCount, id) { offset, piece in
            (base + offset).copyMemory(from: piece.baseAddress!, byteCount: piece.count)
            return true
        }
    }

    /// The first byte that is not as it was filled, or nil.
    static func firstDifference(_ base: UnsafeRawPointer, byteCount: Int, id: Int) -> Int? {
        var found: Int?
        eachPiece(byteCount, id) { offset, piece in
            guard memcmp(base + offset, piece.baseAddress!, piece.count) != 0 else { return true }
            // None, where another thread has meanwhile put back what it had overwritten: then the piece as a whole.
            let first = (0..<piece.count).first { base.load(fromByteOffset: offset + $0, as: UInt8.self) != piece[$0] }
            found = offset + (first ?? 0)
            return false
        }
        return found
    }

    private static func eachPiece(_ byteCount: Int, _ id: Int, _ body: (Int, UnsafeRawBufferPointer) -> Bool) {
        bytes.withUnsafeBytes { bytes in
            var start = Int(UInt(bitPattern: id &* 9_973) % UInt(period))
            var offset = 0
            while offset < byteCount {
                let length = min(byteCount - offset, period - start)
                guard body(offset, UnsafeRawBufferPointer(rebasing: bytes[start..<start + length])) else { return }
                offset += length
                start = 0
            }
        }
    }
}
