// Where the blocks in use start, and their orders: two bits for each smallest block, four of which share a byte.
//
//     byte   | 3 | 2 | 1 | 0 |    00: no block in use starts here
//                                 01: one of order 0                10: one of order 1
//            |  order-2  |11 |    one of order 2 or more, which has all four to itself
//
// The first two bits of a byte are 11 only in the last case, so an offset inside of a large block is not taken for
// another block's start. Cost: one byte read, or read and written. Its memory is its owner's. Thread-safety: none.

struct BuddyMarks {
    let bytes: UnsafeMutablePointer<UInt8>

    /// The order of the block in use that starts at smallest block `unit`, or -1.
    @inline(__always)
    subscript(_ unit: Int) -> Int {
        let byte = bytes[unit >> 2]
        if byte & 3 == 3 { return unit & 3 == 0 ? 2 &+ Int(byte >> 2) : -1 }
        return Int(byte &>> UInt8(2 &* (unit & 3)) & 3) &- 1
    }

    @inline(__always)
    func insert(_ unit: Int, order: Int) {
        if order >= 2 {
            bytes[unit >> 2] = 3 | UInt8(truncatingIfNeeded: order &- 2) &<< 2
        } else {
            bytes[unit >> 2] |= UInt8(truncatingIfNeeded: order &+ 1) &<< UInt8(2 &* (unit & 3))
        }
    }

    @inline(__always)
    func remove(_ unit: Int, order: Int) {
        if order >= 2 {
            bytes[unit >> 2] = 0
        } else {
            bytes[unit >> 2] &= ~(3 &<< UInt8(2 &* (unit & 3)))
        }
    }
}
