// What is known of the blocks of one page, apart from the page, so that no write of the program's to a block or past it
// can change it.
//
//   +0   the shard   +8   how many are quarantined   +16   how many are free   +24   whether the page has a guard
//   +64  a bit for each block, set while it is free: 64 words
//   +576 an entry of 32 bits for each block
//
//   an entry:   bits 0…1  state     bits 2…17  bytes asked for     bits 18…22  logarithm of the alignment asked for
//
// All zeros is the table of a page none of whose blocks was ever carved. Thread-safety: the shard's lock.

import CMallowShims

enum BlockState {
    /// Never handed out, and not poisoned.
    static let uncarved: UInt32 = 0
    static let live: UInt32 = 1
    static let quarantined: UInt32 = 2
    static let free: UInt32 = 3
}

struct BlockEntry {
    let bits: UInt32

    init(bits: UInt32) { self.bits = bits }

    init(liveBlockOf byteCount: UInt, alignment: UInt) {
        let exponent =
            alignment <= Hardened.naturalAlignment ? 0 : UInt32(truncatingIfNeeded: alignment.trailingZeroBitCount)
        bits = BlockState.live | UInt32(truncatingIfNeeded: byteCount) &<< 2 | exponent &<< 18
    }

    var state: UInt32 { bits & 3 }
    var byteCount: UInt { UInt(bits &>> 2) & 0xffff }
    /// 1 where none beyond the natural one was asked for.
    var alignment: UInt { 1 &<< UInt(bits &>> 18 & 31) }

    func with(state: UInt32) -> BlockEntry { BlockEntry(bits: bits & ~3 | state) }
}

struct SideTable {
    static let bitsOffset: UInt = 64
    static let entriesOffset: UInt = 576
    /// Tables come in three sizes: for 112, 880 and 4,976 blocks.
    static func byteCount(of size: Int) -> UInt { size == 0 ? 1 << 10 : size == 1 ? 4 << 10 : 20 << 10 }
    static func size(capacity: UInt) -> Int {
        entriesOffset &+ capacity &* 4 <= byteCount(of: 0)
            ? 0 : entriesOffset &+ capacity &* 4 <= byteCount(of: 1) ? 1 : 2
    }

    let address: UInt

    @inline(__always)
    private func word(_ offset: UInt) -> UnsafeMutablePointer<UInt> {
        UnsafeMutablePointer<UInt>(at: address &+ offset)
    }

    var shard: UnsafeMutablePointer<UInt> { word(0) }
    var quarantinedCount: UnsafeMutablePointer<UInt> { word(8) }
    var freeCount: UnsafeMutablePointer<UInt> { word(16) }
    var isGuarded: UnsafeMutablePointer<UInt> { word(24) }

    @inline(__always)
    subscript(index: UInt) -> BlockEntry {
        get { BlockEntry(bits: entries[Int(bitPattern: index)]) }
        nonmutating set { entries[Int(bitPattern: index)] = newValue.bits }
    }

    @inline(__always)
    private var entries: UnsafeMutablePointer<UInt32> {
        UnsafeMutablePointer<UInt32>(bitPattern: address &+ Self.entriesOffset).unsafelyUnwrapped
    }

    // MARK: - Free blocks

    @inline(__always)
    private func bits(_ index: UInt) -> UnsafeMutablePointer<UInt> { word(Self.bitsOffset &+ index &* 8) }

    func markFree(_ index: UInt) {
        self[index] = self[index].with(state: BlockState.free)
        bits(index &>> 6).pointee |= 1 &<< (index & 63)
        freeCount.pointee &+= 1
    }

    /// The free block at or behind a random place, or the first one of all if `random` is 0. One is free.
    /// O(capacity / 64).
    func takeFree(random: UInt, capacity: UInt) -> UInt {
        let wordCount = (capacity &+ 63) &>> 6
        var index = (random &>> 32) % wordCount
        while bits(index).pointee == 0 {
            index &+= 1
            if index == wordCount { index = 0 }
        }
        let free = bits(index).pointee
        let place = random &>> 26 & 63
        let upper = (free &>> place) &<< place
        let bit = UInt(bitPattern: (upper == 0 ? free : upper).trailingZeroBitCount)
        bits(index).pointee = free & ~(1 &<< bit)
        freeCount.pointee &-= 1
        return index &<< 6 &+ bit
    }

    func isMarkedFree(_ index: UInt) -> Bool { bits(index &>> 6).pointee &>> (index & 63) & 1 != 0 }

    func clear(capacity: UInt) {
        memset(rawPointer(address), 0, Int(bitPattern: Self.entriesOffset &+ capacity &* 4))
    }
}

extension UnsafeMutablePointer where Pointee == PageRecord {
    /// Of a page of small hardened blocks. Its address is 0 once the page was given back.
    @inline(__always)
    var sideTable: SideTable {
        get { SideTable(address: pointee.mappingAddress) }
        nonmutating set { pointee.mappingAddress = newValue.address }
    }
}
