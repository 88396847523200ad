// `free` for callers that say what they free. What they say is checked against what the block holds, as far as that tells
// a wrong size: blocks do not remember what was asked for.
//
//   a small block        holds at most twice what was last asked for, or 16 bytes: `realloc` leaves one that is half full
//   a run or a mapping   holds up to an OS page more, or an eighth of what it holds after `realloc`
//   with an alignment    the same of the size rounded up to it
//
// So a size above what the block holds is always told, and one below half of it; a size in between is not.
//
// Cost: `free`, and a dozen instructions. Thread-safety: as `free`.

import CMallowShims
import Synchronization

extension Malloc {
    /// Frees a block whose size the caller knows: what was asked for when it was allocated or last reallocated, in
    /// bytes. A size that the block cannot have ends the program with a message. Nothing happens to nil.
    @inline(__always)
    public static func deallocate(_ pointer: UnsafeMutableRawPointer?, byteCount: UInt) {
        if Hardened.isOn,
            Hardened.deallocate(UInt(bitPattern: pointer), "free_sized", byteCount: byteCount, alignment: 1)
        {
            return
        }
        if !fits(UInt(bitPattern: pointer), alignment: 1, byteCount) {
            endForWrongSize("free_sized", UInt(bitPattern: pointer), byteCount)
        }
        deallocate(pointer)
    }

    /// The same of a block that was allocated with an alignment, in bytes.
    @inline(__always)
    public static func deallocate(_ pointer: UnsafeMutableRawPointer?, alignment: UInt, byteCount: UInt) {
        let address = UInt(bitPattern: pointer)
        if Hardened.isOn,
            Hardened.deallocate(address, "free_aligned_sized", byteCount: byteCount, alignment: alignment)
        {
            return
        }
        if alignment == 0 || alignment & (alignment &- 1) != 0 || address & (alignment &- 1) != 0 {
            Misuse.wrongAlignment("free_aligned_sized", address)
        }
        if !fits(address, alignment: alignment, byteCount) {
            endForWrongSize("free_aligned_sized", address, byteCount)
        }
        deallocate(pointer)
    }

    /// Whether a block may have been asked for with this size. True for what is no block: `deallocate` tells that.
    @inline(__always)
    private static func fits(_ address: UInt, alignment: UInt, _ byteCount: UInt) -> Bool {
        if address &>> UInt(MALLOW_ADDRESS_BITS) != 0 { return true }
        let page = Page(at: recordAddress(entry: segmentMapEntry(address), of: address))
        let holds = page.pointee.blockByteCount
        if byteCount > holds { return page.pointee.kind == PageKind.none && fitsGuarded(address, byteCount) }
        let isSmall = page.pointee.kind == PageKind.small
        // `byteCount` is at most what a block holds, so the sum does not overflow but for an absurd alignment.
        let needed = isSmall ? (max(byteCount, 1) &+ alignment &- 1) & ~(alignment &- 1) : byteCount
        return isSmall ? holds &- needed <= max(needed, 15) || needed > holds : fitsLarge(holds, byteCount)
    }

    private static func fitsLarge(_ holds: UInt, _ byteCount: UInt) -> Bool {
        holds &- byteCount <= max(holds / 8, Process.state.pointee.osPageByteCount)
    }

    /// Unless the block is one of the nursery's, which are whole cache lines, whatever was asked for.
    @inline(never)
    private static func endForWrongSize(_ caller: StaticString, _ address: UInt, _ byteCount: UInt) {
        if GuardedPool.contains(address) { return endForWrongSizeOfGuarded(caller, address, byteCount) }
        let page = checkedPage(of: address, caller: caller)
        if byteCount <= page.pointee.blockByteCount, page.heap?.pointee.state == .shared { return }
        if LinkTag.isOn(block: address), isFreeLink(page, address) { Misuse.doubleFree(caller, address) }
        Misuse.wrongSize(caller, address)
    }
}
