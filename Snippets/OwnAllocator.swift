// An allocator of one's own: it hands out one buffer from front to back, and begins anew when all is freed.
// AllocatorTestKit holds it to the contract.

import AllocatorTestKit
import Mallow

final class BufferAllocator: OwningAllocator, ResettableAllocator {
    private let buffer: UnsafeMutableRawBufferPointer
    private var used = 0
    private var liveBlocks = 0

    init(byteCount: Int) { buffer = .allocate(byteCount: byteCount, alignment: 16) }

    deinit { buffer.deallocate() }

    func allocate(byteCount: Int, alignment: Int) throws(AllocationError) -> UnsafeMutableRawBufferPointer {
        func refuse(_ reason: AllocationError.Reason) -> AllocationError {
            AllocationError(allocator: "BufferAllocator", byteCount: byteCount, alignment: alignment, reason: reason)
        }
        precondition(byteCount >= 0, "BufferAllocator: a request for a negative number of bytes")
        guard alignment > 0, alignment & (alignment - 1) == 0 else { throw refuse(.invalidAlignment) }
        let base = UInt(bitPattern: buffer.baseAddress!)
        let start = Int((base + UInt(used) + UInt(alignment) - 1) / UInt(alignment) * UInt(alignment) - base)
        // Zero bytes, too, have an address of their own.
        guard start <= buffer.count, byteCount < buffer.count - start else { throw refuse(.outOfMemory) }
        used = start + max(byteCount, 1)
        liveBlocks += 1
        return UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + byteCount])
    }

    func deallocate(_ pointer: UnsafeMutableRawPointer) {
        precondition(owns(pointer) && liveBlocks > 0, "BufferAllocator: \(pointer) is not of this allocator")
        liveBlocks -= 1
        if liveBlocks == 0 { used = 0 }
    }

    func owns(_ pointer: UnsafeRawPointer) -> Bool {
        UnsafeRawPointer(buffer.baseAddress!) <= pointer && pointer < buffer.baseAddress! + buffer.count
    }

    func freeAll() {
        liveBlocks = 0
        used = 0
    }

    func findLeaks() -> LeakError? {
        liveBlocks > 0 ? LeakError(allocator: "BufferAllocator", blocks: liveBlocks, bytes: 0) : nil
    }
}

try checkAllocator { BufferAllocator(byteCount: 1 << 20) }
print("keeps the contract")
