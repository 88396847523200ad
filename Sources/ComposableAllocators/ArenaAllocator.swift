// Forwards to upstream and remembers what is live, in a doubly linked list that goes through the blocks themselves.
//
//     base of upstream's block           the pointer that is handed out
//     +------+----------+------+---------+----------------------+
//     | room | previous | next |  word   | the caller's bytes … |   up to an alignment of 8: no room, 24 bytes in all
//     +------+----------+------+---------+----------------------+
//
// A1. The list holds every live block, the youngest first, by the pointers that were handed out; 0 ends it both ways.
// A2. The word (BlockPrefix.swift) holds the block's usable bytes, its alignment, and check bits made of its address
//     and the arena's identity. A free clears it.
// A3. A block that is freed must be where its neighbours, or the arena, say that it is.
// A4. `wideBytes` is what live prefixes take beyond 24 bytes each.
//
// Cost: beside upstream's, about 20 instructions to allocate or free; `freeAll` O(live blocks). No memory but the
// prefixes and the object. Thread-safety: none.

public import AllocatorCore

/// Forwards to an upstream and remembers what is live, so that ``freeAll()`` can free what is left.
///
/// Use it where many objects die together (a request, a document, a test) and some of them earlier: a single free is
/// O(1), and each block comes from the upstream that suits it, such as a pool. Where none dies earlier, a `Region` is
/// faster.
///
/// Each block takes a prefix of 24 bytes (32 at an alignment of 16, beyond that the alignment). A pool below it wants
/// blocks of ``upstreamByteCount(for:alignment:)``.
///
/// A double free and a foreign pointer trap, as far as the prefix tells: it is read, so the pointer must point to
/// readable memory. Requests of 2^48 bytes throw, and what upstream refuses is thrown as upstream's error. `deinit`
/// frees all that is left.
///
/// Allocating and freeing are O(1) beside the upstream's own cost, ``freeAll()`` is O(live blocks). Not thread-safe.
///
/// Arenas that own blocks one by one are old; this one is what a Go library of allocators for C memory calls so.
public final class ArenaAllocator<Upstream: Allocator> {
    /// Where blocks come from.
    public let upstream: Upstream
    /// What check bits are made of. Not the object's address: the compiler puts an arena whose address is never taken,
    /// and which does not leave its function, on the stack.
    @usableFromInline let identity: UInt
    /// The youngest live block. A1.
    @exclusivity(unchecked) @usableFromInline var youngest: UInt = 0
    @exclusivity(unchecked) @usableFromInline var wideBytes = 0
    @exclusivity(unchecked) @usableFromInline var account = BlockAccount()

    /// Makes an arena, which takes no memory before the first request.
    @inlinable @inline(__always)
    public init(upstream: Upstream) {
        self.upstream = upstream
        identity = nextOwnerIdentity()
    }

    @inlinable
    deinit { if youngest != 0 { freeAll() } }

    /// How many bytes upstream is asked for in order to serve a request: the block size that a pool below an arena
    /// needs. At an alignment above 8, the pool's must be that alignment too. `Int.max` where no request can be so
    /// large. Traps where the size is negative or the alignment no power of two.
    @inlinable
    public static func upstreamByteCount(for byteCount: Int, alignment: Int = 8) -> Int {
        precondition(byteCount >= 0 && isPowerOfTwo(alignment), "a size that is negative, or no alignment")
        return BlockPrefix.upstreamByteCount(byteCount, words: prefixWords, alignment: alignment) ?? .max
    }
}

extension ArenaAllocator where Upstream == SystemAllocator {
    /// Makes an arena over the system's malloc.
    @inlinable
    public convenience init() { self.init(upstream: SystemAllocator()) }
}

extension ArenaAllocator: MeasuredAllocator, ResettableAllocator, SizeReportingAllocator {
    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard let all = total(byteCount, alignment: alignment),
            let block = upstream.tryAllocate(byteCount: all, alignment: BlockPrefix.upstreamAlignment(alignment))
        else { return nil }
        return adopt(block, alignment: alignment)
    }

    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let all = total(byteCount, alignment: alignment) else {
            throw refusal(
                "ArenaAllocator", byteCount: byteCount, alignment: alignment, largest: BlockPrefix.largestSize)
        }
        let block = try upstream.allocate(byteCount: all, alignment: BlockPrefix.upstreamAlignment(alignment))
        return adopt(block, alignment: alignment)
    }

    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        let prefix = BlockPrefix.read(before: pointer, owner: identity, of: "ArenaAllocator")
        unlink(pointer)
        BlockPrefix.clear(before: pointer)
        account.remove(byteCount: prefix.size)
        let back = prefix.back(words: Self.prefixWords)
        if back != 0 &- Self.narrowOffset { wideBytes &+= back &+ Self.narrowOffset }
        upstream.deallocate(pointer + back)
    }

    /// Frees every live block: O(live blocks).
    @inlinable @inline(__always)
    public func freeAll() {
        account.removeAll()
        wideBytes = 0
        var address = youngest
        youngest = 0
        while let pointer = UnsafeMutableRawPointer(bitPattern: address) {
            // The list is ours, so the check bits are looked at only where the word is none of the common ones, which
            // is what bytes that were written over it are, 63 times in 64.
            var prefix = BlockPrefix(word: BlockPrefix.lastWord(before: pointer).pointee)
            if !prefix.isNarrow { prefix = .read(before: pointer, owner: identity, of: "ArenaAllocator") }
            address = Self.links(of: pointer).next
            BlockPrefix.clear(before: pointer)
            upstream.deallocate(pointer + prefix.back(words: Self.prefixWords))
        }
    }

    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        guard byteCount >= 0, let all = total(byteCount, alignment: alignment) else { return byteCount }
        let good = upstream.goodSize(for: all, alignment: BlockPrefix.upstreamAlignment(alignment))
        return min(good &- Self.offset(alignment), BlockPrefix.largestSize)
    }

    @inlinable @inline(__always)
    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        BlockPrefix.read(before: pointer, owner: identity, of: "ArenaAllocator").size
    }

    /// What is live, and the prefixes of it as overhead: an arena holds nothing that is free.
    public var statistics: AllocatorStatistics {
        account.statistics(overheadBytes: account.liveBlocks * Self.narrowOffset + wideBytes)
    }

    public func findLeaks() -> LeakError? { leakInStatistics(of: "ArenaAllocator") }

    // Out of line, and asked by combinators alone: see `identity`.
    @inline(never)
    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + upstream._sources }
}

extension ArenaAllocator: ResizableAllocator where Upstream: ResizableAllocator {
    /// Resizes the block if upstream can, in place.
    @inlinable
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("ArenaAllocator", byteCount) }
        let prefix = BlockPrefix.read(before: pointer, owner: identity, of: "ArenaAllocator")
        let offset = prefix.offset(words: Self.prefixWords)
        guard byteCount <= BlockPrefix.largestSize, offset <= Int.max &- byteCount,
            let resized = upstream.resize(pointer - offset, byteCount: byteCount &+ offset)
        else { return nil }
        let usable = min(resized.count &- offset, BlockPrefix.largestSize)
        BlockPrefix.write(before: pointer, owner: identity, size: usable, alignment: prefix.alignment)
        account.resize(from: prefix.size, to: usable)
        return UnsafeMutableRawBufferPointer(start: pointer, count: usable)
    }
}

// MARK: - The list

extension ArenaAllocator {
    @inlinable @inline(__always)
    static var prefixWords: Int { 3 }

    @inlinable @inline(__always)
    static var narrowOffset: Int { prefixWords &* BlockPrefix.wordByteCount }

    @inlinable @inline(__always)
    static func offset(_ alignment: Int) -> Int { BlockPrefix.offset(words: prefixWords, alignment: alignment) }

    @frozen @usableFromInline
    struct Links {
        @usableFromInline var previous: UInt
        @usableFromInline var next: UInt

        @inlinable @inline(__always)
        init(previous: UInt, next: UInt) {
            self.previous = previous
            self.next = next
        }
    }

    @inlinable @inline(__always)
    static func linksPointer(_ pointer: UnsafeRawPointer) -> UnsafeMutablePointer<Links> {
        UnsafeMutableRawPointer(mutating: pointer - narrowOffset).assumingMemoryBound(to: Links.self)
    }

    @inlinable @inline(__always)
    static func links(of pointer: UnsafeRawPointer) -> Links { linksPointer(pointer).pointee }

    @inlinable @inline(__always)
    static func linksPointer(_ address: UInt) -> UnsafeMutablePointer<Links> {
        linksPointer(UnsafeRawPointer(bitPattern: address).unsafelyUnwrapped)
    }

    @inlinable @inline(__always)
    func total(_ byteCount: Int, alignment: Int) -> Int? {
        guard isValid("ArenaAllocator", byteCount: byteCount, alignment: alignment),
            byteCount <= BlockPrefix.largestSize
        else { return nil }
        return BlockPrefix.upstreamByteCount(byteCount, words: Self.prefixWords, alignment: alignment)
    }

    @inlinable @inline(__always)
    func adopt(_ block: UnsafeMutableRawBufferPointer, alignment: Int) -> UnsafeMutableRawBufferPointer {
        let offset = Self.offset(alignment)
        let pointer = block.baseAddress.unsafelyUnwrapped + offset
        let usable = block.count &- offset
        // No address space has so much more than the request, which fits.
        assert(usable <= BlockPrefix.largestSize)
        BlockPrefix.write(before: pointer, owner: identity, size: usable, alignment: alignment)
        let next = youngest
        Self.linksPointer(pointer).pointee = Links(previous: 0, next: next)
        let address = UInt(bitPattern: pointer)
        if next != 0 { Self.linksPointer(next).pointee.previous = address }
        youngest = address
        account.enter(byteCount: usable)
        if offset != Self.narrowOffset { wideBytes &+= offset &- Self.narrowOffset }
        return UnsafeMutableRawBufferPointer(start: pointer, count: usable)
    }

    /// Takes a block off the list, whose check bits are right. A3: a link that was overwritten ends the program.
    @inlinable @inline(__always)
    func unlink(_ pointer: UnsafeMutableRawPointer) {
        let links = Self.links(of: pointer)
        let address = UInt(bitPattern: pointer)
        if links.previous == 0 {
            if youngest != address { Self.brokenLink(pointer) }
            youngest = links.next
        } else {
            let previous = Self.linksPointer(links.previous)
            if previous.pointee.next != address { Self.brokenLink(pointer) }
            previous.pointee.next = links.next
        }
        if links.next != 0 {
            let next = Self.linksPointer(links.next)
            if next.pointee.previous != address { Self.brokenLink(pointer) }
            next.pointee.previous = links.previous
        }
    }

    @usableFromInline @inline(never)
    static func brokenLink(_ pointer: UnsafeRawPointer) -> Never {
        misuse("ArenaAllocator", pointer, "is not of this allocator, or what is in front of it was overwritten")
    }

    /// What is broken, or nil. O(live blocks).
    package func brokenInvariant() -> String? {
        var blocks = 0
        var bytes = 0
        var wide = 0
        var previous: UInt = 0
        var address = youngest
        while let pointer = UnsafeRawPointer(bitPattern: address) {
            let links = Self.links(of: pointer)
            if links.previous != previous { return "A1: the block after \(previous) has another previous" }
            let word = BlockPrefix.lastWord(before: pointer).pointee
            if word >> 54 != BlockPrefix.checkBits(pointer, owner: identity) { return "A2: wrong check bits" }
            let prefix = BlockPrefix(word: word)
            if Int(bitPattern: pointer) % prefix.alignment != 0 { return "A2: a block is not aligned as it says" }
            blocks += 1
            bytes += prefix.size
            wide += prefix.offset(words: Self.prefixWords) - Self.narrowOffset
            if blocks > account.liveBlocks { return "A1: the list has more blocks than live, or is a ring" }
            previous = address
            address = links.next
        }
        if blocks != account.liveBlocks { return "A1: \(blocks) blocks listed, \(account.liveBlocks) counted" }
        if bytes != account.liveBytes { return "A2: \(bytes) bytes listed, \(account.liveBytes) counted" }
        return wide == wideBytes ? nil : "A4: prefixes take \(wide) bytes more, \(wideBytes) counted"
    }
}
