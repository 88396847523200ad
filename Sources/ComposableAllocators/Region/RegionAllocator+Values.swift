// Typed memory in a region, and the list of what must be deinitialised.
//
// A value that needs it has a record in front of it, cut from the chunk in one step: | record | padding | values … |

public import AllocatorCore

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

extension RegionAllocator {
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
        let offset = MemoryLayout<RegionCleanup>.size &+ alignment &- 1 & ~(alignment &- 1)
        let (needed, overflow) = byteCount.addingReportingOverflow(offset)
        guard !overflow, let place = bump(byteCount: needed, alignment: alignment) else { return nil }
        totalBlocks &+= 1
        totalBytes &+= byteCount
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
        record.initialize(to: RegionCleanup(previous: cleanups, values: values, count: count, destroy: destroy))
        cleanups = record
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
