// One buffer of a RecyclableMemory, in four words:
//
//     start | count | owner | serial << 1 | kept
//
//     owner    0                 nobody: the bytes are only referred to
//              n << 1 | 1        the sequence alone: the block goes back to its n-th allocator
//              an address        a SegmentMemory, one of whose references is the entry's
//
// The memory of records is moved by copying its bytes: an entry has no deinit of its own, and who overwrites or drops
// one has settled its owner before.

@usableFromInline
@frozen
struct RecyclableEntry {
    /// The first byte: where the owner is an allocator, the address that it handed out.
    @usableFromInline let start: UnsafeMutableRawPointer
    @usableFromInline var count: Int
    @usableFromInline var owner: UInt
    @usableFromInline var serialAndKept: UInt

    @inlinable @inline(__always)
    init(start: UnsafeMutableRawPointer, count: Int, owner: UInt, serial: UInt) {
        self.start = start
        self.count = count
        self.owner = owner
        serialAndKept = serial &<< 1
    }

    /// The owner word of a block of the n-th allocator.
    @inlinable @inline(__always)
    static func owner(allocator number: Int) -> UInt { UInt(bitPattern: number) &<< 1 | 1 }

    /// The owner word of counted memory, with a reference of its own.
    static func owner(counting memory: SegmentMemory) -> UInt {
        UInt(bitPattern: Unmanaged.passRetained(memory).toOpaque())
    }

    @inlinable @inline(__always)
    var buffer: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: start, count: count) }

    /// Which allocator gets the block back, or nil where none does.
    var allocatorNumber: Int? { owner & 1 == 1 ? Int(bitPattern: owner &>> 1) : nil }

    /// The counted memory that the bytes lie in, or nil.
    var memory: Unmanaged<SegmentMemory>? {
        guard owner & 1 == 0, let pointer = UnsafeRawPointer(bitPattern: owner) else { return nil }
        return Unmanaged.fromOpaque(pointer)
    }

    /// No other entry of the sequence ever has it.
    @inlinable @inline(__always)
    var serial: UInt { serialAndKept &>> 1 }

    @inlinable @inline(__always)
    var isKept: Bool {
        get { serialAndKept & 1 == 1 }
        set { serialAndKept = serialAndKept & ~1 | (newValue ? 1 : 0) }
    }
}
