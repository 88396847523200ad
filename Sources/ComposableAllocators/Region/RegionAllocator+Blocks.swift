// The unsafe face: blocks that are freed by their address.
//
//     | size 48 bits, stamp 16 | serial 47 bits, large 1, stamp 16 | block, a multiple of 16 bytes … |
//
// The stamp is a hash of the block's address and the region's key, which changes with each `freeAll`. The serial is
// that of the newest checkpoint when the block was allocated: a free finds by it which checkpoints count the block as
// live.
// Cost: a bump and two stores; a free is O(1) without checkpoints, and O(large chunks) for a block in one.

public import AllocatorCore

extension RegionAllocator: OwningAllocator, ResettableAllocator, ResizableAllocator, SizeReportingAllocator {
    @inlinable @inline(__always)
    static var headerSize: Int { 16 }
    /// Beyond it a size has no place in a header; no machine has so much.
    @inlinable @inline(__always)
    static var largestBlock: Int { 1 << 47 }

    @inlinable @inline(__always)
    static func blockSize(for byteCount: Int) -> Int { max((byteCount &+ 15) & ~15, 16) }

    // MARK: - Allocator

    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard isValid("RegionAllocator", byteCount: byteCount, alignment: alignment),
            byteCount <= Self.largestBlock
        else { return nil }
        let size = Self.blockSize(for: byteCount)
        if alignment > 16 { return allocateOveraligned(byteCount: size, alignment: alignment) }
        guard let header = handle.bump(byteCount: size &+ Self.headerSize, alignment: 16) else { return nil }
        return enter(header + Self.headerSize, byteCount: size)
    }

    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let block = tryAllocate(byteCount: byteCount, alignment: alignment) else {
            throw refusal(
                "RegionAllocator", byteCount: byteCount, alignment: alignment, largest: Self.largestBlock)
        }
        return block
    }

    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        byteCount > Self.largestBlock ? byteCount : Self.blockSize(for: byteCount)
    }

    @usableFromInline @inline(never)
    func allocateOveraligned(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        // The header has the bytes before an aligned address; what lies before it is lost.
        let (needed, overflow) = byteCount.addingReportingOverflow(alignment)
        guard !overflow, let start = handle.bump(byteCount: needed, alignment: 16) else { return nil }
        let mask = UInt(alignment - 1)
        let block = (UInt(bitPattern: start) + UInt(Self.headerSize) + mask) & ~mask
        // What is behind the block goes back.
        let end = block + UInt(byteCount)
        if UInt(bitPattern: start) + UInt(needed) == cursor { cursor = end }
        return enter(UnsafeMutableRawPointer(bitPattern: block).unsafelyUnwrapped, byteCount: byteCount)
    }

    /// Writes a block's header and counts it.
    @inlinable @inline(__always)
    func enter(_ block: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer {
        totalBlocks &+= 1
        totalBytes &+= byteCount
        let stamp = stamp(of: block)
        // A block that does not end at the cursor, or before it in its chunk, came from a chunk of its own.
        let address = UInt(bitPattern: block)
        let isLarge: UInt = address &+ UInt(bitPattern: byteCount) == cursor ? 0 : 1
        let words = block.assumingMemoryBound(to: UInt.self)
        words[-2] = UInt(bitPattern: byteCount) &<< 16 | stamp & 0xFFFF
        words[-1] = (lastSerial &<< 1 | isLarge) &<< 16 | stamp &>> 16 & 0xFFFF
        return UnsafeMutableRawBufferPointer(start: block, count: byteCount)
    }

    @inlinable @inline(__always)
    func stamp(of block: UnsafeRawPointer) -> UInt {
        ((UInt(bitPattern: block) ^ key) &* 0x9E37_79B9_7F4A_7C15) &>> 32
    }

    @inlinable
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        let words = header(of: pointer)
        let size = Int(bitPattern: words[0] &>> 16)
        let tail = words[1] &>> 16
        // The stamp, turned over, is that of no live block.
        words[0] = ~words[0]
        if UInt(bitPattern: pointer) &+ UInt(bitPattern: size) == cursor {
            cursor = UInt(bitPattern: words)
        } else if tail & 1 != 0 {
            releaseLargeChunk(holding: pointer)
        }
        retire(blocks: 1, byteCount: size, serial: tail &>> 1)
        if totalBlocks == freedBlocks { restartIfEmpty() }
    }

    /// The two words in front of a live block. Ends the program where they say that it is none.
    @inlinable @inline(__always)
    func header(of pointer: UnsafeRawPointer) -> UnsafeMutablePointer<UInt> {
        let address = UInt(bitPattern: pointer)
        // What is before the first address of a page may not be ours to read.
        if address & 15 != 0 || address & 4095 == 0 && !owns(pointer) { reportForeign(pointer) }
        let words = UnsafeMutableRawPointer(mutating: pointer).assumingMemoryBound(to: UInt.self) - 2
        let stamp = stamp(of: pointer)
        if (words[0] ^ stamp) & 0xFFFF != 0 || (words[1] ^ stamp &>> 16) & 0xFFFF != 0 { reportForeign(pointer) }
        return words
    }

    @usableFromInline @inline(never)
    func reportForeign(_ pointer: UnsafeRawPointer) -> Never {
        guard owns(pointer) else { misuse("RegionAllocator", pointer, "is not in memory of this allocator") }
        guard UInt(bitPattern: pointer) & 15 == 0 else {
            misuse("RegionAllocator", pointer, "is not the address of a block")
        }
        let words = pointer.assumingMemoryBound(to: UInt.self) - 2
        let stamp = stamp(of: pointer)
        if (~words[0] ^ stamp) & 0xFFFF == 0 && (words[1] ^ stamp &>> 16) & 0xFFFF == 0 {
            misuse("RegionAllocator", pointer, "was freed already")
        }
        misuse("RegionAllocator", pointer, "is not the address of a live block")
    }

    // MARK: - Capabilities

    /// O(1) in the current chunk, O(chunks) else.
    public func owns(_ pointer: UnsafeRawPointer) -> Bool {
        let address = UInt(bitPattern: pointer)
        if let current, current.contains(address) { return true }
        for list in [first, large] {
            var next = list
            while let chunk = next {
                if chunk.contains(address) { return true }
                next = chunk.pointee.next
            }
        }
        return false
    }

    @inlinable
    public func byteCount(of pointer: UnsafeRawPointer) -> Int { Int(bitPattern: header(of: pointer)[0] &>> 16) }

    /// The last block grows as far as its chunk goes; every block shrinks, and gives back what it loses if it is the
    /// last.
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("RegionAllocator", byteCount) }
        let words = header(of: pointer)
        let old = Int(bitPattern: words[0] &>> 16)
        guard byteCount <= Self.largestBlock else { return nil }
        let size = Self.blockSize(for: byteCount)
        let serial = words[1] &>> 17
        if !resizeLast(pointer, from: old, to: size, serial: serial) {
            guard size <= old else { return nil }
            retire(blocks: 0, byteCount: old - size, serial: serial)
        }
        words[0] = UInt(size) << 16 | words[0] & 0xFFFF
        return UnsafeMutableRawBufferPointer(start: pointer, count: size)
    }

    /// Frees every block, and keeps chunks of at most `keptByteCount` bytes. Values that a ``Region`` put here and that
    /// need it are deinitialised, the last first. O(chunks), and O(values to be deinitialised).
    public func freeAll() { reset(keeping: keptByteCount) }

    public func findLeaks() -> LeakError? { leakInStatistics(of: "RegionAllocator") }

    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + upstream._sources }

    public func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        releaseAll()
    }
}
