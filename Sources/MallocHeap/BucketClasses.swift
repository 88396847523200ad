// The classes that programs add: blocks of exactly the size of one of their types. There are as many as programs ask
// for, up to `limit`; they are the same for every thread and every library of the process, numbered from where the
// fixed size classes end, and stay until the process ends.
//
//   classes 0…72      fixed: SizeClasses
//   classes 73…200    in the order in which they were asked for; their sizes are in a table
//
// A type whose size a fixed class has exactly shares that class, and so does every type once the table is full.
//
// Thread-safety: the table is written under the registry's lock, and a row only before its number is given out: who has
// the number of a class reads its size without a lock.

import CMallowShims
import Synchronization

/// Classes by exact size, made at run time.
enum BucketClasses {
    /// So many classes can be added.
    static let limit = Int(MALLOW_BUCKET_ENTRIES) - 1 - SizeClasses.count
    /// The numbers of all classes are below this.
    static let numberEnd = SizeClasses.count + limit

    @inline(__always)
    private static var state: UnsafeMutablePointer<ProcessState> { Process.state }

    /// How many classes have been added.
    @inline(__always)
    static var count: Int { Int(bitPattern: state.pointee.bucketClassCount.load(ordering: .acquiring)) }

    /// The number of bytes in a block of a class, fixed or added. O(1).
    @inline(__always)
    static func byteCount(of sizeClass: Int) -> UInt {
        if sizeClass < SizeClasses.count { return SizeClasses.byteCount(of: sizeClass) }
        return UInt(state.pointee.bucketSizes.unsafelyUnwrapped[sizeClass &- SizeClasses.count])
    }

    /// The class of the blocks for a type, which is added if it is new. Nil where no class holds it: it is larger than
    /// 32 KiB, or no small block is aligned so. Where the table is full, or there is no memory for it, a fixed class.
    ///
    /// - Parameter alignment: a power of two, in bytes.
    /// - Complexity: O(classes), under a lock.
    static func sizeClass(byteCount: UInt, alignment: UInt) -> Int? {
        guard byteCount <= Layout.smallLimit, alignment <= Layout.smallLimit else { return nil }
        let exact = Layout.roundedUp(max(byteCount, 1), toMultipleOf: max(alignment, 8))
        guard exact <= Layout.smallLimit else { return nil }
        let fixed = SizeClasses.sizeClass(for: exact)
        if SizeClasses.byteCount(of: fixed) == exact { return fixed }
        Process.initializeIfNeeded()
        Process.registryLock.acquire()
        defer { Process.registryLock.release() }
        return find(exact) ?? add(exact) ?? SizeClasses.sizeClass(for: byteCount, alignment: max(alignment, 8))
    }

    private static func find(_ byteCount: UInt) -> Int? {
        guard let sizes = state.pointee.bucketSizes else { return nil }
        for index in 0..<count where UInt(sizes[index]) == byteCount { return SizeClasses.count &+ index }
        return nil
    }

    private static func add(_ byteCount: UInt) -> Int? {
        let index = count
        guard index < limit else { return nil }
        if state.pointee.bucketSizes == nil {
            Process.poolLock.acquire()
            let table = Process.metadata(byteCount: UInt(limit * MemoryLayout<UInt16>.stride))
            Process.poolLock.release()
            guard table != 0 else { return nil }
            state.pointee.bucketSizes = UnsafeMutablePointer(bitPattern: table)
        }
        guard let sizes = state.pointee.bucketSizes else { return nil }
        sizes[index] = UInt16(truncatingIfNeeded: byteCount)
        state.pointee.bucketClassCount.store(UInt(bitPattern: index &+ 1), ordering: .releasing)
        return SizeClasses.count &+ index
    }
}
