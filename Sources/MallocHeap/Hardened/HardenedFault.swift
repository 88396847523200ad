// What a fault at an address of the hardened malloc's means: an access to a guard page, or to a large block that is
// quarantined. For a handler of SIGSEGV: it says one line, and lets happen what would have happened without it.
//
// Thread-safety: reads records without a lock, since the thread that faulted may hold any. What it reads may be
// changing: then the line names an older state.

import CMallowShims

extension Malloc {
    /// Writes a line about a fault, if the address lies in a guard page or in a quarantined block. Nothing if not.
    public static func reportHardenedFault(_ fault: mallow_fault) {
        guard Hardened.isFull, let page = Hardened.page(of: fault.address) else { return }
        let verb: StaticString = fault.access == 2 ? "write" : fault.access == 1 ? "read" : "access"
        let block: UInt
        let byteCount: UInt
        var isLive = true
        switch page.pointee.kind {
        case PageKind.hardened:
            // Behind the last block of a page.
            guard page.pointee.carved > 0, fault.address >= page.block(UInt(page.pointee.capacity) &- 1) else { return }
            let last = UInt(page.pointee.carved) &- 1
            block = page.block(last)
            byteCount = page.sideTable[last].byteCount
            isLive = page.sideTable[last].state == BlockState.live
        default:
            block = page.largeBlock
            byteCount = page.largeByteCount
            isLive = page.pointee.kind == PageKind.hardenedRun || page.pointee.kind == PageKind.hardenedMapping
        }
        HardenedFinding.fault(
            verb, at: fault.address, block: block, size: byteCount, isLive: isLive)
    }
}
