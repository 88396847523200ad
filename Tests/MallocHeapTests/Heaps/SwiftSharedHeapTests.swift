// The heap of the process as an allocator.

import AllocatorCore
import AllocatorTestKit
import Heaps
import Testing

extension HeapTests {
    @Suite(.serialized) struct SwiftSharedHeap {
        @Test(arguments: [1 << 6, 1 << 13, 1 << 18]) func keepsTheContract(maximumByteCount: Int) throws {
            try checkAllocator(
                seed: UInt64(maximumByteCount), steps: 200, maximumByteCount: maximumByteCount,
                maximumAlignment: 1 << 16
            ) { SharedHeap() }
        }

        @Test func keepsTheContractAmongThreads() throws {
            try checkSharedAllocator { SharedHeap() }
        }
    }
}
