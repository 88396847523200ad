// What stands behind C function pointers: an allocator of a type that C cannot know, and C's rules over it.
//
// Layout of a block, where the allocator does not tell sizes: 16 bytes in which the usable size stands, then the block.
//
// The allocator's calls are closures made where its type is known, so that they are specialised for it: a method called
// through a class or a witness table would not be. They are handed the allocator as an argument and hold nothing.
//
// X1. `magic` is `CAllocationContext.validMagic` from the beginning until the context is invalidated.
// X2. Where `counts` is set, `liveBlocks` and `liveBytes` are what C code has; else the allocator's own account tells.
//
// Cost: an indirect call over the allocator's own cost; where the allocator keeps no account and is shared, two atomic
// additions. Thread-safety: that of the allocator; the counts are atomic where `isShared` says so.

public import AllocatorCore
import Synchronization

@usableFromInline
final class CAllocationContext {
    @usableFromInline typealias State = UnsafeRawPointer

    static let validMagic: UInt = 0x4D61_6C6C_6F77_2043
    static let prefixSize = 16

    @exclusivity(unchecked) var magic = CAllocationContext.validMagic
    /// Where the allocator is, as a value of its type.
    let state: State
    let tryAllocate: (State, Int) -> UnsafeMutableRawBufferPointer?
    let deallocate: (State, UnsafeMutableRawPointer) -> Void
    /// The usable bytes of a block; not asked where the allocator does not tell.
    let byteCount: (State, UnsafeMutableRawPointer) -> Int
    let goodSize: (State, Int) -> Int
    let destroyState: (State) -> Void
    /// 0, or `prefixSize` where the allocator does not tell sizes.
    let prefix: Int
    /// The allocator, if it keeps an account.
    let measured: (any MeasuredAllocator)?
    let resizable: (any ResizableAllocator)?
    let name: String
    let counts: Bool
    let isShared: Bool
    let liveBlocks = Atomic<Int>(0)
    let liveBytes = Atomic<Int>(0)

    @inlinable
    convenience init<A: Allocator>(_ allocator: A, isShared: Bool) {
        let box = UnsafeMutablePointer<A>.allocate(capacity: 1)
        box.initialize(to: allocator)
        self.init(
            state: UnsafeRawPointer(box),
            tryAllocate: { state, byteCount in
                state.assumingMemoryBound(to: A.self).pointee
                    .tryAllocate(byteCount: byteCount, alignment: mallocAlignment)
            },
            deallocate: { state, pointer in
                state.assumingMemoryBound(to: A.self).pointee.deallocate(pointer)
            },
            byteCount: { state, pointer in
                state.assumingMemoryBound(to: A.self).pointee._byteCount(of: pointer)
            },
            goodSize: { state, byteCount in
                state.assumingMemoryBound(to: A.self).pointee.goodSize(for: byteCount, alignment: mallocAlignment)
            },
            destroyState: { state in
                let box = UnsafeMutablePointer(mutating: state.assumingMemoryBound(to: A.self))
                box.deinitialize(count: 1)
                box.deallocate()
            },
            allocator: allocator, isShared: isShared)
    }

    @usableFromInline
    init(
        state: State, tryAllocate: @escaping (State, Int) -> UnsafeMutableRawBufferPointer?,
        deallocate: @escaping (State, UnsafeMutableRawPointer) -> Void,
        byteCount: @escaping (State, UnsafeMutableRawPointer) -> Int, goodSize: @escaping (State, Int) -> Int,
        destroyState: @escaping (State) -> Void, allocator: any Allocator, isShared: Bool
    ) {
        self.state = state
        self.tryAllocate = tryAllocate
        self.deallocate = deallocate
        self.byteCount = byteCount
        self.goodSize = goodSize
        self.destroyState = destroyState
        prefix = allocator._tellsSizes ? 0 : CAllocationContext.prefixSize
        measured = allocator as? any MeasuredAllocator
        counts = measured == nil
        resizable = allocator as? any ResizableAllocator
        name = "\(type(of: allocator))"
        self.isShared = isShared
    }

    deinit {
        destroyState(state)
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
        if let measured { return measured.findLeaks() }
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
        guard isServable(byteCount), let block = tryAllocate(state, byteCount &+ prefix) else { return nil }
        let base = block.baseAddress.unsafelyUnwrapped
        let usable = block.count &- prefix
        if counts { account(1, prefix == 0 ? byteCountForC(base) : usable) }
        if prefix == 0 { return base }
        base.storeBytes(of: usable, as: Int.self)
        return base + prefix
    }

    func usableSize(_ pointer: UnsafeMutableRawPointer) -> Int {
        prefix == 0 ? byteCountForC(pointer) : (pointer - prefix).loadUnaligned(as: Int.self)
    }

    @inline(__always)
    private func byteCountForC(_ pointer: UnsafeMutableRawPointer) -> Int { byteCount(state, pointer) }

    func goodSizeForC(_ byteCount: Int) -> Int {
        guard isServable(byteCount) else { return byteCount }
        return max(goodSize(state, byteCount + prefix) - prefix, byteCount)
    }

    func free(_ pointer: UnsafeMutableRawPointer) {
        if counts { account(-1, -usableSize(pointer)) }
        deallocate(state, pointer - prefix)
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
            if counts { account(0, usableSize(pointer) - usable) }
            return pointer
        }
        // Making a block smaller never fails.
        guard let moved = malloc(byteCount) else { return byteCount <= usable ? pointer : nil }
        moved.copyMemory(from: pointer, byteCount: min(usable, byteCount))
        free(pointer)
        return moved
    }
}
