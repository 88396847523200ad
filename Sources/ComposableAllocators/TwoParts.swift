// What ThresholdAllocator and FallbackAllocator share: two allocators, and how a free finds the one that a block is from.
//
// T1. Where the first part can tell its own blocks, it is asked, and what is not its is the second's.
// T2. Where only the second can, it is asked, and what is not its is the first's.
// T3. Where neither can, each block has a word in front (BlockPrefix.swift) that notes the part: 0 or 1.
//
// Which of the three holds is a constant for concrete types, so what is not needed folds away. Thread-safety: the parts'.

import AllocatorCore

@frozen @usableFromInline
struct TwoParts<First: Allocator, Second: Allocator> {
    @usableFromInline let first: First
    @usableFromInline let second: Second

    @inlinable @inline(__always)
    init(_ first: First, _ second: Second) {
        self.first = first
        self.second = second
    }

    @inlinable @inline(__always)
    var hasPrefix: Bool { !first._tellsOwn && !second._tellsOwn }

    @inlinable @inline(__always)
    static var owner: UInt { 0x5a5a_0000 }

    // MARK: - Allocating

    @inlinable @inline(__always)
    func tryAllocate<Part: Allocator>(
        from part: Part, noted side: Int, _ allocator: StaticString, byteCount: Int, alignment: Int
    ) -> UnsafeMutableRawBufferPointer? {
        if !hasPrefix { return part.tryAllocate(byteCount: byteCount, alignment: alignment) }
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
        if !hasPrefix { return try part.allocate(byteCount: byteCount, alignment: alignment) }
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
        if first._tellsOwn {
            if !first._deallocateIfOwned(pointer) { second.deallocate(pointer) }
        } else if second._tellsOwn {
            if !second._deallocateIfOwned(pointer) { first.deallocate(pointer) }
        } else {
            let prefix = BlockPrefix.read(before: pointer, owner: Self.owner, of: allocator)
            BlockPrefix.clear(before: pointer)
            let base = pointer - prefix.offset(words: 1)
            if prefix.size == 0 { first.deallocate(base) } else { second.deallocate(base) }
        }
    }

    @inlinable @inline(__always)
    func deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        first._deallocateIfOwned(pointer) || second._deallocateIfOwned(pointer)
    }

    /// Whether the block is the first part's, and how far behind that part's own block it is.
    @inlinable @inline(__always)
    func find(_ pointer: UnsafeRawPointer, _ allocator: StaticString) -> (isFirst: Bool, offset: Int) {
        if first._tellsOwn { return (first._owns(pointer), 0) }
        if second._tellsOwn { return (!second._owns(pointer), 0) }
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

    func findLeaks() -> LeakError? { LeakError.combining(first.findLeaks(), second.findLeaks()) }

    func close() throws(LeakError) {
        if let leak = findLeaks() { throw leak }
        try first.close()
        try second.close()
    }
}

extension TwoParts: Sendable where First: Sendable, Second: Sendable {}

extension TwoParts where First: ResizableAllocator, Second: ResizableAllocator {
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
