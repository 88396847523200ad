// What fills the bytes that no program may write: canaries behind live blocks, poison in free ones.
//
// A canary's bytes are derived from the block's address and a secret of the process. Each lies in 0x80 … 0xfe and is
// even: so none is a zero, a byte of ASCII text or 0xff, which overflows write most often; any other byte that an
// overflow writes is the canary's own with a probability of 1 in 64 or less.
//
// Poison is derived likewise, from another secret; its words are no addresses, and huge or negative as numbers. Each
// block's is its own, so that one freed block copied over another shows.
//
// Cost: a pass over the bytes. Thread-safety: as for whoever calls.

import CMallowShims

enum Canary {
    /// The eight bytes that a block's canary is made of, repeated at each multiple of eight.
    @inline(__always)
    static func word(of block: UInt) -> UInt {
        let mixed = Hardened.mixed(block ^ Hardened.shared.pointee.canaryKey)
        return mixed & 0x7e7e_7e7e_7e7e_7e7e | 0x8080_8080_8080_8080
    }

    /// Writes the canary of a block from `first` up to `end`, a multiple of 8. The first bytes are written one by one:
    /// those beside them are the program's.
    static func write(_ block: UInt, from first: UInt, to end: UInt) {
        let word = word(of: block)
        var address = first
        while address & 7 != 0, address < end {
            rawPointer(address).storeBytes(of: byte(word, at: address), as: UInt8.self)
            address &+= 1
        }
        while address < end {
            storeWord(address, word)
            address &+= 8
        }
    }

    /// The first byte that is not the canary's, or 0.
    static func firstDamage(_ block: UInt, from first: UInt, to end: UInt) -> UInt {
        let word = word(of: block)
        var address = first
        while address & 7 != 0, address < end {
            if rawPointer(address).load(as: UInt8.self) != byte(word, at: address) { return address }
            address &+= 1
        }
        return Pattern.firstDamage(word, from: address, to: end)
    }

    @inline(__always)
    private static func byte(_ word: UInt, at address: UInt) -> UInt8 {
        UInt8(truncatingIfNeeded: word &>> ((address & 7) &* 8))
    }
}

enum Poison {
    /// The upper 16 bits of poison: of no address that a program can have.
    static let tag: UInt = 0xdfdf

    @inline(__always)
    private static func word(of block: UInt) -> UInt {
        let mixed = Hardened.mixed(block ^ Hardened.shared.pointee.poisonKey)
        return mixed & 0x0000_7e7e_7e7e_7e7e | 0x0000_8080_8080_8080 | tag &<< 48
    }

    /// Fills a block, a multiple of 8 bytes long.
    static func write(_ block: UInt, byteCount: UInt) {
        let word = word(of: block)
        var address = block
        while address < block &+ byteCount {
            storeWord(address, word)
            address &+= 8
        }
    }

    /// The first byte of a free block from `first` to `end`, multiples of 8, that is not its poison; or 0.
    static func firstDamage(_ block: UInt, from first: UInt, to end: UInt) -> UInt {
        Pattern.firstDamage(word(of: block), from: first, to: end)
    }
}

private enum Pattern {
    /// The first byte that differs from a pattern that begins at each multiple of 8, or 0.
    static func firstDamage(_ word: UInt, from first: UInt, to end: UInt) -> UInt {
        var address = first
        // Without a way out of the loop the compiler compares several words at a time.
        while end > address, end &- address >= 256 {
            var difference: UInt = 0
            var offset: UInt = 0
            while offset < 256 {
                difference |= loadWord(address &+ offset) ^ word
                offset &+= 8
            }
            if difference != 0 { break }
            address &+= 256
        }
        while address < end {
            let difference = loadWord(address) ^ word
            if difference != 0 { return address &+ UInt(bitPattern: difference.trailingZeroBitCount) / 8 }
            address &+= 8
        }
        return 0
    }
}
