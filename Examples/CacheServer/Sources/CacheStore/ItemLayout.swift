// An item in memory: one chunk, or a chain of chunks over which the same bytes are spread.
//
//     | unique: 8 | lengths: 4 | flags: 4, where they are not 0 | key | value … | -> | … value | -> | … value |
//     |<--------------------- 12 or 16 bytes ------------------>|
//
// The lengths: bits 0-7 the key's, bit 8 whether there are flags, bits 9-31 the value's. Header and key are in the
// first chunk as a whole. Nothing is aligned: a chunk is as large as its item.
//
// An item costs these 12 bytes, 24 of the chunk's record in the arena, and 40 of the index: 76 in all.

/// The front of an item, at an address in the arena.
struct ItemHead {
    let base: UnsafeMutableRawPointer

    /// The largest value that the lengths can say.
    static let largestValue = 1 << 23 - 1

    static func byteCount(flags: UInt32) -> Int { flags == 0 ? 12 : 16 }

    init(_ base: UnsafeMutableRawPointer) { self.base = base }

    /// Lays down all but the value. `keyByteCount` is at most 255.
    init(_ base: UnsafeMutableRawPointer, key: UnsafeRawBufferPointer, flags: UInt32, valueByteCount: Int) {
        self.base = base
        var lengths = UInt32(key.count) | UInt32(valueByteCount) << 9
        base.storeBytes(of: 0, as: UInt64.self)
        if flags != 0 {
            lengths |= 1 << 8
            base.storeBytes(of: flags, toByteOffset: 12, as: UInt32.self)
        }
        base.storeBytes(of: lengths, toByteOffset: 8, as: UInt32.self)
        (base + ItemHead.byteCount(flags: flags)).copyMemory(
            from: key.baseAddress.unsafelyUnwrapped, byteCount: key.count)
    }

    /// What `gets` tells and `cas` compares: another one for each change of a value.
    var unique: UInt64 {
        @inline(__always) get { base.loadUnaligned(as: UInt64.self) }
        nonmutating set { base.storeBytes(of: newValue, as: UInt64.self) }
    }

    private var lengths: UInt32 {
        @inline(__always) get { base.loadUnaligned(fromByteOffset: 8, as: UInt32.self) }
    }

    var flags: UInt32 {
        lengths & 1 << 8 == 0 ? 0 : base.loadUnaligned(fromByteOffset: 12, as: UInt32.self)
    }

    private var headerByteCount: Int {
        @inline(__always) get { lengths & 1 << 8 == 0 ? 12 : 16 }
    }

    var valueByteCount: Int {
        @inline(__always) get { Int(lengths &>> 9) }
    }

    var key: UnsafeRawBufferPointer {
        @inline(__always) get {
            UnsafeRawBufferPointer(start: base + headerByteCount, count: Int(lengths & 0xFF))
        }
    }

    /// Where the value begins.
    var valueOffset: Int {
        @inline(__always) get { headerByteCount &+ Int(lengths & 0xFF) }
    }

    var byteCount: Int {
        @inline(__always) get { valueOffset &+ valueByteCount }
    }
}
