// A limit on the live bytes of an upstream.
//
// Q1. `liveBytes` is the sum of what live blocks may use, as upstream grants it, which may be more than was asked.
// Q2. An allocation never takes `liveBytes` above the limit. A limit set below it afterwards refuses until enough is
//     freed.
// Q3. Where upstream tells no sizes, each block has a word in front (BlockPrefix.swift) that holds its usable bytes.
//
// Cost: beside upstream's, a comparison and the account to allocate, upstream's look-up of the size or the word to
// free. Thread-safety: none.

public import AllocatorCore

/// Lets at most so many bytes be live, and counts.
///
/// Use it to bound a cache, a plug-in or a request; and with a limit of `.max`, to measure what a part of a program
/// allocates. What counts is the bytes that a block may use, by upstream's answer: a pool's blocks count in full.
///
/// Beyond the limit a request throws `.quotaExceeded`, and nothing is lost. Where upstream cannot tell the size of a
/// block each block has a prefix of 8 bytes (beyond an alignment of 8, as many as the alignment), which is not counted;
/// then a double free and a foreign pointer trap here, otherwise upstream. A block that upstream gave to somebody else
/// traps here only where it has more bytes than are live. Not thread-safe.
public final class QuotaAllocator<Upstream: Allocator> {
    public let upstream: Upstream
    @exclusivity(unchecked) @usableFromInline var account = BlockAccount()
    @exclusivity(unchecked) @usableFromInline var prefixBytes = 0
    @exclusivity(unchecked) @usableFromInline var limitInBytes: Int

    /// Makes a quota on an upstream.
    ///
    /// - Parameters:
    ///   - limit: the most bytes that may be live; not negative.
    ///   - upstream: serves the requests.
    /// - Throws: ``ConfigurationError`` where the limit is negative.
    public init(limit: Int, upstream: Upstream) throws(ConfigurationError) {
        guard limit >= 0 else {
            throw ConfigurationError(
                allocator: "QuotaAllocator", argument: "limit", value: limit, requirement: "at least 0")
        }
        limitInBytes = limit
        self.upstream = upstream
    }

    /// The most bytes that may be live. It may be set at any time, also below what is live: then nothing is served
    /// until enough is freed. A negative limit traps.
    @inlinable
    public var limit: Int {
        get { limitInBytes }
        set {
            if newValue < 0 { negativeLimit(newValue) }
            limitInBytes = newValue
        }
    }

    /// The bytes that are live now.
    @inlinable
    public var liveBytes: Int { account.liveBytes }
}

extension QuotaAllocator where Upstream == SystemAllocator {
    /// Makes a quota on the system's malloc.
    public convenience init(limit: Int) throws(ConfigurationError) {
        try self.init(limit: limit, upstream: SystemAllocator())
    }
}

extension QuotaAllocator: MeasuredAllocator, SizeReportingAllocator {
    @inlinable @inline(__always)
    public func tryAllocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        guard let all = total(byteCount, alignment: alignment),
            let block = upstream.tryAllocate(byteCount: all, alignment: upstreamAlignment(alignment))
        else { return nil }
        return adopt(block, alignment: alignment)
    }

    @inlinable @inline(__always)
    public func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        guard let all = total(byteCount, alignment: alignment) else {
            throw refuse(byteCount: byteCount, alignment: alignment)
        }
        let block = try upstream.allocate(byteCount: all, alignment: upstreamAlignment(alignment))
        guard let adopted = adopt(block, alignment: alignment) else {
            throw refuse(byteCount: byteCount, alignment: alignment)
        }
        return adopted
    }

    @inlinable @inline(__always)
    public func deallocate(_ pointer: UnsafeMutableRawPointer) {
        if upstream._tellsSizes {
            let usable = upstream._byteCount(of: pointer)
            if usable >= account.liveBytes, usable > account.liveBytes || account.liveBlocks <= 0 {
                freedTooMuch(pointer)
            }
            upstream.deallocate(pointer)
            account.remove(byteCount: usable)
        } else {
            let prefix = BlockPrefix.read(before: pointer, owner: identity, of: "QuotaAllocator")
            BlockPrefix.clear(before: pointer)
            account.remove(byteCount: prefix.size)
            let offset = prefix.offset(words: 1)
            prefixBytes &-= offset
            upstream.deallocate(pointer - offset)
        }
    }

    @inlinable
    public func goodSize(for byteCount: Int, alignment: Int) -> Int {
        guard byteCount >= 0, isPowerOfTwo(alignment) else { return byteCount }
        let offset = self.offset(alignment)
        let (all, overflow) = byteCount.addingReportingOverflow(offset)
        if overflow { return byteCount }
        return upstream.goodSize(for: all, alignment: upstreamAlignment(alignment)) &- offset
    }

    @inlinable @inline(__always)
    public func byteCount(of pointer: UnsafeRawPointer) -> Int {
        upstream._tellsSizes
            ? upstream._byteCount(of: pointer)
            : BlockPrefix.read(before: pointer, owner: identity, of: "QuotaAllocator").size
    }

    /// What is live, and the prefixes of it as overhead: a quota holds nothing that is free.
    public var statistics: AllocatorStatistics { account.statistics(overheadBytes: prefixBytes) }

    public func findLeaks() -> LeakError? { leakInStatistics(of: "QuotaAllocator") }

    // A prefix cannot be looked at before it is known whose the pointer is, and a pointer behind a prefix is none that
    // upstream must know.
    @inlinable @inline(__always)
    public var _tellsOwn: Bool { upstream._tellsOwn && upstream._tellsSizes }

    public var _sources: [ObjectIdentifier] { [ObjectIdentifier(self)] + upstream._sources }

    public var _owners: [ObjectIdentifier] { [ObjectIdentifier(self)] + upstream._owners }

    @inlinable @inline(__always)
    public func _owns(_ pointer: UnsafeRawPointer) -> Bool { upstream._owns(pointer) }

    @inlinable @inline(__always)
    public func _deallocateIfOwned(_ pointer: UnsafeMutableRawPointer) -> Bool {
        guard upstream._owns(pointer) else { return false }
        deallocate(pointer)
        return true
    }
}

extension QuotaAllocator: OwningAllocator where Upstream: OwningAllocator & SizeReportingAllocator {
    /// Whether the address is in upstream's memory.
    @inlinable @inline(__always)
    public func owns(_ pointer: UnsafeRawPointer) -> Bool { upstream.owns(pointer) }
}

extension QuotaAllocator: ResizableAllocator where Upstream: ResizableAllocator {
    /// Resizes the block if upstream can and the limit lets it.
    @inlinable
    public func resize(_ pointer: UnsafeMutableRawPointer, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        if byteCount < 0 { negativeByteCount("QuotaAllocator", byteCount) }
        let old = self.byteCount(of: pointer)
        guard fits(byteCount, inPlaceOf: old) else { return nil }
        let alignment =
            upstream._tellsSizes
            ? 1 : BlockPrefix.read(before: pointer, owner: identity, of: "QuotaAllocator").alignment
        let offset = self.offset(alignment)
        guard byteCount <= BlockPrefix.largestSize,
            let resized = upstream.resize(pointer - offset, byteCount: byteCount &+ offset)
        else { return nil }
        var usable = granted(resized, offset)
        // Upstream gave more than was asked, and too much: back to what it was. Where upstream cannot go back, the
        // block has its new size, above the limit: nil would say that nothing has changed.
        var isRefused = false
        if !fits(usable, inPlaceOf: old), let restored = upstream.resize(pointer - offset, byteCount: old &+ offset) {
            usable = granted(restored, offset)
            isRefused = true
        }
        if !upstream._tellsSizes {
            BlockPrefix.write(before: pointer, owner: identity, size: usable, alignment: alignment)
        }
        account.resize(from: old, to: usable)
        return isRefused ? nil : UnsafeMutableRawBufferPointer(start: pointer, count: usable)
    }

    @inlinable @inline(__always)
    func fits(_ byteCount: Int, inPlaceOf old: Int) -> Bool {
        byteCount <= old || byteCount &- old <= limitInBytes &- account.liveBytes
    }
}

extension QuotaAllocator {
    @inlinable @inline(__always)
    var identity: UInt { UInt(bitPattern: ObjectIdentifier(self)) }

    @inlinable @inline(__always)
    func upstreamAlignment(_ alignment: Int) -> Int {
        upstream._tellsSizes ? alignment : BlockPrefix.upstreamAlignment(alignment)
    }

    @inlinable @inline(__always)
    func offset(_ alignment: Int) -> Int {
        upstream._tellsSizes ? 0 : BlockPrefix.offset(words: 1, alignment: alignment)
    }

    /// What upstream is asked for; nil where the limit is in the way, or the request is none that can be served.
    @inlinable @inline(__always)
    func total(_ byteCount: Int, alignment: Int) -> Int? {
        guard isValid("QuotaAllocator", byteCount: byteCount, alignment: alignment),
            byteCount <= limitInBytes &- account.liveBytes
        else { return nil }
        if upstream._tellsSizes { return byteCount }
        guard byteCount <= BlockPrefix.largestSize else { return nil }
        return BlockPrefix.upstreamByteCount(byteCount, words: 1, alignment: alignment)
    }

    /// The usable bytes of upstream's block.
    @inlinable @inline(__always)
    func granted(_ block: UnsafeMutableRawBufferPointer, _ offset: Int) -> Int {
        upstream._tellsSizes
            ? upstream._byteCount(of: block.baseAddress.unsafelyUnwrapped)
            : min(block.count &- offset, BlockPrefix.largestSize)
    }

    /// Enters upstream's block, or gives it back where more was granted than the limit lets through. Q2.
    @inlinable @inline(__always)
    func adopt(_ block: UnsafeMutableRawBufferPointer, alignment: Int) -> UnsafeMutableRawBufferPointer? {
        let offset = self.offset(alignment)
        let base = block.baseAddress.unsafelyUnwrapped
        let usable = granted(block, offset)
        guard usable <= limitInBytes &- account.liveBytes else {
            upstream.deallocate(base)
            return nil
        }
        if !upstream._tellsSizes {
            BlockPrefix.write(before: base + offset, owner: identity, size: usable, alignment: alignment)
            prefixBytes &+= offset
        }
        account.enter(byteCount: usable)
        return UnsafeMutableRawBufferPointer(start: base + offset, count: usable)
    }

    @usableFromInline @inline(never)
    func freedTooMuch(_ pointer: UnsafeRawPointer) -> Never {
        misuse("QuotaAllocator", pointer, "is not of this allocator: less is live than its block has")
    }

    @usableFromInline @inline(never)
    func negativeLimit(_ value: Int) -> Never { fatalError("QuotaAllocator: limit is \(value) and must be at least 0") }

    @usableFromInline @inline(never)
    func refuse(byteCount: Int, alignment: Int) -> AllocationError {
        let isTooLarge = !upstream._tellsSizes && byteCount > BlockPrefix.largestSize
        return refusal(
            "QuotaAllocator", byteCount: byteCount, alignment: alignment,
            otherwise: isTooLarge && byteCount <= limitInBytes - account.liveBytes
                ? .tooLarge(limit: BlockPrefix.largestSize) : .quotaExceeded(limit: limitInBytes))
    }

    /// What is broken, or nil.
    package func brokenInvariant() -> String? {
        if account.liveBlocks < 0 || account.liveBytes < 0 { return "Q1: less than nothing is live" }
        if account.liveBlocks == 0, account.liveBytes != 0 { return "Q1: bytes are live without a block" }
        if upstream._tellsSizes ? prefixBytes != 0 : prefixBytes < account.liveBlocks * 8 {
            return "Q3: prefixes of \(prefixBytes) bytes before \(account.liveBlocks) blocks"
        }
        return nil
    }
}
