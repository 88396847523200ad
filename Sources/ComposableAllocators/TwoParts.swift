// What ThresholdAllocator and FallbackAllocator share: two allocators, and how a free finds the one that a block is
// from.
//
// T1. Where the first part can tell its own blocks, it is asked, and what is not its is the second's.
// T2. Where only the second can, it is asked, and what is not its is the first's.
// T3. Where neither can, each block has a word in front (BlockPrefix.swift) that notes the part: 0 or 1.
// T4. A part whose memory the other's blocks may lie in (its upstream, or upstream of that) cannot tell: it would take
//     them for its own. It is asked only about what the other has denied; where neither is to be relied on, T3.
//     PartRelation.swift finds out once, when the parts are put together.
//
// Which of the first three holds is a constant for concrete types, so what is not needed folds away; T4 costs a branch
// on a byte, and its ways are out of line. Thread-safety: the parts'.

import AllocatorCore

/// A combinator of two parts. The parts are fields of the combinator itself: in one struct for both they would have to
/// be found through its metadata, where the types are not known (36 nanoseconds more for the life of a block, through
/// `any Allocator`).
@usableFromInline
protocol TwoPartAllocator: Allocator {
    associatedtype First: Allocator
    associatedtype Second: Allocator
    var first: First { get }
    var second: Second { get }
    var relation: PartRelation { get }
}

extension PartRelation {
    @inlinable @inline(__always)
    static func between<First: Allocator, Second: Allocator>(_ first: First, _ second: Second) -> PartRelation {
        // The system's malloc shares memory with nobody, which is known without a look at the other part.
        First.self == SystemAllocator.self || Second.self == SystemAllocator.self
            ? .closedInPasses : PartRelation(first, second)
    }
}

extension TwoPartAllocator {
    @inlinable @inline(__always)
    var neitherTells: Bool { !first._tellsOwn && !second._tellsOwn }

    /// T1: the first part's answer is to be relied on.
    @inlinable @inline(__always)
    var asksFirst: Bool { first._tellsOwn && !relation.contains(.firstFeedsSecond) }

    @inlinable @inline(__always)
    var asksSecond: Bool { second._tellsOwn && !relation.contains(.secondFeedsFirst) }

    @inlinable @inline(__always)
    var hasPrefix: Bool { !asksFirst && !asksSecond }

    /// What check bits are made of. One number for all: a block of another combination that has a word in front passes
    /// the check, and its part traps, if it can tell. A number for each would be one more word in every copy of a
    /// combinator.
    @inlinable @inline(__always)
    static var owner: UInt { 0x5a5a_0000 }

    // MARK: - Allocating

    @inlinable @inline(__always)
    func tryAllocate<Part: Allocator>(
        from part: Part, noted side: Int, _ allocator: StaticString, byteCount: Int, alignment: Int
    ) -> UnsafeMutableRawBufferPointer? {
        if neitherTells {
            return tryAllocatePrefixed(
                from: part, noted: side, allocator, byteCount: byteCount, alignment: alignment)
        }
        if _fastPath(relation.isApart) { return part.tryAllocate(byteCount: byteCount, alignment: alignment) }
        return tryAllocateRelated(from: part, noted: side, allocator, byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(never)
    func tryAllocateRelated<Part: Allocator>(
        from part: Part, noted side: Int, _ allocator: StaticString, byteCount: Int, alignment: Int
    ) -> UnsafeMutableRawBufferPointer? {
        hasPrefix
            ? tryAllocatePrefixed(from: part, noted: side, allocator, byteCount: byteCount, alignment: alignment)
            : part.tryAllocate(byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(__always)
    func tryAllocatePrefixed<Part: Allocator>(
        from part: Part, noted side: Int, _ allocator: StaticString, byteCount: Int, alignment: Int
    ) -> UnsafeMutableRawBufferPointer? {
        guard isValid(allocator, byteCount: byteCount, alignment: alignment),
            let all = BlockPrefix.upstreamByteCount(byteCount, words: 1, alignment: alignment),
            let block = part.tryAllocate(byteCount: all, alignment: BlockPrefix.upstreamAlignment(alignment))
        else { return nil }
        return note(side, block, alignment: alignment)
    }

    @inlinable @inline(__always)
    func allocate<Part: Allocator>(
        from part: Part, noted side: Int, _ allocator: StaticString, byteCount: Int, alignment: Int
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if neitherTells {
            return try allocatePrefixed(
                from: part, noted: side, allocator, byteCount: byteCount, alignment: alignment)
        }
        if _fastPath(relation.isApart) { return try part.allocate(byteCount: byteCount, alignment: alignment) }
        return try allocateRelated(from: part, noted: side, allocator, byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(never)
    func allocateRelated<Part: Allocator>(
        from part: Part, noted side: Int, _ allocator: StaticString, byteCount: Int, alignment: Int
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        if !hasPrefix { return try part.allocate(byteCount: byteCount, alignment: alignment) }
        return try allocatePrefixed(from: part, noted: side, allocator, byteCount: byteCount, alignment: alignment)
    }

    @inlinable @inline(__always)
    func allocatePrefixed<Part: Allocator>(
        from part: Part, noted side: Int, _ allocator: StaticString, byteCount: Int, alignment: Int
    ) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard isValid(allocator, byteCount: byteCount, alignment: alignment),
            let all = BlockPrefix.upstreamByteCount(byteCount, words: 1, alignment: alignment)
        else { throw refusal(allocator, byteCount: byteCount, alignment: alignment) }
        let block = try part.allocate(byteCount: all, alignment: BlockPrefix.upstreamAlignment(alignment))
        return note(side, block, alignment: alignment)
    }

    @inlinable @inline(__always)
    func note(
        _ side: Int, _ block: UnsafeMutableRawBufferPointer, alignment: Int
    ) -> UnsafeMutableRawBufferPointer {
        let offset = BlockPrefix.offset(words: 1, alignment: alignment)
        let pointer = block.baseAddress.unsafelyUnwrapped + offset
        BlockPrefix.write(before: pointer, owner: Self.owner, size: side, alignment: alignment)
        return UnsafeMutableRawBufferPointer(start: pointer, count: block.count &- offset)
    }

    @inlinable @inline(__always)
    func goodSize<Part: Allocator>(of part: Part, for byteCount: Int, alignment: Int) -> Int {
        if !hasPrefix { return part.goodSize(for: byteCount, alignment: alignment) }
        guard byteCount >= 0, isPowerOfTwo(alignment),
            let all = BlockPrefix.upstreamByteCount(byteCount, words: 1, alignment: alignment)
        else { return byteCount }
        return part.goodSize(for: all, alignment: BlockPrefix.upstreamAlignment(alignment))
            &- BlockPrefix.offset(words: 1, alignment: alignment)
    }

    // MARK: - Freeing, and asking about blocks

    @inlinable @inline(__always)
    func deallocate(_ pointer: UnsafeMutableRawPointer, _ allocator: StaticString) {
        if neitherTells {
            deallocatePrefixed(pointer, allocator)
        } else if _slowPath(!relation.isApart) {
            deallocateRelated(pointer, allocator)
        } else if first._tellsOwn {
            if !first._deallocateIfOwned(pointer) { second.deallocate(pointer) }
        } else {
            if !second._deallocateIfOwned(pointer) { first.deallocate(pointer) }
        }
    }

    @inlinable @inline(never)
    func deallocateRelated(_ pointer: UnsafeMutableRawPointer, _ allocator: StaticString) {
        if asksFirst {
            if !first._deallocateIfOwned(pointer) { second.deallocate(pointer) }
        } else if asksSecond {
            if !second._deallocateIfOwned(pointer) { first.deallocate(pointer) }
        } else {
            deallocatePrefixed(pointer, allocator)
        }
    }

    @inlinable @inline(__always)
    func deallocatePrefixed(_ pointer: UnsafeMutableRawPointer, _ allocator: StaticString) {
        let prefix = BlockPrefix.read(before: pointer, owner: Self.owner, of: allocator)
        BlockPrefix.clear(before: pointer)
        let base = pointer - prefix.offset(words: 1)
        if prefix.size == 0 { first.deallocate(base) } else { second.deallocate(base) }
    }

    /// Also behind a prefix, so that this is a constant.
    @inlinable @inline(__always)
    var bothTellOwn: Bool { first._tellsOwn && second._tellsOwn }

    @inlinable @inline(__always)
    func partsDeallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        if _fastPath(relation.isApart) {
            return first._deallocateIfOwned(pointer) || second._deallocateIfOwned(pointer)
        }
        return deallocateRelatedIfOwned(pointer)
    }

    @inlinable @inline(never)
    func deallocateRelatedIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        if asksFirst { return first._deallocateIfOwned(pointer) || second._deallocateIfOwned(pointer) }
        if asksSecond { return second._deallocateIfOwned(pointer) || first._deallocateIfOwned(pointer) }
        guard ownsPrefixed(pointer) else { return false }
        deallocatePrefixed(pointer, "a combinator whose parts share memory")
        return true
    }

    @inlinable @inline(__always)
    func partsOwn(_ pointer: UnsafeRawPointer) -> Bool {
        _slowPath(!relation.isApart) && hasPrefix
            ? ownsPrefixed(pointer) : first._owns(pointer) || second._owns(pointer)
    }

    /// Whether the pointer is behind one of our words: it is read only where it lies in a part's block, which begins
    /// before the pointer by what the word, if it is ours, says.
    @inlinable @inline(never)
    func ownsPrefixed(_ pointer: UnsafeRawPointer) -> Bool {
        let address = UInt(bitPattern: pointer)
        var offset = BlockPrefix.wordByteCount
        while address & UInt(bitPattern: offset &- 1) == 0, UInt(bitPattern: offset) < address, offset < 1 << 62 {
            if Self.hasBlock(first, before: pointer, by: offset) || Self.hasBlock(second, before: pointer, by: offset) {
                let word = BlockPrefix.lastWord(before: pointer).pointee
                if word &>> 54 == BlockPrefix.checkBits(pointer, owner: Self.owner),
                    BlockPrefix(word: word).offset(words: 1) == offset
                {
                    return true
                }
            }
            offset &*= 2
        }
        return false
    }

    @inlinable
    static func hasBlock<Part: Allocator>(_ part: Part, before pointer: UnsafeRawPointer, by offset: Int) -> Bool {
        let base = pointer - offset
        guard part._tellsOwn, part._owns(base) else { return false }
        // A part that knows its memory, or one that knows its blocks' first bytes alone?
        return part._owns(base + 1)
            ? part._owns(pointer - BlockPrefix.wordByteCount)
            : part._tellsSizes && part._byteCount(of: base) >= offset
    }

    /// Whether the block is the first part's, and how far behind that part's own block it is.
    @inlinable @inline(__always)
    func find(_ pointer: UnsafeRawPointer, _ allocator: StaticString) -> (isFirst: Bool, offset: Int) {
        if asksFirst { return (first._owns(pointer), 0) }
        if asksSecond { return (!second._owns(pointer), 0) }
        let prefix = BlockPrefix.read(before: pointer, owner: Self.owner, of: allocator)
        return (prefix.size == 0, prefix.offset(words: 1))
    }

    @inlinable @inline(__always)
    func byteCount(of pointer: UnsafeRawPointer, _ allocator: StaticString) -> Int {
        let (isFirst, offset) = find(pointer, allocator)
        let base = pointer - offset
        return (isFirst ? first._byteCount(of: base) : second._byteCount(of: base)) &- offset
    }

    // MARK: - Closing

    func findLeaksOfParts() -> LeakError? {
        let (ofFirst, ofSecond) = (first.findLeaks(), second.findLeaks())
        guard hasPrefix else { return LeakError.combining(ofFirst, ofSecond) }
        return LeakError.combining(ofFirst?.withoutPrefixes, ofSecond?.withoutPrefixes)
    }

    /// Where memory is shared, what one part gives back may be all that is live in the other. So parts are closed,
    /// which frees nothing where they leak, until that changes nothing.
    func closeParts() throws(LeakError) {
        var last = findLeaksOfParts()
        if let last, !relation.contains(.closedInPasses) { throw last }
        while true {
            var failure: LeakError?
            do throws(LeakError) { try first.close() } catch { failure = error }
            do throws(LeakError) { try second.close() } catch { failure = error }
            guard let failure else { return }
            guard let before = last else { throw failure }
            last = findLeaksOfParts()
            if let last, last.blocks >= before.blocks { throw last }
        }
    }
}

extension LeakError {
    /// A part's leak without the words in front of the blocks; exact where no alignment is above 8.
    fileprivate var withoutPrefixes: LeakError {
        func less(_ bytes: Int, _ blocks: Int) -> Int { max(0, bytes - blocks * BlockPrefix.wordByteCount) }
        var leak = self
        leak.bytes = less(bytes, blocks)
        for index in sites.indices { leak.sites[index].bytes = less(sites[index].bytes, sites[index].blocks) }
        return leak
    }
}

extension TwoPartAllocator where First: ResizableAllocator, Second: ResizableAllocator {
    @inlinable @inline(__always)
    func resize(
        _ pointer: UnsafeMutableRawPointer, byteCount: Int, _ allocator: StaticString
    ) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount(allocator, byteCount) }
        let (isFirst, offset) = find(pointer, allocator)
        let (all, overflow) = byteCount.addingReportingOverflow(offset)
        if overflow { return nil }
        let base = pointer - offset
        let resized = isFirst ? first.resize(base, byteCount: all) : second.resize(base, byteCount: all)
        guard let resized else { return nil }
        return UnsafeMutableRawBufferPointer(start: pointer, count: resized.count &- offset)
    }
}

extension TwoPartAllocator where First: ResettableAllocator, Second: ResettableAllocator {
    /// A part goes before the one that it has its memory from, and gives that back first.
    @inlinable
    func freeAllParts() {
        if relation.isApart {
            first.freeAll()
            second.freeAll()
        } else if relation.contains(.secondFeedsFirst) {
            first.freeAll()
            try? first.close()
            second.freeAll()
        } else {
            second.freeAll()
            try? second.close()
            first.freeAll()
        }
    }
}
