// Mappings with room for whole pages at an aligned address, between guards where they are asked for. PageAllocator and
// GuardAllocator keep account of what this hands out.
//
//     address                 base                    base + room              address + byteCount
//     |        guard          |      read and write   |       guard            |
//
// Where the kernel does not take back what was mapped only to align the base, that stays part of the mapping:
// inaccessible if there are guards. So a mapping and its account are always the same.

internal import SystemMemory

/// A range of addresses that the kernel has given, to be unmapped as a whole.
package struct PageMapping: BitwiseCopyable {
    package var address: UInt
    package var byteCount: UInt

    package var end: UInt { address &+ byteCount }

    package init(address: UInt, byteCount: UInt) {
        self.address = address
        self.byteCount = byteCount
    }

    /// What became of a wish for pages.
    package enum Outcome {
        case mapped(PageMapping, base: UInt)
        /// The kernel gave no memory.
        case refused
        /// The kernel refused half-way, and then also to take back this mapping, which is inaccessible or empty.
        case stranded(PageMapping)
    }

    /// Maps pages.
    ///
    /// - Parameters:
    ///   - room: bytes that can be read and written: a multiple of the page size, or zero if there are guards.
    ///   - alignment: of the base: a power of two.
    ///   - guardByteCount: inaccessible bytes on each side: a multiple of the page size, or zero.
    package static func make(room: UInt, alignment: UInt, guardByteCount: UInt, pageByteCount: UInt) -> Outcome {
        let slack = alignment > pageByteCount ? alignment &- pageByteCount : 0
        let (needed, overflow) = room.addingReportingOverflow(2 &* guardByteCount)
        let (total, overflowOfSlack) = needed.addingReportingOverflow(slack)
        guard !overflow, !overflowOfSlack, total <= UInt(Int.max) else { return .refused }
        let address = SystemMemory.map(byteCount: total, access: guardByteCount == 0 ? .readWrite : .none)
        guard address != 0 else { return .refused }
        var mapping = PageMapping(address: address, byteCount: total)
        let base = (address &+ guardByteCount &+ alignment &- 1) & ~(alignment &- 1)
        mapping.trim(to: base &- guardByteCount, end: base &+ room &+ guardByteCount)
        if guardByteCount != 0, room != 0,
            !SystemMemory.protect(address: base, byteCount: room, access: .readWrite)
        {
            return mapping.unmap() ? .refused : .stranded(mapping)
        }
        return .mapped(mapping, base: base)
    }

    /// Gives the whole mapping back. Where the kernel refuses (it does when a process has too many separate ranges),
    /// its contents are dropped, so that it costs address space and no memory.
    package func unmap() -> Bool {
        if SystemMemory.unmap(address: address, byteCount: byteCount) { return true }
        SystemMemory.discard(address: address, byteCount: byteCount)
        return false
    }

    /// Gives back what lies before `start` and from `newEnd` on, as far as the kernel takes it.
    package mutating func trim(to start: UInt, end newEnd: UInt) {
        if start > address, SystemMemory.unmap(address: address, byteCount: start &- address) {
            byteCount &-= start &- address
            address = start
        }
        if newEnd < end, SystemMemory.unmap(address: newEnd, byteCount: end &- newEnd) {
            byteCount = newEnd &- address
        }
    }
}

extension AddressTable {
    /// Makes sure that the next insertion succeeds. False where there is no memory for a larger table.
    package mutating func reserveOne(_ anyValue: Value) -> Bool {
        // No block lies at address 1.
        guard insert(1, anyValue) else { return false }
        remove(1)
        return true
    }
}
