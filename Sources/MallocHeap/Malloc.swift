// The hit paths of the heap, and the family of functions around them.
//
// Cost of `allocate` where the current page of the size has a free block: one thread-local load, a look-up by size, and
// a pop: 19 instructions on x86-64. Cost of `deallocate` of a block of the calling thread's: the segment map, the
// record by arithmetic, three checks and a push: 27. `make disassembly` shows both; a change here must be read there.
//
// Thread-safety: everything here may be called by any thread at any time.

import CMallowShims
import Synchronization

/// A malloc: thread-local heaps over segments that are shared by the process. See `Documentation/HowMallocWorks.md`.
///
/// Addresses are `UInt`s, 0 stands for null. Nothing here calls the Swift runtime or allocates by other means.
public enum Malloc {
    /// Allocates a block.
    ///
    /// - Parameter byteCount: any number; zero gives a block of its own as well.
    /// - Returns: a pointer aligned to 16 bytes (8 for requests of up to 8 bytes), or nil with `errno` set to `ENOMEM`
    ///   when the kernel has no more memory or `byteCount` is above `PTRDIFF_MAX`.
    /// - Complexity: O(1).
    @inline(__always)
    public static func allocate(_ byteCount: UInt) -> UnsafeMutableRawPointer? {
        if byteCount > Layout.directLimit { return allocateSlow(byteCount) }
        let heap = enterHitPath(byteCount)
        let page = Page(at: heap.directEntry((byteCount &+ 7) &>> 3).pointee)
        let block = page.pointee.free
        if block == 0 { return allocateSlow(byteCount) }
        let result = heap.take(block, of: page)
        leaveHitPath()
        return result
    }

    /// Frees a block, of any thread's. Nothing happens to nil. A pointer that is not the start of a live block ends the
    /// program with a message, wherever that can be told; see `Documentation/HowMallocWorks.md`.
    ///
    /// - Complexity: O(1). `errno` is preserved.
    @inline(__always)
    public static func deallocate(_ pointer: UnsafeMutableRawPointer?) {
        let address = UInt(bitPattern: pointer)
        let page = Page(at: recordAddress(entry: segmentMapEntry(address), of: address))
        let heap = enterHitPath(address)
        if page.ownerOnHitPath != heap.address { return deallocateSlow(address) }
        // From here on it is a page of this heap, with blocks from offset 0 of its one slice on.
        let remainder = UInt32(truncatingIfNeeded: address & 0xffff) &* page.pointee.inverse
        if remainder >= PageRecord.remainderLimit { return deallocateSlow(address) }
        if LinkTag.isOn(block: address) { return deallocateSlow(address) }
        storeWord(address, page.pointee.free ^ heap.pointee.linkKey)
        page.pointee.free = address
        page.pointee.used &-= 1
        if page.pointee.used == 0 { return pageBecameEmpty(page) }
        leaveHitPath()
    }

    /// Allocates `count` times `byteCount` zeros. Nil and `ENOMEM` when the product overflows, too.
    @inline(__always)
    public static func allocateZeroed(count: UInt, byteCount: UInt) -> UnsafeMutableRawPointer? {
        let (total, overflow) = count.multipliedReportingOverflow(by: byteCount)
        if overflow { return outOfMemory() }
        if total > Layout.smallLimit { return allocateLarge(total, alignment: 1, isZeroed: true) }
        if total > Layout.directLimit { return allocateZeroedSlow(total) }
        let heap = enterHitPath(total)
        let page = Page(at: heap.directEntry((total &+ 7) &>> 3).pointee)
        let free = page.pointee.free
        if free == 0 { return allocateZeroedSlow(total) }
        guard let block = heap.take(free, of: page) else { return nil }
        leaveHitPath()
        memset(block, 0, Int(bitPattern: total))
        return block
    }
}

extension UnsafeMutablePointer where Pointee == HeapRecord {
    /// Pops the first free block of a page.
    @inline(__always)
    func take(_ block: UInt, of page: Page) -> UnsafeMutableRawPointer? {
        let next = loadWord(block) ^ pointee.linkKey
        page.pointee.free = next
        // Two instructions: a link without its tag was overwritten by the program.
        if next &>> UInt(MALLOW_ADDRESS_BITS) != 0 { return overwritten(block) }
        // The tag of a free block must not survive in a live one.
        storeWord(block, 0)
        page.pointee.used &+= 1
        return UnsafeMutableRawPointer(bitPattern: block)
    }

    /// Does not return. That it seems to makes it a tail call, so that `malloc` needs no stack frame.
    @inline(never)
    private func overwritten(_ block: UInt) -> UnsafeMutableRawPointer? {
        Misuse.corruptedLink(block)
    }
}
