// What the user limits: how much memory the program may have, and where the kernel may use huge pages.
//
// The limit counts what blocks are in: pages and runs in slices of 64 KiB, mappings in OS pages. What is free and not
// given back yet goes first when the limit is met. Records, some percent of it, are not counted.
//
// Huge pages: the kernel backs 2 MiB by one page where it is told to, or everywhere (`always` in
// /sys/kernel/mm/transparent_hugepage/enabled). In pages of small blocks that makes memory resident which nobody
// touched, and brings back what was given back inside them; so segments are kept out of it. Where blocks are large they
// save faults and misses of the translation cache.

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

/// Where the kernel may use huge pages for large blocks.
public enum HugePages: UInt8 {
    /// As the system is set.
    case asTheSystemDoes = 0
    /// Asked for: blocks of 2 MiB and more have mappings of their own, for which they are wished.
    case forLargeBlocks
    /// Nowhere.
    case never
}

extension Malloc {
    /// How much memory the program's blocks may take. Beyond it, requests fail with `ENOMEM`. What it has by now stays.
    ///
    /// - Parameter byteCount: counted in pages of 64 KiB for blocks of up to 8 MiB.
    public static func setLimit(byteCount: UInt) {
        Process.initializeIfNeeded()
        Process.poolLock.acquire()
        Process.state.pointee.limit = byteCount
        Process.poolLock.release()
    }

    /// What `setLimit` has set; `UInt.max` where nothing has.
    public static var limit: UInt {
        Process.initializeIfNeeded()
        Process.poolLock.acquire()
        defer { Process.poolLock.release() }
        return Process.state.pointee.limit
    }

    /// Call it before the program starts threads. Concerns blocks that are allocated from then on.
    public static func setHugePages(_ use: HugePages) {
        Process.initializeIfNeeded()
        Process.state.pointee.hugePages = use
    }
}

extension SlicePool {
    /// Whether the limit leaves room for so many bytes more, after what is idle was given back. The lock is held.
    @inline(__always)
    static func hasRoom(for byteCount: UInt) -> Bool {
        let limit = Process.state.pointee.limit
        return limit == .max || hasRoom(for: byteCount, limit: limit)
    }

    @inline(never)
    private static func hasRoom(for byteCount: UInt, limit: UInt) -> Bool {
        let held = state.pointee.usedSlices &<< Layout.sliceShift &+ state.pointee.mappingBytes
        guard held <= limit, byteCount <= limit &- held else { return false }
        let idle = state.pointee.dirtySlices &<< Layout.sliceShift &+ state.pointee.cachedMappingBytes
        if idle > limit &- held &- byteCount { reclaimLocked() }
        return true
    }
}

extension Layout {
    /// From here on a block has a mapping of its own where huge pages are wished for large blocks.
    static let hugePageByteCount: UInt = 2 << 20
}

extension Mappings {
    /// Tells the kernel what huge pages are wished for a fresh mapping of a large block. A wish: what it says to it
    /// changes nothing.
    static func adviseHugePages(address: UInt, byteCount: UInt) {
        switch Process.state.pointee.hugePages {
        case .asTheSystemDoes: return
        case .forLargeBlocks: SystemMemory.adviseHugePages(address: address, byteCount: byteCount)
        case .never: SystemMemory.adviseHugePages(false, address: address, byteCount: byteCount)
        }
    }
}
