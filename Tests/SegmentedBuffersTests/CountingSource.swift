// An upstream that knows its blocks, for the tests of who gives what back.

import Mallow

/// Serves from the system and knows its blocks: a block that is not its own, or is freed twice, ends the test.
final class CountingSource: OwningAllocator {
    private(set) var live: Set<UnsafeMutableRawPointer> = []
    private(set) var handedOut: [UnsafeMutableRawPointer] = []
    private(set) var freed: [UnsafeMutableRawPointer] = []

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        let block = try SystemAllocator().allocate(byteCount: byteCount, alignment: alignment)
        live.insert(block.baseAddress!)
        handedOut.append(block.baseAddress!)
        return block
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        precondition(live.remove(pointer) != nil, "CountingSource: not of this source, or freed already")
        freed.append(pointer)
        SystemAllocator().deallocate(pointer)
    }

    func owns(_ pointer: UnsafeRawPointer) -> Bool { live.contains(UnsafeMutableRawPointer(mutating: pointer)) }
}
