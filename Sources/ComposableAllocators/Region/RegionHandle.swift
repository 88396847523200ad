// The part of a region's state that a hit touches, in memory of its own, and the hit itself.
//
// Apart from the class, because `Region` reaches it by a plain pointer: a reference to the class is retained and
// released around every allocation, five times its cost. Cost of a hit: load, align, add, compare, store, and two
// counters.

public import AllocatorCore

@frozen @usableFromInline
struct RegionState {
    /// I2: 1 and 0 without a chunk.
    @usableFromInline var cursor: UInt = 1
    @usableFromInline var limit: UInt = 0
    /// Blocks and bytes that were ever allocated.
    @usableFromInline var totalBlocks = 0
    @usableFromInline var totalBytes = 0
    /// What needs to be deinitialised, the newest first.
    @usableFromInline var cleanups: UnsafeMutablePointer<RegionCleanup>?
    /// Whose state it is. It frees it, so it is there.
    @usableFromInline var owner: Unmanaged<RegionAllocator>

    init(owner: RegionAllocator) { self.owner = .passUnretained(owner) }
}

/// A region's state, for the inlined part of ``RegionMemory``.
@frozen
public struct _RegionHandle {
    @usableFromInline let state: UnsafeMutablePointer<RegionState>

    init(_ state: UnsafeMutablePointer<RegionState>) { self.state = state }

    @inlinable @inline(__always)
    var owner: RegionAllocator { state.pointee.owner.takeUnretainedValue() }

    /// A region's end: all memory goes upstream, and the owner goes unless someone else has a reference to it.
    func end() {
        let owner = state.pointee.owner
        owner.takeUnretainedValue().releaseAll()
        owner.release()
    }

    /// So many bytes without a header: what `Region` hands out, and what a block with its header is cut from. Sizes and
    /// alignments are valid. Nil where there is no memory.
    @inlinable @inline(__always)
    func bump(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer? {
        let mask = UInt(bitPattern: alignment &- 1)
        let start = (state.pointee.cursor &+ mask) & ~mask
        // Neither sum wraps: addresses are below 2^48, and sizes and alignments below 2^63.
        let end = start &+ UInt(bitPattern: byteCount)
        if end > state.pointee.limit { return bumpInAnotherChunk(byteCount: byteCount, alignment: alignment) }
        state.pointee.cursor = end
        return UnsafeMutableRawPointer(bitPattern: start)
    }

    @usableFromInline @inline(never)
    func bumpInAnotherChunk(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer? {
        owner.bumpInAnotherChunk(byteCount: byteCount, alignment: alignment)
    }

    /// `bump`, entered as a block of so many bytes.
    @inlinable @inline(__always)
    func allocateValue(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer? {
        guard let start = bump(byteCount: byteCount, alignment: alignment) else { return nil }
        state.pointee.totalBlocks &+= 1
        state.pointee.totalBytes &+= byteCount
        return start
    }
}

extension RegionAllocator {
    /// A handle that keeps its owner, until `end()`.
    func retained() -> _RegionHandle {
        _ = Unmanaged.passRetained(self)
        return handle
    }
}

/// Room for values, and for their record where they need one.
@frozen @usableFromInline
struct RegionPlaces<T: ~Copyable> {
    @usableFromInline let values: UnsafeMutablePointer<T>
    @usableFromInline let record: UnsafeMutablePointer<RegionCleanup>?

    @inlinable @inline(__always)
    init(values: UnsafeMutablePointer<T>, record: UnsafeMutablePointer<RegionCleanup>?) {
        self.values = values
        self.record = record
    }
}

// MARK: - Values, and what deinitialises them
//
// A value that needs it has a record in front of it, cut from the chunk in one step: | record | padding | values … |

extension _RegionHandle {
    /// Room for values, uninitialised, counted as a block.
    @inlinable @inline(__always)
    func allocateManaged<T: ~Copyable>(_ type: T.Type, count: Int) -> RegionPlaces<T>? {
        let byteCount = regionByteCount(T.self, count)
        if _isPOD(T.self) {
            guard let place = allocateValue(byteCount: byteCount, alignment: MemoryLayout<T>.alignment) else {
                return nil
            }
            return RegionPlaces(values: place.bindMemory(to: T.self, capacity: count), record: nil)
        }
        let alignment = max(MemoryLayout<T>.alignment, MemoryLayout<RegionCleanup>.alignment)
        let offset = (MemoryLayout<RegionCleanup>.size &+ alignment &- 1) & ~(alignment &- 1)
        let (needed, overflow) = byteCount.addingReportingOverflow(offset)
        guard !overflow, let place = bump(byteCount: needed, alignment: alignment) else { return nil }
        state.pointee.totalBlocks &+= 1
        state.pointee.totalBytes &+= byteCount
        return RegionPlaces(
            values: (place + offset).bindMemory(to: T.self, capacity: count),
            record: place.bindMemory(to: RegionCleanup.self, capacity: 1))
    }

    /// Sees to it that `count` values will be deinitialised.
    @inlinable @inline(__always)
    func register<T: ~Copyable>(_ places: RegionPlaces<T>, count: Int) {
        guard let record = places.record else { return }
        register(places.values, count: count, in: record) { values, count in
            values.assumingMemoryBound(to: T.self).deinitialize(count: count)
        }
    }

    @inlinable @inline(__always)
    func register(
        _ values: UnsafeMutableRawPointer, count: Int, in record: UnsafeMutablePointer<RegionCleanup>,
        destroy: @escaping (UnsafeMutableRawPointer, Int) -> Void
    ) {
        record.initialize(
            to: RegionCleanup(previous: state.pointee.cleanups, values: values, count: count, destroy: destroy))
        state.pointee.cleanups = record
    }

    /// Room for values, which a closure initialises all.
    @inlinable @inline(__always)
    func allocateElements<T>(
        _ type: T.Type, count: Int, _ initialize: (UnsafeMutableBufferPointer<T>) -> Void
    ) throws(AllocationError) -> UnsafeMutableBufferPointer<T> {
        guard let places = allocateManaged(T.self, count: count) else {
            throw regionRefusal(regionByteCount(T.self, count), MemoryLayout<T>.alignment)
        }
        let buffer = UnsafeMutableBufferPointer(start: places.values, count: count)
        initialize(buffer)
        register(places, count: count)
        return buffer
    }
}

@usableFromInline @inline(never)
func regionRefusal(_ byteCount: Int, _ alignment: Int) -> AllocationError {
    refusal("Region", byteCount: byteCount, alignment: alignment)
}

/// The bytes of `count` values, or the most that an `Int` holds, which no chunk ever has. A negative count traps.
@inlinable @inline(__always)
func regionByteCount<T: ~Copyable>(_ type: T.Type, _ count: Int) -> Int {
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<T>.stride)
    if count < 0 { negativeByteCount("Region", count) }
    return overflow ? .max : byteCount
}
