// Address space in units of segments: aligned mappings, and the segment map that leads from an address to its record.
// All of it is called with the pool's lock held; the map is read without it.

import CMallowShims

#if hasFeature(Embedded)
    import SystemMemoryEmbedded
#else
    import SystemMemory
#endif

enum Address {
    /// Maps `byteCount` bytes at a multiple of `alignment` (at least a segment's). Returns 0 when the kernel refuses.
    ///
    /// First it wishes for the place below the last segment: one call when the kernel agrees. Otherwise it maps more
    /// than is needed and cuts the rest off.
    static func map(
        byteCount: UInt, alignment: UInt = Layout.segmentByteCount, access: SystemMemory.Access = .readWrite
    ) -> UInt {
        let pool = Process.poolPointer
        if pool.pointee.lowestSegment == 0 { pool.pointee.lowestSegment = whereTheKernelMaps() }
        let span = Layout.roundedUp(byteCount, toMultipleOf: Layout.segmentByteCount)
        if pool.pointee.lowestSegment > span {
            let wished = (pool.pointee.lowestSegment &- span) & ~(alignment &- 1)
            if wished != 0 {
                let address = SystemMemory.map(byteCount: byteCount, at: wished, access: access)
                if address == 0 { return 0 }
                if address & (alignment &- 1) == 0, isWithinMap(address, byteCount) {
                    noteLowest(address)
                    return address
                }
                SystemMemory.unmap(address: address, byteCount: byteCount)
            }
        }
        let (total, overflow) = byteCount.addingReportingOverflow(alignment)
        if overflow || total > UInt(Int.max) { return 0 }
        let address = SystemMemory.map(byteCount: total, access: access)
        guard address != 0 else { return 0 }
        let aligned = Layout.roundedUp(address, toMultipleOf: alignment)
        if aligned > address { SystemMemory.unmap(address: address, byteCount: aligned &- address) }
        let end = aligned &+ byteCount
        if address &+ total > end { SystemMemory.unmap(address: end, byteCount: address &+ total &- end) }
        guard isWithinMap(aligned, byteCount) else {
            SystemMemory.unmap(address: aligned, byteCount: byteCount)
            return 0
        }
        noteLowest(aligned)
        return aligned
    }

    /// The address of the next mapping, found by making one: so the first segment, too, takes no more than it needs.
    private static func whereTheKernelMaps() -> UInt {
        let osPage = Process.state.pointee.osPageByteCount
        let address = SystemMemory.map(byteCount: osPage)
        if address != 0 { SystemMemory.unmap(address: address, byteCount: osPage) }
        return address
    }

    /// Says in `/proc/self/maps` what a fresh mapping is for. A kernel that has no such names is asked once.
    static func name(_ address: UInt, byteCount: UInt, _ name: StaticString) {
        let pool = Process.poolPointer
        if pool.pointee.cannotName { return }
        if !SystemMemory.name(address: address, byteCount: byteCount, name) { pool.pointee.cannotName = true }
    }

    /// Lets the map lead from an address to records at `value`; 0 to none.
    static func setMapEntry(_ address: UInt, to value: UInt) {
        segmentMapSlot(address).pointee = value == 0 ? 0 : value &- noRecordsAddress
    }

    private static func isWithinMap(_ address: UInt, _ byteCount: UInt) -> Bool {
        (address &+ byteCount) &>> UInt(MALLOW_ADDRESS_BITS) == 0
    }

    private static func noteLowest(_ address: UInt) {
        Process.poolPointer.pointee.lowestSegment = address
    }
}
