// What stands behind C function pointers: an allocator of a type that C cannot know, and C's rules over it.
//
// Layout of a block, where the allocator does not tell sizes: 16 bytes in which the usable size stands, then the block.
//
// The allocator's calls are closures made where its type is known, so that they are specialised for it: a method
// called through a class or a witness table would not be. As constants of an object that is kept alive they are called,
// and hold the allocator, without a retain.
//
// X1. `magic` is `CAllocationContext.validMagic` from the beginning until the context is invalidated.
// X2. `liveBlocks` and `liveBytes` are what C code has through this context, in usable bytes. The allocator's own
//     account is not asked: it may be one of a part only, and it may have blocks that are not C's.
//
// Cost: an indirect call over the allocator's own cost, another that asks for a block's size, and the counting: plain
// additions, or two atomic ones where `isShared`. Thread-safety: that of the allocator; the counts are atomic where
// `isShared` says so.

public import AllocatorCore
import Synchronization

@usableFromInline
final class CAllocationContext {
    static let validMagic: UInt = 0x4D61_6C6C_6F77_2043
    static let prefixSize = 16

    @exclusivity(unchecked) var magic = CAllocationContext.validMagic
    let tryAllocate: (Int) -> UnsafeMutableRawBufferPointer?
    let deallocate: (UnsafeMutableRawPointer) -> Void
    /// The usable bytes of a block; not asked where the allocator does not tell.
    let byteCount: (UnsafeMutableRawPointer) -> Int
    let goodSize: (Int) -> Int
    /// 0, or `prefixSize` where the allocator does not tell sizes.
    let prefix: Int
    let allocator: any Allocator
    let resizable: (any ResizableAllocator)?
    let name: String
    let isShared: Bool
    let liveBlocks = Atomic<Int>(0)
    let liveBytes = Atomic<Int>(0)

    @inlinable
    convenience init<A: Allocator>(
        _ allocator: A, isShared: Bool, for table: String
    ) throws(ConfigurationError) {
        try self.init(
            tryAllocate: { allocator.tryAllocate(byteCount: $0, alignment: mallocAlignment) },
            deallocate: { allocator.deallocate($0) },
            byteCount: { allocator._byteCount(of: $0) },
            goodSize: { allocator.goodSize(for: $0, alignment: mallocAlignment) },
            allocator: allocator, isShared: isShared, for: table)
    }

    @usableFromInline
    init(
        tryAllocate: @escaping (Int) -> UnsafeMutableRawBufferPointer?,
        deallocate: @escaping (UnsafeMutableRawPointer) -> Void,
        byteCount: @escaping (UnsafeMutableRawPointer) -> Int, goodSize: @escaping (Int) -> Int,
        allocator: any Allocator, isShared: Bool, for table: String
    ) throws(ConfigurationError) {
        self.tryAllocate = tryAllocate
        self.deallocate = deallocate
        self.byteCount = byteCount
        self.goodSize = goodSize
        prefix = allocator._tellsSizes ? 0 : CAllocationContext.prefixSize
        self.allocator = allocator
        resizable = allocator as? any ResizableAllocator
        name = "\(type(of: allocator))"
        self.isShared = isShared
        if let unsuitable = whyUnsuitable(table) { throw unsuitable }
    }

    /// What is wrong with an allocator that never serves the least of C's requests, or nil.
    ///
    /// A good size that is larger than the request shows that the allocator has a place for it. Only where it says no
    /// more than the request itself, one block is allocated, and freed at once.
    private func whyUnsuitable(_ table: String) -> ConfigurationError? {
        let least = 1 + prefix
        if goodSize(least) > least { return nil }
        do throws(AllocationError) {
            let block = try allocator.allocate(byteCount: least, alignment: mallocAlignment)
            deallocate(block.baseAddress.unsafelyUnwrapped)
            return nil
        } catch {
            let (value, requirement): (Int, String)
            switch error.reason {
            case .unsupportedAlignment(let limit):
                (value, requirement) = (mallocAlignment, "an alignment that \(name) offers (\(limit) at most)")
            case .invalidAlignment:
                (value, requirement) = (mallocAlignment, "an alignment that \(name) offers")
            case .tooLarge(let limit):
                (value, requirement) = (least, "a number of bytes that \(name) serves (\(limit) at most)")
            case .outOfMemory, .quotaExceeded:
                // That may be otherwise when C code asks.
                return nil
            }
            return ConfigurationError(allocator: table, argument: "allocator", value: value, requirement: requirement)
        }
    }

    @inline(__always)
    private func account(_ blocks: Int, _ bytes: Int) {
        if isShared {
            liveBlocks.wrappingAdd(blocks, ordering: .relaxed)
            liveBytes.wrappingAdd(bytes, ordering: .relaxed)
        } else {
            liveBlocks.store(liveBlocks.load(ordering: .relaxed) &+ blocks, ordering: .relaxed)
            liveBytes.store(liveBytes.load(ordering: .relaxed) &+ bytes, ordering: .relaxed)
        }
    }

    /// The blocks that are live, X2.
    func findLeaks() -> LeakError? {
        let blocks = liveBlocks.load(ordering: .relaxed)
        guard blocks != 0 else { return nil }
        return LeakError(allocator: name, blocks: blocks, bytes: liveBytes.load(ordering: .relaxed))
    }
}

// MARK: - What C asks for

extension CAllocationContext {
    /// Sizes are C's, unsigned: what is negative here is more than there can be.
    @inline(__always)
    private func isServable(_ byteCount: Int) -> Bool {
        UInt(bitPattern: byteCount) <= UInt(Int.max - CAllocationContext.prefixSize)
    }

    func malloc(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        guard isServable(byteCount), let block = tryAllocate(byteCount &+ prefix) else { return nil }
        let base = block.baseAddress.unsafelyUnwrapped
        let usable = block.count &- prefix
        if prefix == 0 {
            account(1, usableSize(base))
            return base
        }
        account(1, usable)
        base.storeBytes(of: usable, as: Int.self)
        return base + prefix
    }

    func usableSize(_ pointer: UnsafeMutableRawPointer) -> Int {
        prefix == 0 ? byteCount(pointer) : (pointer - prefix).loadUnaligned(as: Int.self)
    }

    func goodSizeForC(_ byteCount: Int) -> Int {
        guard isServable(byteCount) else { return byteCount }
        return max(goodSize(byteCount + prefix) - prefix, byteCount)
    }

    func free(_ pointer: UnsafeMutableRawPointer) {
        account(-1, -usableSize(pointer))
        deallocate(pointer - prefix)
    }

    func calloc(_ count: Int, _ byteCount: Int) -> UnsafeMutableRawPointer? {
        let (product, overflow) = UInt(bitPattern: count).multipliedReportingOverflow(by: UInt(bitPattern: byteCount))
        guard !overflow, let all = Int(exactly: product), let pointer = malloc(all) else { return nil }
        pointer.initializeMemory(as: UInt8.self, repeating: 0, count: all)
        return pointer
    }

    func realloc(_ pointer: UnsafeMutableRawPointer, _ byteCount: Int) -> UnsafeMutableRawPointer? {
        guard isServable(byteCount) else { return nil }
        let usable = usableSize(pointer)
        // It fits, and wastes no more than half.
        if byteCount <= usable, byteCount >= usable / 2 { return pointer }
        if let resizable, let block = resizable.resize(pointer - prefix, byteCount: byteCount + prefix) {
            if prefix != 0 { (pointer - prefix).storeBytes(of: block.count - prefix, as: Int.self) }
            account(0, usableSize(pointer) - usable)
            return pointer
        }
        // Making a block smaller never fails.
        guard let moved = malloc(byteCount) else { return byteCount <= usable ? pointer : nil }
        moved.copyMemory(from: pointer, byteCount: min(usable, byteCount))
        free(pointer)
        return moved
    }
}
