// A part of a shared arena: a slab arena of its own behind a lock, and the way its slabs come.

import AllocatorCore
public import ComposableAllocators

@usableFromInline
struct SlabShard: @unchecked Sendable {
    @usableFromInline let lock: SharedLock
    /// Not counted when it is used: the count would be a word that every thread writes.
    @usableFromInline let core: Unmanaged<SlabArena>
    /// The highest bits of the slab numbers in locations.
    let index: UInt32

    init(core: SlabArena, index: UInt32) {
        lock = SharedLock()
        self.core = .passRetained(core)
        self.index = index
    }

    func destroy() {
        core.release()
        lock.destroy()
    }

    /// The bits of a location's slab number that are the shard's own, below the shard's index.
    static var numberBits: UInt32 { 24 }
    static var numberMask: UInt32 { (1 << numberBits) - 1 }
    static var largestCount: Int { 1 << (32 - Int(numberBits)) }
}

extension UnsafeMutablePointer where Pointee == SlabShard {
    /// Does something with the shard's arena that nobody else does anything with meanwhile.
    @inline(__always)
    func withLock<Result>(_ body: (SlabArena) -> Result) -> Result {
        pointee.lock.acquire()
        defer { pointee.lock.release() }
        return withCore(body)
    }

    /// Does something with the shard's arena, whose lock the caller has.
    @inline(__always)
    func withCore<Result>(_ body: (SlabArena) -> Result) -> Result {
        // SAFETY: the shard lives as long as the shared arena, which is in use.
        pointee.core._withUnsafeGuaranteedRef(body)
    }
}

/// Upstream as a shard sees it: what comes and goes is entered in the set of all shards' bases.
final class SlabShardUpstream: Allocator {
    private let base: any Allocator & Sendable
    private let bases: SlabBaseSet
    private let slabAlignment: UInt

    init(_ base: any Allocator & Sendable, bases: SlabBaseSet, slabSize: Int) {
        self.base = base
        self.bases = bases
        // What is no slab size is refused a moment later; a header is aligned to 16.
        let least = max(min(max(slabSize, 1), 1 << 31), 16)
        slabAlignment = 1 << UInt(Int.bitWidth - (least - 1).leadingZeroBitCount)
    }

    /// Where the slab begins in its block.
    private func slabBase(_ block: UnsafeMutableRawPointer) -> UInt {
        (UInt(bitPattern: block) &+ (slabAlignment - 1)) & ~(slabAlignment - 1)
    }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let block = try base.allocate(byteCount: byteCount, alignment: alignment)
        guard bases.insert(slabBase(block.baseAddress.unsafelyUnwrapped)) else {
            base.deallocate(block)
            throw AllocationError(
                allocator: "SharedSlabArena", byteCount: byteCount, alignment: alignment, reason: .outOfMemory)
        }
        return block
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        bases.remove(slabBase(pointer))
        base.deallocate(pointer)
    }

    var _sources: [ObjectIdentifier] { base._sources }
}
