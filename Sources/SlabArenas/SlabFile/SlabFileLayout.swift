// What a slab file holds, in the byte order of the machine that wrote it:
//
//     | superblock, one page | extents: a slab each, and holes between them | table |
//
// An extent is a slab's block as it is in memory (SlabHeader.swift), in whole pages. Of the header in it nothing is
// ever read back: what must last of it is in the table, which is written when the file is saved, behind the last
// extent.
//
//     table: | SlabFileTable | SlabFileClass of each class | SlabFileSlot of each slab number |
//
// F1. The state in the superblock is `inUse` from before the first change after opening until the file is saved.
// F2. A saved file's checksums are those of the superblock, the table, and of each slab the records of its carved
//     chunks; and of those chunks' bytes, too, where `checksumsData` is not 0.
// F3. Everything read from a file is checked before it is used, also where all checksums hold: whoever can write the
//     file can make them hold.

/// The first bytes of the file: less than the 512 that a disk writes at once.
struct SlabFileSuperblock: BitwiseCopyable, Equatable {
    var magic = Self.magic
    var byteOrder = Self.byteOrder
    var version = Self.version
    var state = Self.inUse
    /// Of the machine that made the file: what extents are multiples of.
    var pageByteCount: UInt64
    // The arena's configuration.
    var startChunkSize: UInt64
    var slabSize: UInt64
    var growthFactor: UInt64
    var alignment: UInt64
    // The root's four words.
    var rootPlace: UInt64 = 0
    var rootLength: UInt64 = 0
    // Where it was saved.
    var fileByteCount: UInt64 = 0
    var tableOffset: UInt64 = 0
    var tableByteCount: UInt64 = 0
    var tableChecksum: UInt64 = 0
    /// How often it was saved.
    var saves: UInt64 = 0
    var checksumsData: UInt64 = 0
    /// Of all before it.
    var checksum: UInt64 = 0

    static var magic: UInt64 { UInt64(littleEndian: 0x0A53_4241_4C53_4C4D) }  // "MLSLABS\n"
    static var byteOrder: UInt64 { 0x0102_0304_0506_0708 }
    /// The format's number, in thousands, and the size of the slabs' headers, behind which the records are.
    static var version: UInt64 { 1000 + UInt64(MemoryLayout<SlabHeader>.size) }
    static var inUse: UInt64 { 0x7573_6564_7573_6564 }
    static var whole: UInt64 { 0x7768_6F6C_7768_6F6C }
    static var byteCount: Int { MemoryLayout<Self>.size }

    /// The checksum that it should have.
    var expectedChecksum: UInt64 {
        withUnsafeBytes(of: self) { SlabChecksum.of(UnsafeRawBufferPointer(rebasing: $0[..<(Self.byteCount - 8)])) }
    }

    var root: SlabLocation {
        get {
            let location = SlabLocation(
                slab: UInt32(truncatingIfNeeded: rootPlace), position: UInt32(truncatingIfNeeded: rootPlace >> 32),
                length: UInt32(truncatingIfNeeded: rootLength),
                generation: UInt32(truncatingIfNeeded: rootLength >> 32))
            // L1
            return location.isNil ? .nil : location
        }
        set {
            rootPlace = UInt64(newValue.slab) | UInt64(newValue.position) << 32
            rootLength = UInt64(newValue.length) | UInt64(newValue.generation) << 32
        }
    }
}

/// The first words of the table: what the arena counts.
struct SlabFileTable: BitwiseCopyable {
    var slotCount: UInt64 = 0
    var classCount: UInt64 = 0
    var freshGeneration: UInt64 = 0
    var referencesAdded: UInt64 = 0
    var referencesReleased: UInt64 = 0
    var peak: UInt64 = 0
    var peakBytes: UInt64 = 0
    var chainReads: UInt64 = 0
    var chainWrites: UInt64 = 0
    var slabAllocations: UInt64 = 0
    var slabFailures: UInt64 = 0
    var slabsGivenBack: UInt64 = 0
    var slabsReassigned: UInt64 = 0
    var chunksMoved: UInt64 = 0
    var tooLarge: UInt64 = 0
    var retired: UInt64 = 0
    var freedAtOnce: UInt64 = 0
    /// The last that a slab got.
    var serial: UInt64 = 0

    /// The bytes of a table, or nil where there are more than can be.
    static func byteCount(classCount: UInt64, slotCount: UInt64) -> UInt64? {
        guard classCount <= UInt64(SlabSizes.largestClassCount), slotCount <= UInt64(noSlab) else { return nil }
        return UInt64(MemoryLayout<Self>.size) + classCount * UInt64(MemoryLayout<SlabFileClass>.size)
            + slotCount * UInt64(MemoryLayout<SlabFileSlot>.size)
    }
}

/// What a class counts.
struct SlabFileClass: BitwiseCopyable {
    var allocations: UInt64 = 0
    var recycled: UInt64 = 0
    /// Of the live chunks.
    var requestedBytes: UInt64 = 0
    var carved: UInt64 = 0
    var failedPops: UInt64 = 0
}

/// A slab number, and the slab that has it.
struct SlabFileSlot: BitwiseCopyable {
    /// The extent's place in the file; 0: the number is no slab's, and of the rest only `firstGeneration` means
    /// anything.
    var offset: UInt64 = 0
    var byteCount: UInt64 = 0
    var firstGeneration: UInt32 = 0
    var classIndex: UInt32 = 0
    var recordCapacity: UInt32 = 0
    var freeHead: UInt32 = 0
    var live: UInt32 = 0
    var carved: UInt32 = 0
    var retired: UInt32 = 0
    /// 1: on the arena's list of empty slabs.
    var isEmpty: UInt32 = 0
    var serial: UInt32 = 0
    /// For the alignment of what follows.
    var unused: UInt32 = 0
    var recordsChecksum: UInt64 = 0
    var dataChecksum: UInt64 = 0
}

/// A checksum of 64 bits, of our own: each word of 8 bytes is mixed in by steps that can be undone, so that a change
/// inside one word is always seen, and any other but once in about 2^64. Not against an enemy (F3).
struct SlabChecksum {
    private var state: UInt64 = 0x9AE1_6A3B_2F90_404F

    private mutating func mix(_ word: UInt64) {
        // Twice, so that no bit of a word has an effect which one bit of the next could take back.
        let once = word &* 0xD6E8_FEB8_6659_FD93
        let twice = (once ^ once &>> 32) &* 0x9E37_79B9_7F4A_7C15
        let sum = (state &<< 27 | state &>> 37) ^ twice ^ twice &>> 29
        state = sum &* 0x9E37_79B9_7F4A_7C15 &+ 0x2545_F491_4F6C_DD1D
    }

    static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var sum = SlabChecksum()
        sum.mix(UInt64(bytes.count))
        guard let base = bytes.baseAddress else { return sum.state }
        let words = bytes.count & ~7
        var offset = 0
        while offset < words {
            sum.mix(base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset &+= 8
        }
        var last: UInt64 = 0
        while offset < bytes.count {
            last = last << 8 | UInt64(base.load(fromByteOffset: offset, as: UInt8.self))
            offset &+= 1
        }
        sum.mix(last)
        return sum.state ^ sum.state &>> 32
    }
}
